"""metrics.h5 of an attempt, while it grows, after its writer died, or closed."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType

import h5py
import pandas as pd

from muster_results.errors import ResultsError

FORMAT = "muster-metrics"
FORMAT_VERSION = 1
# A writer without SWMR (see the file's attribute `visibility`) may be in the middle of a flush: ask again.
PATIENCE = (0.05, 0.2, 0.5)


class MetricFile:
    """One open metrics file. Tables may have grown each time they are read."""

    def __init__(self, path: str | Path) -> None:
        """Raises ResultsError where there is no such file, or it is none of muster's."""
        self.path = Path(path)
        if not self.path.is_file():
            raise ResultsError(f"there is no metrics file '{self.path}': has the task begun?")
        self._file = _open(self.path)
        attributes = self._file.attrs
        if attributes.get("format") != FORMAT:
            self._file.close()
            raise ResultsError(
                f"'{self.path}' is no metrics file of muster; name a run, a task or a metrics.h5"
            )
        if attributes["format_version"] > FORMAT_VERSION:
            version = attributes["format_version"]
            self._file.close()
            raise ResultsError(
                f"'{self.path}' has format version {version}, and this muster_results reads "
                f"{FORMAT_VERSION}: use the muster_results of the muster that wrote it"
            )

    @property
    def attempt(self) -> int:
        """The attempt that wrote the file, from 1."""
        return int(self._file.attrs["attempt"])

    @property
    def table_names(self) -> list[str]:
        """In the order in which the workload declared them."""
        return [str(name) for name in self._file.attrs["tables"]]

    def units(self, table: str) -> dict[str, str]:
        """Units by column; "1" for a ratio or count."""
        dataset = self._dataset(table)
        return dict(zip(dataset.dtype.names, map(str, dataset.attrs["units"]), strict=True))

    def table(self, name: str) -> pd.DataFrame:
        """All rows so far. Raises ResultsError for a table that the workload did not declare."""
        dataset = self._dataset(name)
        dataset.refresh()
        rows = pd.DataFrame(dataset[:])
        # A writer killed between two writes may leave rows of zeros at the end; attempts count from 1.
        unwritten = rows["attempt"].to_numpy() == 0
        return rows if not unwritten.any() else rows.iloc[: int(unwritten.argmax())]

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> MetricFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _dataset(self, name: str) -> h5py.Dataset:
        if name not in self.table_names:
            known = ", ".join(self.table_names) or "none"
            raise ResultsError(f"'{self.path}' has no table '{name}'; its tables: {known}")
        return self._file[name]


def open_metrics(path: str | Path) -> MetricFile:
    """The metrics file itself, for its units, its attempt, or repeated reads while it grows."""
    return MetricFile(path)


def _open(path: Path) -> h5py.File:
    for pause in (*PATIENCE, None):
        try:
            return h5py.File(path, "r", libver="latest", swmr=True, locking=False)
        except OSError as error:
            if pause is None:
                raise ResultsError(f"'{path}' cannot be read: {error}") from error
            time.sleep(pause)
    raise AssertionError
