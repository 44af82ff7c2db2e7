"""A run, an experiment's newest run, or a single task, as pandas frames."""

from __future__ import annotations

import re
from pathlib import Path

import h5py
import pandas as pd

from muster_results.errors import ResultsError
from muster_results.metric_file import MetricFile

SWEEP = "sweep.h5"
SWEEP_FORMAT = "muster-sweep"
SWEEP_FORMAT_VERSION = 1
METRICS = "metrics.h5"


class Run:
    """What a run has so far. Every call reads the files anew, so it follows a run that goes on."""

    def __init__(self, folder: Path, task_folder: Path | None = None) -> None:
        self.folder = folder
        self._task_folder = task_folder

    @property
    def tasks(self) -> pd.DataFrame:
        """A row a task: what it is, its state, parameters, resources and final metrics.

        The columns are those of summary.csv (results/README.md); the index is the task's number.
        """
        return self._task_rows().set_index("task", drop=False).rename_axis(None)

    def metrics(self, table: str = "epoch") -> pd.DataFrame:
        """All rows of a table over all tasks that have begun, with the task's number in column `task`.

        Raises ResultsError for a table that no task declares, naming those there are.
        """
        frames = []
        tables: set[str] = set()
        for number, path in self._metric_files():
            with MetricFile(path) as file:
                tables.update(file.table_names)
                if table in file.table_names:
                    rows = file.table(table)
                    rows.insert(0, "task", number)
                    frames.append(rows)
        if frames:
            return pd.concat(frames, ignore_index=True)
        if not tables:
            raise ResultsError(f"no task of '{self.folder}' has metrics yet: wait for the first to begin")
        raise ResultsError(f"no task has a table '{table}'; there is: {', '.join(sorted(tables))}")

    def table(self, metric: str, rows: str, columns: str) -> pd.DataFrame:
        """A final metric over two parameters: the mean over the done tasks (seeds, say) in each cell.

        `run.table("test_global_accuracy", rows="network", columns="fusion")` compares fusions. NaN
        where no task has both values. Raises ResultsError for a name that the tasks do not have.
        """
        tasks = self._task_rows()
        value = f"final_{metric}"
        for name in (value, rows, columns):
            if name not in tasks.columns:
                raise ResultsError(f"no task has '{name}'; there is: {', '.join(tasks.columns)}")
        of = tasks[(tasks["state"] == "done") & tasks[value].notna()]
        return of.pivot_table(index=rows, columns=columns, values=value, aggfunc="mean")

    def __repr__(self) -> str:
        return f"Run('{self.folder}')"

    def _metric_files(self) -> list[tuple[int, Path]]:
        if self._task_folder is not None:
            path = _newest_metrics(self._task_folder)
            return [] if path is None else [(0, path)]
        rows = self._task_rows()
        found = [
            (int(number), _newest_metrics(self.folder / folder))
            for number, folder in zip(rows["task"], rows["folder"], strict=True)
        ]
        return [(number, path) for number, path in found if path is not None]

    def _task_rows(self) -> pd.DataFrame:
        if self._task_folder is not None:
            return pd.DataFrame({"task": [0], "folder": [str(self._task_folder)]})
        path = self.folder / SWEEP
        with h5py.File(path, "r", locking=False) as file:
            if (
                file.attrs.get("format") != SWEEP_FORMAT
                or file.attrs["format_version"] > SWEEP_FORMAT_VERSION
            ):
                raise ResultsError(f"'{path}' was written by another muster: use its muster_results")
            rows = pd.DataFrame(file["tasks"][:])
            for name, (kind, _) in file["tasks"].dtype.fields.items():
                if h5py.check_string_dtype(kind) is not None:
                    rows[name] = rows[name].map(lambda text: text.decode("utf-8")).astype(object)
        return rows


def load(path: str | Path) -> Run:
    """Opens a run's folder, an experiment's (its newest run is taken), or a task's.

    Raises ResultsError saying what is there instead.
    """
    folder = Path(path)
    if not folder.exists():
        raise ResultsError(
            f"there is no folder '{folder}'; runs are results/runs/EXPERIMENT/TIME, or where --runs put them"
        )
    if folder.is_file():
        raise ResultsError(
            f"'{folder}' is a file; name the run's folder, or open a metrics.h5 with open_metrics()"
        )
    if (folder / SWEEP).is_file():
        return Run(folder)
    if (folder / "task.toml").is_file() or (folder / METRICS).exists():
        return Run(folder, task_folder=folder)
    # A run is named by its time, so the newest is the last by name.
    runs = sorted(child.parent for child in folder.glob(f"*/{SWEEP}"))
    if runs:
        return Run(runs[-1])
    experiments = sorted({child.parent.parent.name for child in folder.glob(f"*/*/{SWEEP}")})
    if experiments:
        raise ResultsError(f"'{folder}' holds several experiments; name one: {', '.join(experiments)}")
    raise ResultsError(
        f"'{folder}' is no run, experiment or task of muster: it holds neither {SWEEP} nor task.toml"
    )


def _newest_metrics(task_folder: Path) -> Path | None:
    """The last attempt's file: it holds the rows of those before it as well."""
    attempts = [
        (int(found[1]), path)
        for path in task_folder.glob(f"attempt-*/{METRICS}")
        if (found := re.fullmatch(r"attempt-(\d+)", path.parent.name))
    ]
    if attempts:
        return max(attempts)[1]
    path = task_folder / METRICS
    return path if path.is_file() else None
