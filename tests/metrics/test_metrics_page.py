"""The page of metrics says what the registry has, its ranges hold, and what it shows runs."""

import doctest
import re
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from voxbench.metrics import METRICS, UndefinedError
from voxbench.schema import ScoreKind

PAGE = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
TEXT = PAGE.read_text(encoding="utf-8")
HEADINGS = {"Classes": ScoreKind.CLASSES, "Values": ScoreKind.VALUE, "Detection": ScoreKind.DETECTION}
HEADINGS |= {"Text": ScoreKind.TEXT}
UNDEFINED = {
    "there are two classes": [([0, 1], [[0.5, 0.5], [0.1, 0.9]])],
    "truth or prediction is one class": [([0, 0], np.eye(2)), ([0, 1], np.eye(2)[[0, 0]])],
    "more than two classes, or one in the truth": [([0, 1, 2], np.eye(3)), ([0, 0], np.eye(2))],
    "the truth is constant": [([1, 1], [1, 2])],
    "truth or prediction is constant": [([1, 1], [1, 2]), ([1, 2], [3, 3])],
    "both are the same constant": [([2, 2], [2, 2])],
    "a class is missing": [([0.1, 0.2], [1, 1]), ([0.1, 0.2], [0, 0])],
    "all references are empty and a hypothesis is not": [(["", ""], ["", "a"])],
}


def rows():
    """Return the cells of each row of the tables of registered metrics, by name, and the kind of its section."""
    found = {}
    for section in TEXT.split("### ")[1:]:
        kind = HEADINGS[section.split(":")[0]]
        for line in section.split("\n## ")[0].splitlines():
            if line.startswith("| `"):
                cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
                name = cells[0].strip("`")
                assert name not in found
                found[name] = (kind, *cells[1:])
    return found


ROWS = rows()


def test_the_page_has_every_metric_in_its_section_and_no_other():
    assert {name: kind for name, (kind, *_) in ROWS.items()} == {name: METRICS[name].kind for name in METRICS}


def some_columns(kind, draws):
    """Return columns of a kind: some good, some bad, some tied."""
    count = int(draws.integers(2, 9))
    if kind is ScoreKind.CLASSES:
        classes = int(draws.integers(2, 5))
        certain = np.eye(classes)[draws.integers(0, classes, count)]
        spread = draws.dirichlet(np.ones(classes), count).round(1)
        spread = np.where(np.isclose(spread.sum(axis=1), 1)[:, None], spread, 1 / classes)
        return draws.integers(0, classes, count), certain if draws.random() < 0.5 else spread
    if kind is ScoreKind.VALUE:
        truth = draws.integers(-3, 4, count).astype(float)
        return truth, truth * draws.choice([1, -1, 0, 1000]) + draws.integers(0, 2)
    if kind is ScoreKind.DETECTION:
        labels = np.r_[1, 0, draws.integers(0, 2, count)]
        return draws.integers(-4, 5, count + 2) * draws.choice([0, 1, 10]) + 50 * draws.integers(-1, 2) * labels, labels
    words = ["", "a", "b c", "a b c d"]
    return [list(draws.choice(words, count)) for _ in range(2)]


def values_of(name):
    """Return values of a metric on many columns, and whether it was undefined on some."""
    draws, found, undefined = np.random.default_rng(11), [], False
    for _ in range(600):
        try:
            found.append(METRICS[name].function(*some_columns(METRICS[name].kind, draws)))
        except UndefinedError:
            undefined = True
    return np.array(found), undefined


@pytest.mark.parametrize("name", METRICS)
def test_direction_range_and_undefined_cases_are_right(name):
    _, words, limits, arrow, when, _ = ROWS[name]
    assert len(words) > 20
    assert arrow == ("↑" if METRICS[name].greater_is_better else "↓")
    low, high = (float(end.replace("∞", "inf")) for end in limits.strip("[]()").split(","))
    assert (limits[0] == "(", limits[-1] == ")") == (np.isinf(low), np.isinf(high))
    values, undefined = values_of(name)
    assert len(values) > 100
    assert low - 1e-12 <= values.min()
    assert values.max() <= high + 1e-12
    # What is called a bound is reached, or nearly: a range that is too wide is no news.
    best = high if METRICS[name].greater_is_better else low
    assert (values.max() if METRICS[name].greater_is_better else values.min()) == pytest.approx(best, abs=1e-6)
    worst = low if METRICS[name].greater_is_better else high
    if np.isfinite(worst):
        assert np.abs(values - worst).min() < 0.02 * (high - low)
    else:
        assert np.abs(values).max() > 2
    assert not (undefined and when == "never")
    for columns in UNDEFINED.get(when, []):
        with pytest.raises(UndefinedError):
            METRICS[name].function(*columns)
    assert when in UNDEFINED or when == "never"


def test_what_the_page_shows_runs():
    failed, attempted = doctest.testfile(str(PAGE), module_relative=False, encoding="utf-8")
    assert (failed, attempted > 25) == (0, True)


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(voxbench\.[\w.]+)`", TEXT))))
def test_what_the_page_names_exists(name):
    module, _, last = name.rpartition(".")
    try:
        import_module(name)
    except ModuleNotFoundError:
        assert hasattr(import_module(module), last)


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\b((?:tests|benchmarks)/[\w/]+\.py)", TEXT))))
def test_files_that_the_page_names_exist(path):
    assert (PAGE.parents[1] / path).is_file()
