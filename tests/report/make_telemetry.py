#!/usr/bin/env python3
"""Writes a file of telemetry as docs/report.md describes the format, without the library.

  make_telemetry.py FILE [--tokens N] [--patches] [--hostile]

--patches: tokens are patches of images, with a class token before them. --hostile: texts that would like to be HTML.
"""
import argparse
import array
import random
import struct
import zlib

NOTES, STEP, LAYER, WORDS, IMAGES = range(1, 6)
HOSTILE = ["</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<!--", "\"'&amp;", "\u2028\u202e", "\\u003c", ""]


def record(kind, payload):
    frame = struct.pack("<II", kind, len(payload))
    return frame + struct.pack("<I", zlib.crc32(frame)) + payload + struct.pack("<I", zlib.crc32(payload))


def text(value):
    data = value.encode()
    return struct.pack("<I", len(data)) + data


def floats(values):
    return array.array("f", values).tobytes()


def layer(name, tokens, experts, chosen, gated, neighbours, draw):
    choices = [draw.sample(range(experts), chosen) for _ in range(tokens)]
    slots = [sum(k in c for c in choices) for k in range(experts)]
    payload = text(name) + struct.pack("<7I", 2, tokens, tokens, experts, chosen, gated, neighbours)
    payload += struct.pack("<2d", tokens, draw.uniform(1, 2)) + floats(slots) + floats(draw.random() for _ in range(gated))
    payload += struct.pack("<2f", 0, 1) + bytes(draw.choices(range(255), k=tokens * gated))
    payload += floats(draw.random() for _ in range(tokens * experts))
    payload += array.array("i", [k for c in choices for k in c]).tobytes() + floats([1 / chosen] * (tokens * chosen))
    payload += floats(draw.random() for _ in range(tokens * experts)) + floats([1.5] * tokens) + floats([0.25] * tokens)
    payload += array.array("i", [max(i - n, 0) for i in range(tokens) for n in range(neighbours)]).tobytes()
    return payload + floats([1 / neighbours] * (tokens * neighbours))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--patches", action="store_true")
    parser.add_argument("--hostile", action="store_true")
    a = parser.parse_args()
    draw = random.Random(1)
    names = HOSTILE if a.hostile else ["the", "router", "looks", "at", "its", "neighbours", ",", "and", "chooses", "."]
    size, patch = 32, 8
    tokens = 2 * (1 + (size // patch) ** 2) if a.patches else a.tokens
    out = b"neuro-telemetry\n" + struct.pack("<I", 1)
    out += record(NOTES, struct.pack("<I", 1) + text(names[0]) + text(names[1]))
    for step in (0, 100, 200):
        out += record(STEP, struct.pack("<QI", step, 1) + text("loss" if not a.hostile else names[0]) + struct.pack("<d", 3 / (1 + step)))
        for number in range(2):
            out += record(LAYER, layer(names[number] if a.hostile else f"layer {number}", tokens, 8, 2, 16, 4, draw))
        if a.patches:
            pixels = bytes((x * 7 + y * 3 + image * 90) % 256 for image in range(2) for y in range(size) for x in range(size))
            out += record(IMAGES, struct.pack("<6I", 2, size, size, 1, patch, 1) + pixels)
        else:
            out += record(WORDS, struct.pack("<I", tokens) + b"".join(text(draw.choice(names)) for _ in range(tokens)))
    with open(a.file, "wb") as file:
        file.write(out)


if __name__ == "__main__":
    main()
