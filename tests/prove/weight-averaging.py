#!/usr/bin/env python3
# Weights averaged now and then on 2 and 4 ranks: as accurate as serial training, and fewer bytes sent.
"""Trains through `muster run`, so that an interrupted proof goes on where it was when it is called again."""

from __future__ import annotations

import argparse
import sys
from math import ceil
from pathlib import Path
from statistics import mean, stdev

sys.path.insert(0, str(Path(__file__).parent))
import proof

RANKS = [2, 4]
BATCH = 64
EPOCHS, SWITCH, PERIOD = 12, 6, 8  # the defaults, written down here a second time


def write_experiment(file: Path, arguments: argparse.Namespace) -> None:
    """Serial training, the default averages in the same steps, and the source's way."""
    cells = [{"resources.ranks": 1, "batch": BATCH}]
    cells += [{"resources.ranks": ranks, "batch": BATCH} for ranks in RANKS]
    if arguments.only != "bytes":
        # Each rank keeps its images and serial training's batch, and averages once an epoch.
        cells += [
            {
                "resources.ranks": r,
                "batch": BATCH * r,
                "average.switch_epoch": 0,
                "average.period": 0,
                "split.fixed": "true",
            }
            for r in RANKS
        ]
    data = (
        "synthetic"
        if arguments.only == "bytes"
        else proof.images_with_more_tests(file.parent.resolve() / "images")
    )
    parameters = {
        "data.path": f'"{data}"', "width": arguments.width, "epochs": arguments.epochs,
        "average.switch_epoch": arguments.switch,
        "evaluate_every": 0, "precision": '"bf16"',
    }  # fmt: skip
    if arguments.only == "bytes":
        parameters |= {"data.samples": 1024, "data.test_samples": 128}
    seeded = [{**cell, "seed": seed} for cell in cells for seed in range(arguments.seeds)]
    proof.write_cells(file, "weight_averaging", parameters, seeded)


def last_rows(runs: Path, experiment: str) -> dict[tuple[int, int], list[dict[str, float]]]:
    """Of each finished task its last epoch and what it sent, by ranks and batch."""
    found: dict[tuple[int, int], list[dict[str, float]]] = {}
    for task in proof.finished(runs, experiment):
        given = proof.given(task)
        ranks, batch = int(given["ranks"]), int(given["batch"])
        averages = proof.rows(task, "average") if ranks > 1 else []
        row = proof.rows(task)[-1] | {
            "steps": averages[-1]["step"] if averages else 0,
            "sent": sum(average["bytes_sent"] for average in averages),
            "expected": sum(average["expected_bytes_sent"] for average in averages),
            "one": averages[0]["bytes_sent"] if averages else 0,
        }
        found.setdefault((ranks, batch), []).append(row)
    return found


def accuracies(rows: list[dict[str, float]]) -> list[float]:
    return [100 * row["test_accuracy"] for row in rows]


def judge_bytes(
    found: dict[tuple[int, int], list[dict[str, float]]], switch: float, epochs: int, verdict: proof.Verdict
) -> None:
    for ranks in RANKS:
        rows = found[ranks, BATCH]
        for row in rows:
            first = switch / epochs * row["steps"]
            row["fell"] = row["steps"] * row["one"] / row["sent"]
            row["asked"] = row["steps"] / (first + ceil((row["steps"] - first) / PERIOD))
        verdict.at_least(
            f"{ranks} ranks: bytes sent, times fewer than by an average every step",
            min(row["fell"] for row in rows),
            0.99 * rows[0]["asked"],
        )
        differ = max(abs(row["sent"] - row["expected"]) for row in rows)
        verdict.at_most(f"{ranks} ranks: bytes sent, from the closed form", differ, 0)


def judge_accuracy(scores: dict[tuple[int, int], list[float]], seeds: int, verdict: proof.Verdict) -> None:
    serial = scores[1, BATCH]
    bar = mean(serial) - (stdev(serial) if len(serial) > 1 else 0)
    for ranks in RANKS:
        verdict.at_least(f"{ranks} ranks, seeds", len(scores[ranks, BATCH]), seeds)
        verdict.at_least(f"{ranks} ranks, % right, against serial's mean less its spread",
                         mean(scores[ranks, BATCH]), bar)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, default=proof.ROOT / "results" / "runs" / "weight-averaging")
    parser.add_argument("--only", choices=["bytes"], help="what is sent alone, on a few images")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--width", type=float, default=0.5)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    if arguments.only == "bytes":
        arguments.epochs, arguments.width, arguments.seeds = 1, 0.25, 1
    arguments.switch = 0 if arguments.only == "bytes" else SWITCH / EPOCHS * arguments.epochs
    verdict = proof.Verdict()
    name = f"averaging-{arguments.only or 'accuracy'}-{arguments.epochs}-epochs-width-{arguments.width}"
    with proof.scratch() as scratch:
        runs = scratch if arguments.only == "bytes" else arguments.runs
        experiment = runs / f"{name}.toml"
        write_experiment(experiment, arguments)
        proof.muster_run(experiment, runs)
        found = last_rows(runs, name)
    if arguments.only != "bytes":
        scores = {key: accuracies(rows) for key, rows in sorted(found.items())}
        for (ranks, batch), values in scores.items():
            way = "serial" if ranks == 1 else "averaged" if batch == BATCH else "the source's way"
            spread = f", standard deviation {stdev(values):.2f}" if len(values) > 1 else ""
            sent = mean(row["sent"] for row in found[ranks, batch]) / 1e6
            print(f"{ranks} rank(s), batch {batch}, {way}, % right: {' '.join(f'{v:.2f}' for v in values)}"
                  f"  mean {mean(values):.2f}{spread}; {sent:.1f} MB sent by rank 0")  # fmt: skip
        judge_accuracy(scores, arguments.seeds, verdict)
    judge_bytes(found, arguments.switch, arguments.epochs, verdict)
    verdict.finish()


if __name__ == "__main__":
    main()
