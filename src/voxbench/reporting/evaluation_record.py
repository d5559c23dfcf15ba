"""All that is found of a score file as plain values for `results.json`: strict JSON, what is missing is null."""

from __future__ import annotations

import math
import platform
from dataclasses import asdict
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pandas as pd

from voxbench import __version__
from voxbench.evaluation.records import Calibrated, Findings, Measured
from voxbench.reporting.evaluation_compared import Against, comparison_notes, verdict
from voxbench.reporting.scored_words import size, speakers

if TYPE_CHECKING:
    from voxbench.evaluation.comparing import Difference

# The libraries whose arithmetic the figures rest on.
LIBRARIES = ("numpy", "scipy", "pandas")


def record_of(findings: Findings, against: Against | None = None) -> dict[str, Any]:
    """Return the content of `results.json`; rates are fractions, nothing is rounded."""
    scored = findings.scored
    return {
        "kind": str(scored.kind),
        "versions": {"voxbench": __version__, "python": platform.python_version()}
        | {name: version(name) for name in LIBRARIES},
        "origin": asdict(scored.origin),
        "notes": list(scored.notes if findings.calibrated is None else findings.calibrated.scored.notes),
        "classes": list(scored.classes),
        "unit": scored.unit,
        "rows": size(scored),
        "speakers": speakers(scored) if scored.speakers else None,
        "resampled": findings.resampled,
        "metrics": [measured_record(each) for each in findings.measured],
        "groups": _records(findings.groups),
        "worst": _records(findings.worst),
        "gaps": _records(findings.gaps),
        "calibrated": None if findings.calibrated is None else _calibrated(findings.calibrated),
        "compared": None if against is None else _compared(findings, against),
    }


def measured_record(measured: Measured) -> dict[str, Any]:
    """Return one metric with its interval; numbers that are no numbers, and what is missing, are None."""
    interval = measured.interval
    bounds = {"low": None, "high": None, "level": None, "clusters": None, "resamples": None, "undefined": None}
    if interval is not None:
        bounds = {name: _plain(getattr(interval, name)) for name in bounds}
    return {"name": measured.name, "value": _plain(measured.value), **bounds, "reason": measured.reason}


def _calibrated(calibrated: Calibrated) -> dict[str, Any]:
    return {
        "calibration": calibrated.calibration.model_dump(mode="json"),
        "development": asdict(calibrated.development),
        "metrics": [measured_record(each) for each in calibrated.measured],
        "thresholds": [
            {
                "name": each.name,
                "threshold": each.threshold.model_dump(mode="json"),
                "p_miss": measured_record(each.p_miss),
                "p_fa": measured_record(each.p_fa),
            }
            for each in calibrated.decided
        ],
    }


def _compared(findings: Findings, against: Against) -> dict[str, Any]:
    return {
        "origin": asdict(against.compared.second),
        "resampled": against.compared.resampled,
        "verdict": verdict(findings, against),
        "notes": list(comparison_notes(findings, against)),
        "metrics": [_difference(each) for each in against.compared.differences],
    }


def _difference(each: Difference) -> dict[str, Any]:
    """Return one metric of both systems; `difference` and its bounds are of this one minus the other."""
    value = None if each.first is None or each.second is None else each.first - each.second
    bounds = measured_record(Measured(each.name, value, each.interval, each.reason))
    return {
        **{"name": bounds.pop("name"), "this": _plain(each.first), "other": _plain(each.second)},
        **{"difference": bounds.pop("value"), "reason": bounds.pop("reason")},
        **bounds,
        "test": each.test,
        **{name: _plain(getattr(each, name)) for name in ("p", "p_holm", "effect_size", "smallest_detectable")},
    }


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): _plain(value) for name, value in row.items()} for row in table.to_dict("records")]


def _plain(value: Any) -> Any:
    """Return a value of JSON: a number of numpy as Python's, NaN, an infinity and what is missing as None."""
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, (bool, int, str, type(None))) else str(value)
