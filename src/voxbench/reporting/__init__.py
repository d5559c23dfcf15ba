"""The report: one page, its figures, and the numbers that `dvc metrics` and `dvc plots` show."""

from voxbench.reporting.evidence import Evidence, Finalist, Question, Sources, gather
from voxbench.reporting.exports import summary, write_cross_figures, write_figures, write_plots
from voxbench.reporting.page import render
from voxbench.reporting.tables_overview import read_matrix

__all__ = [
    "Evidence",
    "Finalist",
    "Question",
    "Sources",
    "gather",
    "read_matrix",
    "render",
    "summary",
    "write_cross_figures",
    "write_figures",
    "write_plots",
]
