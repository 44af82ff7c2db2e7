"""The metrics file opens with h5py and pandas alone: while it grows, after SIGKILL, and closed."""

from __future__ import annotations

import h5py
import numpy as np
import pandas as pd
import pytest
from conftest import wait_for_rows

import muster_results


def steps_are_whole(rows: pd.DataFrame) -> bool:
    number = np.arange(len(rows))
    return bool((rows["step"] == number).all() and (rows["loss"] == 1.0 / (number + 1)).all())


def test_h5py_reads_a_file_that_grows(start_writer):
    writer = start_writer()
    with h5py.File(writer.file, "r", swmr=True) as file:
        steps = file["step"]

        def count() -> int:
            steps.refresh()
            return len(steps)

        first = wait_for_rows(count, 10)
        wait_for_rows(count, first)
        assert steps_are_whole(pd.DataFrame(steps[:]))


@pytest.mark.parametrize("visibility", ["swmr", "flush"])
def test_our_reader_follows_a_file_that_grows(start_writer, visibility):
    writer = start_writer(visibility=visibility)

    def count() -> int:
        with muster_results.open_metrics(writer.file) as file:
            rows = file.table("step")
        assert steps_are_whole(rows)
        return len(rows)

    wait_for_rows(count, wait_for_rows(count, 10))


@pytest.mark.parametrize("visibility", ["swmr", "flush"])
def test_every_flushed_row_is_there_after_sigkill(start_writer, visibility):
    for _ in range(5):
        writer = start_writer(visibility=visibility)
        flushed = 0
        while flushed < 100:
            flushed = writer.flushed_rows()
        writer.kill()
        with muster_results.open_metrics(writer.file) as file:
            rows = file.table("step")
        assert len(rows) >= flushed
        assert steps_are_whole(rows)


def test_plain_h5py_opens_a_file_after_sigkill_in_swmr_mode(start_writer):
    writer = start_writer()
    flushed = writer.flushed_rows()
    writer.kill()
    with h5py.File(writer.file, "r", swmr=True) as file:
        assert len(file["step"]) >= flushed


@pytest.mark.parametrize("visibility", ["swmr", "flush"])
def test_a_closed_file_opens_without_flags_and_its_csv_agrees(start_writer, visibility):
    writer = start_writer(rows=503, visibility=visibility)
    writer.wait()
    for table, csv in (("step", "metrics.csv"), ("epoch", "metrics-epoch.csv")):
        with h5py.File(writer.file, "r") as file:
            rows = pd.DataFrame(file[table][:])
        pd.testing.assert_frame_equal(rows, pd.read_csv(writer.file.parent / csv), check_exact=True)
    assert len(rows) == 51


def test_the_file_says_what_it_is(start_writer):
    writer = start_writer(rows=10)
    writer.wait()
    with h5py.File(writer.file, "r") as file:
        assert file.attrs["format"] == "muster-metrics"
        assert file.attrs["format_version"] == 1
        assert file.attrs["task"] == "0123abcd"
        assert file.attrs["attempt"] == 1
        assert file.attrs["visibility"] == "swmr"
        assert list(file.attrs["tables"]) == ["step", "epoch"]
        assert list(file["epoch"].attrs["units"]) == ["1", "s", "1", "images/s"]
        assert file["epoch"].attrs["help"][3] == "of all ranks"
        assert file["epoch"].dtype == np.dtype(
            [("attempt", "<i8"), ("unix_time", "<f8"), ("epoch", "<i8"), ("throughput", "<f8")]
        )
