#!/usr/bin/env python3
"""PyTorch's side of bench/moe_layer: a SwiGLU MoE layer through torch._grouped_mm in bf16, forward and with backward.

  moe_layer_torch.py
"""
import torch
import torch.nn.functional as F

SHAPES = [("mixtral", 8192, 4096, 14336, 8, 2), ("qwen3-a3b", 16384, 2048, 768, 128, 8),
          ("olmoe", 16384, 2048, 1024, 64, 8), ("mi-medium", 12288, 352, 1408, 16, 2)]


def median_ms(call, repeats=9):
    for _ in range(3):
        call()
    times = []
    for _ in range(repeats):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        call()
        end.record()
        torch.cuda.synchronize()
        times.append(begin.elapsed_time(end))
    return sorted(times)[repeats // 2]


def measure(name, tokens, width, hidden, experts, chosen):
    def weight(*shape):
        return (0.02 * torch.randn(*shape, device="cuda", dtype=torch.bfloat16)).requires_grad_()

    up, down, router = weight(experts, width, 2 * hidden), weight(experts, hidden, width), weight(width, experts)
    x = torch.randn(tokens, width, device="cuda", dtype=torch.bfloat16, requires_grad=True)
    head = torch.randn_like(x)

    def forward():
        value, index = (x @ router).float().topk(chosen, -1)
        slots = index.flatten()
        order = slots.argsort(stable=True)
        ends = torch.bincount(slots, minlength=experts).cumsum(0).to(torch.int32)
        gate, value_up = torch._grouped_mm(x[order // chosen], up, offs=ends).chunk(2, -1)
        y = torch._grouped_mm(F.silu(gate) * value_up, down, offs=ends)
        y = y * value.softmax(-1).flatten()[order].unsqueeze(1).to(x.dtype)
        return torch.zeros_like(x).index_add(0, order // chosen, y)

    def both():
        for p in (x, up, down, router):
            p.grad = None
        forward().backward(head)

    flops = 6 * tokens * chosen * width * hidden
    with torch.no_grad():
        one = median_ms(forward)
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    two = median_ms(both)
    extra = (torch.cuda.max_memory_allocated() - before) >> 20
    print(f"layer {name:10s} bf16 forward {one:8.3f} ms {flops / one / 1e9:6.1f} TFLOP/s, with backward {two:8.3f} ms "
          f"{3 * flops / two / 1e9:6.1f} TFLOP/s, extra memory {extra} MiB", flush=True)


if __name__ == "__main__":
    print(f"# PyTorch {torch.__version__}, {torch.cuda.get_device_name()}, torch._grouped_mm")
    for shape in SHAPES:
        measure(*shape)
        torch.cuda.empty_cache()
