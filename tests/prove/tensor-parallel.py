#!/usr/bin/env python3
# A ResNet-34 in two parts on two cores beside the whole one on one core: images/s, memory, bytes, modes.
"""Speed at 224 pixels, interleaved; memory and bytes against closed forms; three modes on real images."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parent))
import proof

WARMUP = 1
SPLIT_SHARE = 21_093_760 / 21_335_972  # of a ResNet-34's parameters for 100 classes

EXPERIMENT = """
name = "{name}"
workload = "tensor_parallel"
[resources]
ranks = {ranks}
cpus_per_rank = 1
[policy]
checkpoint_seconds = 0
[parameters]
{parameters}
"""

SPEED = """
network = "imagenet_resnet34"
image_side = {side}
data.path = "synthetic"
data.classes = 100
data.samples = {samples}
data.test_samples = 100
epochs = 1
batch = {batch}
lr = 0.01
evaluate_every = 0
"""

MODES = """
network = "resnet18"
width = 0.25
data.path = "{data}"
epochs = 4
batch = 64
lr = 0.05
rebalance_images = 1024
mode = "{mode}"
rebalance = {rebalance}
"""


def run(name: str, ranks: int, parameters: str) -> dict[str, list[dict[str, float]]]:
    """The tables of a task."""
    with proof.scratch() as folder:
        file = folder / "experiment.toml"
        file.write_text(EXPERIMENT.format(name=name, ranks=ranks, parameters=parameters))
        proof.muster_run(file, folder / "runs")
        (task,) = proof.tasks(folder / "runs", name)
        tables = {"epoch": proof.rows(task)}
        for path in task.glob("metrics-*.csv"):
            table = path.stem.removeprefix("metrics-")
            tables[table] = proof.rows(task, table)
        return tables


def speed(side: int, batch: int, steps: int, ranks: int) -> tuple[float, dict[str, list[dict[str, float]]]]:
    samples = max(100, batch * (WARMUP + steps))
    tables = run("speed", ranks, SPEED.format(side=side, samples=samples, batch=batch))
    seconds = [row["seconds"] for row in tables["step"][WARMUP:]]
    return batch * len(seconds) / sum(seconds), tables


def judge_speed(verdict: proof.Verdict, arguments: argparse.Namespace) -> None:
    split, whole = [], []
    for _ in range(arguments.rounds):
        images, tables = speed(arguments.side, arguments.batch, arguments.steps, 2)
        split.append(images)
        images, serial = speed(arguments.side, arguments.batch, arguments.steps, 1)
        whole.append(images)
        print(f"  sample: {split[-1]:.2f} images/s on two, {whole[-1]:.2f} on one", flush=True)
    print(f"ResNet-34 at {arguments.side} pixels, batch {arguments.batch}, fp32, images/s, A B A B:")
    print(f"  two ranks, a core each  {proof.shown(split, 2)}")
    print(f"  one rank, one core      {proof.shown(whole, 2)}")
    steps = len(tables["step"])
    print("block: seconds a step waited in sums forward and backward, MB a step, closed form")
    for row in tables["block"]:
        counted = (row["forward_bytes"] + row["backward_bytes"]) / steps
        form = (row["closed_form_forward_bytes"] + row["closed_form_backward_bytes"]) / steps
        print(
            f"  {row['block']:2.0f}: {row['forward_wait_seconds'] / steps:.4f} "
            f"{row['backward_wait_seconds'] / steps:.4f}  {counted / 1e6:.2f}  {form / 1e6:.2f}"
        )
    waited = sum(r["forward_wait_seconds"] + r["backward_wait_seconds"] for r in tables["block"])
    total = sum(row["seconds"] for row in tables["step"])
    print(f"share of the training spent waiting in sums: {waited / total:.3f}", flush=True)
    wrong = sum(
        row[f"{way}_bytes"] != row[f"closed_form_{way}_bytes"]
        for row in tables["block"]
        for way in ("forward", "backward")
    )
    verdict.at_most("blocks whose summed bytes are not the closed form's", wrong, 0)
    verdict.at_least("two ranks against one, images/s", median(split) / median(whole), 1.6)

    bound = (1 - SPLIT_SHARE + SPLIT_SHARE / 2) * 1.01
    (alone,) = serial["memory"]
    print("rank: MB of parameters, gradients, momentum, activations (share of serial's); peak resident MB")
    for row in (alone, *tables["memory"]):
        held = [row[f"{what}_bytes"] / 1e6 for what in ("parameter", "gradient", "optimiser", "activation")]
        share = row["activation_bytes"] / alone["activation_bytes"]
        print(
            f"  {held[0]:.2f} {held[1]:.2f} {held[2]:.2f} {held[3]:.2f} ({share:.3f}); "
            f"{row['peak_resident_bytes'] / 1e6:.0f}"
        )
    state = ("parameter_bytes", "gradient_bytes", "optimiser_bytes")
    whole_state = sum(alone[what] for what in state)
    for row in tables["memory"]:
        share = sum(row[what] for what in state) / whole_state
        verdict.at_most(
            f"rank {row['rank']:.0f}'s share of serial parameters, gradients, momentum", share, bound
        )


def judge_modes(verdict: proof.Verdict) -> None:
    data = proof.require_data("cifar10-subset")
    accuracy = {}
    for name, mode, rebalance in (
        ("exact", "exact", "false"),
        ("federated", "federated", "false"),
        ("rebalanced", "federated", "true"),
    ):
        tables = run(name, 2, MODES.format(data=data, mode=mode, rebalance=rebalance))
        accuracy[name] = [row["test_accuracy"] for row in tables["epoch"]]
        print(f"{name}: test accuracy by epoch {' '.join(f'{a:.3f}' for a in accuracy[name])}")
        for row in tables.get("norm", [])[-8:]:
            print(
                f"  block {row['block']:.0f}: bn2's variance {row['partial_variance']:.3f} fitted on parts, "
                f"{row['whole_variance']:.3f} on their sum; means {row['mean_shift']:.2f} deviations apart"
            )
    sys.stdout.flush()
    verdict.at_most(
        "federated against exact, accuracy", accuracy["federated"][-1] / accuracy["exact"][-1], 0.75
    )
    verdict.at_least(
        "rebalanced against federated, accuracy", accuracy["rebalanced"][-1] / accuracy["federated"][-1], 1.0
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="interleaved samples of each side")
    parser.add_argument("--steps", type=int, default=6, help="timed steps a sample")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--side", type=int, default=224, help="pixels")
    parser.add_argument("--only", choices=["speed", "modes"], help="one part alone")
    arguments = parser.parse_args()
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("this proof needs two cores: a rank each")
    verdict = proof.Verdict()
    if arguments.only != "modes":
        judge_speed(verdict, arguments)
    if arguments.only != "speed":
        judge_modes(verdict)
    verdict.finish()


if __name__ == "__main__":
    main()
