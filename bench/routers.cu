// Routers at growing lengths, forward, causal: the linear router, similarity-inform, and attention-inform, the last
// with and without the attention whose entropies it needs; and that attention itself, forward with every row's entropy,
// and backward. To be set against bench/peers/routers_torch.py.
//   routers [--precision tf32|bf16|strict] [--routing strict|tf32]

#include <cstdio>

#include "options.cuh"
#include "timing.cuh"

namespace {

using namespace neuroinhib;

struct Extents {
  Index sequences, length, width, heads, experts;
};
constexpr Extents kExtents[] = {{24, 512, 352, 8, 16},
                                {8, 2048, 1024, 16, 64},
                                {2, 8192, 1024, 16, 64},
                                {1, 32768, 1024, 16, 64},
                                {1, 131072, 1024, 16, 64}};

/// A constant on the device.
struct Numbers {
  Storage<float> values{kSpaceOf<CudaMemory>};
  Tensor<float> tensor;

  Numbers(Cuda<float>& cuda, const Shape& shape, std::uint32_t stream, float deviation) {
    values.resize(shape.size());
    tensor.data = values.data();
    tensor.shape = shape;
    fill_randomly(cuda, tensor, stream, deviation);
  }
};

/// Gives x a gradient of ones; y is a number.
struct Seed {
  static constexpr const char* name = "seed";
  Tensor<float> x, y;
};
void forward(Cuda<float>& cuda, const Seed& op) {
  cuda.fill(op.y.data, 1, 0);
}
void backward(Cuda<float>& cuda, const Seed& op) {
  cuda.fill(op.x.claim_gradient().data, op.x.size(), 1);
}

void print(const char* name, const Extents& e, double time, std::size_t bytes) {
  std::printf("router %-22s B=%td N=%td D=%td H=%td K=%td %9.4f ms, step memory at most %zu MiB\n", name, e.sequences,
              e.length, e.width, e.heads, e.experts, time, bytes >> 20);
  std::fflush(stdout);
}

/// The backward pass: what a step of both takes beyond a step of the forward pass.
void measure_attention(const Extents& e, const CudaOptions& options) {
  Cuda<float> cuda(options);
  const Index rows = e.sequences * e.length;
  Numbers qkv(cuda, {rows, 3 * e.width}, 3, 1);
  Storage<float> gradient(kSpaceOf<CudaMemory>);
  gradient.resize(qkv.tensor.size());
  bool written = false;
  const auto attended = [&](auto& ex) {
    const Columns<float> q(qkv.tensor, 0, e.width), k(qkv.tensor, e.width, e.width),
        v(qkv.tensor, 2 * e.width, e.width);
    return attention(ex, q, k, v, Sequences{.length = e.length}, e.heads).y;
  };
  const double alone = median(cuda, [&] {
    cuda.begin_step();
    (void)attended(cuda);
  });
  print("itself", e, alone, cuda.peak_bytes());
  qkv.tensor.gradient = gradient.data();
  qkv.tensor.gradient_written = &written;
  const auto step = [&](bool with_backward) {
    written = false;
    Recording ex(cuda);
    const auto y = attended(ex);
    const auto loss = ex.tensor(Shape::scalar(), true);
    ex.run(Seed{y, loss});
    if (with_backward) ex.backward(loss);
  };
  const double forward_only = median(cuda, [&] { step(false); });
  print("backward", e, median(cuda, [&] { step(true); }) - forward_only, cuda.peak_bytes());
}

void measure(const Extents& e, const CudaOptions& options) {
  const Index rows = e.sequences * e.length;
  const Sequences sequences{.length = e.length};
  Storage<float> entropy(kSpaceOf<CudaMemory>);  // of the attention before the layer
  {
    Cuda<float> cuda(options);
    const Numbers qkv(cuda, {rows, 3 * e.width}, 3, 1);
    const Columns<float> q(qkv.tensor, 0, e.width), k(qkv.tensor, e.width, e.width),
        v(qkv.tensor, 2 * e.width, e.width);
    const auto attended = attention(cuda, q, k, v, sequences, e.heads);
    entropy.assign(attended.entropy.data, attended.entropy.size());
  }
  // Each in a backend of its own, so that peak memory is its own.
  const auto report = [&](const char* name, const auto& route) {
    Cuda<float> cuda(options);
    const Numbers u(cuda, {rows, e.width}, 1, 1),
        w(cuda, {e.experts, e.width}, 2, 1 / std::sqrt(static_cast<float>(e.width)));
    const Numbers qkv(cuda, {rows, 3 * e.width}, 3, 1), output(cuda, {e.width, e.width}, 4, .02f);
    const auto experts = [&] { return softmax(cuda, linear(cuda, u.tensor, w.tensor, {}, LinearUse::routing)); };
    const auto trace = [&] {
      AttentionTrace<float> t;
      t.q = {qkv.tensor, 0, e.width};
      t.k = {qkv.tensor, e.width, e.width};
      t.v = {qkv.tensor, 2 * e.width, e.width};
      t.output_weight = output.tensor;
      t.output = u.tensor;
      t.heads = e.heads;
      t.key_rows = e.length;
      return t;
    };
    Tensor<float> entropies;
    entropies.data = entropy.data();
    entropies.shape = {rows, e.heads};
    std::size_t bytes = 0;
    const double time = median(cuda, [&] {
      cuda.begin_step();
      (void)top_m(cuda, route(cuda, u.tensor, experts, trace, entropies), 2);
      bytes = cuda.peak_bytes();
    });
    print(name, e, time, bytes);
  };
  report("baseline", [](auto&, const auto&, const auto& experts, const auto&, const auto&) { return experts(); });
  report("similarity", [=](auto& cuda, const auto& u, const auto& experts, const auto&, const auto&) {
    return attention<Cuda<float>>(cuda, u, u, experts(), sequences, 1, 1, 0, LinearUse::routing).y;
  });
  const auto informed = [=](auto& cuda, const auto& experts, const auto& trace, const auto& entropy) {
    const auto head = lowest_head(cuda, mean_entropy(cuda, entropy, {}));
    return attention_inform(cuda, trace, experts(), sequences, head, static_cast<double>(trace.heads), 1).y;
  };
  report("attention", [=](auto& cuda, const auto&, const auto& experts, const auto& trace, const auto& before) {
    return informed(cuda, experts, trace(), before);
  });
  report("attention, with its own", [=](auto& cuda, const auto&, const auto& experts, const auto& trace, const auto&) {
    auto t = trace();
    const auto attended = attention(cuda, t.q, t.k, t.v, sequences, t.heads);
    t.log_sum = attended.log_sum;
    return informed(cuda, experts, t, attended.entropy);
  });
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Routers at growing lengths");
  CudaOptions options;
  add_precisions(app, options);
  CLI11_PARSE(app, argc, argv);
  std::printf("# neuroinhib %s, %s\n", NEUROINHIB_VERSION, Cuda<float>(options).describe().c_str());
  for (const Extents& e : kExtents) measure(e, options);
  measure_attention(kExtents[2], options);
}
