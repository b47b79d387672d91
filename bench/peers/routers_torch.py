#!/usr/bin/env python3
"""PyTorch's side of bench/routers: the routers of Mutual-Inform SMoE, forward, causal, as a user with fused attention writes
them, without a matrix of N x N; and the causal attention itself, forward and backward.

similarity   softmax(u u') e is one scaled_dot_product_attention with values e.
attention    of each head y and log-sum from one fused pass, sum_j p_ij k_j from another: the entropy of row i is
             log-sum_i - q_i . sum_j p_ij k_j / sqrt(d). Then log A_ij + u_i . m_j - |m_j|^2 / 2, m_j = v_j W_O of the head of the
             lowest mean entropy, is up to a constant of the row the product of [q / sqrt(d), W_O u, 1] and [k, v, -|m|^2 / 2]:
             a third fused pass, of width 2 d + 1, with values e.

  routers_torch.py [--device cuda|cpu] [--ways eager,graph] [--check]
"""
import contextlib
import math

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from ways import arguments, fastest, in_each_way, require_close

EXTENTS = [(24, 512, 352, 8, 16), (8, 2048, 1024, 16, 64), (2, 8192, 1024, 16, 64), (1, 32768, 1024, 16, 64),
           (1, 131072, 1024, 16, 64)]
BACKENDS = {"flash": SDPBackend.FLASH_ATTENTION, "efficient": SDPBackend.EFFICIENT_ATTENTION,
            "cudnn": SDPBackend.CUDNN_ATTENTION}


def pad(x, width):
    return F.pad(x, (0, width - x.shape[-1]))


def with_log_sum(q, k, v, scale):
    """Causal attention and the log-sum of each row, from one fused pass."""
    if q.is_cuda:
        width = (q.shape[-1] + 7) // 8 * 8
        y, log_sum, *_ = torch.ops.aten._scaled_dot_product_flash_attention(
            pad(q, width), pad(k, width), pad(v, width), 0.0, True, False, scale=scale)
        return y[..., :v.shape[-1]], log_sum
    y, log_sum = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(q, k, v, 0.0, True, scale=scale)
    return y, log_sum


def attend(q, k, v, kernel):
    """softmax(q k') v below the diagonal. Widths are padded to what fused kernels ask for; all but the memory-efficient one want
    values as wide as keys."""
    width = (q.shape[-1] + 7) // 8 * 8
    y = F.scaled_dot_product_attention(pad(q, width)[:, None], pad(k, width)[:, None],
                                       (v if kernel == "efficient" else pad(v, width))[:, None], is_causal=True, scale=1.0)
    return y[:, 0, :, :v.shape[-1]]


class Routers:
    def __init__(self, sequences, length, width, heads, experts, device, dtype):
        random = lambda *shape: torch.randn(*shape, device=device, dtype=dtype)
        self.d = width // heads
        self.u, self.router = random(sequences, length, width), random(width, experts) / math.sqrt(width)
        self.q, self.k, self.v = (random(sequences, heads, length, self.d) for _ in range(3))
        self.output = 0.02 * random(heads, self.d, width)  # W_O, each head's rows

    def own(self):
        return (self.u @ self.router).softmax(-1)

    def similarity(self, kernel):
        return attend(self.u, self.u, self.own(), kernel)

    def mean_entropies(self):
        """Of the heads; the attention comes out of the same passes."""
        scale = 1 / math.sqrt(self.d)
        y, log_sum = with_log_sum(self.q, self.k, self.v, scale)
        keys, _ = with_log_sum(self.q, self.k, self.k, scale)
        return (log_sum - scale * (self.q * keys).float().sum(-1)).mean((0, 2)), y

    def attention(self, kernel):
        entropy, y = self.mean_entropies()
        head = entropy.argmin().view(1)
        q, k, v = (t.index_select(1, head).squeeze(1) for t in (self.q, self.k, self.v))
        output = self.output.index_select(0, head).squeeze(0)
        bias = ((v @ output).float().square().sum(-1, keepdim=True) / -2).to(v.dtype)
        queries = torch.cat([q / math.sqrt(self.d), self.u @ output.mT, torch.ones_like(bias)], -1)
        return attend(queries, torch.cat([k, v, bias], -1), self.own(), kernel), y

    def defined(self):
        """Both routers with N x N matrices, as the paper writes them, in double."""
        u, router, q, k, v, output = (t.double() for t in (self.u, self.router, self.q, self.k, self.v, self.output))
        own, length = (u @ router).softmax(-1), u.shape[1]
        later = torch.ones(length, length, device=u.device, dtype=torch.bool).triu(1)
        softmax = lambda logits: logits.masked_fill(later, float("-inf")).softmax(-1)
        weights = softmax(q @ k.mT / math.sqrt(self.d))
        head = torch.special.entr(weights).sum(-1).mean((0, 2)).argmin()
        means = v[:, head] @ output[head]
        logits = weights[:, head].log() + u @ means.mT - means.square().sum(-1).unsqueeze(1) / 2
        return softmax(u @ u.mT) @ own, softmax(logits) @ own, weights @ v


def kernels(device):
    """Name and context of each fused kernel of scaled_dot_product_attention. On a CPU PyTorch chooses; the names then stand for the
    forms that values have."""
    if device == "cpu":
        return [(name, contextlib.nullcontext()) for name in ("flash", "efficient")]
    return [(name, sdpa_kernel(backend)) for name, backend in BACKENDS.items()]


def best_kernel(device, ways, make):
    """The fastest way of the fastest kernel, (milliseconds, its name, MiB), where make(compiled, kernel) gives the call."""
    found = []
    for name, context in kernels(device):
        with context:
            result = fastest(ways, lambda compiled: make(compiled, name), device)
        if result is not None:
            found.append((result[0], f"{name}, {result[1]}", result[2]))
    return min(found, default=None)


def report(kind, extents, result):
    named = "B={} N={} D={} H={} K={}".format(*extents)
    if result is None:
        print(f"router {kind:10s} bf16 {named} nothing ran", flush=True)
    else:
        print(f"router {kind:10s} bf16 {named} {result[0]:.4f} ms, extra memory {result[2]} MiB, {result[1]}", flush=True)


def measure(extents, args):
    """Compiled up to a length of 2,048: beyond, what is not in the fused kernels hardly counts, and compiling takes minutes."""
    routers = Routers(*extents, args.device, torch.bfloat16)
    ways = [way for way in args.ways if extents[1] <= 2048 or "compile" not in way]
    with torch.no_grad():
        for kind, route in (("baseline", lambda _: routers.own()), ("similarity", routers.similarity),
                            ("attention", lambda kernel: routers.attention(kernel)[0])):
            make = lambda compiled, kernel: compiled(lambda: route(kernel).topk(2, -1))
            report(kind, extents, best_kernel(args.device, ways, make))


def measure_attention(extents, args):
    """Forward, and the backward pass alone, deterministic."""
    sequences, length, width, heads, _ = extents
    make = lambda: torch.randn(sequences, heads, length, width // heads, device=args.device, dtype=torch.bfloat16,
                               requires_grad=True)
    q, k, v, dy = make(), make(), make(), make().detach()
    attention = lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True)
    with torch.no_grad():
        report("itself", extents, best_kernel(args.device, ["eager"], lambda *_: attention))
    torch.use_deterministic_algorithms(True)  # which leaves cuDNN's kernels out

    def backward(*_):
        y = attention()
        return lambda: torch.autograd.grad(y, (q, k, v), dy, retain_graph=True)

    report("backward", extents, best_kernel(args.device, ["eager"], backward))
    torch.use_deterministic_algorithms(False)


def check(args):
    dtype, largest = (torch.float32, 1e-5) if args.device == "cpu" else (torch.bfloat16, 3e-2)
    for extents in ((2, 40, 24, 3, 5), (1, 130, 64, 4, 16)):
        torch.manual_seed(1)
        routers = Routers(*extents, args.device, dtype)
        routers.q *= torch.linspace(1, 3, extents[3], device=args.device).view(-1, 1, 1)  # one head is the sharpest by far
        defined = routers.defined()
        for kernel, context in kernels(args.device):
            with torch.no_grad(), context:
                make = lambda compiled: compiled(lambda: (routers.similarity(kernel), *routers.attention(kernel)))
                for way, results in in_each_way(args.ways, make, lambda call: call()).items():
                    for kind, actual, expected in zip(("similarity", "attention-inform", "attention"), results, defined):
                        require_close(f"{kind} {extents} {kernel} {way}", actual, expected, largest)


if __name__ == "__main__":
    args = arguments(__doc__)
    if args.check:
        check(args)
    else:
        for extents in EXTENTS:
            try:
                measure(extents, args)
            except torch.OutOfMemoryError:
                print(f"router {extents}: no memory for its inputs", flush=True)
            torch.cuda.empty_cache()
        measure_attention(EXTENTS[2], args)
