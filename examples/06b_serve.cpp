// Loads what 06a_train_and_save wrote, and answers from four threads: the class at 16 points of the square.
//
// Output:
//   1 1 0 0
//   1 1 0 0
//   0 0 1 1
//   0 0 1 1

#include <array>
#include <cstdio>
#include <thread>
#include <vector>

#include <neuroinhib/io/model.hpp>
#include <neuroinhib/neuroinhib.hpp>

using namespace neuroinhib;

int main() {
  MoeLayer<LinearRouter, GluInhibition> layer({.width = 2, .experts = 4, .hidden = {16}, .output = 2});
  Parameters<float> parameters(layer, /*seed=*/0);  // the file's values replace those of the seed
  io::load_model("quadrants.safetensors", parameters);

  // Four threads answer from one set of weights; each has a backend of its own.
  std::array<std::vector<int>, 4> answers;
  std::vector<std::thread> threads;
  for (float x = -.6F; std::vector<int> & answer : answers) {
    threads.emplace_back([&layer, &answer, x] {
      Cpu cpu({.threads = 1});
      std::vector<float> points{x, -.6F, x, -.2F, x, .2F, x, .6F};
      const auto logits = layer.forward(cpu, tensor(points, {4, 2})).y;
      for (Index i = 0; i < 4; ++i) answer.push_back(logits(i, 1) > logits(i, 0) ? 1 : 0);
    });
    x += .4F;
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& answer : answers) std::printf("%d %d %d %d\n", answer[0], answer[1], answer[2], answer[3]);
}
