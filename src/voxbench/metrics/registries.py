"""The registry of metrics: what a function must say about itself so that everything else can be generic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from voxbench.registry import Registry
from voxbench.schema import InputError, ScoreKind

MetricFunction = Callable[..., float]


class UndefinedError(InputError):
    """The input is sound, but the metric has no value on it (an AUC with one class); report it as missing."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One number computed from a score table; `greater_is_better` gives the direction of selection.

    One that `needs_order` has a meaning only where the classes stand in an order, from the first to the last.
    """

    name: str
    kind: ScoreKind
    function: MetricFunction
    greater_is_better: bool
    needs_order: bool


METRICS: Registry[Metric] = Registry("metric")


def metric(
    kind: ScoreKind, *, greater_is_better: bool, needs_order: bool = False
) -> Callable[[MetricFunction], MetricFunction]:
    """Return a decorator that registers a function under its own name and leaves it unchanged.

    A second function of one name raises `ValueError`.

    >>> from voxbench.metrics import METRICS
    >>> METRICS["accuracy"].greater_is_better, METRICS["mae"].kind.value
    (True, 'value')
    """

    def register(function: MetricFunction) -> MetricFunction:
        METRICS.add(function.__name__, Metric(function.__name__, kind, function, greater_is_better, needs_order))
        return function

    return register


def metrics_of(kind: ScoreKind, *, ordered: bool = False) -> list[Metric]:
    """Return the metrics of score tables of one kind, in order of registration.

    Those that need an order of the classes are among them where the classes are `ordered`.

    >>> import voxbench.metrics
    >>> [entry.name for entry in metrics_of(ScoreKind.TEXT)]
    ['wer', 'cer']
    """
    entries = [METRICS[name] for name in METRICS if METRICS[name].kind is kind]
    return [entry for entry in entries if ordered or not entry.needs_order]


def measure(kind: ScoreKind, *columns: Any, ordered: bool = False) -> tuple[dict[str, float], dict[str, str]]:
    """Compute every metric of `kind` on the columns of a score table; `ordered` as in `metrics_of`.

    Returns the values by name, and for each metric that is undefined here the reason by name.
    Unsound input raises `InputError` as the single metrics do.

    >>> values, undefined = measure(ScoreKind.CLASSES, [0, 0], [[0.8, 0.2], [0.4, 0.6]])
    >>> values["accuracy"]
    0.5
    >>> undefined["roc_auc"]
    'the ROC needs both classes in the truth: found 0 positive and 2 negative rows'
    """
    values: dict[str, float] = {}
    undefined: dict[str, str] = {}
    for entry in metrics_of(kind, ordered=ordered):
        try:
            values[entry.name] = entry.function(*columns)
        except UndefinedError as error:
            undefined[entry.name] = str(error)
    return values, undefined
