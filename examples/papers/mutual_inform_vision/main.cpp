// Table 2 of Mutual-Inform SMoE: does routing in which patches inform each other classify better, and more robustly?

#include <cstdio>

#include "report.hpp"
#include "training.hpp"

namespace {

using namespace vision;

int run_all(Settings settings) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // a log shows each run as it ends
  const std::string machine =
      settings.on_cuda() ? describe_cuda(settings) : Cpu<float>({.threads = settings.threads}).describe();
  const papers::OutputFolder folder(settings);
  const Images images = load_images(settings);
  settings.network.patch = settings.patch_for(images.training.height, images.training.width);
  std::printf("%s: %td training, %td validation and %td test images of %td × %td × %td, %td classes; outliers: %s\n",
              images.training.source.c_str(), images.training.count(), images.validation.count(), images.test.count(),
              images.training.height, images.training.width, images.training.channels, images.classes,
              images.outliers_name.c_str());
  std::printf("%s; %s\n", machine.c_str(), settings.key().c_str());
  papers::catch_interrupts();
  Report report(folder, settings, images, machine);
  for (Index seed = 0; seed < settings.seeds; ++seed)
    for (const std::string& row : settings.rows) {
      const auto checkpoint = folder.checkpoint(row + "-" + std::to_string(seed));
      if (!report.has(row, seed)) {
        papers::stop_if_interrupted();
        const auto run = settings.on_cuda() ? train_row_on_cuda(settings, row, seed, images, checkpoint)
                                            : with_kind(row, [&]<class Kind>() {
                                                return train_row<Kind>(settings, row, seed, images, checkpoint);
                                              });
        std::printf("%-11s seed %td: test %.2f %%, %.0f s, %.2f ms a step\n", row.c_str(), seed,
                    100 * run["test"].get<double>(), run["seconds"].get<double>(), run["step_ms"].get<double>());
        report.add(run);
      }
      std::filesystem::remove(checkpoint);  // only now, with the result saved
    }
  report.show();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return papers::run_program(argc, argv, [](const auto& arguments) { return run_all(read_settings(arguments)); });
}
