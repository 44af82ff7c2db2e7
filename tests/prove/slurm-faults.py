#!/usr/bin/env python3
# Slurm: time limits, requeue, preemption, dead nodes, lost jobs: every task once, bit for bit.
"""Each fault hits a run of MPI gangs on a cluster of its own; weights are those of an undisturbed one."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import proof
from slurm_cluster import MUSTER, Cluster, wait_until

EXPERIMENT = """
name = "faults"
workload = "{plugin}"
[resources]
ranks = 2
[policy]
checkpoint_seconds = 0
checkpoint_steps = 10
kill_after_seconds = 10
[slurm]
{slurm}
[parameters]
step_seconds = {step_seconds}
[matrix.grid]
steps = {steps}
"""
SLURM = {"time": "10", "nodes": 1}


class Trial:
    """One run on one cluster."""

    def __init__(
        self, cluster: Cluster, folder: Path, plugin: Path, seconds: float, slurm: dict, plain: bool
    ) -> None:
        self.plain = plain
        self.slurm = SLURM | slurm
        self.cluster = cluster
        self.folder = folder
        self.runs = folder / "runs"
        self.submitted = 0
        steps = [round(10 * seconds) + n for n in range(4)]
        self.experiment = write_experiment(folder, plugin, steps, 0.1, self.slurm)

    def submit(self, **environment: str) -> subprocess.CompletedProcess[str]:
        """The whole matrix in one job: `muster submit --pack`, or sbatch of a script with `muster run`."""
        if self.plain:
            asked = {"ntasks": 8} | self.slurm
            options = [f"--{name}={value}" for name, value in asked.items()]
            job = self.cluster.sbatch(
                self.folder, [MUSTER, "run", self.experiment, "--runs", self.runs], *options
            )
            return subprocess.CompletedProcess([], 0, job, "")
        return self.cluster.run(
            MUSTER,
            "submit",
            self.experiment,
            "--pack",
            "--runs",
            self.runs,
            cwd=self.folder,
            env=self.cluster.environment | environment,
        )

    def started(self) -> str:
        """Submits and waits till each gang has kept something; returns the job's id."""
        self.submit_once()
        self.wait_for_checkpoints(2)
        return self.job()

    def started_one(self) -> None:
        """Submits and waits till the first gang has kept something."""
        self.submit_once()
        wait_until(lambda: any(checkpoints(task) for task in self.tasks()), 120, "a checkpoint")

    def submit_once(self) -> None:
        done = self.submit()
        if done.returncode != 0:
            raise RuntimeError(f"muster submit: exit code {done.returncode}: {done.stderr}")
        self.submitted += 1

    def jobs(self) -> list[str]:
        """Of this user, pending or running."""
        return self.cluster.run("squeue", "-h", "-o", "%A").stdout.split()

    def job(self) -> str:
        return self.jobs()[0]

    def wait_for_state(self, job: str, state: str) -> None:
        wait_until(lambda: self.cluster.state(job) == state, 90, f"job {job}: {state}")

    def wait_for_empty_queue(self) -> None:
        wait_until(lambda: not self.jobs(), 60, "an empty queue")

    def tasks(self) -> list[Path]:
        folder = self.runs / "faults" / "tasks"
        return sorted(folder.iterdir()) if folder.exists() else []

    def attempts(self) -> list[Path]:
        return [attempt for task in self.tasks() for attempt in sorted(task.glob("attempt-*"))]

    def wait_for_checkpoints(self, more: int) -> None:
        """Till each task has made so many more checkpoints."""
        before = {task: checkpoints(task) for task in self.tasks()}

        def all_have() -> bool:
            tasks = self.tasks()
            return len(tasks) == 4 and all(
                checkpoints(task) >= before.get(task, 0) + more or (task / "done.json").exists()
                for task in tasks
            )

        wait_until(all_have, 120, f"{more} more checkpoints of each task")

    def all_done(self) -> bool:
        tasks = self.tasks()
        return len(tasks) == 4 and all((task / "done.json").exists() for task in tasks)

    def explained(self) -> str:
        """What `muster explain` says of the first task."""
        return self.cluster.run(MUSTER, "explain", "0", "--runs", self.runs, cwd=self.folder).stdout.strip()

    def finish(self, seconds: float) -> None:
        """Waits till all is done; submits again where nothing of the run is left in the queue."""
        deadline = time.monotonic() + seconds
        while not self.all_done():
            if time.monotonic() > deadline:
                raise TimeoutError("not done in time; " + self.cluster.run("squeue").stdout)
            time.sleep(0.5)
            answers = self.cluster.run("squeue", "-h")
            if answers.returncode == 0 and not answers.stdout.strip() and not self.all_done():
                self.submitted += self.submit().returncode == 0


def write_experiment(folder: Path, plugin: Path, steps: list[int], step_seconds: float, slurm: dict) -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / "faults.toml"
    lines = "\n".join(f"{name} = {json.dumps(value)}" for name, value in slurm.items())
    file.write_text(EXPERIMENT.format(plugin=plugin, steps=steps, step_seconds=step_seconds, slurm=lines))
    return file


def events(attempt: Path) -> list[dict]:
    file = attempt / "events.jsonl"
    found = []
    for line in file.read_text().splitlines() if file.exists() else []:
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return found


def checkpoints(task: Path) -> int:
    return sum(
        event["event"] == "checkpoint" for attempt in task.glob("attempt-*") for event in events(attempt)
    )


def weights(task: Path) -> str:
    return hashlib.sha256((task / "artifacts" / "final.bin").read_bytes()).hexdigest()


# ---- the faults: each leaves the cluster able to go on


def usr1_before_the_limit(trial: Trial) -> None:
    job = trial.started()
    wait_until(lambda: trial.cluster.state(job) != "RUNNING", 150, "USR1 and the end of the job")


def time_limit(trial: Trial) -> None:
    """The launcher is frozen, and so does not hear that the limit comes."""
    job = trial.started()
    for launcher in launchers(trial):
        os.kill(launcher, signal.SIGSTOP)
    trial.cluster.said_by("scontrol", "update", f"jobid={job}", "TimeLimit=1")
    wait_until(lambda: trial.cluster.state(job) != "RUNNING", 150, "the time limit")


def command_lines() -> dict[int, list[str]]:
    found = {}
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with contextlib.suppress(OSError):
                found[int(process.name)] = (process / "cmdline").read_bytes().decode().split("\0")
    return found


def launchers(trial: Trial) -> list[int]:
    """`muster run` and `muster continue` that work on this run."""
    return [
        process
        for process, words in command_lines().items()
        if words[0].endswith("/muster") and any(word.startswith(str(trial.runs)) for word in words)
    ]


def ranks_of(trial: Trial, attempt: int) -> list[int]:
    return [
        process
        for process, words in command_lines().items()
        if words[0].endswith("/muster-runner")
        and any(word.startswith(str(trial.runs)) for word in words)
        and words[words.index("--attempt") + 1] == str(attempt)
    ]


def requeued_by_hand(trial: Trial) -> None:
    job = trial.started()
    for _ in range(2):
        trial.wait_for_checkpoints(1)
        trial.cluster.said_by("scontrol", "requeue", job)
        trial.wait_for_state(job, "PENDING")
        trial.wait_for_state(job, "RUNNING")


def preempted(trial: Trial) -> None:
    job = trial.started()
    trial.cluster.said_by(
        "sbatch", "--partition=high", "--nodes=2", "--exclusive", "--output=/dev/null", "--wrap=sleep 5"
    )
    wait_until(lambda: trial.cluster.state(job) != "RUNNING", 60, "preemption")
    wait_until(lambda: "preempted" in trial.explained(), 20, "`muster explain` names the preemption")


def node_crashed(trial: Trial) -> None:
    node = where(trial)
    trial.cluster.control("crash-node", node)
    time.sleep(3)
    trial.cluster.control("start-node", node)


def node_lost_for_good(trial: Trial) -> None:
    trial.cluster.control("crash-node", where(trial))


def slurmd_killed_orphans_left(trial: Trial) -> None:
    node = where(trial)
    trial.cluster.control("kill-node", node)
    trial.wait_for_checkpoints(1)
    assert trial.submitted == 1


def orphaned_ranks(trial: Trial) -> None:
    """slurmd, the launcher and what it started die; the ranks compute on, and meet a later claim."""
    node = where(trial)
    trial.cluster.control("kill-node", node)
    for launcher in launchers(trial):
        os.kill(launcher, signal.SIGKILL)
    for process, words in command_lines().items():
        below = any(word.startswith(str(trial.runs)) for word in words)
        if below and (words[0] == "srun" or (words[0].endswith("/muster-shim") and "--rank" not in words)):
            os.kill(process, signal.SIGKILL)
    orphans = ranks_of(trial, 1)
    print(f"  orphans that compute on: {len(orphans)}")
    if len(orphans) != 8:
        raise RuntimeError("not every rank outlived its launcher")
    # Slurm still heard that the batch script died, so the job is over.
    wait_until(lambda: not trial.jobs(), 120, "the end of the job")
    trial.submit_once()
    wait_until(lambda: len(ranks_of(trial, 2)) == 8, 60, "the next attempts")
    print(f"  beside the next attempts' ranks: {len(ranks_of(trial, 1))}")
    time.sleep(20)
    print(f"  20 s later, in a collective that its peer has left: {len(ranks_of(trial, 1))}")
    trial.cluster.control("start-node", node)


def link_cut(trial: Trial) -> None:
    """The node and its launcher compute on, unreachable, beside their successors; then the link heals."""
    node = where(trial)
    trial.cluster.control("cut-link", node)
    wait_until(lambda: len(ranks_of(trial, 2)) == 8, 180, "the next attempts on the other node")
    print(f"  ranks on the lost node beside the next attempts' ranks: {len(ranks_of(trial, 1))}")
    time.sleep(10)
    trial.cluster.control("heal-link", node)
    wait_until(lambda: not ranks_of(trial, 1), 60, "the end of what ran on the lost node")


SAVED = 10  # s till the controller has saved that a job runs


def controller_killed(trial: Trial) -> None:
    trial.started()
    time.sleep(SAVED)
    trial.cluster.control("kill-controller")
    trial.wait_for_checkpoints(3)
    trial.cluster.control("start-controller")


def controller_forgets(trial: Trial) -> None:
    """Killed before it saved that the job runs, it starts the job a second time. The node refuses, and Slurm
    ends what runs, drains the node and holds the job, till somebody does what `muster explain` says."""
    job = trial.started()
    trial.cluster.control("kill-controller")
    trial.cluster.control("start-controller")
    wait_until(lambda: "'scontrol release'" in trial.explained(), 120, "a held job, explained")
    print("  explained: " + trial.explained().replace("\n", "\n    "))
    trial.cluster.said_by("scontrol", "update", "NodeName=n1", "State=RESUME")
    trial.cluster.said_by("scontrol", "release", job)


def controller_away_when_gangs_start(trial: Trial) -> None:
    """The node has room for one gang at a time: the next ones are due while nobody can start a step."""
    trial.started_one()
    time.sleep(SAVED)
    trial.cluster.control("kill-controller")
    time.sleep(45)
    trial.cluster.control("start-controller")


def batch_script_killed(trial: Trial) -> None:
    job = trial.started()
    trial.cluster.said_by("scancel", "--signal=KILL", "--batch", job)
    trial.cluster.wait_for_end(job, 60)


def answer_lost(trial: Trial, job_is_lost: bool) -> None:
    """sbatch is accepted; then the controller dies, before or after it saved the job; the answer is lost."""
    wrappers = trial.folder / "wrappers"
    wrappers.mkdir()
    control = f"{proof.ROOT}/slurm/test-cluster"
    cluster = trial.cluster.folder
    # A job that was never saved is not in the state that the next controller reads.
    before, after, forget = ":", "sleep 8", ":"
    if job_is_lost:
        before, after = f"cp -a {cluster}/state {cluster}/saved", ":"
        forget = f"rm -r {cluster}/state && mv {cluster}/saved {cluster}/state"
    (wrappers / "sbatch").write_text(
        f"""#!/bin/bash
{before}
{shutil.which("sbatch")} "$@" > {trial.folder}/answer
{after}
{control} kill-controller {cluster}
{forget}
echo 'sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)' >&2
exit 1
"""
    )
    (wrappers / "sbatch").chmod(0o755)
    done = trial.submit(PATH=f"{wrappers}:{trial.cluster.environment['PATH']}")
    print(f"  sbatch answered: {(trial.folder / 'answer').read_text().strip()}")
    print(f"  muster submit: exit code {done.returncode}, {done.stderr.strip()}")
    trial.cluster.control("start-controller")
    wait_until(lambda: trial.cluster.run("squeue").returncode == 0, 30, "the controller's answer")
    print(f"  jobs that the controller knows then: {trial.jobs()}")
    if job_is_lost:
        if trial.jobs():
            raise RuntimeError("the job was not lost")
        other = trial.cluster.said_by("sbatch", "--parsable", "--output=/dev/null", "--wrap=sleep 20")
        print(f"  somebody else's job now has id {other}")
    again = trial.submit()
    print(f"  muster submit again: {again.returncode}, {(again.stdout + again.stderr).strip()!r}")
    ours = trial.cluster.said_by("squeue", "-h", "-o", "%A %k").splitlines()
    ours = [line for line in ours if "muster:" in line]
    if len(ours) != 1:
        raise RuntimeError(f"jobs of this run in the queue: {ours}")


def where(trial: Trial) -> str:
    """The node of the one-node job, once it has kept something."""
    return trial.cluster.said_by("squeue", "-h", "-o", "%N", "-j", trial.started())


PREEMPTION = (
    "PreemptType=preempt/partition_prio",
    "PreemptMode=REQUEUE",
    "PartitionName=low Nodes=ALL PriorityTier=1 MaxTime=INFINITE",
    "PartitionName=high Nodes=ALL PriorityTier=10 MaxTime=INFINITE",
)
QUICK = ("SlurmdTimeout=10",)
# name: what happens, seconds a task, lines of slurm.conf or options of the cluster, keys of [slurm]
FAULTS: dict[str, tuple[Callable[[Trial], None], float, tuple[str, ...], dict]] = {
    "usr1": (usr1_before_the_limit, 100, (), {"time": "2"}),
    "timeout": (time_limit, 130, (), {}),
    "requeue": (requeued_by_hand, 25, (), {}),
    "preemption": (preempted, 25, PREEMPTION, {"partition": "low"}),
    "node-crash": (node_crashed, 25, QUICK, {}),
    "node-lost": (node_lost_for_good, 25, QUICK, {}),
    "slurmd-killed": (slurmd_killed_orphans_left, 60, QUICK, {}),
    "orphans": (orphaned_ranks, 60, QUICK, {}),
    "link-cut": (link_cut, 90, (*QUICK, "MessageTimeout=5", "--links"), {}),
    "controller-killed": (controller_killed, 25, (), {}),
    "controller-forgets": (controller_forgets, 25, (), {}),
    "controller-away": (controller_away_when_gangs_start, 20, ("--nodes 1 --cpus 2",), {}),
    "answer-lost": (lambda trial: answer_lost(trial, job_is_lost=False), 60, (), {}),
    "job-lost": (lambda trial: answer_lost(trial, job_is_lost=True), 10, (), {}),
    "batch-killed": (batch_script_killed, 25, (), {}),
}


def undisturbed(folder: Path, plugin: Path, steps: list[int]) -> dict[int, str]:
    """Weights by the number of steps: the plugin's depend on every step, not on how long one takes."""
    file = write_experiment(folder, plugin, steps, 0, SLURM)
    proof.checked([MUSTER, "run", file, "--runs", folder / "runs"])
    return {steps_of(task): weights(task) for task in (folder / "runs" / "faults" / "tasks").iterdir()}


def steps_of(task: Path) -> int:
    return int(task.name.partition("-")[0].removeprefix("steps"))


def judged(trial: Trial, expected: dict[int, str]) -> dict[str, bool]:
    tasks = trial.tasks()
    ends = {task: [exit_code(attempt) for attempt in sorted(task.glob("attempt-*"))] for task in tasks}
    rows = {task: [int(row["step"]) for row in proof.rows(task)] for task in tasks}
    for task in tasks:
        resumed = [
            e["step"] for a in sorted(task.glob("attempt-*")) for e in events(a) if e["event"] == "resumed"
        ]
        print(
            f"  {task.name}: attempts ended {ends[task]}, resumed at {resumed}, weights {weights(task)[:12]}"
        )
    return {
        "every task is done": trial.all_done(),
        "each was finished once": all(codes.count(0) == 1 for codes in ends.values()),
        "weights are the undisturbed ones": all(weights(task) == expected[steps_of(task)] for task in tasks),
        "each step is there once": all(rows[task] == list(range(1, steps_of(task) + 1)) for task in tasks),
    }


def exit_code(attempt: Path) -> int | str:
    file = attempt / "exit.json"
    return json.loads(file.read_text())["exit_code"] if file.exists() else "vanished"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("faults", nargs="*", metavar="FAULT", help=f"of {', '.join(FAULTS)}; all")
    parser.add_argument("--plain", action="store_true", help="sbatch of a script with `muster run` in it")
    parser.add_argument("--keep", action="store_true", help="leave the folder of a fault that failed")
    arguments = parser.parse_args()
    chosen = arguments.faults or list(FAULTS)
    if unknown := set(chosen) - set(FAULTS):
        sys.exit(f"no such fault: {', '.join(sorted(unknown))}; there are {', '.join(FAULTS)}")
    verdict = proof.Verdict()
    with proof.scratch() as folder:
        plugin = folder / "counting.so"
        shutil.copy(proof.BUILD / "tests" / "runner" / "plugins" / "counting.so", plugin)
        proof.checked(
            [
                proof.BUILD / "bin" / "muster-runner",
                "--describe",
                plugin,
                "--output",
                plugin.with_suffix(".json"),
            ]
        )
        lengths = sorted({round(10 * FAULTS[name][1]) + n for name in chosen for n in range(4)})
        expected = undisturbed(folder / "undisturbed", plugin, lengths)
        for number, name in enumerate(chosen):
            happens, seconds, conf, slurm = FAULTS[name]
            # Short: sockets lie in it.
            place = folder / str(number)
            place.mkdir()
            lines = [word for line in conf for word in (line.split() if line[0] == "-" else ("--conf", line))]
            began = time.monotonic()
            print(f"{name}:", flush=True)
            try:
                with Cluster(place, "--nodes", "2", *lines) as cluster:
                    trial = Trial(cluster, place, plugin, seconds, slurm, arguments.plain)
                    try:
                        happens(trial)
                        print("  explained: " + trial.explained().replace("\n", "\n    "))
                        trial.finish(60 + 4 * seconds)
                        trial.wait_for_empty_queue()
                        facts = judged(trial, expected)
                    finally:
                        if log := sorted(place.glob("runs/faults/*/run.log")):
                            print("    " + log[-1].read_text()[-3000:].replace("\n", "\n    "))
            except (RuntimeError, TimeoutError, AssertionError, OSError) as error:
                print(f"  {type(error).__name__}: {error}")
                facts = {"it went as meant": False}
                if arguments.keep:
                    shutil.copytree(place, f"/tmp/muster-fault-{name}-{os.getpid()}", dirs_exist_ok=True)
            print(
                f"  {time.monotonic() - began:.0f} s, submitted {trial.submitted} times by hand", flush=True
            )
            for what, holds in facts.items():
                verdict.at_least(f"{name}: {what}", int(holds), 1)
    verdict.finish()


if __name__ == "__main__":
    main()
