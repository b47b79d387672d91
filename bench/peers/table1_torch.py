#!/usr/bin/env python3
"""PyTorch's side of Table 1 (Neural Inhibition, section 4.1): the eight networks, and their step time in PyTorch's
best way: eager, compiled, as a CUDA graph, channels first or last.

  table1_torch.py [--device cpu] [--rows a,b] [--recipe paper|clean] [--ways a,b] [--layouts a,b] [--threads N] [--check]

Images are [batch, 1, height, width]. Every module is named as in examples/papers/neural_inhibition/mixed_numbers.
"""
import torch
import torch.nn as nn
import torch.nn.functional as F

from ways import arguments, fastest, in_each_way, require_close

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

    def mixed(self, features, hidden):
        """Small experts: all of them on all images is PyTorch's fastest form here."""
        act = torch.tanh if self.paper else F.relu
        scores = self.router_score(hidden)
        value, chosen = (scores.softmax(-1) if self.paper else scores).topk(CHOSEN, -1)
        gates = torch.zeros_like(scores).scatter(1, chosen, value.softmax(-1))
        w1, b1, w2, b2 = self.experts
        y = torch.baddbmm(b2, act(torch.baddbmm(b1, features.expand(EXPERTS, -1, -1), w1)), w2)
        return torch.einsum("be,ebo->bo", gates, torch.tanh(y) if self.paper else y)

    def logits(self, images):
        act = torch.tanh if self.paper else F.relu
        pooled = F.max_pool2d(F.relu(self.conv1(images)), 3, 1)
        features = F.max_pool2d(F.relu(self.conv2(pooled)), 3, 2).flatten(1)
        if self.row == "baseline":
            return self.output(act(self.hidden(features)))
        features = F.layer_norm(features, features.shape[1:])
        z, mask = self.inhibit(self.router_hidden(features), features, pooled)
        hidden = act(z)
        mixed = self.mixed(features, hidden)
        logits = self.output(mixed)
        if self.row == "global" and self.training:
            for name, value in zip(SOURCES, (mask, hidden, mixed, logits)):
                getattr(self, "memory_" + name).copy_(value.detach())
        return logits

    def loss(self, logits, labels):
        return F.cross_entropy(logits.softmax(-1) if self.paper else logits, labels)


class Step:
    """A training step of batch 128, Adam included; images in the layout channels_last, or as they come."""

    def __init__(self, row, recipe, device, layout, batch=128, dtype=torch.float32):
        torch.manual_seed(0)
        form = dict(memory_format=torch.channels_last if layout == "channels_last" else torch.contiguous_format)
        self.model = Table1(row, recipe, batch=batch).to(device, dtype).to(**form)
        fused = dict(fused=True, capturable=True) if device == "cuda" else dict(fused=True)
        self.adam = torch.optim.Adam(self.model.parameters(), lr=5e-5, **fused)
        self.images = torch.rand(batch, 1, 28, 28, device=device, dtype=dtype).contiguous(**form)
        self.labels = torch.randint(0, CLASSES, (batch,), device=device)

    def loss(self):
        return self.model.loss(self.model.logits(self.images), self.labels)

    def in_way(self, compiled):
        loss = compiled(self.loss)

        def step():
            self.adam.zero_grad(set_to_none=True)
            loss().backward()
            self.adam.step()

        return step


LAYOUTS = ["contiguous", "channels_last"]


def measure(row, args):
    """The fastest way of the fastest layout."""
    found = []
    for layout in args.layouts.split(","):
        step = Step(row, args.recipe, args.device, layout)
        result = fastest(args.ways, step.in_way, args.device, args.repeats, 50 if args.device == "cuda" else 1)
        if result is not None:
            found.append((*result, layout))
    if not found:
        return print(f"steps {args.recipe} {row:9s} nothing ran", flush=True)
    milliseconds, way, mebibytes, layout = min(found)
    print(f"steps {args.recipe} {row:9s} ms/step median {milliseconds:.4f} peak {mebibytes} MiB, {way}, {layout}", flush=True)


def mixed_by_definition(model, features, hidden):
    """The chosen experts' weighted sum, image by image."""
    act = torch.tanh if model.paper else F.relu
    w1, b1, w2, b2 = model.experts
    rows = []
    for scores, x in zip(model.router_score(hidden), features):
        value, chosen = (scores.softmax(-1) if model.paper else scores).topk(CHOSEN)
        outputs = [act(x @ w1[e] + b1[e, 0]) @ w2[e] + b2[e, 0] for e in chosen]
        rows.append(sum(g * (y.tanh() if model.paper else y) for g, y in zip(value.softmax(-1), outputs)))
    return torch.stack(rows)


def check(args):
    """The mixture against its definition in double, and each way's and layout's gradients against the eager one's."""
    for recipe in ("paper", "clean"):
        model = Table1("moe", recipe).double()
        features, hidden = torch.randn(9, 3200, dtype=torch.double), torch.randn(9, 128, dtype=torch.double)
        require_close(f"mixture, {recipe}", model.mixed(features, hidden), mixed_by_definition(model, features, hidden), 1e-12)
    gradients = lambda step: torch.cat([p.grad.flatten().double() for p in step.model.parameters()])
    for row in args.rows.split(","):
        if row.startswith("random"):
            continue  # masks of its own in each way
        exact = Step(row, args.recipe, args.device, "contiguous", 8, torch.float64)
        exact.loss().backward()
        for layout in args.layouts.split(","):
            step = Step(row, args.recipe, args.device, layout, 8)
            start = {name: value.clone() for name, value in exact.model.state_dict().items() if "memory" not in name}
            step.model.load_state_dict(start, strict=False)
            step.images.copy_(exact.images)
            step.labels = exact.labels

            def make(compiled):
                loss = compiled(step.loss)

                def call():
                    for name, memory in step.model.named_buffers():
                        memory.zero_()  # post-text's, as at the start
                    step.adam.zero_grad(set_to_none=True)
                    loss().backward()
                    return gradients(step)

                return call

            for way, actual in in_each_way(args.ways, make, lambda call: call()).items():
                require_close(f"gradients of {row} {layout} {way}", actual, gradients(exact), 1e-3)


if __name__ == "__main__":
    args = arguments(__doc__, rows=dict(default=",".join(ROWS)), recipe=dict(default="paper", choices=["paper", "clean"]),
                     layouts=dict(default=",".join(LAYOUTS)), repeats=dict(type=int, default=9))
    if args.check:
        check(args)
    else:
        for row in args.rows.split(","):
            measure(row, args)
