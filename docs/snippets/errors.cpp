// The program of docs/errors.md: one error of each kind, thrown, caught and printed.

#include <cstdio>
#include <limits>
#include <vector>

#include <neuroinhib/io/model.hpp>
#include <neuroinhib/neuroinhib.hpp>

using namespace neuroinhib;

using Layer = MoeLayer<LinearRouter, GluInhibition, TopM<2>>;

/// Runs a call that should fail, and says with which error it did.
template <class Kind, class Call>
void print(const char* kind, const Call& call) {
  try {
    call();
    std::printf("%s: none\n", kind);
  } catch (const Kind& error) {
    std::printf("%s\n  %s\n", kind, error.what());
  }
}

int main() {
  Cpu cpu;
  std::vector<float> values(4 * 6, 1.0F);
  const auto x = tensor(values, {4, 6});

  print<ConfigError>("ConfigError: an option out of range", [] { Layer layer({.width = 6, .experts = 0}); });
  print<ConfigError>("ConfigError: a layer whose weights were never allocated", [&] {
    Layer layer({.width = 6, .experts = 4, .hidden = {8}});
    (void)layer.forward(cpu, x);
  });

  Layer layer({.width = 6, .experts = 4, .hidden = {8}, .output = 3});
  Parameters<float> parameters(layer, /*seed=*/1);
  print<ShapeError>("ShapeError: tokens of another width", [&] { (void)layer.forward(cpu, tensor(values, {3, 8})); });

  std::vector<float> broken = values;
  broken[7] = std::numeric_limits<float>::quiet_NaN();
  print<NumericError>("NumericError: NaN in the input",
                      [&] { require_finite<float>(tensor(broken, {4, 6}), "features"); });
  values[7] = 1e30F;
  print<NumericError>("NumericError: a loss that is not finite", [&] {
    Recording ex(cpu);
    const auto y = layer.forward(ex, x).y;
    ex.require_finite(total(ex, multiply(ex, y, y)), "training");
  });

  print<IoError>("IoError: a file that is not there", [&] { io::load_model("missing.safetensors", parameters); });
  io::write_file("short.safetensors", "abc");
  print<FormatError>("FormatError: a file that breaks its format",
                     [&] { io::load_model("short.safetensors", parameters); });
}
