// Trains a language model and saves it for 07_serve. Usage: 06_train_and_save [file]

#include <cstdio>

#include <neuroinhib/io/model.hpp>

#include "counting.hpp"

using namespace counting;

int main(int count, char** arguments) {
  const char* file = count > 1 ? arguments[1] : "counting.safetensors";
  Model model(kConfig);
  Parameters<float> parameters(model, /*seed=*/1);
  Adam<float> adam(parameters, {.learning_rate = 5e-3});
  Cpu cpu;
  const Sentences sentences;
  float last = 0;
  for (int step = 0; step < 300; ++step) {
    Recording ex(cpu);
    const auto loss = model.loss(ex, sentences.ids(), sentences.labels(), {.length = 8});
    ex.backward(loss.total);
    adam.step(cpu, parameters);
    last = loss.mean[0];
  }
  io::save_model(file, parameters);
  std::printf("%.3f nats a word; saved %td numbers to %s\n", last, parameters.count(), file);
}
