"""load(): runs, experiments and tasks as pandas frames."""

from __future__ import annotations

import h5py
import pandas as pd
import pytest

import muster_results
from muster_results import ResultsError


def test_an_experiment_stands_for_its_newest_run(experiment):
    assert muster_results.load(experiment).folder.name == "2026-01-02T00-00-00"
    assert muster_results.load(experiment / "2026-01-01T00-00-00").folder.name == "2026-01-01T00-00-00"


def test_tasks_have_parameters_state_and_final_metrics_with_their_types(experiment):
    tasks = muster_results.load(experiment).tasks
    assert list(tasks.index) == [0, 1, 2]
    assert list(tasks["state"]) == ["done", "done", "pending"]
    assert list(tasks["id"]) == ["12345670", "12345671", "12345672"]
    assert list(tasks["network"]) == ["résnet9"] * 3
    assert tasks["nesterov"].dtype == bool
    assert list(tasks["lr"]) == [0.0, 0.1, 0.2]
    assert list(tasks["final_step"][:2]) == [29, 19]
    assert tasks["final_step"].isna()[2]


def test_summary_csv_shows_the_same_tasks(experiment):
    run = muster_results.load(experiment)
    summary = pd.read_csv(run.folder / "summary.csv", dtype={"id": str})
    tasks = run.tasks.reset_index(drop=True)
    assert list(summary.columns) == list(tasks.columns)
    for column in summary.columns:
        pd.testing.assert_series_equal(summary[column], tasks[column], check_dtype=False, check_exact=True)


def test_metrics_hold_each_row_once_though_attempts_were_resumed(experiment):
    rows = muster_results.load(experiment).metrics("step")
    first = rows[rows["task"] == 0]
    assert list(first["step"]) == list(range(30))
    assert list(first["attempt"]) == [1] * 10 + [2] * 20
    assert list(rows[rows["task"] == 1]["step"]) == list(range(20))
    assert set(rows["task"]) == {0, 1}


def test_the_default_table_is_epoch(experiment):
    rows = muster_results.load(experiment).metrics()
    assert list(rows.columns) == ["task", "attempt", "unix_time", "epoch", "throughput"]


def test_a_task_is_loaded_by_itself(experiment):
    task = next((experiment / "tasks").glob("lr-1-*"))
    assert len(muster_results.load(task).metrics("step")) == 20


def test_the_external_links_lead_to_the_metrics_even_when_moved(experiment, tmp_path):
    moved = tmp_path / "moved"
    experiment.rename(moved)
    with h5py.File(moved / "2026-01-01T00-00-00" / "sweep.h5") as file:
        assert list(file["metrics"]) == ["task-0", "task-1"]
        assert len(file["metrics/task-0/step"]) == 30
    assert len(muster_results.load(moved).metrics("step")) == 50


def test_a_final_metric_is_tabled_over_two_parameters(experiment):
    run = muster_results.load(experiment)
    table = run.table("step", rows="network", columns="nesterov")
    assert table.index.to_list() == ["résnet9"]
    assert table.loc["résnet9"].to_dict() == {False: 29.0, True: 19.0}
    assert run.table("step", rows="network", columns="resources.ranks").to_numpy().tolist() == [[24.0]]
    with pytest.raises(ResultsError, match="no task has 'final_steps'; there is: .*final_step"):
        run.table("steps", rows="network", columns="nesterov")
    with pytest.raises(ResultsError, match="no task has 'fusion'"):
        run.table("step", rows="network", columns="fusion")


def test_a_table_that_is_not_there_is_answered_with_those_that_are(experiment):
    with pytest.raises(ResultsError, match="no task has a table 'epochs'; there is: epoch, step"):
        muster_results.load(experiment).metrics("epochs")


def test_wrong_paths_are_answered_with_what_is_there(experiment, tmp_path):
    with pytest.raises(ResultsError, match="there is no folder"):
        muster_results.load(tmp_path / "nowhere")
    with pytest.raises(ResultsError, match="several experiments; name one: study"):
        muster_results.load(experiment.parent)
    with pytest.raises(ResultsError, match="is no run, experiment or task"):
        muster_results.load(experiment / "tasks")
    with pytest.raises(ResultsError, match="is a file"):
        muster_results.load(experiment / "2026-01-01T00-00-00" / "sweep.h5")
    with pytest.raises(ResultsError, match="cannot be read"):
        (tmp_path / "metrics.h5").write_text("no HDF5")
        muster_results.open_metrics(tmp_path / "metrics.h5")
