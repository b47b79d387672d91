// What must hold of all operations that there are: each has a case, and its bits do not depend on threads.

#include <cstring>
#include <fstream>
#include <regex>
#include <set>

#include "ops/cases.hpp"

using namespace testing;

namespace {

/// A backend that notes the names of the operations it runs.
class NotingCpu : public Cpu<float> {
 public:
  using Backend = NotingCpu;
  using Cpu<float>::Cpu;
  std::set<std::string> names;

  [[nodiscard]] NotingCpu& backend() { return *this; }
  [[nodiscard]] auto enter(const char* name) { return names.insert(name); }
};

/// The names that the contracts, ops/*/op.hpp, give; not of operations that only a GPU or several ranks have, whose
/// cases are in cuda/ and parallel/.
std::set<std::string> names_of_all() {
  std::set<std::string> names;
  const std::regex name("static constexpr const char\\* name = \"([^\"]+)\"");
  for (const auto& folder : std::filesystem::directory_iterator(std::filesystem::path(NEUROINHIB_INCLUDE) / "ops")) {
    if (exists(folder.path() / "cuda.cuh") && !exists(folder.path() / "cpu.hpp")) continue;
    if (folder.path().filename() == "collectives" || folder.path().filename() == "ring_attention") continue;
    std::ifstream file(folder.path() / "op.hpp");
    for (std::string line; std::getline(file, line);)
      if (std::smatch found; std::regex_search(line, found, name)) names.insert(found[1]);
  }
  return names;
}

/// The bits of y and of the inputs' gradients. `shift`: how many elements behind a vector register's boundary the
/// inputs and their gradients lie.
std::vector<std::vector<std::uint32_t>> bits_of(NotingCpu& cpu, const std::vector<Drawn>& inputs, const auto& f,
                                                std::size_t shift = 0) {
  std::vector<std::vector<std::uint32_t>> all;
  const auto keep = [&](const float* values, std::size_t count) {
    std::memcpy(all.emplace_back(count).data(), values, count * sizeof(float));
  };
  auto values = draw<float>(inputs, 1);
  Arena<HostMemory> arena;  // whose memory begins at boundaries
  const auto shifted = [&](std::size_t count) {
    return arena.allocate<float>(static_cast<Index>(count + shift)) + shift;
  };
  std::vector<Tensor<float>> variables;
  for (auto& v : values) {
    Tensor<float>& x = variables.emplace_back(v.variable());
    x.data = std::copy_n(v.values.data(), v.values.size(), shifted(v.values.size())) - v.values.size();
    x.gradient = shifted(v.values.size());
  }
  cpu.random() = {3, 0};
  Recording ex(cpu);
  const auto y = f(ex, variables);
  keep(y.data, static_cast<std::size_t>(y.size()));
  ex.backward(linear(ex, y.reshaped({1, y.size()}), Values<float>({1, y.size()}, 9).constant()));
  for (const auto& x : variables) keep(x.gradient, static_cast<std::size_t>(x.size()));
  return all;
}

}  // namespace

TEST_CASE("every operation has a case, or is an optimizer's") {
  NotingCpu cpu;
  for_each_operation(
      [&](const std::string&, const std::vector<Drawn>& inputs, const auto& f) { (void)bits_of(cpu, inputs, f); });
  nn::Linear<float> layer(3, 2);
  Parameters<float> parameters(layer, 1);
  (void)clip_gradient_norm(cpu, parameters, 1.0);
  Adam<float>(parameters, {}).step(cpu, parameters);
  Sgd<float>(parameters, {}).step(cpu, parameters);
  const auto all = names_of_all();
  CHECK(all.size() > 30);
  for (const std::string& name : all) CHECK_MESSAGE(cpu.names.contains(name), name, " has no case in ops/cases.hpp");
}

TEST_CASE("every operation and its gradient have the same bits on 1, 2, 3 and 7 threads") {
  const auto check = [](const std::string& name, const std::vector<Drawn>& inputs, const auto& f) {
    INFO(name);
    NotingCpu one({.threads = 1});
    const auto expected = bits_of(one, inputs, f);
    for (const int threads : {2, 3, 7}) {
      NotingCpu several({.threads = threads, .min_work = 1});
      CHECK_MESSAGE(bits_of(several, inputs, f) == expected, threads, " threads");
    }
  };
  for_each_operation(check);
  for_each_large_operation(check);
}

TEST_CASE("an operation's bits do not depend on where its inputs lie") {
  const auto check = [](const std::string& name, const std::vector<Drawn>& inputs, const auto& f) {
    INFO(name);
    NotingCpu cpu({.threads = 1});
    const auto expected = bits_of(cpu, inputs, f);
    for (const std::size_t shift : {1u, 3u, 8u})
      CHECK_MESSAGE(bits_of(cpu, inputs, f, shift) == expected, "shift ", shift);
  };
  for_each_operation(check);
  for_each_large_operation(check);
}
