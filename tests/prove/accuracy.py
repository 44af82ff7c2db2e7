#!/usr/bin/env python3
# Accuracy on real CIFAR-10: ResNet-9 on 1 and 2 ranks beside Python's, ResNet-50 on 1 rank beside 2.
"""Trains through `muster run`, so that an interrupted proof goes on where it was when it is called again."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from statistics import mean, stdev

sys.path.insert(0, str(Path(__file__).parent))
import proof

PYTHON_ACCURACY = 0.854  # tests/peers/resnet9_cifar10.py, mean of 3 seeds
SEEDS = [0, 1, 2]


def prepared(name: str, data: Path, folder: Path, replace: dict[str, str]) -> Path:
    """An experiment of the project with the data's place, and other lines, put in."""
    lines = []
    for line in (proof.ROOT / "experiments" / f"{name}.toml").read_text().splitlines():
        key = line.split("=")[0].strip()
        lines.append(f"{key} = {replace[key]}" if key in replace else line)
    text = "\n".join(lines).replace("../shared/data/cifar10-subset", str(data)) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{replace['name'].strip(chr(34)) if 'name' in replace else name}.toml"
    file.write_text(text)
    return file


def last_rows(runs: Path, experiment: str) -> dict[int, list[dict[str, float]]]:
    """The last epoch's row of each finished task, by ranks."""
    by_ranks: dict[int, list[dict[str, float]]] = {}
    for task in proof.finished(runs, experiment):
        by_ranks.setdefault(int(proof.given(task)["ranks"]), []).append(proof.rows(task)[-1])
    return by_ranks


def percent(values: list[float]) -> str:
    spread = f", standard deviation {100 * stdev(values):.2f}" if len(values) > 1 else ""
    return f"{' '.join(f'{100 * v:.2f}' for v in values)}  mean {100 * mean(values):.2f}{spread}"


def judge_resnet9(scores_by_ranks: dict[int, list[float]], verdict: proof.Verdict) -> None:
    for ranks in (1, 2):
        scores = scores_by_ranks.get(ranks, [])
        verdict.at_least(f"ResNet-9 on {ranks} rank(s), seeds", len(scores), len(SEEDS))
        what = f"ResNet-9 on {ranks} rank(s), % right, against Python's {100 * PYTHON_ACCURACY:.1f} less 1.5"
        verdict.at_least(what, 100 * mean(scores or [0]), 100 * PYTHON_ACCURACY - 1.5)


def judge_resnet50(scores_by_ranks: dict[int, list[float]], verdict: proof.Verdict) -> None:
    difference = mean(scores_by_ranks[2]) - mean(scores_by_ranks[1])
    error = sum(stdev(s) ** 2 / len(s) for s in scores_by_ranks.values()) ** 0.5
    print(f"ResNet-50, 2 ranks less 1 rank: {100 * difference:+.2f} points, error {100 * error:.2f}")
    verdict.at_most("ResNet-50: |difference| in standard errors, or points where those are below 1",
                    100 * abs(difference) / max(1.0, 100 * error), 3)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, default=proof.ROOT / "results" / "runs" / "accuracy")
    parser.add_argument("--only", choices=["resnet9", "resnet50"], help="one part alone")
    parser.add_argument("--resnet50-epochs", type=int, default=3)
    arguments = parser.parse_args()
    data = proof.require_data("cifar10-subset")
    runs = arguments.runs
    verdict = proof.Verdict()

    if arguments.only != "resnet50":
        proof.muster_run(prepared("resnet9_cifar10", data, runs, {}), runs)
        scores_by_ranks = {}
        for ranks, last in sorted(last_rows(runs, "resnet9_cifar10").items()):
            scores_by_ranks[ranks] = [row["test_accuracy"] for row in last]
            rate = mean(row["images_per_second"] for row in last)
            right = percent(scores_by_ranks[ranks])
            print(f"ResNet-9, 24 epochs, {ranks} rank(s), % right: {right}; {rate:.0f} images/s", flush=True)
        judge_resnet9(scores_by_ranks, verdict)

    if arguments.only != "resnet9":
        epochs = arguments.resnet50_epochs
        replace = {
            "name": f'"cifar10_ddp_{epochs}_epochs"', "epochs": str(epochs), "exclusive": "false",
            "schedule.milestones": f"[{epochs - 1}]", "resources.ranks": f"[1, 2]\nseed = {SEEDS}",
        }  # fmt: skip
        proof.muster_run(prepared("cifar10_ddp", data, runs, replace), runs)
        scores_by_ranks = {}
        for ranks, last in sorted(last_rows(runs, f"cifar10_ddp_{epochs}_epochs").items()):
            scores_by_ranks[ranks] = [row["test_accuracy"] for row in last]
            print(f"ResNet-50, {epochs} epochs, {ranks} rank(s), % right: {percent(scores_by_ranks[ranks])}")
        judge_resnet50(scores_by_ranks, verdict)
    verdict.finish()


if __name__ == "__main__":
    main()
