#!/usr/bin/env python3
# Each bad input, full disk or second launcher gives one clear error, its exit code, and nothing half made.
"""Every case is caused for real with the built muster; mounts happen in a namespace of this script's own."""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import proof

NAMESPACE = "MUSTER_PROOF_NAMESPACE"
RECORD = 3073  # bytes of a CIFAR-10 record: a label and 3 * 32 * 32 values

GOOD = """
name = "errors"
workload = "ddp"
[resources]
ranks = {ranks}
[policy]
max_attempts = 1
checkpoint_steps = 10
[parameters]
network = "resnet9"
width = 0.125
data.path = "{data}"
data.samples = 320
data.test_samples = 64
epochs = {epochs}
batch = 32
lr = 0.01
"""


@dataclass
class Case:
    """A folder of its own, and what muster did in it."""

    folder: Path
    problems: list[str] = field(default_factory=list)

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    def muster(self, text: str, *arguments: str, seconds: float = 120) -> subprocess.CompletedProcess[str]:
        file = self.folder / "errors.toml"
        file.write_text(text)
        command = [proof.BUILD / "bin" / "muster", "run", file, "--runs", self.runs, *arguments]
        try:
            done = subprocess.run(
                command, text=True, capture_output=True, env=proof.environment(), timeout=seconds
            )
        except subprocess.TimeoutExpired:
            done = subprocess.CompletedProcess(command, -1, "", f"it still ran after {seconds} s")
        for line in done.stderr.splitlines():
            print(f"    {line.replace(str(self.folder), '…')}")
        return done

    def start(self, text: str) -> subprocess.Popen[bytes]:
        """`muster run` that goes on beside us."""
        file = self.folder / "errors.toml"
        file.write_text(text)
        return subprocess.Popen(
            [proof.BUILD / "bin" / "muster", "run", file, "--runs", self.runs],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=proof.environment(),
        )

    def expect(self, holds: bool, otherwise: str) -> None:
        if not holds:
            self.problems.append(otherwise)

    def refused(self, done: subprocess.CompletedProcess[str], code: int, pattern: str) -> None:
        """Before anything began: one error line, and no file of a run or task."""
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        self.expect(done.returncode == code, f"exit code {done.returncode}, not {code}")
        self.expect(len(lines) == 1, f"{len(lines)} lines of error, not 1")
        self.expect(re.search(pattern, done.stderr) is not None, f"no '{pattern}' in the error")
        made = [path for path in self.runs.rglob("*") if path.is_file() and path.name != "data-digests.json"]
        self.expect(not made, f"left behind: {[str(path.relative_to(self.runs)) for path in made]}")

    def failed(
        self, done: subprocess.CompletedProcess[str], cause: int, pattern: str, exit_code: int = 1
    ) -> None:
        """In the task: the run ends with its code and says why once; the gang ended with the cause's."""
        said = [line for line in done.stderr.splitlines() if " failed: " in line]
        self.expect(done.returncode == exit_code, f"exit code {done.returncode}, not {exit_code}")
        self.expect(len(said) == 1, f"{len(said)} lines say that the task failed, not 1")
        self.expect(re.search(pattern, "\n".join(said)) is not None, f"no '{pattern}' in the error")
        records = [path.read_text() for path in self.runs.glob("errors/tasks/*/attempt-*/exit.json")]
        self.expect(
            any(re.search(rf'"exit_code":\s*{cause}\b', record) for record in records),
            f"no gang ended with code {cause}: {records}",
        )
        self.nothing_half_made()
        self.expect(not list(self.runs.glob("errors/tasks/*/done.json")), "the task is called done")

    def end_what_is_left(self) -> None:
        """Gangs outlive a launcher that was killed. Their shims are called with the attempt's folder."""
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and f"{self.runs}/".encode() in (entry / "cmdline").read_bytes():
                    os.kill(int(entry.name), signal.SIGKILL)
            except OSError:
                continue

    def nothing_half_made(self) -> None:
        staged = [path for path in self.runs.rglob("*") if re.search(r"\.(new|tmp|partial)\b|^\.", path.name)]
        self.expect(not staged, f"half made: {[str(path.relative_to(self.runs)) for path in staged]}")


def good(data: str = "synthetic", ranks: int = 1, epochs: int = 1) -> str:
    return GOOD.format(data=data, ranks=ranks, epochs=epochs)


def unknown_key(case: Case) -> None:
    done = case.muster(good().replace("width = ", "widht = "))
    case.refused(done, 3, r"errors\.toml:\d+:\d+: .*widht.*width")


def wrong_type(case: Case) -> None:
    done = case.muster(good().replace("epochs = 1", 'epochs = "one"'))
    case.refused(done, 3, r"errors\.toml:\d+:\d+: .*epochs.*integer")


def empty_axis(case: Case) -> None:
    done = case.muster(good() + "[matrix.grid]\nseed = []\n")
    case.refused(done, 3, r"errors\.toml:\d+:\d+: .*seed")


def missing_data(case: Case) -> None:
    done = case.muster(good(data=str(case.folder / "nowhere")))
    case.refused(done, 4, r"nowhere")


def cifar10(folder: Path) -> Path:
    """A small data set in CIFAR-10's binary layout."""
    folder.mkdir()
    images = 64
    for name in [f"data_batch_{number}.bin" for number in range(1, 6)] + ["test_batch.bin"]:
        record = b"".join(bytes([at % 10]) + bytes([at]) * (RECORD - 1) for at in range(images))
        (folder / name).write_bytes(record)
    return folder


def truncated_batch(case: Case) -> None:
    data = cifar10(case.folder / "data")
    batch = data / "data_batch_3.bin"
    batch.write_bytes(batch.read_bytes()[:-100])
    case.failed(case.muster(good(data=str(data))), 4, r"data_batch_3\.bin.* truncated")


def label_out_of_range(case: Case) -> None:
    data = cifar10(case.folder / "data")
    batch = data / "data_batch_2.bin"
    content = bytearray(batch.read_bytes())
    content[5 * RECORD] = 10
    batch.write_bytes(content)
    case.failed(case.muster(good(data=str(data), ranks=2)), 4, r"data_batch_2\.bin.*record 5 has label 10")


def too_many_gpus(case: Case) -> None:
    text = good().replace("ranks = 1", "ranks = 1\ngpus_per_rank = 64")
    case.refused(case.muster(text), 5, r"64 GPUs")


def more_ranks_than_cores(case: Case) -> None:
    case.refused(case.muster(good(ranks=4096)), 5, r"4096.*oversubscribe")


def another_abi(case: Case) -> None:
    source = case.folder / "mine.cpp"
    source.write_text(
        '#include "runner/workload.hpp"\n'
        'extern "C" const muster::WorkloadPlugin* muster_workload() {\n'
        "  static muster::WorkloadPlugin plugin;\n"
        "  plugin.abi = muster::kWorkloadAbi + 1;\n"
        "  return &plugin;\n"
        "}\n"
    )
    proof.checked(
        ["c++", "-std=c++20", "-shared", "-fPIC", f"-I{proof.ROOT}", source, "-o", case.folder / "mine.so"]
    )
    manifest = '{"name": "mine", "result_version": 1, "open": true, "parameters": []}\n'
    (case.folder / "mine.json").write_text(manifest)
    done = case.muster('name = "errors"\nworkload = "./mine.so"\n[policy]\nmax_attempts = 1\n')
    case.failed(done, 7, r"mine\.so.*ABI")


def mount(target: Path, *options: str) -> None:
    target.mkdir(exist_ok=True)
    proof.checked(["mount", "-t", "tmpfs", *options, "tmpfs", target])


def read_only_folder(case: Case) -> None:
    mount(case.runs, "-o", "ro")
    case.refused(case.muster(good()), 6, r"Read-only file system.*--runs")


def full_folder(case: Case) -> None:
    mount(case.runs, "-o", "size=64k")
    with (case.runs / "filler").open("wb", buffering=0) as filler:
        try:
            while True:
                filler.write(bytes(4096))
        except OSError:
            pass
    done = case.muster(good())
    (case.runs / "filler").unlink()
    case.refused(done, 6, r"No space left on device.*free some space")


def folder_that_fills_up(case: Case) -> None:
    mount(case.runs, "-o", "size=2m")
    done = case.muster(good(epochs=40))
    case.failed(done, 6, r"No space left on device.*free some space")
    with_room = [
        path for path in case.runs.glob("errors/tasks/*/checkpoints/*") if path.name.startswith("step-")
    ]
    for checkpoint in with_room:
        case.expect((checkpoint / "manifest.json").exists(), f"{checkpoint.name} has no manifest")


def damaged_checkpoint(case: Case) -> None:
    first = case.start(good(epochs=200))

    def checkpoints() -> list[Path]:
        return sorted(case.runs.glob("errors/tasks/*/checkpoints/step-*/manifest.json"))

    wait_for(lambda: len(checkpoints()) >= 2)
    first.terminate()
    first.wait(60)
    older, newest = (path.parent for path in checkpoints()[-2:])
    shared = newest / "shared.safetensors"
    content = bytearray(shared.read_bytes())
    content[-1] ^= 1
    shared.write_bytes(content)
    steps = int(newest.name.removeprefix("step-")), int(older.name.removeprefix("step-"))
    print(f"    {newest.name} damaged, {older.name} whole")
    again = case.start(good(epochs=200))
    log = case.runs / "errors"

    def said() -> str:
        return "\n".join(path.read_text() for path in log.glob("tasks/*/attempt-*/log.txt"))

    def resumed() -> list[int]:
        events = "".join(path.read_text() for path in log.glob("tasks/*/attempt-*/events.jsonl"))
        return [int(step) for step in re.findall(r'"event":"resumed","step":(\d+)', events)]

    wait_for(lambda: bool(resumed()) or again.poll() is not None)
    again.terminate()
    code = again.wait(60)
    for line in said().splitlines():
        if "passed over" in line:
            print(f"    {line.replace(str(case.folder), '…')}")
    case.expect(resumed() == [steps[1]], f"went on from {resumed()}, not from step {steps[1]}")
    case.expect(f"{newest.name} is passed over" in said(), "the log does not say what was passed over")
    case.expect(code == 75, f"exit code {code} of a saved and stopped run, not 75")
    case.nothing_half_made()


def two_launchers(case: Case) -> None:
    first = case.start(good(epochs=400))
    try:
        wait_for(lambda: bool(list(case.runs.glob("errors/tasks/*/attempt-1/events.jsonl"))))
        second = case.muster(good(epochs=400), seconds=30)
        lines = [line for line in second.stderr.splitlines() if line.strip()]
        case.expect(second.returncode == 8, f"exit code {second.returncode}, not 8")
        case.expect(len(lines) == 1, f"{len(lines)} lines of error, not 1")
        case.expect(str(first.pid) in second.stderr, "the error does not name the other launcher's process")
        case.expect(first.poll() is None, "the first launcher ended")
        attempts = list(case.runs.glob("errors/tasks/*/attempt-*"))
        case.expect(len(attempts) == 1, f"{len(attempts)} attempts, not 1")
    finally:
        first.terminate()
        first.wait(60)
    case.nothing_half_made()


def wait_for(holds: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)


CASES: dict[str, Callable[[Case], None]] = {
    "unknown key": unknown_key,
    "wrong type": wrong_type,
    "empty axis": empty_axis,
    "missing data": missing_data,
    "truncated batch file": truncated_batch,
    "label out of range": label_out_of_range,
    "more GPUs than there are": too_many_gpus,
    "more ranks than cores": more_ranks_than_cores,
    "plugin with another ABI": another_abi,
    "read-only results folder": read_only_folder,
    "full results folder": full_folder,
    "results folder that fills up": folder_that_fills_up,
    "damaged newest checkpoint": damaged_checkpoint,
    "two launchers on one run": two_launchers,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", nargs="*", help="some of: " + ", ".join(CASES))
    arguments = parser.parse_args()
    if NAMESPACE not in os.environ:
        os.environ[NAMESPACE] = "1"
        user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        os.execvp("unshare", ["unshare", "--mount", *user, sys.executable, *sys.argv])
    failures = 0
    verdicts = []
    for name in arguments.case or CASES:
        print(f"{name}:", flush=True)
        with proof.scratch() as folder:
            case = Case(folder)
            CASES[name](case)
            case.end_what_is_left()
            if os.path.ismount(case.runs):
                proof.checked(["umount", "--lazy", case.runs])
        verdicts.append(
            f"{'FAIL' if case.problems else 'PASS'}  {name}" + "".join(f"\n      {p}" for p in case.problems)
        )
        failures += bool(case.problems)
    print("\n" + "\n".join(verdicts))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
