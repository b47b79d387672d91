#!/usr/bin/env python3
"""PyTorch's side of bench/language_models: a training step of the first paper's language model (2 blocks of width 50, post-LN,
3 of 10 experts, vocabulary 8,500) with fused Adam, in its best way, and in tf32 products on a GPU.

  language_model_torch.py [--device cpu] [--threads N] [--ways eager,graph] [--check]
"""
import torch
import torch.nn.functional as F
from torch import nn

from ways import arguments, fastest, in_each_way, require_close

ROWS = {"baseline": (False, False), "moe3/10": (True, False), "glu": (True, True)}  # experts, gated
VOCABULARY, WIDTH, HEADS, EXPERTS, CHOSEN, LENGTH, SEQUENCES = 8500, 50, 2, 10, 3, 32, 256


class Block(nn.Module):
    def __init__(self, experts, gated):
        super().__init__()
        self.qkv, self.join = nn.Linear(WIDTH, 3 * WIDTH, bias=False), nn.Linear(WIDTH, WIDTH, bias=False)
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.experts, self.gated = experts, gated
        if not experts:
            self.up, self.down = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
            return
        self.router = nn.Linear(WIDTH, EXPERTS)
        uniform = lambda *shape: nn.Parameter((2 * torch.rand(*shape) - 1) / WIDTH**0.5)
        self.up, self.up_bias = uniform(EXPERTS, WIDTH, WIDTH), uniform(EXPERTS, 1, WIDTH)
        self.down, self.down_bias = uniform(EXPERTS, WIDTH, WIDTH), uniform(EXPERTS, 1, WIDTH)
        if gated:
            self.gate = nn.Linear(WIDTH, WIDTH)

    def attended(self, x):
        q, k, v = self.qkv(x).view(*x.shape[:2], 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        return self.join(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(x.shape))

    def forward(self, x):
        x = self.norm1(x + self.attended(x))
        if not self.experts:
            return self.norm2(x + self.down(F.relu(self.up(x))))
        tokens = x.view(-1, WIDTH)
        z = tokens * torch.sigmoid(self.gate(tokens)) if self.gated else tokens
        value, index = self.router(z).softmax(-1).topk(CHOSEN, -1)
        gates = torch.zeros(tokens.shape[0], EXPERTS, device=x.device, dtype=x.dtype)
        gates = gates.scatter(1, index, value / value.sum(-1, keepdim=True))
        # Small experts: all of them on all tokens is PyTorch's fastest form here.
        hidden = F.relu(torch.baddbmm(self.up_bias, tokens.expand(EXPERTS, -1, -1), self.up))
        y = torch.einsum("te,etd->td", gates, torch.baddbmm(self.down_bias, hidden, self.down))
        return self.norm2(x + y.view(x.shape))


class Model(nn.Module):
    def __init__(self, experts, gated):
        super().__init__()
        self.words, self.places = nn.Embedding(VOCABULARY, WIDTH), nn.Parameter(torch.zeros(LENGTH, WIDTH))
        self.blocks = nn.ModuleList(Block(experts, gated) for _ in range(2))
        self.output = nn.Linear(WIDTH, VOCABULARY)

    def forward(self, ids):
        x = self.words(ids) + self.places
        for block in self.blocks:
            x = block(x)
        return self.output(x)


class Step:
    """A training step, Adam included."""

    def __init__(self, name, device, dtype=torch.float32):
        torch.manual_seed(0)
        self.model = Model(*ROWS[name]).to(device, dtype)
        fused = dict(fused=True, capturable=True) if device == "cuda" else dict(fused=True)
        self.adam = torch.optim.Adam(self.model.parameters(), lr=1e-3, **fused)
        self.ids = torch.randint(0, VOCABULARY, (SEQUENCES, LENGTH), device=device)
        self.labels = torch.randint(0, VOCABULARY, (SEQUENCES * LENGTH,), device=device)

    def loss(self):
        return F.cross_entropy(self.model(self.ids).view(-1, VOCABULARY), self.labels)

    def in_way(self, compiled):
        loss = compiled(self.loss)

        def step():
            self.adam.zero_grad(set_to_none=True)
            loss().backward()
            self.adam.step()

        return step


def measure(name, args):
    step = Step(name, args.device)
    result = fastest(args.ways, step.in_way, args.device, calls=50 if args.device == "cuda" else 1)
    if result is None:
        return print(f"step {name:10s} nothing ran", flush=True)
    print(f"step {name:10s} ms {result[0]:.4f} memory {result[2]} MiB, {result[1]}", flush=True)


def defined(block, x):
    """The block's definition, token by token: only the chosen experts."""
    tokens = block.norm1(x + block.attended(x)).view(-1, WIDTH)
    if not block.experts:
        return block.norm2(tokens + block.down(F.relu(block.up(tokens)))).view(x.shape)
    rows = []
    for token in tokens:
        z = token * torch.sigmoid(block.gate(token)) if block.gated else token
        value, index = block.router(z).softmax(-1).topk(CHOSEN)
        y = sum(v * (F.relu(token @ block.up[e] + block.up_bias[e, 0]) @ block.down[e] + block.down_bias[e, 0])
                for v, e in zip(value / value.sum(), index))
        rows.append(block.norm2(token + y))
    return torch.stack(rows).view(x.shape)


def check(args):
    """The block against its definition, and each way's gradients against the eager one's in double."""
    global SEQUENCES
    SEQUENCES = 3
    for name in ROWS:
        exact = Step(name, args.device, torch.float64)
        x = torch.randn(SEQUENCES, LENGTH, WIDTH, device=args.device, dtype=torch.float64)
        with torch.no_grad():
            require_close(f"block of {name}", exact.model.blocks[0](x), defined(exact.model.blocks[0], x), 1e-12)
        exact.loss().backward()
        gradients = lambda step: torch.cat([p.grad.flatten().double() for p in step.model.parameters()])
        step = Step(name, args.device)
        step.model.load_state_dict(exact.model.state_dict())
        step.ids, step.labels = exact.ids, exact.labels

        def make(compiled):
            loss = compiled(step.loss)

            def call():
                step.adam.zero_grad(set_to_none=True)
                loss().backward()
                return gradients(step)

            return call

        for way, actual in in_each_way(args.ways, make, lambda call: call()).items():
            require_close(f"gradients of {name} {way}", actual, gradients(exact), 1e-4)


if __name__ == "__main__":
    args = arguments(__doc__)
    for name in ROWS:
        if not args.check:
            measure(name, args)
    if args.check:
        check(args)
