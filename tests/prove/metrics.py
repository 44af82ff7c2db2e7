#!/usr/bin/env python3
# Metrics open in pandas during a run and after SIGKILL of all, CSV agrees, and they cost under 1 % of a step.
"""A 2-rank ddp task is killed, launcher and all, at random times until a last start finishes it."""

from __future__ import annotations

import argparse
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[2]
# h5py and pandas are in the project's own environment.
PYTHON = os.environ.get("PYTHON") or str(ROOT / ".venv" / "bin" / "python")
if sys.executable != PYTHON:
    os.execv(PYTHON, [PYTHON, *sys.argv])

sys.path[:0] = [str(ROOT / "tests" / "prove"), str(ROOT / "results" / "python")]
import h5py
import numpy as np
import pandas as pd
import proof

import muster_results

EXPERIMENT = """
name = "metrics"
workload = "ddp"
[resources]
ranks = 2
cpus_per_rank = 1
[policy]
checkpoint_seconds = {checkpoint_seconds}
max_attempts = 50
[parameters]
network = "resnet9"
width = {width}
data.path = "synthetic"
data.samples = {samples}
data.test_samples = 256
epochs = 4
batch = {batch}
lr = 0.01
"""
STEPS_AN_EPOCH = 128
STEPS = 4 * STEPS_AN_EPOCH


def start(experiment: Path, runs: Path) -> subprocess.Popen[bytes]:
    log = (runs.parent / "launcher.log").open("ab")
    return subprocess.Popen(
        [proof.BUILD / "bin" / "muster", "run", experiment, "--runs", runs],
        stdout=log,
        stderr=log,
        env=proof.environment(),
    )


def processes_of(runs: Path) -> list[int]:
    """Everything that works below `runs`: gangs know their attempt's folder, shims are called with it."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            said = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if str(runs).encode() in said:
            found.append(int(entry.name))
    return found


def kill_everything(launcher: subprocess.Popen[bytes], runs: Path) -> int:
    killed = 0
    while remaining := processes_of(runs):
        for pid in remaining:
            try:
                os.kill(pid, signal.SIGKILL)
                killed += 1
            except ProcessLookupError:
                pass
        launcher.poll()
        time.sleep(0.02)
    launcher.wait()
    return killed


def newest_metrics(runs: Path) -> Path | None:
    files = list(runs.glob("metrics/tasks/*/attempt-*/metrics.h5"))
    return max(files, key=lambda file: int(file.parent.name.split("-")[1]), default=None)


def plain_read(file: Path, **flags: object) -> pd.DataFrame:
    with h5py.File(file, "r", **flags) as opened:
        return pd.DataFrame(opened["step"][:])


def is_whole(rows: pd.DataFrame) -> bool:
    """Each step once, in order."""
    return bool((rows["step"].to_numpy() == np.arange(1, len(rows) + 1)).all())


def csv_agrees(file: Path) -> bool:
    """Row for row, bit for bit, in every table."""
    with h5py.File(file, "r") as opened:
        names = [str(name) for name in opened.attrs["tables"]]
        frames = [pd.DataFrame(opened[name][:]) for name in names]
    for at, (name, rows) in enumerate(zip(names, frames, strict=True)):
        csv = file.parent / ("metrics.csv" if at == 0 else f"metrics-{name}.csv")
        read = pd.read_csv(csv)
        if list(read.columns) != list(rows.columns) or len(read) != len(rows):
            return False
        for column in rows.columns:
            if not np.array_equal(read[column].to_numpy(rows[column].dtype), rows[column], equal_nan=True):
                return False
    return True


def csv_is_a_prefix(file: Path, rows: pd.DataFrame) -> bool:
    """The whole lines of a file that is being written, or was when its writer was killed."""
    text = (file.parent / "metrics-step.csv").read_bytes()
    lines = text[: text.rfind(b"\n") + 1].decode().splitlines()[1:]
    for line, (step, loss) in zip(lines, zip(rows["step"], rows["loss"], strict=True), strict=False):
        fields = line.split(",")
        if int(fields[2]) != step or float(fields[4]) != loss:
            return False
    return True


def prove_reading(trials: int, verdict: proof.Verdict) -> None:
    with proof.scratch() as folder:
        runs = folder / "runs"
        experiment = folder / "metrics.toml"
        during = after = killed = grown = lost = trials_made = 0
        for trial in range(trials):
            # Every second trial saves nothing, so that what a reader sees did not get there by a checkpoint.
            experiment.write_text(
                EXPERIMENT.format(
                    width=0.25,
                    samples=STEPS_AN_EPOCH * 32,
                    batch=32,
                    checkpoint_seconds=60 if trial % 2 else 1,
                )
            )
            launcher = start(experiment, runs)
            before = newest_metrics(runs)
            deadline = time.monotonic() + 60
            while newest_metrics(runs) in (None, before) and time.monotonic() < deadline:
                if launcher.poll() is not None:
                    break
                time.sleep(0.05)
            if launcher.poll() is not None:
                print(f"trial {trial}: the run finished before it could be killed")
                break
            file = newest_metrics(runs)
            assert file is not None
            first = plain_read(file, swmr=True)
            time.sleep(random.uniform(1.2, 3.0))
            seen = plain_read(file, swmr=True)
            by_package = muster_results.load(runs / "metrics").metrics("step")
            ongoing = launcher.poll() is None
            during += (
                ongoing and is_whole(seen) and csv_is_a_prefix(file, seen) and len(by_package) >= len(seen)
            )
            grown += len(seen) > len(first)
            killed += kill_everything(launcher, runs)
            rows = plain_read(file, swmr=True)
            lost += len(rows) < len(seen)
            after += is_whole(rows) and csv_is_a_prefix(file, rows)
            print(
                f"trial {trial}: {file.parent.name}, rows at first {len(first)}, later {len(seen)}, "
                f"after SIGKILL of all {len(rows)}, {'ongoing' if ongoing else 'ended'}"
            )
            trials_made = trial + 1
        code = start(experiment, runs).wait()
        if code != 0:
            print((folder / "launcher.log").read_text()[-4000:])
        final = newest_metrics(runs)
        assert final is not None
        rows = plain_read(final)
        agreeing = [csv_agrees(file) for file in sorted(runs.glob("metrics/tasks/*/attempt-*/metrics.h5"))]
        print(f"processes killed: {killed}; attempts whose CSV and HDF5 agree after the mend: {agreeing}")
        made = max(1, trials_made)
        verdict.at_least("trials killed while the task ran", trials_made, min(3, trials))
        verdict.at_least("share of trials whose file opened, whole, during the run", during / made, 1)
        verdict.at_least("share of trials in which a reader saw it grow", grown / made, 1)
        verdict.at_least("share of trials whose file opened, whole, after SIGKILL", after / made, 1)
        verdict.at_most("trials that lost a row which a reader had seen", lost, 0)
        verdict.at_most("exit code of the last start", code, 0)
        verdict.at_least("steps in the last file, each once", len(rows) if is_whole(rows) else 0, STEPS)
        verdict.at_most("steps more than the task has", len(rows), STEPS)
        verdict.at_least("share of files in which CSV and HDF5 agree bit for bit", np.mean(agreeing), 1)


def fsynced_line_seconds(folder: Path, count: int = 50) -> list[float]:
    """What one journal line costs where the run's journal is: append and fsync."""
    times = []
    with (folder / "probe").open("ab", buffering=0) as file:
        for _ in range(count):
            began = time.perf_counter()
            file.write(b"x" * 200 + b"\n")
            os.fsync(file.fileno())
            times.append(time.perf_counter() - began)
    (folder / "probe").unlink()
    return times


def prove_cost(verdict: proof.Verdict) -> None:
    for name, width, batch in (("slim steps", 0.25, 32), ("full steps", 1, 64)):
        with proof.scratch() as folder:
            runs = folder / "runs"
            experiment = folder / "cost.toml"
            steps = 16 if width == 1 else STEPS
            # Checkpoints, metrics' fsync included, as often as they come by default.
            text = EXPERIMENT.format(
                width=width, samples=steps // 4 * batch, batch=batch, checkpoint_seconds=60
            )
            experiment.write_text(text)
            proof.muster_run(experiment, runs)
            task = proof.tasks(runs, "metrics")[0]
            log = (task / "attempt-1" / "log.txt").read_text()
            told = re.search(r"metrics and events took ([0-9.]+) s of ([0-9.]+) s", log)
            assert told, f"the rank did not say what its metrics cost:\n{log[-2000:]}"
            spent = float(told[1])
            seconds = [row["seconds"] for row in proof.rows(task, "step")]
            entries = sum(
                len(file.read_text().splitlines()) for file in (runs / "metrics").glob("*/journal/*.jsonl")
            )
            line = median(fsynced_line_seconds(runs))
            step = sum(seconds) / len(seconds)
            print(
                f"{name}: step {step * 1e3:.3f} ms, mean of {len(seconds)}, "
                f"median {median(seconds) * 1e3:.3f} ms; "
                f"metrics and events {spent * 1e6 / len(seconds):.1f} us a step, "
                f"with files' opening and every fsync; "
                f"journal {entries} lines of {line * 1e3:.2f} ms in the launcher"
            )
            share = (spent + entries * line) / sum(seconds)
            verdict.at_most(f"share of a step in metrics and journal, {name}", share, 0.01)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=5)
    parser.add_argument("--only", choices=["reading", "cost"])
    arguments = parser.parse_args()
    verdict = proof.Verdict()
    if arguments.only != "cost":
        prove_reading(arguments.trials, verdict)
    if arguments.only != "reading":
        prove_cost(verdict)
    verdict.finish()


if __name__ == "__main__":
    main()
