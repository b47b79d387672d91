#!/usr/bin/env python3
"""PyTorch's side of bench/routers: the routers of Mutual-Inform SMoE written as its definitions have them, with N x N
matrices, forward, causal.

  routers_torch.py
"""
import math

import torch

from moe_layer_torch import median_ms

EXTENTS = [(24, 512, 352, 8, 16), (8, 2048, 1024, 16, 64), (2, 8192, 1024, 16, 64), (1, 32768, 1024, 16, 64)]


def measure(sequences, length, width, heads, experts, dtype):
    random = lambda *shape: torch.randn(*shape, device="cuda", dtype=dtype)
    u, router = random(sequences, length, width), random(width, experts) / math.sqrt(width)
    q, k = random(sequences, heads, length, width // heads), random(sequences, heads, length, width // heads)
    means = random(sequences, heads, length, width)
    later = torch.ones(length, length, device="cuda", dtype=torch.bool).triu(1)

    def masked_softmax(logits):
        return logits.masked_fill_(later, float("-inf")).softmax(-1)

    def own():
        return (u @ router).softmax(-1)

    def similarity():
        return masked_softmax(u @ u.mT) @ own()

    def attention():
        weights = masked_softmax(q @ k.mT / math.sqrt(width // heads))
        entropy = torch.special.entr(weights.float()).sum(-1).mean((0, 2))
        head = entropy.argmin()
        mean = means.index_select(1, head.view(1)).squeeze(1)
        prior = weights.index_select(1, head.view(1)).squeeze(1).float().log()
        logits = prior + (u @ mean.mT).float() - mean.float().square().sum(-1).unsqueeze(1) / 2
        return masked_softmax(logits).to(dtype) @ own()

    for name, route in (("baseline", own), ("similarity", similarity), ("attention", attention)):
        torch.cuda.empty_cache()
        try:
            before = torch.cuda.memory_allocated()
            torch.cuda.reset_peak_memory_stats()
            with torch.no_grad():
                time = median_ms(lambda: route().topk(2, -1))
            extra = (torch.cuda.max_memory_allocated() - before) >> 20
            print(f"router {name:10s} {str(dtype)[6:]:8s} B={sequences} N={length} D={width} H={heads} K={experts} "
                  f"{time:9.4f} ms, extra memory {extra} MiB", flush=True)
        except torch.OutOfMemoryError:
            print(f"router {name:10s} {str(dtype)[6:]:8s} B={sequences} N={length}: out of memory", flush=True)


if __name__ == "__main__":
    torch.backends.cuda.matmul.allow_tf32 = True
    print(f"# PyTorch {torch.__version__}, {torch.cuda.get_device_name()}")
    for extents in EXTENTS:
        for dtype in (torch.bfloat16, torch.float32):
            try:
                measure(*extents, dtype)
            except torch.OutOfMemoryError:
                print(f"router {str(dtype)[6:]} {extents}: no memory for its inputs", flush=True)
            torch.cuda.empty_cache()
