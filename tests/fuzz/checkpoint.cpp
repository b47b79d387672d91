// Checkpoints and models: what is refused changes nothing, what is accepted trains on and comes back to the bit.

#include <fuzzer/FuzzedDataProvider.h>

#include <bit>
#include <set>

#include "framed.hpp"
#include "small_model.hpp"
#include "support.hpp"

using namespace fuzzing;

namespace {

/// A checkpoint of the small model, some tensors and notes of which the input changes: always of the file's form.
class Tampering {
 public:
  Tampering(FuzzedDataProvider& input, const io::Safetensors& file) : input_(input) {
    for (const std::string& name : file.names()) tensors_.push_back({name, file.shape(name), file.values<float>(name)});
    notes_ = file.notes();
    for (int change = input_.ConsumeIntegralInRange(1, 4); change > 0; --change) change_one();
  }

  void write(const std::filesystem::path& path) const {
    io::SafetensorsWriter writer;
    std::set<std::string> seen;
    for (const auto& [name, shape, values] : tensors_)
      if (seen.insert(name).second) writer.add(name, values, shape);
    for (const auto& [key, text] : notes_) writer.note(key, text);
    writer.write(path);
  }

 private:
  struct Named {
    std::string name;
    Shape shape;
    std::vector<float> values;
  };

  void change_one() {
    auto& [name, shape, values] = tensors_[input_.ConsumeIntegralInRange<std::size_t>(0, tensors_.size() - 1)];
    switch (input_.ConsumeIntegralInRange(0, 4)) {
      case 0:
        if (!values.empty()) values[input_.ConsumeIntegralInRange<std::size_t>(0, values.size() - 1)] = number();
        break;
      case 1:
        shape = {input_.ConsumeIntegralInRange<Index>(0, 9), input_.ConsumeIntegralInRange<Index>(0, 9)};
        if (input_.ConsumeBool()) shape = {shape.size()};
        values.assign(static_cast<std::size_t>(shape.size()), number());
        break;
      case 2: name = tensors_[input_.ConsumeIntegralInRange<std::size_t>(0, tensors_.size() - 1)].name; break;
      case 3: name += "x"; break;
      default:
        notes_[input_.PickValueInArray({"optimizer_steps", "random_step", "random_seed", "notes"})] =
            std::to_string(input_.ConsumeIntegral<std::int64_t>());
    }
  }
  float number() { return std::bit_cast<float>(input_.ConsumeIntegral<std::uint32_t>()); }

  FuzzedDataProvider& input_;
  std::vector<Named> tensors_;
  std::map<std::string, std::string> notes_;
};

void check(const Folder& folder, const std::filesystem::path& file) {
  SmallModel model(1);
  model.train(1);
  const std::string before = model.bits();
  if (accepted([&] { model.load(file); })) {
    SmallModel again(2);
    model.save(folder.path("again"));
    again.load(folder.path("again"));
    require(again.bits() == model.bits(), "what was loaded is saved and loaded to the bit");
    (void)accepted([&] { model.train(2); });
    (void)accepted([&] { again.train(2); });
    require(again.bits() == model.bits(), "both go on alike");
  } else {
    require(model.bits() == before, "a checkpoint that is refused changes nothing");
  }

  SmallModel server(3);
  server.train(1);
  const std::string kept = server.bits();
  if (!accepted([&] { io::load_model(file, server.parameters); }))
    require(server.bits() == kept, "a model that is refused changes nothing");
  const auto renamed = io::replacing({{"experts.layers.0", "experts.{k}"}, {"mix.bias", ""}});
  const std::string loaded = server.bits();
  if (!accepted([&] { io::load_model(file, server.parameters, {.file_name = renamed}); }))
    require(server.bits() == loaded, "a stack that is refused changes nothing");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Folder folder;
  static const io::Safetensors original = [] {
    SmallModel model(7);
    model.train(3);
    model.save(folder.path("original"));
    return io::Safetensors(folder.path("original"));
  }();
  const std::string_view input = text_of(data, size);
  if (input.starts_with('{')) {
    check(folder, folder.file("file", framed(input)));
  } else {
    FuzzedDataProvider provider(data, size);
    Tampering(provider, original).write(folder.path("file"));
    check(folder, folder.path("file"));
  }
  return 0;
}
