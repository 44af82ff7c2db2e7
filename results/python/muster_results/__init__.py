"""Reads what muster runs leave: tasks and metrics as pandas frames.

>>> import muster_results
>>> run = muster_results.load("results/runs/quickstart")
>>> run.tasks
>>> run.metrics("epoch")

results/README.md in muster's source documents the files.
"""

from muster_results.errors import ResultsError
from muster_results.metric_file import MetricFile, open_metrics
from muster_results.run import Run, load

__all__ = ["MetricFile", "ResultsError", "Run", "load", "open_metrics"]
