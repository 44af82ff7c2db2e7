#!/usr/bin/env python3
# Slurm: at most one status command in 30 s for a whole run, and yet each end of a step is seen at once.
"""Counts, by wrappers in PATH, what muster calls for a packed run and for an array, both watched."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import proof
from slurm_cluster import MUSTER, Cluster, wait_until

STATUS_COMMANDS = ("squeue", "sacct", "scontrol", "sinfo", "sstat", "sprio")
EXPERIMENT = """
name = "{name}"
workload = "exec"
command = ["bash", "task.sh", "{{n}}"]
[slurm]
time = "30"
[matrix.grid]
n = {lengths}
"""
SCRIPT = """
echo start $1 $EPOCHREALTIME >> stamps
sleep $1
echo end $1 $EPOCHREALTIME >> stamps
"""


def counted(cluster: Cluster, folder: Path) -> Path:
    """Puts wrappers before Slurm's commands; returns the file in which they note each call."""
    folder.mkdir()
    calls = folder / "calls"
    calls.touch()
    for command in STATUS_COMMANDS:
        real = shutil.which(command)
        if real is None:
            continue
        wrapper = folder / command
        wrapper.write_text(
            f'#!/bin/bash\necho $EPOCHREALTIME {command} "${{@@Q}}" >> {calls}\nexec {real} "$@"\n'
        )
        wrapper.chmod(0o755)
    cluster.environment["PATH"] = f"{folder}:{cluster.environment['PATH']}"
    return calls


def calls_between(calls: Path, start: float, end: float) -> list[str]:
    found = [line.partition(" ") for line in calls.read_text().splitlines()]
    return [what for at, _, what in found if start <= float(at) < end]


def stamps(folder: Path, what: str) -> dict[str, float]:
    file = folder / "stamps"
    lines = [line.split() for line in file.read_text().splitlines()] if file.exists() else []
    return {n: float(at) for kind, n, at in lines if kind == what}


def seen_as_done(run: Path) -> dict[str, float]:
    times = {}
    for file in run.glob("journal/*.jsonl"):
        for line in file.read_text().splitlines():
            entry = json.loads(line.partition(" ")[2])
            if entry["state"] == "done":
                times[entry["task"].rpartition("-")[0].removeprefix("n")] = entry["unix_time"]
    return times


def watched_run(
    cluster: Cluster, folder: Path, calls: Path, kind: str, tasks: int, seconds: float
) -> tuple[list[str], list[float], int]:
    """Status commands in the window of steady state, delays of seeing ends, and tasks done."""
    folder.mkdir()
    # They all run through the window, and end one by one after it.
    lengths = [round(seconds + 40 + 0.5 * n, 1) for n in range(tasks)]
    (folder / "task.sh").write_text(SCRIPT)
    file = folder / f"{kind}.toml"
    file.write_text(EXPERIMENT.format(name=kind, lengths=lengths))
    cluster.said_by(MUSTER, "submit", file, f"--{kind}", "--runs", folder / "runs", cwd=folder)
    run = next(path for path in (folder / "runs" / kind).iterdir() if path.name != "tasks")
    watch = subprocess.Popen(
        [MUSTER, "watch", run],
        env=cluster.environment,
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: len(stamps(folder, "start")) == tasks, 120, f"start of {tasks} tasks")
        time.sleep(20)
        start = time.time()
        time.sleep(seconds)
        called = calls_between(calls, start, start + seconds)
        wait_until(lambda: len(seen_as_done(run)) == tasks, 300, f"end of {tasks} tasks")
    finally:
        watch.terminate()
        watch.wait()
    ends, seen = stamps(folder, "end"), seen_as_done(run)
    return called, [seen[n] - ends[n] for n in ends], len(ends)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120, help="window of steady state")
    parser.add_argument("--tasks", type=int, default=16)
    arguments = parser.parse_args()
    verdict = proof.Verdict()
    with proof.scratch() as folder, Cluster(folder, "--nodes", "2") as cluster:
        calls = counted(cluster, folder / "wrappers")
        for kind in ("pack", "array"):
            called, delays, done = watched_run(
                cluster, folder / kind, calls, kind, arguments.tasks, arguments.seconds
            )
            print(
                f"{kind}: {arguments.tasks} tasks, status commands in {arguments.seconds:g} s: {len(called)}"
            )
            for line in called:
                print(f"  {line}")
            print(f"  s from a task's end till the journal says so: {proof.shown(delays, 2)}")
            verdict.at_least(f"{kind}: tasks done", done, arguments.tasks)
            verdict.at_most(
                f"{kind}: status commands in 30 s of steady state", 30 * len(called) / arguments.seconds, 1
            )
            verdict.at_most(f"{kind}: s till the end of a step is seen", max(delays), 5)
    verdict.finish()


if __name__ == "__main__":
    main()
