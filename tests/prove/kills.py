#!/usr/bin/env python3
# SIGKILL of the launcher, a rank, and both, at random times: the run finishes, bit for bit as undisturbed.
"""A trial kills the launcher, starts it again, kills a rank, then both, and lets the run finish."""

from __future__ import annotations

import argparse
import contextlib
import csv
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import proof

EXPERIMENT = """
name = "kills"
workload = "ddp"
[resources]
ranks = 2
[policy]
checkpoint_seconds = 0
checkpoint_steps = {checkpoint_steps}
max_attempts = 50
[parameters]
network = "resnet9"
width = 0.0625
data.path = "synthetic"
data.samples = {samples}
data.test_samples = 64
epochs = 4
batch = 32
lr = 0.05
"""


def runners_of(runs: Path) -> dict[int, str]:
    """Every muster-runner that works below `runs`, with its attempt's folder."""
    found = {}
    mark = b"MUSTER_ATTEMPT=" + str(runs).encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if not (entry / "cmdline").read_bytes().split(b"\0")[0].endswith(b"muster-runner"):
                continue
            for variable in (entry / "environ").read_bytes().split(b"\0"):
                if variable.startswith(mark):
                    found[int(entry.name)] = variable.partition(b"=")[2].decode()
        except OSError:
            continue
    return found


class GangWatch(threading.Thread):
    """Looks all the time how many attempts of the one task have living ranks."""

    def __init__(self, runs: Path) -> None:
        super().__init__(daemon=True)
        self.runs = runs
        self.most_at_once = 0
        self.looks = 0
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.wait(0.01):
            self.most_at_once = max(self.most_at_once, len(set(runners_of(self.runs).values())))
            self.looks += 1


class Trial:
    def __init__(self, experiment: Path, runs: Path) -> None:
        self.experiment = experiment
        self.runs = runs
        self.log = (runs.parent / f"{runs.name}.log").open("ab")
        self.launcher: subprocess.Popen[bytes] | None = None
        self.said: list[str] = []

    def start(self) -> None:
        self.launcher = subprocess.Popen(
            [proof.BUILD / "bin" / "muster", "run", self.experiment, "--runs", self.runs],
            stdout=self.log,
            stderr=self.log,
            env=proof.environment(),
        )

    def wait(self, seconds: float) -> bool:
        """True where the launcher still runs after `seconds`."""
        assert self.launcher is not None
        try:
            self.launcher.wait(seconds)
        except subprocess.TimeoutExpired:
            return True
        return False

    def wait_for_gang(self, but_not: set[str] = frozenset()) -> bool:
        """True once ranks of another attempt than `but_not` live; False where the launcher ends first."""
        assert self.launcher is not None
        while set(runners_of(self.runs).values()) <= set(but_not):
            if not self.wait(0.01):
                return False
        return True

    def kill(self, launcher: bool, rank: bool) -> set[str]:
        """SIGKILL to what is named; the rank is any of those that live. Returns the attempts that lived."""
        assert self.launcher is not None
        what = []
        living = runners_of(self.runs)
        ranks = list(living) if rank else []
        if launcher and self.launcher.poll() is None:
            self.launcher.kill()
            what.append("launcher")
        if ranks:
            try:
                os.kill(random.choice(ranks), signal.SIGKILL)
                what.append("rank")
            except ProcessLookupError:
                pass
        if launcher:
            self.launcher.wait()
        self.said.append("+".join(what) or "nothing")
        return set(living.values())

    def finish(self) -> int:
        assert self.launcher is not None
        try:
            return self.launcher.wait(120)
        except subprocess.TimeoutExpired:
            self.launcher.kill()
            return -1


def only_task(runs: Path) -> Path:
    return next((runs / "kills" / "tasks").iterdir())


def attempts_of(task: Path) -> list[Path]:
    return sorted(task.glob("attempt-*"), key=lambda folder: int(folder.name.split("-")[1]))


def events_of(attempt: Path) -> list[dict]:
    file = attempt / "events.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    events = []
    for line in lines:
        with contextlib.suppress(json.JSONDecodeError):
            events.append(json.loads(line))
    return events


def ends_of(task: Path) -> list[str]:
    """How each attempt's gang ended."""
    records = [attempt / "exit.json" for attempt in attempts_of(task)]
    return [str(json.loads(r.read_text())["exit_code"]) if r.exists() else "vanished" for r in records]


def checksum(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def losses(task: Path) -> list[tuple[int, float]]:
    return [(int(row["step"]), row["loss"]) for row in proof.rows(task, "step")]


def computed_again(task: Path) -> int:
    """Steps up to the newest checkpoint of earlier attempts that a later attempt computed once more."""
    again = 0
    saved = 0
    for attempt in attempts_of(task):
        number = int(attempt.name.split("-")[1])
        steps = []
        file = attempt / "metrics-step.csv"
        if file.exists():
            with file.open(newline="") as lines:
                whole = [row for row in csv.DictReader(lines) if None not in row.values() and row["step"]]
            steps = [int(row["step"]) for row in whole if int(row["attempt"]) == number]
        events = events_of(attempt)
        steps += [event["step"] for event in events if event["event"] == "progress" and event["step"] > 0]
        again += len({step for step in steps if step <= saved})
        saved = max([saved, *(event["step"] for event in events if event["event"] == "checkpoint")])
    return again


def overlapping(task: Path) -> int:
    """Attempts whose rank 0 spoke before the one before it had fallen silent."""
    count = 0
    silent_since = 0.0
    for attempt in attempts_of(task):
        times = [event["time"] for event in events_of(attempt)]
        if times and times[0] < silent_since:
            count += 1
        silent_since = max([silent_since, *times])
    return count


def disturb(trial: Trial, longest: float) -> None:
    trial.start()
    if not trial.wait(random.uniform(0, longest)):
        return
    trial.kill(launcher=True, rank=False)
    time.sleep(random.uniform(0, 0.3))
    trial.start()
    if not (trial.wait(random.uniform(0, longest)) and trial.wait_for_gang()):
        return
    before = trial.kill(launcher=False, rank=True)
    if not (trial.wait_for_gang(but_not=before) and trial.wait(random.uniform(0, longest))):
        return
    trial.kill(launcher=True, rank=True)
    time.sleep(random.uniform(0, 0.3))
    trial.start()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--samples", type=int, default=2048, help="training images: a fixed number of steps")
    parser.add_argument("--checkpoint-steps", type=int, default=16)
    arguments = parser.parse_args()
    random.seed(arguments.seed)
    print(f"seed of the kills' times: {arguments.seed}")
    verdict = proof.Verdict()
    with proof.scratch() as folder:
        experiment = folder / "kills.toml"
        experiment.write_text(
            EXPERIMENT.format(samples=arguments.samples, checkpoint_steps=arguments.checkpoint_steps)
        )
        seconds = proof.muster_run(experiment, folder / "undisturbed")
        task = only_task(folder / "undisturbed")
        weights = checksum(task / "artifacts" / "final.safetensors")
        steps = losses(task)
        print(f"undisturbed: {seconds:.2f} s, {len(steps)} steps, weights sha256 {weights[:16]}")

        finished = same_weights = same_losses = killed = 0
        again = overlaps = most_at_once = looks = 0
        for number in range(arguments.trials):
            runs = folder / f"trial-{number}"
            trial = Trial(experiment, runs)
            watch = GangWatch(runs)
            watch.start()
            began = time.monotonic()
            disturb(trial, 0.4 * seconds)
            code = trial.finish()
            took = time.monotonic() - began
            watch.ended.set()
            watch.join()
            task = only_task(runs)
            equal = code == 0 and checksum(task / "artifacts" / "final.safetensors") == weights
            rows_equal = code == 0 and losses(task) == steps
            resumed = [e["step"] for a in attempts_of(task) for e in events_of(a) if e["event"] == "resumed"]
            trial_again, trial_overlaps = computed_again(task), overlapping(task)
            print(
                f"trial {number}: killed {', '.join(trial.said)}; exit {code} after {took:.1f} s, "
                f"attempts ended [{' '.join(ends_of(task))}], resumed at {resumed}, "
                f"weights {'equal' if equal else 'DIFFER'}, rows {'equal' if rows_equal else 'DIFFER'}, "
                f"steps computed again {trial_again}, gangs at once {watch.most_at_once} "
                f"({watch.looks} looks)",
                flush=True,
            )
            if code != 0:
                print((folder / f"trial-{number}.log").read_text()[-3000:])
            finished += code == 0
            same_weights += equal
            same_losses += rows_equal
            killed += sum(len(said.split("+")) for said in trial.said if said != "nothing")
            again += trial_again
            overlaps += trial_overlaps
            most_at_once = max(most_at_once, watch.most_at_once)
            looks += watch.looks
        print(f"processes killed: {killed}; looks at living gangs: {looks}")
    verdict.at_least("trials", arguments.trials, 20)
    verdict.at_least("processes killed, a trial", killed / arguments.trials, 2)
    verdict.at_least("share of trials that finished", finished / arguments.trials, 1)
    verdict.at_least(
        "share whose final weights are bitwise the undisturbed ones", same_weights / arguments.trials, 1
    )
    verdict.at_least(
        "share whose loss of every step, each once, is the undisturbed one", same_losses / arguments.trials, 1
    )
    verdict.at_most("steps before the last checkpoint computed again", again, 0)
    verdict.at_most("gangs of the task seen alive at once", most_at_once, 1)
    verdict.at_most("attempts that overlapped the one before", overlaps, 0)
    verdict.finish()


if __name__ == "__main__":
    main()
