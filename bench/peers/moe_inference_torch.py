#!/usr/bin/env python3
"""PyTorch's side of bench/moe_inference: a SwiGLU MoE layer at few tokens on the CPU, weights in bf16, written three
ways: expert by expert, through torch._grouped_mm, and with the chosen experts' weights gathered for one batched product.

  moe_inference_torch.py [--shapes a,b] [--batches 1,2] [--experts N] [--threads N] [--repeats N]
  moe_inference_torch.py --check      each way against the definition in double on small shapes
"""
import argparse
import time

import torch
import torch.nn.functional as F

SHAPES = {"mixtral": (4096, 14336, 8, 2), "qwen3-a3b": (2048, 768, 128, 8), "olmoe": (2048, 1024, 64, 8),
          "mi-medium": (352, 1408, 16, 2)}


class Layer:
    """gate and up in one weight [experts, 2 hidden, width], down [experts, width, hidden]."""

    def __init__(self, width, hidden, experts, chosen, dtype=torch.bfloat16):
        def weight(*shape):
            return (torch.randn(*shape, dtype=torch.float32) / shape[-1] ** 0.5).to(dtype)

        self.chosen, self.experts = chosen, experts
        self.up, self.down = weight(experts, 2 * hidden, width), weight(experts, width, hidden)
        self.router = weight(experts, width)

    def route(self, x):
        value, index = F.linear(x, self.router).float().topk(self.chosen, -1)
        return value.softmax(-1).to(x.dtype), index

    def expert(self, e, x):
        gate, up = F.linear(x, self.up[e]).chunk(2, -1)
        return F.linear(F.silu(gate) * up, self.down[e])

    def sorted_slots(self, index):
        slots = index.flatten()
        order = slots.argsort(stable=True)
        return order, torch.bincount(slots, minlength=self.experts)

    def by_expert(self, x):
        gates, index = self.route(x)
        order, counts = self.sorted_slots(index)
        scaled, y, begin = gates.flatten().unsqueeze(1), torch.zeros_like(x), 0
        for e, count in enumerate(counts.tolist()):
            if count:
                slots = order[begin:begin + count]
                tokens = slots // self.chosen
                y.index_add_(0, tokens, self.expert(e, x[tokens]) * scaled[slots])
            begin += count
        return y

    def grouped(self, x):
        gates, index = self.route(x)
        order, counts = self.sorted_slots(index)
        ends, tokens = counts.cumsum(0).to(torch.int32), order // self.chosen
        gate, up = torch._grouped_mm(x[tokens], self.up.mT, offs=ends).chunk(2, -1)
        out = torch._grouped_mm(F.silu(gate) * up, self.down.mT, offs=ends)
        return torch.zeros_like(x).index_add(0, tokens, out * gates.flatten()[order].unsqueeze(1))

    def gathered(self, x):
        gates, index = self.route(x)
        gate, up = torch.einsum("tkoi,ti->tko", self.up[index], x).chunk(2, -1)
        return torch.einsum("tkoi,tki,tk->to", self.down[index], F.silu(gate) * up, gates)


WAYS = {"by_expert": Layer.by_expert, "grouped_mm": Layer.grouped, "gathered": Layer.gathered}


def median_ms(call, width, batch, dtype, repeats):
    times = []
    for _ in range(repeats + 1):
        x = torch.randn(batch, width, dtype=dtype)  # new tokens, so that weights come from memory
        start = time.perf_counter()
        call(x)
        times.append(1e3 * (time.perf_counter() - start))
    return sorted(times[1:])[repeats // 2]


def measure(name, args):
    width, hidden, experts, chosen = SHAPES[name]
    layer = Layer(width, hidden, args.experts or experts, chosen)
    for batch in args.batches:
        times = {}
        for way, function in WAYS.items():
            if way == "gathered" and batch > 4:  # copies the weights of every slot
                continue
            try:
                times[way] = median_ms(lambda x: function(layer, x), width, batch, torch.bfloat16, args.repeats)
            except RuntimeError as error:  # a way that this PyTorch lacks is told, and the others go on
                print(f"# {way} left out: {str(error)[:100]}")
        best = min(times, key=times.get)
        print(f"inference {name:10s} experts {layer.experts} of {experts} batch {batch} bf16 {times[best]:.3f} ms {best}", flush=True)


def check():
    torch.manual_seed(0)
    for width, hidden, experts, chosen, batch in ((16, 24, 5, 2, 7), (64, 32, 8, 8, 1)):
        layer = Layer(width, hidden, experts, chosen)
        exact = Layer.__new__(Layer)
        exact.__dict__ = {k: v.double() if torch.is_tensor(v) else v for k, v in layer.__dict__.items()}
        x = torch.randn(batch, width, dtype=torch.bfloat16)
        gates, index = layer.route(x)
        expected = torch.stack([sum(g * exact.expert(e, t) for g, e in zip(gs.double(), es)) for t, gs, es in
                                zip(x.double(), gates, index)])
        for way, function in WAYS.items():
            try:
                y = function(layer, x)
            except RuntimeError as error:
                print(f"check {way}: left out, {str(error)[:100]}")
                continue
            off = (y.double() - expected).norm() / expected.norm()
            assert off < 2e-2, (way, off)
            print(f"check {way:10s} width {width} experts {experts} batch {batch}: off by {off:.1e}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", default=",".join(SHAPES))
    parser.add_argument("--batches", default="1,2,4,8,16,32,64")
    parser.add_argument("--experts", type=int, default=0, help="of a layer (default: the shape's)")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    args.batches = [int(batch) for batch in args.batches.split(",")]
    if args.threads:
        torch.set_num_threads(args.threads)
    with torch.no_grad():
        if args.check:
            check()
        else:
            print(f"# PyTorch {torch.__version__}, {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}")
            for shape in args.shapes.split(","):
                measure(shape, args)
