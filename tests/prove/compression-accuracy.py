#!/usr/bin/env python3
# Compressed gradients on real CIFAR-10, 2 and 4 ranks: how much accuracy each method and correction keeps.
"""Trains through `muster run`, so that an interrupted proof goes on where it was when it is called again."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from statistics import mean, stdev

sys.path.insert(0, str(Path(__file__).parent))
import proof

RANKS = [2, 4]
FEEDBACK = {"exchange.error_feedback": "true"}
WAYS: dict[str, dict[str, str]] = {
    "none": {"exchange.compressor": '"none"'},
    "terngrad": {"exchange.compressor": '"terngrad"', "exchange.clip": "2.5"},
    "qsgd": {"exchange.compressor": '"qsgd"'},
    "topk 1 %": {"exchange.compressor": '"topk"'},
    "topk 1 %, error feedback": {"exchange.compressor": '"topk"', **FEEDBACK},
    "topk 1 %, error feedback, momentum correction, warm-up": {
        "exchange.compressor": '"topk"', **FEEDBACK,
        "exchange.momentum_correction": "true", "exchange.warm_up_ratio": "0.25",
    },
}  # fmt: skip


def write_experiment(file: Path, arguments: argparse.Namespace) -> None:
    epochs = arguments.epochs
    parameters = {
        "data.path": f'"{proof.require_data("cifar10-subset")}"', "width": arguments.width, "epochs": epochs,
        "batch": 128, "schedule.reference_batch": 128, "lr": arguments.lr,
        "momentum": 0.9, "nesterov": "true",
        "schedule.knots": f"[0, {max(1, epochs // 4)}, {epochs}]", "precision": '"bf16"',
        "exchange.ratio": 0.01, "evaluate_every": 0, "log_every": 10,
    }  # fmt: skip
    cells = [
        {**way, "resources.ranks": ranks, "seed": seed}
        for way in WAYS.values()
        for ranks in RANKS
        for seed in range(arguments.seeds)
    ]
    proof.write_cells(file, "compressed", parameters, cells)


def way_of(task: Path) -> tuple[str, int]:
    """The way and the ranks of a task."""
    given = proof.given(task)
    for name, way in reversed(WAYS.items()):
        if all(given[key] == value for key, value in way.items()):
            return name, int(given["ranks"])
    raise ValueError(f"{task} is no way of this proof's")


def judge(scores: dict[tuple[str, int], list[float]], verdict: proof.Verdict) -> None:
    for ranks in RANKS:
        means = {way: mean(scores[way, ranks]) for way in WAYS}
        plain, sparse, fed, corrected = (
            means[way] for way in ("none", *(way for way in WAYS if way.startswith("topk")))
        )
        for way in ("terngrad", "qsgd"):
            verdict.at_most(f"{ranks} ranks: points that {way} loses", plain - means[way], 2)
        lost = plain - sparse
        verdict.at_least(f"{ranks} ranks: points that topk 1 % loses", lost, 0.5)
        verdict.at_least(
            f"{ranks} ranks: share of them that error feedback recovers", (fed - sparse) / lost, 0.5
        )
        verdict.at_least(
            f"{ranks} ranks: points more with momentum correction and warm-up", corrected - fed, 0
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, default=proof.ROOT / "results" / "runs" / "compression-accuracy")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--width", type=float, default=0.25)
    parser.add_argument(
        "--lr", type=float, default=0.05, help="above that, momentum multiplies old residuals"
    )
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    name = f"compression-{arguments.epochs}-epochs-width-{arguments.width}-lr-{arguments.lr}"
    write_experiment(arguments.runs / f"{name}.toml", arguments)
    proof.muster_run(arguments.runs / f"{name}.toml", arguments.runs)
    scores: dict[tuple[str, int], list[float]] = {}
    sent: dict[tuple[str, int], list[float]] = {}
    for task in proof.finished(arguments.runs, name):
        key = way_of(task)
        scores.setdefault(key, []).append(100 * proof.rows(task)[-1]["test_accuracy"])
        sent.setdefault(key, []).append(mean(row["bytes_sent"] for row in proof.rows(task, "compression")))
    for (way, ranks), values in sorted(
        scores.items(), key=lambda item: (item[0][1], list(WAYS).index(item[0][0]))
    ):
        spread = f", standard deviation {stdev(values):.2f}" if len(values) > 1 else ""
        print(f"{ranks} ranks, {way}: % right {' '.join(f'{v:.2f}' for v in values)}  mean {mean(values):.2f}"
              f"{spread}; {mean(sent[way, ranks]) / 1e3:.1f} kB a step")  # fmt: skip
    verdict = proof.Verdict()
    judge(scores, verdict)
    verdict.finish()


if __name__ == "__main__":
    main()
