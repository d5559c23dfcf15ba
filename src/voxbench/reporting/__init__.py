"""The report: one page, its figures, and the numbers that `dvc metrics` and `dvc plots` show."""

from voxbench.reporting.evidence import Evidence, Finalist, Sources, gather
from voxbench.reporting.exports import summary, write_figures, write_plots
from voxbench.reporting.page import render

__all__ = ["Evidence", "Finalist", "Sources", "gather", "render", "summary", "write_figures", "write_plots"]
