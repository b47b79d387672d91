#!/usr/bin/env python3
"""PyTorch's side of bench/moe_inference: a SwiGLU MoE layer at few tokens on the CPU, weights in bf16, written in three
forms: expert by expert, through torch._grouped_mm, and with the chosen experts' weights gathered for one batched product.

  moe_inference_torch.py [--shapes a,b] [--batches 1,2] [--experts N] [--threads N] [--repeats N] [--check]
"""
import torch
import torch.nn.functional as F

from ways import arguments, once_ms, require_close

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


FORMS = {"by_expert": Layer.by_expert, "grouped_mm": Layer.grouped, "gathered": Layer.gathered}


def median_over_tokens(call, width, batch, repeats):
    """Milliseconds with new tokens each time, so that weights come from memory."""
    times = []
    for _ in range(repeats + 1):
        x = torch.randn(batch, width, dtype=torch.bfloat16)
        times.append(once_ms(lambda: call(x), "cpu", 1))
    return sorted(times[1:])[repeats // 2]


def measure(name, args):
    width, hidden, experts, chosen = SHAPES[name]
    layer = Layer(width, hidden, args.experts or experts, chosen)
    for batch in map(int, args.batches.split(",")):
        times = {}
        for form, function in FORMS.items():
            if form == "gathered" and batch > 4:  # copies the weights of every slot
                continue
            try:
                times[form] = median_over_tokens(lambda x: function(layer, x), width, batch, args.repeats)
            except RuntimeError as error:  # a form that this PyTorch lacks is told, and the others go on
                print(f"# {form} left out: {str(error)[:100]}")
        best = min(times, key=times.get)
        print(f"inference {name:10s} experts {layer.experts} of {experts} batch {batch} bf16 {times[best]:.3f} ms {best}",
              flush=True)


def check():
    for width, hidden, experts, chosen, batch in ((16, 24, 5, 2, 7), (64, 32, 8, 8, 1)):
        torch.manual_seed(0)
        layer = Layer(width, hidden, experts, chosen)
        exact = Layer.__new__(Layer)
        exact.__dict__ = {k: v.double() if torch.is_tensor(v) else v for k, v in layer.__dict__.items()}
        x = torch.randn(batch, width, dtype=torch.bfloat16)
        expected = torch.stack([sum(g * exact.expert(e, token) for g, e in zip(gates.double(), chosen))
                                for token, gates, chosen in zip(x.double(), *layer.route(x))])
        for form, function in FORMS.items():
            require_close(f"{form}, width {width}, {experts} experts, batch {batch}", function(layer, x), expected, 2e-2)


if __name__ == "__main__":
    args = arguments(__doc__, "cpu", shapes=dict(default=",".join(SHAPES)), batches=dict(default="1,2,4,8,16,32,64"),
                     experts=dict(type=int, default=0, help="of a layer; 0: the shape's"),
                     repeats=dict(type=int, default=15))
    with torch.no_grad():
        if args.check:
            check()
        else:
            for shape in args.shapes.split(","):
                measure(shape, args)
