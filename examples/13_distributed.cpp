// Training on several processes: mpirun -n 2 13_distributed. Each rank has its part of every batch; the results are
// those of one process.
//
// Output:
//   step   0: loss 0.7
//   step 200: loss 0.0
//   step 400: loss 0.0
//   100 % of the points right

#include <cmath>
#include <cstdio>
#include <vector>

#include <neuroinhib/neuroinhib.hpp>
#include <neuroinhib/parallel/mpi.hpp>
#include <neuroinhib/parallel/ranks.hpp>

using namespace neuroinhib;

int main() try {
  Mpi mpi({.configuration = "spirals, 512 points"});  // must be equal on all ranks
  Ranks<Cpu<float>, Mpi> cpu(mpi);                    // in the place of Cpu<float>

  // This rank's part of two interleaved spirals of 256 points each.
  const Share share = cpu.share_batch(512);
  std::vector<float> values;
  std::vector<int> labels;
  for (Index i = share.begin; i < share.end; ++i) {
    const auto label = static_cast<int>(i % 2);
    const float turn = static_cast<float>(i / 2) / 64, radius = label == 0 ? turn / 4 : -turn / 4;
    values.insert(values.end(), {radius * std::cos(2 * turn), radius * std::sin(2 * turn)});
    labels.push_back(label);
  }
  const auto points = tensor(values, {share.count(), 2});

  using Layer = MoeLayer<TwoLayerRouter<Tanh>, GluInhibition, TopM<2>, Mlp<Tanh>>;
  Layer layer({.width = 2, .experts = 4, .hidden = {32, 32}, .output = 2, .router = {.hidden = 16}});
  Parameters<float> parameters(layer, /*seed=*/1);  // the same values on every rank
  Adam<float> adam(parameters, {.learning_rate = 1e-2}, shard_of(cpu, parameters));

  for (Index step = 0; step <= 400; ++step) {
    Recording ex(cpu);
    const auto part = cross_entropy(ex, layer.forward(ex, points).y, labels);  // this rank's part of the mean
    backward_and_sum(ex, part, parameters, {.shard = adam.shard()});           // gradients travel while it runs
    clip_gradient_norm(cpu, parameters, 1.0);                                  // of the gradients of all ranks
    adam.step(cpu, parameters, schedule::warmup_cosine(step, 20, 400));
    const auto loss = all_reduce(cpu, part);  // every rank must call it, not only the one that prints
    if (step % 200 == 0 && mpi.rank() == 0) std::printf("step %3td: loss %.1f\n", step, loss[0]);
  }

  cpu.begin_step();
  const auto logits = layer.forward(cpu, points).y;
  std::vector<float> right(1);
  for (Index i = 0; const int label : labels) {
    right[0] += (logits(i, 1) > logits(i, 0)) == (label == 1) ? 1.0F : 0.0F;
    ++i;
  }
  const auto of_all = all_reduce(cpu, tensor(right, {1}));
  if (mpi.rank() == 0) std::printf("%.0f %% of the points right\n", 100 * static_cast<double>(of_all[0]) / 512.0);
} catch (const Error& error) {
  std::fprintf(stderr, "error: %s\n", error.what());
  return 1;
}
