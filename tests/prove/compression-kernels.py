#!/usr/bin/env python3
# Compressors beside plain torch expressions and a copy of the gradient: ResNet-9's elements, one thread.
"""All sides take turns in one process; times are the thread's own, so that other work disturbs them less."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parent))
import proof

PLAIN = 10  # times as fast as torch, at least
COPIES = {"topk_1%": 6, "thresholdv": 4, "terngrad": 4, "qsgd": 4}  # of a warm copy's time, at most


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="samples of each side")
    arguments = parser.parse_args()
    bench = proof.BUILD / "tests" / "compression_bench"
    warm = proof.checked([bench, str(arguments.rounds)]).stdout.partition("warm\n")[2]
    samples: dict[str, dict[str, list[float]]] = {}
    for name, side, value in (line.split() for line in warm.splitlines()):
        samples.setdefault(name, {}).setdefault(side, []).append(float(value))
    verdict = proof.Verdict()
    for name, sides in samples.items():
        print(f"{name}: packed {sides.pop('bytes')[0] / 1e6:.3f} MB; milliseconds:")
        for side, values in sides.items():
            print(f"  {side:10} {proof.shown(values, 2)}")
        ours = median(sides["ours"])
        print(f"  decompress-and-add takes {median(sides['decompress']) / median(sides['copy']):.2f} copies")
        if name == "topk_50%":
            print(f"  {median(sides['plain']) / ours:.1f} times as fast as torch")
        else:
            verdict.at_least(f"{name}: times as fast as plain torch", median(sides["plain"]) / ours, PLAIN)
        if name in COPIES:
            verdict.at_most(f"{name}: times of a warm copy", ours / median(sides["copy"]), COPIES[name])
    verdict.finish()


if __name__ == "__main__":
    main()
