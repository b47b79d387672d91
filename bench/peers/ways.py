"""What the peers share: a call's time, and the ways PyTorch has to run one: as it is written (eager), compiled, captured in a
CUDA graph, and both. A peer's figure is that of its best way; a way that does not work is told.

Every peer takes --device, --ways and --check. The last compares each way with the definition, in double, on small shapes."""
import argparse
import time
from resource import RUSAGE_SELF, getrusage

import torch

WAYS = {"eager": (False, False), "compile": (True, False), "graph": (False, True), "compile+graph": (True, True)}


def arguments(description, device="cuda", **options):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default=device, choices=["cpu", "cuda"])
    parser.add_argument("--ways", default=",".join(WAYS), help="default: %(default)s; graphs on cuda only")
    parser.add_argument("--threads", type=int, default=0, help="on cpu; 0: PyTorch's default")
    parser.add_argument("--check", action="store_true", help="compare with the definitions instead of timing")
    for name, settings in options.items():
        parser.add_argument("--" + name, **settings)
    args = parser.parse_args()
    args.ways = [way for way in args.ways.split(",") if args.device == "cuda" or not WAYS[way][1]]
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = not args.check
    torch.backends.cudnn.benchmark = True
    where = torch.cuda.get_device_name() if args.device == "cuda" else f"cpu, {torch.get_num_threads()} threads"
    print(f"# PyTorch {torch.__version__}, {where}", flush=True)
    return args


def captured(call):
    """A function that replays what call() does, and returns what it returned."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            call()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = call()

    def replay():
        graph.replay()
        return result

    return replay


def once_ms(call, device, calls):
    """Of one of `calls` calls: by the device's clock, or the processor's."""
    if device == "cuda":
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        for _ in range(calls):
            call()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end) / calls
    start = time.perf_counter()
    for _ in range(calls):
        call()
    return 1e3 * (time.perf_counter() - start) / calls


def median_ms(call, device, repeats=9, calls=1):
    for _ in range(3):
        call()
    return sorted(once_ms(call, device, calls) for _ in range(repeats))[repeats // 2]


def in_each_way(ways, make, use):
    """{way: use(call)}, where make(compiled) gives the call, compiled(f) being f or torch.compile(f). What a way cannot do is
    told, and the others go on."""
    results = {}
    for way in ways:
        compiles, captures = WAYS[way]
        call = None  # the way before, whose graph has memory of its own
        torch._dynamo.reset()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        try:
            call = make(torch.compile if compiles else lambda f: f)
            results[way] = use(captured(call) if captures else call)
        except Exception as error:  # whatever PyTorch throws
            print(f"# {way} left out: {type(error).__name__}: {' '.join(str(error).split())[:160]}", flush=True)
    return results


def fastest(ways, make, device, repeats=9, calls=1):
    """(milliseconds, way, MiB) of the best way; None where none works. Memory is the most that the way had beyond what was
    there before, a graph's own included; on a CPU the most that the process has had."""
    before = torch.cuda.memory_allocated() if device == "cuda" else 0

    def use(call):
        milliseconds = median_ms(call, device, repeats, calls)
        peak = torch.cuda.max_memory_allocated() if device == "cuda" else 1024 * getrusage(RUSAGE_SELF).ru_maxrss
        return milliseconds, peak - before >> 20

    times = in_each_way(ways, make, use)
    if not times:
        return None
    best = min(times, key=lambda way: times[way][0])
    return times[best][0], best, times[best][1]


def require_close(name, actual, expected, largest):
    """Tells how far actual is from expected, in norms; fails beyond `largest`."""
    actual, expected = actual.detach().double().cpu(), expected.detach().double().cpu()
    off = float((actual - expected).norm() / expected.norm())
    print(f"check {name}: off by {off:.1e}, at most {largest:.0e} allowed", flush=True)
    if not off <= largest:
        raise SystemExit(f"error: expected {name} within {largest:.0e} of its definition, got {off:.1e}; mend the peer")
