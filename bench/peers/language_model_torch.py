#!/usr/bin/env python3
"""PyTorch's side of bench/language_models: a training step of the first paper's language model (2 blocks of width 50, post-LN,
3 of 10 experts, vocabulary 8,500), eager, compiled and, on a GPU, as a CUDA graph with fused Adam and tf32 products.

  language_model_torch.py [--device cpu] [--threads N]
"""
import argparse
import resource
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


def median_step(run, device, looks=9):
    steps = 50 if device == "cuda" else 1
    synchronize = torch.cuda.synchronize if device == "cuda" else lambda: None
    for _ in range(10 if device == "cuda" else 2):
        run()
    times = []
    for _ in range(looks):
        synchronize()
        start = time.perf_counter()
        for _ in range(steps):
            run()
        synchronize()
        times.append((time.perf_counter() - start) / steps * 1e3)
    return sorted(times)[looks // 2]


def peak_mebibytes(device):
    """Of the process on a CPU, whose steps' memory PyTorch does not count."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated() >> 20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def measure(name, experts, gated, mode, device):
    torch.manual_seed(0)
    on_gpu = device == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    model = Model(experts, gated).to(device)
    adam = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True, capturable=on_gpu)
    ids = torch.randint(0, VOCABULARY, (SEQUENCES, LENGTH), device=device)
    labels = torch.randint(0, VOCABULARY, (SEQUENCES * LENGTH,), device=device)
    call = torch.compile(model, mode="reduce-overhead" if on_gpu else "default") if mode == "compile" else model

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
    print(f"step {name:10s} {mode:8s} ms {median_step(run, device):.4f} peak {peak_mebibytes(device)} MiB", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=["cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=0)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.backends.cuda.matmul.allow_tf32 = True
    where = torch.cuda.get_device_name() if args.device == "cuda" else f"cpu, {torch.get_num_threads()} threads"
    print(f"# PyTorch {torch.__version__}, {where}")
    for name, experts, gated in (("baseline", False, False), ("moe3/10", True, False), ("glu", True, True)):
        for mode in ("eager", "compile", "graph") if args.device == "cuda" else ("eager", "compile"):
            try:
                measure(name, experts, gated, mode, args.device)
            except Exception as error:  # a mode that this PyTorch cannot do is told, and the others go on
                print(f"step {name} {mode} failed: {str(error)[:200]}", flush=True)
