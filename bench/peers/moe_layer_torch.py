#!/usr/bin/env python3
"""PyTorch's side of bench/moe_layer: a SwiGLU MoE layer in bf16, forward and with backward, through torch._grouped_mm. Where
this PyTorch or this device lacks it, expert by expert, which the first line then says.

  moe_layer_torch.py [--shapes a,b] [--device cuda|cpu] [--ways eager,graph] [--check]
"""
import torch
import torch.nn.functional as F

from ways import arguments, fastest, in_each_way, require_close

SHAPES = {"mixtral": (8192, 4096, 14336, 8, 2), "qwen3-a3b": (16384, 2048, 768, 128, 8),
          "olmoe": (16384, 2048, 1024, 64, 8), "mi-medium": (12288, 352, 1408, 16, 2)}


def by_expert(rows, weights, offs):
    """What torch._grouped_mm computes; it waits for the device, so that no graph can hold it."""
    begins = [0, *offs.tolist()]
    return torch.cat([rows[begin:end] @ weight for weight, begin, end in zip(weights, begins, begins[1:])])


def choose_product(device):
    """(function, sentence): torch._grouped_mm where it works, forward and backward."""
    try:
        rows = torch.ones(16, 16, device=device, dtype=torch.bfloat16, requires_grad=True)
        weights = torch.ones(2, 16, 16, device=device, dtype=torch.bfloat16, requires_grad=True)
        offs = torch.tensor([8, 16], device=device, dtype=torch.int32)
        torch._grouped_mm(rows, weights, offs=offs).backward(torch.ones_like(rows))
        return torch._grouped_mm, "torch._grouped_mm"
    except (AttributeError, RuntimeError) as error:
        return by_expert, f"no torch._grouped_mm here ({' '.join(str(error).split())[:80]}): expert by expert"


class Layer:
    def __init__(self, tokens, width, hidden, experts, chosen, device, product, deviation=0.02):
        def weight(*shape):
            return (deviation * torch.randn(*shape, device=device)).to(torch.bfloat16).requires_grad_()

        self.chosen, self.experts, self.product = chosen, experts, product
        self.up, self.down = weight(experts, width, 2 * hidden), weight(experts, hidden, width)
        self.router = weight(width, experts)
        self.x = torch.randn(tokens, width, device=device, dtype=torch.bfloat16, requires_grad=True)
        self.dy = torch.randn_like(self.x)
        self.all = (self.x, self.up, self.down, self.router)

    def route(self, x):
        value, index = (x @ self.router).float().topk(self.chosen, -1)
        return value.softmax(-1), index.flatten()

    def forward(self):
        x = self.x
        gates, slots = self.route(x)
        order = slots.argsort(stable=True)
        counts = torch.zeros(self.experts, device=x.device, dtype=torch.int32)
        ends = counts.scatter_add(0, slots, torch.ones_like(slots, dtype=torch.int32)).cumsum(0).to(torch.int32)
        gate, up = self.product(x[order // self.chosen], self.up, offs=ends).chunk(2, -1)
        y = self.product(F.silu(gate) * up, self.down, offs=ends)
        y = y * gates.flatten()[order].unsqueeze(1).to(x.dtype)
        return torch.zeros_like(x).index_add(0, order // self.chosen, y)

    def both(self, forward):
        return torch.autograd.grad(forward(), self.all, self.dy)

    def defined(self):
        """The definition, token by token, in double; experts chosen as in bf16."""
        x, up, down, router = (t.detach().double().requires_grad_() for t in self.all)
        index = self.route(self.x)[1].view(-1, self.chosen)
        rows = []
        for token, chosen in zip(x, index):
            gates = (token @ router)[chosen].softmax(-1)
            parts = [(token @ up[e]).chunk(2, -1) for e in chosen]
            rows.append(sum(g * (F.silu(a) * b) @ down[e] for g, e, (a, b) in zip(gates, chosen, parts)))
        y = torch.stack(rows)
        return (y, *torch.autograd.grad(y, (x, up, down, router), self.dy.double()))


def measure(name, args, product):
    tokens, width, hidden, experts, chosen = SHAPES[name]
    layer = Layer(tokens, width, hidden, experts, chosen, args.device, product)
    flops = 6 * tokens * chosen * width * hidden
    with torch.no_grad():
        one = fastest(args.ways, lambda compiled: compiled(layer.forward), args.device)

    def both(compiled):
        forward = compiled(layer.forward)
        return lambda: layer.both(forward)

    two = fastest(args.ways, both, args.device)
    if one is None or two is None:
        return print(f"layer {name:10s} bf16 nothing ran", flush=True)
    print(f"layer {name:10s} bf16 forward {one[0]:8.3f} ms {flops / one[0] / 1e9:6.1f} TFLOP/s, with backward {two[0]:8.3f} ms "
          f"{3 * flops / two[0] / 1e9:6.1f} TFLOP/s, extra memory {two[2]} MiB, {one[1]} and {two[1]}", flush=True)


def check(args, product):
    names = ("y", "dx", "dup", "ddown", "drouter")
    for shape in ((23, 32, 48, 5, 2), (64, 64, 16, 16, 8)):
        torch.manual_seed(1)
        layer = Layer(*shape, args.device, product, deviation=0.1)
        expected = layer.defined()
        for which, function in {product.__name__: product, "by_expert": by_expert}.items():
            layer.product = function

            def make(compiled):
                forward = compiled(layer.forward)
                return lambda: (forward(), *layer.both(forward))

            ways = args.ways if function is not by_expert else ["eager"]
            for way, results in in_each_way(ways, make, lambda f: f()).items():
                for name, actual, exact in zip(names, results, expected):
                    require_close(f"{name} {shape} {which} {way}", actual, exact, 2e-2)


if __name__ == "__main__":
    args = arguments(__doc__, shapes=dict(default=",".join(SHAPES)))
    product, sentence = choose_product(args.device)
    print(f"# {sentence}")
    if args.check:
        check(args, product)
    else:
        for name in args.shapes.split(","):
            measure(name, args, product)
            torch.cuda.empty_cache()
