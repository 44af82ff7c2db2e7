#!/usr/bin/env python3
# Images/s of 2 ranks beside torchrun + DDP + gloo, scaling from 1 rank, and the cost of starting a task.
"""Everything in one run, interleaved, on the same model, batch, type and number of threads."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parent))
import proof

WARMUP = 3
BATCH = 64  # a rank

EXPERIMENT = """
name = "speed"
workload = "{workload}"
[resources]
ranks = {ranks}
cpus_per_rank = 1
[policy]
checkpoint_seconds = 0
[parameters]
{parameters}
[matrix.grid]
seed = {seeds}
"""

PARAMETERS = """
network = "resnet9"
data.path = "synthetic"
data.samples = {samples}
data.test_samples = 64
epochs = 1
batch = {batch}
lr = 0.01
momentum = 0.9
nesterov = true
augment.crop = 0
augment.flip = false
augment.cutout = 0
precision = "{precision}"
channels_last = true
evaluate_every = 0
"""


def step_seconds(precision: str, ranks: int, steps: int, copies: int = 1) -> list[list[float]]:
    """Of each of `copies` tasks that run side by side, after the warm-up."""
    batch = BATCH * ranks
    parameters = PARAMETERS.format(samples=batch * (WARMUP + steps), batch=batch, precision=precision)
    with proof.scratch() as folder:
        file = folder / "speed.toml"
        file.write_text(
            EXPERIMENT.format(workload="ddp", ranks=ranks, parameters=parameters, seeds=list(range(copies)))
        )
        proof.muster_run(file, folder / "runs")
        seconds = [
            [row["seconds"] for row in proof.rows(task, "step")[WARMUP:]]
            for task in proof.tasks(folder / "runs", "speed")
        ]
    assert len(seconds) == copies and all(len(s) == steps for s in seconds)
    return seconds


def images_per_second(ranks: int, seconds: list[float]) -> float:
    return BATCH * ranks * len(seconds) / sum(seconds)


def torchrun(script: str, *arguments: str) -> list[str | Path]:
    return [
        proof.PEERS_PYTHON.with_name("torchrun"), "--standalone", "--nproc-per-node", "2",
        proof.PEERS / script, *arguments,
    ]  # fmt: skip


def peers(precision: str, steps: int) -> float:
    """Images/s of torchrun + DDP + gloo."""
    command = torchrun(
        "ddp_resnet9.py", "--batch", str(BATCH), "--dtype", precision, "--channels-last",
        "--steps", str(steps), "--warmup", str(WARMUP),
    )  # fmt: skip
    line = proof.checked(command).stdout.strip().splitlines()[-1]
    return 2 * BATCH * steps / sum(json.loads(line)["step_seconds"])


def start_ours() -> float:
    plugin = proof.BUILD / "tests" / "plugins" / "allreduce_once.so"
    with proof.scratch() as folder:
        file = folder / "start.toml"
        file.write_text(EXPERIMENT.format(workload=plugin, ranks=2, parameters="", seeds=[0]))
        seconds = proof.muster_run(file, folder / "runs")
        (task,) = proof.tasks(folder / "runs", "speed")
        assert proof.rows(task)[0]["sum"] == 3
    return seconds


def start_peers() -> float:
    with proof.scratch() as folder:
        start = time.perf_counter()
        proof.checked(torchrun("allreduce_once.py", str(folder / "row.csv")))
        seconds = time.perf_counter() - start
        assert (folder / "row.csv").read_text().splitlines()[1] == "1,3.0"
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="interleaved samples of each side")
    parser.add_argument("--steps", type=int, default=12, help="timed steps a sample")
    parser.add_argument("--only", choices=["fp32", "bf16", "scaling", "start"], help="one part alone")
    arguments = parser.parse_args()
    if arguments.only != "scaling":
        proof.require_peers()
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("this proof needs two cores: a rank each")
    verdict = proof.Verdict()
    parts = [arguments.only] if arguments.only else ["fp32", "bf16", "scaling", "start"]

    for precision, bound in (("fp32", 1.10), ("bf16", 1.25)):
        if precision not in parts:
            continue
        a, b = [], []
        for _ in range(arguments.rounds):
            a.append(images_per_second(2, step_seconds(precision, 2, arguments.steps)[0]))
            b.append(peers(precision, arguments.steps))
        print(f"{precision}, ResNet-9, {BATCH} a rank, channels-last, images/s of 2 ranks, A B A B:")
        print(f"  muster           {proof.shown(a)}")
        print(f"  torchrun + gloo  {proof.shown(b)}", flush=True)
        verdict.at_least(f"2 ranks against torchrun + DDP + gloo, {precision}", median(a) / median(b), bound)

    if "scaling" in parts:
        for precision in ("fp32", "bf16"):
            a, b, lockstep = [], [], []
            for _ in range(arguments.rounds):
                a.append(images_per_second(2, step_seconds(precision, 2, arguments.steps)[0]))
                two = step_seconds(precision, 1, arguments.steps, copies=2)
                b.append(sum(images_per_second(1, seconds) for seconds in two))
                lockstep.append(images_per_second(2, [max(pair) for pair in zip(*two, strict=True)]))
            print(f"{precision}, scaling, images/s:")
            print(f"  one task of 2 ranks                 {proof.shown(a)}")
            print(f"  two tasks of 1 rank, side by side   {proof.shown(b)}")
            # What the machine's unevenness costs whoever exchanges anything: no bar, but it explains one.
            print(f"  the two, each step as the slower    {proof.shown(lockstep)}", flush=True)
            verdict.at_least(
                f"2 ranks against two independent ones, {precision}", median(a) / median(b), 0.97
            )

    if "start" in parts:
        start_ours(), start_peers()  # fills the page cache for both
        a, b = [], []
        for _ in range(max(5, arguments.rounds)):
            a.append(start_ours())
            b.append(start_peers())
        print("a 2-rank task that loads LibTorch, all-reduces once and writes a row, seconds start to end:")
        print(f"  muster run  {proof.shown(a, 3)}")
        print(f"  torchrun    {proof.shown(b, 3)}", flush=True)
        verdict.at_most("start to end, share of torchrun's", median(a) / median(b), 0.2)
    verdict.finish()


if __name__ == "__main__":
    main()
