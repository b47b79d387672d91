// Table 2 of Mutual-Inform SMoE: does routing in which patches inform each other classify better, and more robustly?

#include <cstdio>

#include "../machine.hpp"
#include "../work_off.hpp"
#include "has_cuda.hpp"
#include "report.hpp"
#include "training.hpp"

namespace {

using namespace vision;

int run_all(Settings settings) {
  const std::string machine = papers::describe_machine(settings);
  const papers::OutputFolder folder(settings);
  const Images images = load_images(settings);
  settings.network.patch = settings.patch_for(images.training.height, images.training.width);
  std::printf("%s: %td training, %td validation and %td test images of %td × %td × %td, %td classes; outliers: %s\n",
              images.training.source.c_str(), images.training.count(), images.validation.count(), images.test.count(),
              images.training.height, images.training.width, images.training.channels, images.classes,
              images.outliers_name.c_str());
  std::printf("%s; %s\n", machine.c_str(), settings.key().c_str());
  Report report(folder, settings, images, machine);
  return papers::work_off(settings, folder, report, [&](const std::string& row, Index seed, const auto& checkpoint) {
    if constexpr (papers::kHasCuda)
      if (settings.on_cuda()) return train_on_cuda(settings, row, seed, images, checkpoint);
    return with_kind(row,
                     [&]<class Kind>() { return CpuTraining<Kind>::train(settings, row, seed, images, checkpoint); });
  });
}

}  // namespace

int main(int argc, char** argv) {
  return papers::run_program(argc, argv, [](const auto& arguments) { return run_all(read_settings(arguments)); });
}
