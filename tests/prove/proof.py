"""What the proofs share: running muster and peers, reading metrics, judging figures."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[2]
BUNDLE = ROOT.parent.parent.parent  # where a bundle carries proofs: ROOT is its lib/muster/gpu-tests
IN_BUNDLE = (BUNDLE / "bundle.json").exists()
BUILD = Path(os.environ.get("MUSTER_BUILD", BUNDLE if IN_BUNDLE else ROOT / "build"))
DATA = Path(os.environ.get("MUSTER_TEST_DATA", ROOT.parent / "shared" / "data"))
PEERS_PYTHON = Path(
    os.environ.get("MUSTER_PEER_PYTHON")
    or os.environ.get("PEERS_PYTHON")
    or (sys.executable if IN_BUNDLE else ROOT / ".venv-peers/bin/python")
)
PEERS = ROOT / "tests" / "peers"


def environment(**more: str) -> dict[str, str]:
    values = dict(os.environ, OMP_NUM_THREADS="1", **more)
    if os.geteuid() == 0:
        values |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    return values


def require_peers() -> None:
    if not PEERS_PYTHON.exists():
        sys.exit(f"no peer Python at {PEERS_PYTHON}: run './dev setup --peers', or set MUSTER_PEER_PYTHON")


def require_data(name: str) -> Path:
    folder = DATA / name
    if not folder.is_dir():
        sys.exit(f"no data at {folder}: set MUSTER_TEST_DATA to the folder that holds {name}")
    return folder.resolve()


RECORD = 1 + 32 * 32 * 3  # bytes of an image in CIFAR-10's binary layout
HELD_OUT = 3000


def images_with_more_tests(folder: Path) -> Path:
    """The real images with 3,000 of those for training moved to the test: 1,017 would tell too little."""
    given = require_data("cifar10-subset") / "cifar-10-batches-bin"
    train = b"".join((given / f"data_batch_{i}.bin").read_bytes() for i in range(1, 6))
    cut = len(train) - HELD_OUT * RECORD
    folder.mkdir(parents=True, exist_ok=True)
    fifth = cut // RECORD // 5 * RECORD
    for i in range(5):
        end = cut if i == 4 else (i + 1) * fifth
        (folder / f"data_batch_{i + 1}.bin").write_bytes(train[i * fifth : end])
    (folder / "test_batch.bin").write_bytes(train[cut:] + (given / "test_batch.bin").read_bytes())
    return folder


@contextmanager
def scratch() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="muster-proof-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def checked(command: Sequence[str | Path], **options: object) -> subprocess.CompletedProcess[str]:
    """Runs a command; where it fails, shows what it said and ends the proof."""
    words = [str(c) for c in command]
    with subprocess.Popen(
        words, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(), **options
    ) as process:
        try:
            stdout, stderr = process.communicate()
        except BaseException:
            process.terminate()  # muster then ends its gangs, too, which a kill would leave behind
            process.communicate()
            raise
    if process.returncode != 0:
        print(stdout[-4000:], stderr[-4000:], sep="\n", file=sys.stderr)
        sys.exit(f"exit status {process.returncode}: {' '.join(words)}")
    return subprocess.CompletedProcess(words, process.returncode, stdout, stderr)


def muster_run(experiment: Path, runs: Path) -> float:
    """Seconds that `muster run` took."""
    start = time.perf_counter()
    checked([BUILD / "bin" / "muster", "run", experiment, "--runs", runs])
    return time.perf_counter() - start


def tasks(runs: Path, experiment: str) -> list[Path]:
    return sorted((runs / experiment / "tasks").iterdir())


def finished(runs: Path, experiment: str) -> list[Path]:
    """The tasks of an experiment; ends the proof where one is not done."""
    found = tasks(runs, experiment)
    for task in found:
        if not (task / "done.json").exists():
            sys.exit(f"{task} is not finished: call this proof again to go on")
    return found


def given(task: Path) -> dict[str, str]:
    """What a task was made of, as it stands in its file: the last part of each key and its value."""
    pairs = [line.split("=", 1) for line in (task / "task.toml").read_text().splitlines() if "=" in line]
    return {key.strip().strip('"'): value.strip() for key, value in pairs}


def on_a_gpu() -> str:
    """What a task of one rank gets of a machine with a GPU."""
    return f"gpus_per_rank = 1\ncpus_per_rank = {min(4, len(os.sched_getaffinity(0)))}"


def write_cells(
    file: Path,
    workload: str,
    parameters: dict[str, object],
    cells: list[dict[str, object]],
    resources: str = "",
) -> None:
    """An experiment of the cells, on as many CPUs as there are; values as TOML spells them."""
    lines = ["{ " + ", ".join(f'"{key}" = {value}' for key, value in cell.items()) + " }," for cell in cells]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(
        f'name = "{file.stem}"\nworkload = "{workload}"\n'
        f"[resources]\noversubscribe = true\n{resources}\n[parameters]\n"
        + "".join(f"{key} = {value}\n" for key, value in parameters.items())
        + "[matrix]\ninclude = [\n" + "\n".join(lines) + "\n]\n"
    )  # fmt: skip


def rows(task: Path, table: str = "") -> list[dict[str, float]]:
    """A task's metrics: the first table, or a named other one."""
    with (task / (f"metrics-{table}.csv" if table else "metrics.csv")).open(newline="") as file:
        return [{k: float(v) if v else float("nan") for k, v in row.items()} for row in csv.DictReader(file)]


def shown(values: Sequence[float], digits: int = 1) -> str:
    return "[" + " ".join(f"{v:.{digits}f}" for v in values) + f"] median {median(values):.{digits}f}"


class Verdict:
    """Collects judgements; `finish` prints them and ends the program with 0 where all hold."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.failed = False

    def at_least(self, what: str, value: float, bound: float) -> None:
        self._add(what, value, ">=", bound, value >= bound)

    def at_most(self, what: str, value: float, bound: float) -> None:
        self._add(what, value, "<=", bound, value <= bound)

    def _add(self, what: str, value: float, relation: str, bound: float, holds: bool) -> None:
        self.lines.append(
            f"{'holds' if holds else 'FAILS'}  {what}: {value:.4g} (asked: {relation} {bound:.4g})"
        )
        self.failed |= not holds

    def finish(self) -> None:
        print("\n".join(["", *self.lines, f"verdict: {'FAIL' if self.failed else 'PASS'}"]))
        sys.exit(1 if self.failed else 0)
