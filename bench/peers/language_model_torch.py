#!/usr/bin/env python3
"""PyTorch's side of bench/language_models: a training step of the first paper's language model (2 blocks of width 50, post-LN,
3 of 10 experts, vocabulary 8,500), eager, compiled and as a CUDA graph, with fused Adam and tf32 products.

  language_model_torch.py
"""
import time

import torch
import torch.nn.functional as F
from torch import nn

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

    def forward(self, x):
        q, k, v = self.qkv(x).view(SEQUENCES, LENGTH, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(x.shape)
        x = self.norm1(x + self.join(attended))
        if not self.experts:
            return self.norm2(x + self.down(F.relu(self.up(x))))
        tokens = x.view(-1, WIDTH)
        z = tokens * torch.sigmoid(self.gate(tokens)) if self.gated else tokens
        value, index = self.router(z).softmax(-1).topk(CHOSEN, -1)
        gates = torch.zeros(tokens.shape[0], EXPERTS, device=x.device).scatter(1, index, value / value.sum(-1, keepdim=True))
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


def median_step(run, steps=50, looks=9):
    for _ in range(10):
        run()
    times = []
    for _ in range(looks):
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(steps):
            run()
        torch.cuda.synchronize()
        times.append((time.perf_counter() - start) / steps * 1e3)
    return sorted(times)[looks // 2]


def measure(name, experts, gated, mode):
    torch.manual_seed(0)
    torch.cuda.reset_peak_memory_stats()
    model = Model(experts, gated).cuda()
    adam = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True, capturable=True)
    ids = torch.randint(0, VOCABULARY, (SEQUENCES, LENGTH), device="cuda")
    labels = torch.randint(0, VOCABULARY, (SEQUENCES * LENGTH,), device="cuda")
    call = torch.compile(model, mode="reduce-overhead") if mode == "compile" else model

    def step():
        adam.zero_grad(set_to_none=True)
        F.cross_entropy(call(ids).view(-1, VOCABULARY), labels).backward()
        adam.step()

    run = step
    if mode == "graph":
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                step()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            step()
        run = graph.replay
    print(f"step {name:10s} {mode:8s} ms {median_step(run):.4f} peak {torch.cuda.max_memory_allocated() >> 20} MiB", flush=True)


if __name__ == "__main__":
    torch.backends.cuda.matmul.allow_tf32 = True
    print(f"# PyTorch {torch.__version__}, {torch.cuda.get_device_name()}")
    for name, experts, gated in (("baseline", False, False), ("moe3/10", True, False), ("glu", True, True)):
        for mode in ("eager", "compile", "graph"):
            try:
                measure(name, experts, gated, mode)
            except Exception as error:  # a mode that this PyTorch cannot do is told, and the others go on
                print(f"step {name} {mode} failed: {str(error)[:200]}", flush=True)
