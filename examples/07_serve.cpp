// Loads what 06_train_and_save wrote and answers from four threads: one set of weights, a backend for each thread.
// Usage: 07_serve [file]

#include <cstdio>
#include <exception>
#include <string>
#include <thread>

#include <neuroinhib/io/model.hpp>

#include "counting.hpp"

using namespace counting;

int main(int count, char** arguments) try {
  Model model(kConfig);
  Parameters<float> parameters(model, /*seed=*/0);
  io::load_model(count > 1 ? arguments[1] : "counting.safetensors", parameters);

  // Each thread has prompts of its own, of different lengths.
  std::vector<std::string> answers(4);
  std::vector<std::thread> threads;
  for (int number = 0; number < 4; ++number)
    threads.emplace_back([&model, &answer = answers[number], number] {
      Cpu cpu({.threads = 1});
      const std::vector<std::vector<int>> prompts{{number, number + 1}, {number, number + 2, number + 4}};
      const auto made = generate(cpu, model, prompts, {.tokens = 4, .temperature = 0});
      for (std::size_t text = 0; text < prompts.size(); ++text) {
        for (const int word : prompts[text]) answer += std::to_string(word) + " ";
        answer += "→";
        for (const int word : made[text]) answer += " " + std::to_string(word);
        answer += text == 0 ? "   " : "\n";
      }
    });
  for (auto& thread : threads) thread.join();
  for (const std::string& answer : answers) std::printf("%s", answer.c_str());
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
