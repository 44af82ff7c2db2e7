"""A test cluster for proofs, and what they look for on it."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import proof

MUSTER = proof.BUILD / "bin" / "muster"
TEST_CLUSTER = proof.ROOT / "slurm" / "test-cluster"
# What a plain script for sbatch asks for, beside its size.
BATCH_OPTIONS = ["--signal=B:USR1@120", "--requeue", "--open-mode=append"]


def wait_until(condition: Callable[[], object], seconds: float, what: str = "") -> bool:
    """True once the condition holds. With `what`, ends the proof where it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            if what:
                raise TimeoutError(f"not within {seconds:g} s: {what}")
            return False
        time.sleep(0.1)
    return True


class Cluster:
    """`with Cluster(folder, "--nodes", "2") as cluster:`; stopped at the end."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder / "c"
        self.options = options
        self.environment = proof.environment()
        # Nothing of a job that the proof itself may run in.
        for name in [name for name in self.environment if name.startswith("SLURM")]:
            del self.environment[name]

    def __enter__(self) -> Cluster:
        self.control("start", "--until-exit-of", str(os.getpid()), *self.options)
        for line in (self.folder / "env").read_text().splitlines():
            for word in line.removeprefix("export ").split():
                name, _, value = word.partition("=")
                self.environment[name] = value
        return self

    def __exit__(self, *_: object) -> None:
        self.control("stop")

    def control(self, command: str, *words: str) -> None:
        done = subprocess.run(
            [TEST_CLUSTER, command, self.folder, *words],
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise RuntimeError(f"test-cluster {command}: {done.stderr.strip()}")

    def run(self, *argv: str | Path, **more: object) -> subprocess.CompletedProcess[str]:
        """Runs a command with the cluster's environment, where it reaches the controller."""
        options: dict = {"capture_output": True, "text": True, "env": self.environment} | more
        inside = [TEST_CLUSTER, "exec", self.folder] if "--links" in self.options else []
        return subprocess.run([str(word) for word in [*inside, *argv]], **options)

    def said_by(self, *argv: str | Path, **more: object) -> str:
        """What a command that must succeed prints."""
        done = self.run(*argv, **more)
        if done.returncode != 0:
            raise RuntimeError(f"{argv[0]}: exit code {done.returncode}: {done.stderr.strip()}")
        return done.stdout.strip()

    def sbatch(self, folder: Path, command: Sequence[str | Path], *options: str) -> str:
        """Submits a plain script that executes `command` in `folder`; returns the job's id."""
        words = " ".join(f"'{word}'" for word in command)
        script = folder / "job.sh"
        script.write_text(f"#!/bin/bash\nexec {words}\n")
        log = f"--output={folder}/job.log"
        return self.said_by("sbatch", "--parsable", log, *BATCH_OPTIONS, *options, script, cwd=folder)

    def state(self, job: str) -> str:
        """As squeue prints it; empty where the job or the controller is not there."""
        return self.run("squeue", "-h", "-t", "all", "-o", "%T", "-j", job).stdout.strip()

    def is_over(self, job: str) -> bool:
        return self.state(job) not in ("PENDING", "RUNNING", "COMPLETING", "SUSPENDED", "CONFIGURING")

    def wait_for_end(self, job: str, seconds: float) -> None:
        wait_until(lambda: self.is_over(job), seconds, f"end of job {job} ({self.state(job)})")
