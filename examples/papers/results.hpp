#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include <neuroinhib/core/error.hpp>
#include <neuroinhib/io/file.hpp>
#include <neuroinhib/version.hpp>

#include "common.hpp"

namespace papers {

/// results.json of an experiment: settings, and the runs so far, written after each.
class Results {
 public:
  /// Makes the folder. With `resume`, takes up what is there. Throws IoError, FormatError for a file that is none of
  /// ours, ConfigError for one of other options than `key` tells.
  Results(std::filesystem::path folder, const std::string& experiment, const std::string& key,
          const std::string& machine, bool resume)
      : folder_(std::move(folder)) {
    make_folder(folder_);
    json_["runs"] = nlohmann::json::array();
    if (resume && std::filesystem::exists(path("results.json"))) take_up(key);
    json_["experiment"] = experiment;
    json_["version"] = NEUROINHIB_VERSION;
    json_["machine"] = machine;
    json_["settings"]["key"] = key;
  }

  [[nodiscard]] std::filesystem::path path(const char* name) const { return folder_ / name; }
  [[nodiscard]] nlohmann::json& json() { return json_; }
  [[nodiscard]] const nlohmann::json& json() const { return json_; }
  [[nodiscard]] const nlohmann::json& runs() const { return json_["runs"]; }
  [[nodiscard]] bool has(const std::string& row, std::ptrdiff_t seed) const {
    for (const auto& run : runs())
      if (run.at("row") == row && run.at("seed") == seed) return true;
    return false;
  }
  /// Keeps where the run was made, since resuming may go on elsewhere.
  void add(nlohmann::json run) {
    run["machine"] = json_["machine"];
    json_["runs"].push_back(std::move(run));
  }
  /// What `look` makes of the runs. Throws FormatError where one lacks what it looks for, as of another version.
  template <class Look>
  auto look(const Look& look) const {
    try {
      return look();
    } catch (const nlohmann::json::exception& error) {
      neuroinhib::fail<neuroinhib::FormatError>(path("results.json").string(), "the results of an earlier call",
                                                error.what(), "move the file away and start again");
    }
  }
  void save() const { neuroinhib::io::write_file(path("results.json"), json_.dump(1) + "\n"); }

 private:
  void take_up(const std::string& key) {
    const auto earlier = look([&] {
      json_ = nlohmann::json::parse(neuroinhib::io::read_file(path("results.json")));
      for (const auto& run : json_.at("runs")) (void)run.at("row"), (void)run.at("seed");
      return json_.at("settings").at("key").get<std::string>();
    });
    if (earlier != key)
      neuroinhib::fail<neuroinhib::ConfigError>("resuming from " + path("results.json").string(), key, earlier,
                                                "resume with the same options, or choose another folder with --out");
  }

  std::filesystem::path folder_;
  nlohmann::json json_;
};

}  // namespace papers
