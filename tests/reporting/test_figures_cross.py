"""The heat maps of the cross stage, and that words can be read on every colour of the page."""

import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import voxbench.reporting
from voxbench.reporting.drawing import SERIES, TINT, VARIABLES, Figure, png, svgs
from voxbench.reporting.figures_cross import cross_figures

CORPORA = ("voxceleb1", "timit", "common_voice_en")


def row(task: str, own: str, corpus: str, metric: str, value: float | None) -> dict[str, object]:
    baseline = 10.0 if metric == "mae" else 1 / 2 if task == "gender" else 1 / 6
    low, high = (None, None) if value is None else (0.9 * value, 1.05 * value)
    about = {
        "subject": "gender" if task == "gender" else "age",
        "benchmark": f"{task}-{own}",
        "task": task,
        "trained_on": own,
    }
    about |= {"model": "resnet18", "corpus": corpus, "metric": metric, "value": value, "low": low, "high": high}
    return about | {"clips": 120, "speakers": 24, "excluded": 0, "baseline": baseline, "note": ""}


def stored(rows: list[dict[str, object]]) -> pd.DataFrame:
    """Return the rows as the report reads them."""
    return pd.read_csv(io.StringIO(pd.DataFrame(rows).to_csv(index=False)))


@pytest.fixture(scope="module")
def matrix() -> pd.DataFrame:
    rows = []
    for own in CORPORA:
        for corpus in CORPORA:
            rows.append(row("gender", own, corpus, "balanced_accuracy", 0.9 if own == corpus else 0.4))
            rows.append(row("age_group", own, corpus, "balanced_accuracy", 0.5 if own == corpus else 0.1))
            if own == "timit":
                rows.append(row("age_years", own, corpus, "balanced_accuracy", 0.45))
                rows.append(row("age_years", own, corpus, "mae", 5.0 if own == corpus else 12.0))
    return stored(rows)


def texts(figure: Figure) -> list[str]:
    return re.findall(r">([^<>]+)</(?:text|tspan)>", svgs(figure, "x")[0])


def tiles(figure: Figure) -> list[tuple[str, float]]:
    """Return colour and strength of every tile, line by line."""
    found = re.findall(r"fill: var\((--series-\d)\); opacity: ([\d.]+)", svgs(figure, "x")[0])
    return [(color, float(alpha) / TINT) for color, alpha in found]


def test_each_subject_and_metric_has_its_map(matrix: pd.DataFrame) -> None:
    found = cross_figures(matrix)
    assert list(found) == ["gender-balanced_accuracy", "age-balanced_accuracy", "age-mae"]
    assert [figure.name for figure in found.values()] == list(found)
    assert cross_figures(matrix.iloc[:0]) == {}


def test_a_cell_has_its_number_and_interval(matrix: pd.DataFrame) -> None:
    found = cross_figures(matrix)
    shown = texts(found["gender-balanced_accuracy"])
    assert shown.count("90.0") == 3
    assert shown.count("[81.0, 94.5]") == 3
    assert texts(found["age-mae"]).count("5.00") == 1
    assert texts(found["age-mae"]).count("[10.80, 12.60]") == 2


def test_the_baseline_of_every_corpus_is_named(matrix: pd.DataFrame) -> None:
    found = cross_figures(matrix)
    assert texts(found["gender-balanced_accuracy"]).count("chance 50.0\u202f%") == 3
    assert texts(found["age-balanced_accuracy"]).count("chance 16.7\u202f%") == 3
    assert texts(found["age-mae"]).count("constant 10.00") == 3
    changed = matrix.copy()
    changed.loc[changed["metric"] == "mae", "baseline"] = [9.0, 10.0, 11.0]
    assert {f"constant {number}.00" for number in (9, 10, 11)} <= set(texts(cross_figures(changed)["age-mae"]))


def test_blue_is_better_than_the_baseline_and_orange_worse(matrix: pd.DataFrame) -> None:
    found = cross_figures(matrix)
    gender = np.array(tiles(found["gender-balanced_accuracy"]), dtype=object).reshape(3, 3, 2)
    assert gender[..., 0].tolist() == np.where(np.eye(3) == 1, "--series-0", "--series-1").tolist()
    assert np.diag(gender[..., 1].astype(float)) == pytest.approx([0.8] * 3)
    assert [color for color, _ in tiles(found["age-mae"])] == ["--series-1", "--series-0", "--series-1"]
    assert [strength for _, strength in tiles(found["age-mae"])] == pytest.approx([0.4, 1.0, 0.4])


def test_the_own_corpus_is_outlined_and_on_the_diagonal(matrix: pd.DataFrame) -> None:
    found = cross_figures(matrix.sort_values("corpus", kind="stable"))
    for name, lines in {"gender-balanced_accuracy": 3, "age-balanced_accuracy": 4, "age-mae": 1}.items():
        outline = r'<path d="M ([\d.]+) ([\d.]+)[^"]*"[^>]*style="fill: none; stroke: var\(--ink\); stroke-width: 1.5'
        corners = np.array(re.findall(outline, svgs(found[name], "x")[0]), dtype=float)
        assert len(corners) == lines
        if lines == 3:
            assert all(np.diff(corners[:, 0]) > 0)
            assert all(np.diff(corners[:, 1]) > 0)


def test_a_single_corpus_is_a_map_of_one_cell() -> None:
    [figure] = cross_figures(stored([row("gender", "timit", "timit", "balanced_accuracy", 0.75)])).values()
    assert {"75.0", "timit", "gender-timit"} <= set(texts(figure))
    assert png(figure)
    assert "timit: 120 clips of 24 speakers" in figure.says


def test_what_was_not_measured_is_a_dash_with_its_reason() -> None:
    lost = row("gender", "timit", "voxceleb1", "balanced_accuracy", None) | {
        "baseline": None,
        "clips": 0,
        "note": "heard",
    }
    rows = [row("gender", "timit", "timit", "balanced_accuracy", 0.75), lost]
    rows.append(row("gender", "voxceleb1", "voxceleb1", "balanced_accuracy", 0.8))
    [figure] = cross_figures(stored(rows)).values()
    assert texts(figure).count("\u2013") == 2
    assert "gender-timit on voxceleb1: heard." in figure.says
    [empty] = cross_figures(stored([lost])).values()
    assert "chance \u2013" in texts(empty)


def test_equal_matrices_give_equal_bytes(matrix: pd.DataFrame) -> None:
    for figure, again in zip(cross_figures(matrix).values(), cross_figures(matrix.copy()).values(), strict=True):
        assert svgs(figure, "x") == svgs(again, "x")


def luminance(color: np.ndarray) -> float:
    """Return the relative luminance of an sRGB colour in [0, 1], by WCAG 2."""
    linear = np.where(color <= 0.04045, color / 12.92, ((color + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("series", SERIES)
def test_ink_can_be_read_on_the_strongest_tile(theme: int, series: str) -> None:
    css = (Path(voxbench.reporting.__file__).parent / "page.css").read_text(encoding="utf-8")
    themes = re.findall(r":root \{(.*?)\}", css, flags=re.DOTALL)[:2]
    colors = {name: np.array(list(bytes.fromhex(value))) / 255
              for name, value in re.findall(r"(--[\w-]+): #([0-9a-f]{6})", themes[theme])}  # fmt: skip
    tile = TINT * colors[VARIABLES[series]] + (1 - TINT) * colors["--paper"]
    light, dark = sorted((luminance(colors["--ink"]), luminance(tile)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5
