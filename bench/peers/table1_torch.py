#!/usr/bin/env python3
"""PyTorch's side of Table 1 (Neural Inhibition, section 4.1): the eight networks, and their step time.

  table1_torch.py [--rows a,b] [--recipe paper|clean] [--threads N] [--repeats N]

Images are [batch, 1, height, width]. Every module is named as in examples/papers/neural_inhibition/mixed_numbers.
"""
import argparse
import resource
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

ROWS = ["baseline", "moe", "random25", "random50", "random75", "glu", "pretext", "global"]
CLASSES, EXPERTS, CHOSEN = 10, 5, 3
SOURCES = ["mask", "hidden", "output", "logits"]  # of post-text


class Table1(nn.Module):
    """One row. `dropout_mask`, where set, replaces PyTorch's own random mask (already scaled)."""

    def __init__(self, row, recipe="paper", image=28, channels1=64, channels2=32, hidden=128, batch=128):
        super().__init__()
        self.row, self.paper = row, recipe == "paper"
        pooled = image - 4
        features = ((pooled - 6) // 2 + 1) ** 2 * channels2
        self.conv1, self.conv2 = nn.Conv2d(1, channels1, 3), nn.Conv2d(channels1, channels2, 4)
        self.output = nn.Linear(hidden, CLASSES)
        self.dropout_mask = None
        if row == "baseline":
            self.hidden = nn.Linear(features, hidden)
            return
        self.router_hidden, self.router_score = nn.Linear(features, hidden), nn.Linear(hidden, EXPERTS)
        self.experts = nn.ParameterList()
        for width in (features, hidden):
            bound = width ** -0.5
            self.experts.append(nn.Parameter(torch.empty(EXPERTS, width, hidden).uniform_(-bound, bound)))
            self.experts.append(nn.Parameter(torch.empty(EXPERTS, 1, hidden).uniform_(-bound, bound)))
        if row in ("glu", "pretext", "global"):
            self.glu = nn.Linear(features, hidden)
        if row in ("pretext", "global"):
            self.pretext = nn.Linear(channels1 * pooled * pooled, hidden)
        if row == "global":
            widths = dict(mask=hidden, hidden=hidden, output=hidden, logits=CLASSES)
            self.posttext = nn.ModuleDict({name: nn.Linear(widths[name], hidden) for name in SOURCES})
            for name in SOURCES:
                self.register_buffer("memory_" + name, torch.zeros(batch, widths[name]))

    def inhibit(self, z, features, pooled):
        if self.row.startswith("random"):
            if self.dropout_mask is not None:
                return z * self.dropout_mask, None
            return F.dropout(z, int(self.row[6:]) / 100, self.training), None
        if self.row == "moe":
            return z, None
        total = self.glu(features)
        if self.row in ("pretext", "global"):
            total = total + self.pretext(pooled.flatten(1))
        if self.row == "global":
            for name in SOURCES:
                total = total + self.posttext[name](getattr(self, "memory_" + name).clone()).amax(0, keepdim=True)
        mask = torch.sigmoid(total)
        return z * mask, mask

    def logits(self, images):
        act = torch.tanh if self.paper else F.relu
        pooled = F.max_pool2d(F.relu(self.conv1(images)), 3, 1)
        features = F.max_pool2d(F.relu(self.conv2(pooled)), 3, 2).flatten(1)
        if self.row == "baseline":
            return self.output(act(self.hidden(features)))
        features = F.layer_norm(features, features.shape[1:])
        z, mask = self.inhibit(self.router_hidden(features), features, pooled)
        hidden = act(z)
        scores = self.router_score(hidden)
        value, chosen = (scores.softmax(-1) if self.paper else scores).topk(CHOSEN, -1)
        gates = torch.zeros_like(scores).scatter(1, chosen, value.softmax(-1))
        w1, b1, w2, b2 = self.experts
        y = torch.baddbmm(b2, act(torch.baddbmm(b1, features.expand(EXPERTS, -1, -1), w1)), w2)
        mixed = torch.einsum("be,ebo->bo", gates, torch.tanh(y) if self.paper else y)
        logits = self.output(mixed)
        if self.row == "global" and self.training:
            for name, value in zip(SOURCES, (mask, hidden, mixed, logits)):
                getattr(self, "memory_" + name).copy_(value.detach())
        return logits

    def loss(self, logits, labels):
        return F.cross_entropy(logits.softmax(-1) if self.paper else logits, labels)


def time_steps(row, recipe, repeats, device="cpu", mode="eager", batch=128):
    torch.manual_seed(0)
    cuda = device != "cpu"
    model = Table1(row, recipe, batch=batch).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-5, **(dict(fused=True, capturable=True) if cuda else {}))
    images = torch.rand(batch, 1, 28, 28, device=device)
    labels = torch.randint(0, CLASSES, (batch,), device=device)

    def eager():
        optimizer.zero_grad(set_to_none=True)
        model.loss(model.logits(images), labels).backward()
        optimizer.step()

    step, steps_a_time = eager, 1
    if cuda:
        steps_a_time = 50  # between two looks at the clock
        if mode == "graph":
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(3):
                    eager()
            torch.cuda.current_stream().wait_stream(stream)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                eager()
            step = graph.replay
    synchronize = torch.cuda.synchronize if cuda else lambda: None
    for _ in range(10 if cuda else 3):
        step()
    times = []
    for _ in range(repeats):
        synchronize()
        start = time.perf_counter()
        for _ in range(steps_a_time):
            step()
        synchronize()
        times.append(1e3 * (time.perf_counter() - start) / steps_a_time)
    times.sort()
    return times[len(times) // 2], times[0], times[-1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default=",".join(ROWS))
    parser.add_argument("--recipe", default="paper", choices=["paper", "clean"])
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--mode", default="eager", choices=["eager", "graph"], help="of a GPU's steps")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    if args.device != "cpu":
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True
    print(f"# PyTorch {torch.__version__}, {args.device}, {torch.get_num_threads()} threads, {args.mode}")
    for row in args.rows.split(","):
        median, least, most = time_steps(row, args.recipe, args.repeats, args.device, args.mode)
        if args.device == "cpu":
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
        else:
            peak = torch.cuda.max_memory_allocated() / 2**20
            torch.cuda.reset_peak_memory_stats()
        print(f"steps {args.recipe} {row:9s} ms/step median {median:.4f} min {least:.4f} max {most:.4f} peak {peak:.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
