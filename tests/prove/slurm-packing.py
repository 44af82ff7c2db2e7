#!/usr/bin/env python3
# Slurm: tasks of one GPU each fill an allocation's GPUs, all of them and all the time.
"""4 tasks in a job of 4 GPUs, then 16 in one of 2 x 4; each notes where and when it ran."""

from __future__ import annotations

import argparse
import random
import sys
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import proof
from slurm_cluster import MUSTER, Cluster

EXPERIMENT = """
name = "packing"
workload = "exec"
command = ["bash", "task.sh", "{{n}}"]
[resources]
gpus_per_rank = 1
cpus_per_rank = 2
[matrix.grid]
n = {lengths}
"""
SCRIPT = """
start=$EPOCHREALTIME
sleep $1
echo $1 $SLURMD_NODENAME $CUDA_VISIBLE_DEVICES $start $EPOCHREALTIME >> stamps
"""


@dataclass
class Stay:
    task: str
    gpu: str
    start: float
    end: float


def packed(cluster: Cluster, folder: Path, nodes: int, lengths: list[float]) -> tuple[list[Stay], float]:
    """Where and when each task ran, and the seconds from the start of `muster run` to its end."""
    folder.mkdir()
    experiment = folder / "packing.toml"
    (folder / "task.sh").write_text(SCRIPT)
    experiment.write_text(EXPERIMENT.format(lengths=lengths))
    timed = ["bash", "-c", 'echo $EPOCHREALTIME > began; "$@"; echo $EPOCHREALTIME > ended', "timed"]
    job = cluster.sbatch(
        folder,
        [*timed, MUSTER, "run", experiment, "--runs", folder / "runs"],
        f"--nodes={nodes}",
        "--ntasks-per-node=4",
        "--cpus-per-task=2",
        "--gpus-per-node=4",
    )
    cluster.wait_for_end(job, 60 + 2 * sum(lengths))
    stays = []
    for line in (folder / "stamps").read_text().splitlines():
        task, host, gpu, start, end = line.split()
        stays.append(Stay(task, f"{host}:{gpu}", float(start), float(end)))
    took = float((folder / "ended").read_text()) - float((folder / "began").read_text())
    return sorted(stays, key=lambda stay: stay.start), took


def idle_while_a_task_waits(stays: list[Stay], gpus: list[str]) -> list[float]:
    """Of each time that a GPU was given back while a task still waited: seconds till it was in use again."""
    last_start = max(stay.start for stay in stays)
    gaps = []
    for gpu in gpus:
        here = sorted((stay for stay in stays if stay.gpu == gpu), key=lambda stay: stay.start)
        for at, stay in enumerate(here):
            next_start = here[at + 1].start if at + 1 < len(here) else last_start
            if stay.end < last_start:
                gaps.append(next_start - stay.end)
    return gaps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20, help="the longest task's length")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    random.seed(arguments.seed)
    print(f"seed of the tasks' lengths: {arguments.seed}")
    verdict = proof.Verdict()
    with proof.scratch() as folder, Cluster(folder, "--nodes", "2") as cluster:
        longest = arguments.seconds
        stays, took = packed(
            cluster, folder / "four", 1, [longest, longest - 0.5, longest - 1, longest - 1.5]
        )
        print("4 tasks, 1 node x 4 GPUs:")
        for stay in stays:
            print(f"  {stay.task:>6} on {stay.gpu}: {stay.end - stay.start:.2f} s")
        print(f"  `muster run` took {took:.2f} s")
        verdict.at_least("GPUs in use by 4 tasks in one job of 4", len({s.gpu for s in stays}), 4)
        overlap = min(s.end for s in stays) - max(s.start for s in stays)
        verdict.at_least("seconds with all four at once", overlap, 0.8 * (longest - 1.5))
        verdict.at_most("`muster run` over the longest task", took / longest, 1.15)

        lengths = [round(random.uniform(0.2, 0.6) * longest + 0.001 * n, 3) for n in range(16)]
        stays, took = packed(cluster, folder / "sixteen", 2, lengths)
        gpus = sorted({stay.gpu for stay in stays})
        print("16 tasks, 2 nodes x 4 GPUs:")
        for gpu in gpus:
            print(
                f"  {gpu}: "
                + ", ".join(f"{s.task} s from {s.start - stays[0].start:.2f}" for s in stays if s.gpu == gpu)
            )
        gaps = idle_while_a_task_waits(stays, gpus)
        print(
            f"  `muster run` took {took:.2f} s; "
            f"seconds from a task's end to the next one's start: {proof.shown(gaps, 2)}"
        )
        verdict.at_least("tasks done", len(stays), 16)
        verdict.at_least("GPUs in use by 16 tasks in one job of 2 x 4", len(gpus), 8)
        verdict.at_most("longest time, in s, that a GPU stood idle while a task waited", max(gaps), 1)
        verdict.at_most("of the GPUs' time while tasks waited, share idle", sum(gaps) / (sum(lengths)), 0.05)
        # A GPU never holds two tasks at once.
        collisions = sum(
            a is not b and a.gpu == b.gpu and a.start <= b.start < a.end for a in stays for b in stays
        )
        verdict.at_most("tasks that met another one on their GPU", collisions, 0)
    verdict.finish()


if __name__ == "__main__":
    main()
