// Uses each component for the CPU: a layer, a model that goes through a file, an IDX file.
#include <cstdio>
#include <fstream>

#include <neuroinhib/data/idx.hpp>
#include <neuroinhib/io/model.hpp>
#include <neuroinhib/neuroinhib.hpp>

using namespace neuroinhib;

namespace {

float output(unsigned seed, const char* load_from, const char* save_to) {
  MoeLayer<LinearRouter, GluInhibition> layer({.width = 4, .experts = 3, .hidden = {5}});
  Parameters<float> parameters(layer, seed);
  if (load_from) io::load_model(load_from, parameters);
  if (save_to) io::save_model(save_to, parameters);
  std::vector<float> values(8, 0.5f);
  Cpu cpu;
  return layer.forward(cpu, tensor(values, {2, 4})).y[0];
}

}  // namespace

int main() {
  const float saved = output(1, nullptr, "model.safetensors");
  const float loaded = output(2, "model.safetensors", nullptr);
  std::ofstream("three.idx", std::ios::binary) << std::string(
      "\0\0\x08\x01\0\0\0\x03"
      "abc",
      11);
  const data::Idx idx = data::read_idx("three.idx");
  std::printf("neuroinhib %s: %g, from the file %g, %zu bytes\n", NEUROINHIB_VERSION, saved, loaded, idx.bytes.size());
  return saved == loaded && idx.bytes.size() == 3 ? 0 : 1;
}
