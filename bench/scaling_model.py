#!/usr/bin/env python3
"""What several GPUs can give, on paper: t = latency + bytes / bandwidth, from 2 to 1,024 GPUs.

    bench/scaling_model.py [--in-host GB/s] [--between-hosts GB/s] [--hidden SHARE]

A layer's step (forward and backward) with weak scaling: every GPU has as many tokens as one alone. Times of one GPU are
those of bench/NOTES.md. Nothing of the exchanges between GPUs has been measured here: bandwidths and latencies are
public figures of NVLink 4 and 400 Gb/s networks. Prints Markdown.
"""
import argparse
import math
from dataclasses import dataclass

GPUS_OF_HOST = 8
LATENCY_IN_HOST, LATENCY_BETWEEN = 10e-6, 15e-6  # seconds, of a collective and of a hop


@dataclass
class Shape:
    name: str
    experts: int
    chosen: int
    step: float  # seconds, of one GPU
    tokens: int  # of a GPU
    width: int
    gradients: float  # bytes, of all experts, in float

    @property
    def moved(self):
        """Bytes of all tokens of a GPU, in float."""
        return self.tokens * self.width * 4


SHAPES = [
    Shape("Mixtral", 8, 2, 72.8e-3, 8192, 4096, 5.64e9),
    Shape("Qwen3-30B-A3B", 128, 8, 24.3e-3, 16384, 2048, 2.42e9),
]


@dataclass
class Network:
    in_host: float  # bytes a second and GPU
    between: float


def gradient_sum(size, gpus, network):
    """Seconds of a reduce-scatter and all-gather in the host, and between hosts of what a GPU then has."""
    inside = min(gpus, GPUS_OF_HOST)
    hosts = gpus // inside
    seconds = 2 * (inside - 1) / inside * size / network.in_host + 2 * LATENCY_IN_HOST
    if hosts > 1:
        seconds += 2 * (hosts - 1) / hosts * size / inside / network.between + 2 * math.log2(hosts) * LATENCY_BETWEEN
    return seconds


def destinations(places, chosen):
    """Of `places` like its own, how many others a token goes to, on the mean."""
    return (places - 1) * (1 - (1 - 1 / places) ** chosen)


def exchange(shape, gpus, network, hierarchical):
    """Seconds of one move of all tokens to their experts, spread over all GPUs; a token goes to a GPU once."""
    inside = min(gpus, GPUS_OF_HOST)
    hosts = gpus // inside
    copies = destinations(gpus, shape.chosen)
    near = copies if gpus == inside else copies * (inside - 1) / (gpus - 1)
    seconds = near * shape.moved / network.in_host + LATENCY_IN_HOST
    if hosts == 1:
        return seconds
    if hierarchical:  # once to a host, and from there to its GPUs
        return (destinations(hosts, shape.chosen) * shape.moved / network.between
                + copies * shape.moved / network.in_host + LATENCY_BETWEEN + LATENCY_IN_HOST)
    return max(seconds, (copies - near) * shape.moved / network.between + LATENCY_BETWEEN)


def efficiency(shape, seconds, hidden):
    return shape.step / (shape.step + seconds * (1 - hidden))


def rows(shape, network, hidden):
    gpus = 2
    while gpus <= 1024:
        inside = min(gpus, GPUS_OF_HOST, shape.experts)
        mixed = 4 * exchange(shape, inside, network, False)
        if gpus > inside:  # hosts repeat the experts
            mixed += gradient_sum(shape.gradients / inside, gpus // inside,
                                  Network(network.between, network.between))
        cells = [gradient_sum(shape.gradients, gpus, network), mixed]
        for hierarchical in (False, True):
            cells.append(4 * exchange(shape, gpus, network, hierarchical) if gpus <= shape.experts else None)
        yield gpus, [None if c is None else (c, efficiency(shape, c, hidden)) for c in cells]
        gpus *= 2


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--in-host", type=float, default=370, help="GB/s a GPU")
    parser.add_argument("--between-hosts", type=float, default=45, help="GB/s a GPU")
    parser.add_argument("--hidden", type=float, default=0, help="share of the exchanges behind computation")
    options = parser.parse_args()
    network = Network(options.in_host * 1e9, options.between_hosts * 1e9)
    for shape in SHAPES:
        print(f"\n**{shape.name}**, {shape.step * 1e3:.1f} ms a step on one GPU; ms of exchange, and efficiency\n")
        print("| GPUs | data parallel | experts in the host, data between | experts over all | the same, by hosts |")
        print("|---:|---:|---:|---:|---:|")
        for gpus, cells in rows(shape, network, options.hidden):
            texts = ["" if c is None else f"{c[0] * 1e3:.1f}, {c[1]:.2f}" for c in cells]
            print(f"| {gpus} | " + " | ".join(texts) + " |")


if __name__ == "__main__":
    main()
