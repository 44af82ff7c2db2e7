"""Times torch.topk of a gradient's magnitudes, with the values it names, beside gpu_compression_bench."""

import json
import statistics

import torch

KEPT = 0.01


def median_ms(act, warm: int = 3, runs: int = 21) -> float:
    times = []
    for run in range(warm + runs):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        act()
        end.record()
        end.synchronize()
        if run >= warm:
            times.append(begin.elapsed_time(end))
    return statistics.median(times)


def measure(elements: int) -> dict:
    kept = int(elements * KEPT)
    x = torch.randn(elements, device="cuda") * torch.randn(elements, device="cuda").exp() * 3.5e-4
    target = torch.empty_like(x)
    copy = median_ms(lambda: target.copy_(x))
    ms = median_ms(lambda: x.index_select(0, x.abs().topk(kept, sorted=False).indices))
    moved = 4 * elements + 8 * kept
    return {
        "method": "torch.topk 1 %",
        "elements": elements,
        "MB": round(1e-6 * moved, 1),
        "ms": round(ms, 4),
        "GB_per_s": round(1e-6 * moved / ms, 1),
        "of_copy_bandwidth": round(moved / ms / (8 * elements / copy), 3),
        "times_the_copy": round(ms / copy, 2),
        "bar": "",
    }


if torch.cuda.is_available():
    for elements in (1 << 26, 6_573_120):
        print(json.dumps(measure(elements)), flush=True)
else:
    print("this PyTorch sees no GPU")
