"""The report of a run: one HTML file that opens offline."""

from lstmapps.report.experiment import write_experiment
from lstmapps.report.learning import errors_shown, gates_shown
from lstmapps.report.page import write_report
from lstmapps.report.section import Section

__all__ = ["Section", "errors_shown", "gates_shown", "write_experiment", "write_report"]
