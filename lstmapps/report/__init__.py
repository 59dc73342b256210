"""The report of a run: one HTML file that opens offline."""

from lstmapps.report.experiment import write_experiment
from lstmapps.report.page import write_report

__all__ = ["write_experiment", "write_report"]
