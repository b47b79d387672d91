#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <neuroinhib/core/error.hpp>
#include <neuroinhib/io/file.hpp>
#include <neuroinhib/version.hpp>

#include "call.hpp"
#include "common.hpp"
#include "notes.hpp"

namespace papers {

/// Where an experiment writes. No other run writes there as long as this lives.
class OutputFolder {
 public:
  /// Makes the folder. Throws IoError where it cannot be made or written, or another run has it; ConfigError where it
  /// holds results and the call does not say what to do with them.
  explicit OutputFolder(const Call& call) : path_(make(call.out)), lock_(path_) {
    if (call.earlier == Earlier::refuse && std::filesystem::exists(file("results.json")))
      neuroinhib::fail<neuroinhib::ConfigError>(
          "--out " + path_.string(), "a folder without results", "the results.json of an earlier call",
          "add --resume to continue it, add --overwrite to start again, or choose another folder");
    make(checkpoints());
    // Nobody else writes here, so that another file is the part of one that a killed run was saving.
    for (const auto& entry : std::filesystem::directory_iterator(checkpoints()))
      if (entry.path().extension() != kEnding) std::filesystem::remove(entry);
  }
  OutputFolder(const OutputFolder&) = delete;
  OutputFolder& operator=(const OutputFolder&) = delete;
  ~OutputFolder() {
    std::error_code ignored;
    std::filesystem::remove(checkpoints(), ignored);  // where it is empty
  }

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] std::filesystem::path file(const std::string& name) const { return path_ / name; }
  [[nodiscard]] std::filesystem::path checkpoint(const std::string& run) const {
    return checkpoints() / (run + kEnding);
  }
  /// The file that records a run, in a folder that it makes.
  [[nodiscard]] static std::filesystem::path telemetry(const Call& call, const std::string& row, Index seed) {
    return make(call.out / kTelemetry) / (row + "-" + std::to_string(seed) + ".telemetry");
  }
  /// Deletes what an earlier call left.
  void clear() const {
    for (const char* name : {"results.json", "table.md"}) std::filesystem::remove(file(name));
    std::vector<std::filesystem::path> pictures;  // each with the script that draws it
    for (const auto& entry : std::filesystem::directory_iterator(path_))
      if (entry.path().extension() == ".gnuplot") pictures.push_back(entry.path());
    for (std::filesystem::path& picture : pictures)
      for (const char* ending : {".gnuplot", ".png", ".svg"})
        std::filesystem::remove(picture.replace_extension(ending));
    std::filesystem::remove_all(file(kTelemetry));
    std::filesystem::remove_all(checkpoints());
    make(checkpoints());
  }

 private:
  static constexpr const char *kEnding = ".safetensors", *kTelemetry = "telemetry";

  static std::filesystem::path make(const std::filesystem::path& folder) {
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    if (error)
      neuroinhib::fail<neuroinhib::IoError>("output folder " + folder.string(), "a folder to write to", error.message(),
                                            "choose another with --out");
    return folder;
  }
  [[nodiscard]] std::filesystem::path checkpoints() const { return path_ / "checkpoints"; }

  std::filesystem::path path_;
  neuroinhib::io::FolderLock lock_;
};

/// results.json of an experiment: the settings that all runs share, and the runs so far with what may differ between
/// them. Written after each run.
class Results {
 public:
  /// Takes up, deletes or starts, as the call says. `settings` must have a text "key". Throws FormatError for a file
  /// that is none of ours, ConfigError for one of another experiment or key.
  Results(const OutputFolder& folder, const Call& call, const std::string& experiment, nlohmann::json settings,
          std::string machine)
      : folder_(folder), machine_(std::move(machine)) {
    json_ = {{"experiment", experiment}, {"settings", std::move(settings)}, {"runs", nlohmann::json::array()}};
    if (call.resumes() && std::filesystem::exists(folder.file("results.json"))) take_up();
    if (call.earlier == Earlier::overwrite) folder.clear();
    save();
  }

  [[nodiscard]] const OutputFolder& folder() const { return folder_; }
  [[nodiscard]] const nlohmann::json& settings() const { return json_.at("settings"); }
  [[nodiscard]] const nlohmann::json& runs() const { return json_.at("runs"); }
  [[nodiscard]] bool has(const std::string& row, std::ptrdiff_t seed) const {
    for (const auto& run : runs())
      if (is_of(run, row) && run.at("seed") == seed) return true;
    return false;
  }
  /// measure(run) of a row's runs, whatever it is.
  template <class Measure>
  [[nodiscard]] auto collected(std::string_view row, const Measure& measure) const {
    std::vector<std::decay_t<decltype(measure(runs()))>> all;
    for (const auto& run : runs())
      if (is_of(run, row)) all.push_back(measure(run));
    return all;
  }
  /// The same, numbers.
  template <class Measure>
  [[nodiscard]] std::vector<double> values(std::string_view row, const Measure& measure) const {
    return collected(row, measure);
  }
  /// combine(run, run of the other row) for the seeds that both rows have.
  template <class Combine>
  [[nodiscard]] auto paired(std::string_view row, std::string_view other, const Combine& combine) const {
    std::vector<std::decay_t<decltype(combine(runs(), runs()))>> all;
    for (const auto& run : runs())
      for (const auto& against : runs())
        if (is_of(run, row) && is_of(against, other) && run.at("seed") == against.at("seed"))
          all.push_back(combine(run, against));
    return all;
  }
  /// measure(run) of a row's runs minus that of another's, for the seeds that both have.
  template <class Measure>
  [[nodiscard]] std::vector<double> differences(std::string_view row, std::string_view other,
                                                const Measure& measure) const {
    return paired(row, other,
                  [&](const auto& run, const auto& against) -> double { return measure(run) - measure(against); });
  }
  /// Adds a run in its place, where before(run, other) holds for all that follow. Notes where it was made, since
  /// resuming may go on elsewhere, and saves.
  template <class Before>
  void add(nlohmann::json run, const Before& before) {
    run["machine"] = machine_;
    run["version"] = NEUROINHIB_VERSION;
    auto& runs = json_["runs"].get_ref<nlohmann::json::array_t&>();
    runs.insert(std::upper_bound(runs.begin(), runs.end(), run, before), storable(run));
    save();
  }
  /// Adds what the runs say of published claims, and figures as a page of results draws them, and saves.
  void conclude(nlohmann::json verdicts, nlohmann::json figures = nlohmann::json::array()) {
    json_["verdicts"] = storable(std::move(verdicts));
    if (!figures.empty()) json_["figures"] = storable(std::move(figures));
    save();
  }
  /// Where the runs of these rows were made.
  [[nodiscard]] std::string machines(const std::vector<std::string>& rows) const {
    std::set<std::string> names;
    for (const auto& run : runs())
      if (std::find(rows.begin(), rows.end(), run.at("row").get<std::string>()) != rows.end())
        names.insert(run.at("machine"));
    std::string all;
    for (const std::string& name : names) all += (all.empty() ? "" : "; ") + name;
    return all;
  }
  /// What `look` makes of the runs. Throws FormatError where one lacks what it looks for, as of another version.
  template <class Look>
  auto look(const Look& look) const {
    try {
      return look();
    } catch (const nlohmann::json::exception& error) {
      neuroinhib::fail<neuroinhib::FormatError>(folder_.file("results.json").string(), "the results of an earlier call",
                                                error.what(), "start again with --overwrite or in another folder");
    }
  }

 private:
  static bool is_of(const nlohmann::json& run, std::string_view row) {
    return run.at("row").get_ref<const std::string&>() == row;
  }
  void take_up() {
    nlohmann::json earlier;
    const auto identity = [](const nlohmann::json& json) {
      return json.at("experiment").get<std::string>() + ", " + json.at("settings").at("key").get<std::string>();
    };
    const std::string found = look([&] {
      earlier = nlohmann::json::parse(neuroinhib::io::read_file(folder_.file("results.json")));
      for (const auto& run : earlier.at("runs").get_ref<const nlohmann::json::array_t&>())
        (void)std::tuple(run.at("row").get<std::string>(), run.at("seed").get<Index>(),
                         run.at("machine").get<std::string>());
      return identity(earlier);
    });
    if (found != identity(json_))
      neuroinhib::fail<neuroinhib::ConfigError>(
          "resuming from " + folder_.file("results.json").string(), identity(json_), found,
          "resume with the same options, start again with --overwrite, or choose another folder with --out");
    json_ = std::move(earlier);
  }
  void save() const { neuroinhib::io::write_file(folder_.file("results.json"), json_.dump(1) + "\n"); }

  const OutputFolder& folder_;
  std::string machine_;
  nlohmann::json json_;
};

}  // namespace papers
