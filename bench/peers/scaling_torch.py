#!/usr/bin/env python3
"""PyTorch's side of bench/scaling --gpus: the second paper's medium language model under DistributedDataParallel, and MoE layers of
known models whose experts are spread by all_to_all_single.

  torchrun --nproc-per-node 2 scaling_torch.py [--only data,experts] [--device cpu --check]
"""
import os

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn

from moe_layer_torch import SHAPES, Layer, choose_product
from ways import arguments, median_ms, require_close

BLOCKS, WIDTH, HEADS, EXPERTS, CHOSEN, LENGTH, TEXTS, VOCABULARY = 6, 352, 8, 16, 2, 512, 48, 60000


def report(what, tokens, milliseconds, device):
    slowest = torch.tensor([milliseconds], device=device)
    dist.all_reduce(slowest, dist.ReduceOp.MAX)
    if dist.get_rank() == 0:
        ranks = dist.get_world_size()
        print(f"| PyTorch: {what} | {ranks} | {slowest.item():.3f} | {1e3 * tokens * ranks / slowest.item():.0f} |", flush=True)


class Exchange(torch.autograd.Function):
    """Rows to other ranks; their gradients come back."""

    @staticmethod
    def forward(ctx, rows, sent, received):
        ctx.counts = sent, received
        out = rows.new_empty(sum(received), rows.shape[1])
        dist.all_to_all_single(out, rows.contiguous(), received, sent)
        return out

    @staticmethod
    def backward(ctx, gradient):
        sent, received = ctx.counts
        back = gradient.new_empty(sum(sent), gradient.shape[1])
        dist.all_to_all_single(back, gradient.contiguous(), sent, received)
        return back, None, None


class SpreadLayer(Layer):
    """Layer, of whose experts each rank has an equal part."""

    def __init__(self, tokens, width, hidden, experts, chosen, device, product, deviation=0.02):
        super().__init__(tokens, width, hidden, experts, chosen, device, product, deviation)
        self.ranks = dist.get_world_size()
        own = slice(dist.get_rank() * experts // self.ranks, (dist.get_rank() + 1) * experts // self.ranks)
        self.up, self.down = (w.detach()[own].clone().requires_grad_() for w in (self.up, self.down))
        self.all = (self.x, self.up, self.down, self.router)

    def forward(self):
        x, own = self.x, self.experts // self.ranks
        gates, slots = self.route(x)
        order = slots.argsort(stable=True)
        counts = torch.zeros(self.experts, device=x.device, dtype=torch.int64).scatter_add(0, slots, torch.ones_like(slots))
        coming = torch.empty_like(counts)  # [ranks, own experts]
        dist.all_to_all_single(coming, counts)
        sent, received = counts.view(self.ranks, own).sum(1).tolist(), coming.view(self.ranks, own).sum(1).tolist()
        rows = Exchange.apply(x[order // self.chosen], sent, received)
        expert = torch.arange(own, device=x.device).repeat(self.ranks).repeat_interleave(coming)
        by_expert = expert.argsort(stable=True)
        ends = coming.view(self.ranks, own).sum(0).cumsum(0).to(torch.int32)
        gate, up = self.product(rows[by_expert], self.up, offs=ends).chunk(2, -1)
        y = torch.empty_like(rows).index_copy(0, by_expert, self.product(F.silu(gate) * up, self.down, offs=ends))
        y = Exchange.apply(y, received, sent) * gates.flatten()[order].unsqueeze(1).to(x.dtype)
        return torch.zeros_like(x).index_add(0, order // self.chosen, y)


class Block(nn.Module):
    def __init__(self, product):
        super().__init__()
        self.qkv, self.join = nn.Linear(WIDTH, 3 * WIDTH, bias=False), nn.Linear(WIDTH, WIDTH, bias=False)
        self.norm1, self.norm2, self.router = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH), nn.Linear(WIDTH, EXPERTS)
        weight = lambda: nn.Parameter(torch.randn(EXPERTS, WIDTH, WIDTH) / WIDTH**0.5)
        self.up, self.down, self.product = weight(), weight(), product

    def forward(self, x):
        q, k, v = self.qkv(x).view(*x.shape[:2], 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        x = self.norm1(x + self.join(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(x.shape)))
        tokens = x.reshape(-1, WIDTH)
        value, index = self.router(tokens).float().softmax(-1).topk(CHOSEN, -1)
        slots = index.flatten()
        order = slots.argsort(stable=True)
        ones = torch.ones_like(slots, dtype=torch.int32)
        ends = torch.zeros(EXPERTS, device=x.device, dtype=torch.int32).scatter_add(0, slots, ones).cumsum(0).to(torch.int32)
        half = torch.bfloat16
        hidden = F.relu(self.product(tokens[order // CHOSEN].to(half), self.up.to(half), offs=ends))
        y = self.product(hidden, self.down.to(half), offs=ends)
        gates = (value / value.sum(-1, keepdim=True)).flatten()[order].unsqueeze(1)
        return self.norm2(x + torch.zeros_like(tokens).index_add(0, order // CHOSEN, (y * gates).to(x.dtype)).view(x.shape))


class Model(nn.Module):
    def __init__(self, product):
        super().__init__()
        self.words, self.places = nn.Embedding(VOCABULARY, WIDTH), nn.Parameter(torch.zeros(LENGTH, WIDTH))
        self.blocks, self.output = nn.ModuleList(Block(product) for _ in range(BLOCKS)), nn.Linear(WIDTH, VOCABULARY)

    def forward(self, ids, labels):
        x = self.words(ids) + self.places
        for block in self.blocks:
            x = block(x)
        return F.cross_entropy(self.output(x).view(-1, VOCABULARY), labels)


def data_parallel(args, product):
    torch.manual_seed(dist.get_rank())
    model = nn.parallel.DistributedDataParallel(Model(product).to(args.device), gradient_as_bucket_view=True)
    adam = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    ids = torch.randint(0, VOCABULARY, (TEXTS, LENGTH), device=args.device)
    labels = torch.randint(0, VOCABULARY, (TEXTS * LENGTH,), device=args.device)

    def step():
        adam.zero_grad(set_to_none=True)
        with torch.autocast(args.device, torch.bfloat16):
            loss = model(ids, labels)
        loss.backward()
        adam.step()

    report("language model, medium", TEXTS * LENGTH, median_ms(step, args.device), args.device)


def expert_parallel(args, product):
    for name, shape in SHAPES.items():
        layer = SpreadLayer(*shape, args.device, product)
        report(f"{name}, spread", shape[0], median_ms(lambda: layer.both(layer.forward), args.device), args.device)
        del layer
        torch.cuda.empty_cache()


def check(args, product):
    """A spread layer's results on each rank's rows are those of a layer with all experts."""
    shape = (24, 32, 48, 8, 2)
    torch.manual_seed(1)
    whole = Layer(*shape, args.device, product, deviation=0.1)
    torch.manual_seed(1)
    spread = SpreadLayer(*shape, args.device, product, deviation=0.1)
    require_close("spread y", spread.forward(), whole.forward(), 1e-2)
    dx = torch.autograd.grad(spread.forward(), spread.x, spread.dy)[0]
    require_close("spread dx", dx, torch.autograd.grad(whole.forward(), whole.x, whole.dy)[0], 2e-2)


if __name__ == "__main__":
    args = arguments(__doc__, only=dict(default="data,experts"))
    if args.device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if args.device == "cuda" else "gloo")
    product, sentence = choose_product(args.device)
    if dist.get_rank() == 0:
        print(f"# {sentence}", flush=True)
    if args.check:
        check(args, product)
    if "data" in args.only and not args.check:
        data_parallel(args, product)
    if "experts" in args.only and not args.check:
        expert_parallel(args, product)
    dist.destroy_process_group()
