"""Metrics: arrays in, one float out; pure functions of a score table, without torch.

Conventions, for every file of this room:

- The columns of a score table depend on its kind. `classes`: `truth` (N,) integer class indices and
  `probabilities` (N, C), rows summing to one. `value`: `truth` and `predicted` (N,), numbers in one unit.
  `detection`: `scores` (N,), higher = more target, and `labels` (N,), 1 = target (bona fide) and 0 = nontarget
  (spoof), or the one table of `operating_points` that all metrics share. `text`: `references` and `hypotheses`, N
  strings each. Each kind's own file says the rest; `docs/metrics.md` has all metrics on one page.
- Values are float64 fractions or natural units: no percent, no rounding, no sigmoid.
- Equal probabilities: the first class wins. Equal scores: one threshold takes them all, so the order of
  the rows never changes a value.
- Unsound input (NaN, wrong shape, empty, label out of range) raises `InputError`. Sound input on which a
  metric has no value raises its subclass `UndefinedError`: report that as missing, never as a number.
- A metric is a function with `@metric(kind, greater_is_better=...)`. A new file in this folder is found by
  itself, because every module here is imported, except those of `LAZY`, which are heavy and which their users
  import by name: `voxbench.metrics.groups` loads pandas, `voxbench.metrics.significance` pingouin.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from voxbench.metrics.classification import (
    ClassTable,
    Reliability,
    confusion,
    per_class,
    reliability,
)
from voxbench.metrics.registries import METRICS, Metric, UndefinedError, measure, metric, metrics_of
from voxbench.metrics.regression import bias
from voxbench.metrics.roc import RocCurve, area_under_roc, roc_curve
from voxbench.metrics.uncertainty import (
    Interval,
    cluster_bootstrap,
    clustered_mean_interval,
    difference_of,
    paired_difference_interval,
)

LAZY = frozenset({"groups", "significance"})

for _module in iter_modules(__path__):
    if _module.name not in LAZY:
        import_module(f"{__name__}.{_module.name}")

__all__ = [
    "LAZY",
    "METRICS",
    "ClassTable",
    "Interval",
    "Metric",
    "Reliability",
    "RocCurve",
    "UndefinedError",
    "area_under_roc",
    "bias",
    "cluster_bootstrap",
    "clustered_mean_interval",
    "confusion",
    "difference_of",
    "measure",
    "metric",
    "metrics_of",
    "paired_difference_interval",
    "per_class",
    "reliability",
    "roc_curve",
]
