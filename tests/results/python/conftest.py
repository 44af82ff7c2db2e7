"""Files of the C++ writers, made by real processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "results" / "python"))


def program(variable: str) -> str:
    path = os.environ.get(variable)
    if not path:
        raise RuntimeError(f"{variable} names no program: run these tests by ctest")
    return path


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    """An experiment's folder with two runs of three tasks."""
    folder = tmp_path / "runs" / "study"
    for name in ("2026-01-01T00-00-00", "2026-01-02T00-00-00"):
        subprocess.run([program("MUSTER_SAMPLE_RUN"), folder, name], check=True)
    return folder


class Writer:
    """metric_writer: table "step" with rows (step i, loss 1/(i+1)), flushed every 10 rows."""

    def __init__(self, folder: Path, rows: int, visibility: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.file = folder / "metrics.h5"
        self.process = subprocess.Popen(
            [program("MUSTER_METRIC_WRITER"), folder, str(rows), "10", "200", visibility],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.flushed_rows()

    def flushed_rows(self) -> int:
        """Waits for the next flush and says how many rows were flushed by then."""
        assert self.process.stdout
        line = self.process.stdout.readline()
        return int(line) if line else 0

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def wait(self) -> None:
        assert self.process.stdout
        self.process.stdout.read()
        assert self.process.wait(timeout=30) == 0


@pytest.fixture
def start_writer(tmp_path: Path) -> Iterator[Callable[..., Writer]]:
    writers: list[Writer] = []

    def start(rows: int = 1_000_000, visibility: str = "swmr") -> Writer:
        writers.append(Writer(tmp_path / f"attempt-{len(writers) + 1}", rows, visibility))
        return writers[-1]

    yield start
    for writer in writers:
        writer.kill()


def wait_for_rows(count: Callable[[], int], more_than: int) -> int:
    """Polls until there are more rows; fails after 10 s."""
    deadline = time.monotonic() + 10
    while (rows := count()) <= more_than:
        assert time.monotonic() < deadline, f"still {rows} rows"
        time.sleep(0.02)
    return rows
