"""Properties that every registered metric has, so that a new one is tested at birth."""

import os
import subprocess
import sys

import numpy as np
import pytest

from voxbench.metrics import LAZY, METRICS, UndefinedError, measure, metric, metrics_of
from voxbench.schema import InputError, ScoreKind

CLASS_METRICS = pytest.mark.parametrize("entry", metrics_of(ScoreKind.CLASSES), ids=lambda entry: entry.name)


def some_table(entry, rows):
    """Return a table on which the metric has a value, with ties: of two classes if it can be, else of three."""
    rng = np.random.default_rng(7)
    truth = rng.integers(0, 2, rows)
    first = np.round(rng.uniform(size=rows), 1)
    probabilities = np.column_stack([first, 1 - first])
    try:
        entry.function(truth, probabilities)
    except UndefinedError:
        return truth + (first > 0.7), np.column_stack([first / 2, 1 - first, first / 2])
    return truth, probabilities


def test_class_metrics_are_found_without_being_declared():
    names = {entry.name for entry in metrics_of(ScoreKind.CLASSES)}
    assert names >= {
        *("accuracy", "top_2_accuracy", "balanced_accuracy", "macro_f1", "matthews_correlation"),
        *("log_loss", "brier", "expected_calibration_error", "roc_auc"),
    }


@pytest.mark.parametrize("name", list(METRICS))
def test_a_metric_is_described_and_keeps_its_name(name):
    entry = METRICS[name]
    assert entry.name == entry.function.__name__ == name
    assert entry.function.__doc__
    assert ">>>" in entry.function.__doc__, "the docstring shows no example"
    assert entry.function.__annotations__["return"] == "float"


@CLASS_METRICS
def test_the_order_of_the_rows_does_not_matter(entry):
    truth, probabilities = some_table(entry, 200)
    order = np.random.default_rng(1).permutation(200)
    assert entry.function(truth[order], probabilities[order]) == pytest.approx(
        entry.function(truth, probabilities), rel=1e-12
    )


@CLASS_METRICS
def test_every_row_twice_is_the_same_value(entry):
    truth, probabilities = some_table(entry, 50)
    doubled = entry.function(np.tile(truth, 2), np.tile(probabilities, (2, 1)))
    assert doubled == pytest.approx(entry.function(truth, probabilities), rel=1e-12)


@CLASS_METRICS
def test_truth_itself_is_the_best_prediction(entry):
    truth, probabilities = some_table(entry, 50)
    best, other = entry.function(truth, np.eye(probabilities.shape[1])[truth]), entry.function(truth, probabilities)
    assert best == pytest.approx(1.0 if entry.greater_is_better else 0.0, abs=1e-12)
    assert best > other if entry.greater_is_better else best < other


@CLASS_METRICS
def test_a_value_is_a_python_float_and_the_input_stays(entry):
    truth, probabilities = some_table(entry, 50)
    truth, probabilities = truth.astype(np.uint8), probabilities.astype(np.float32)
    before = truth.copy(), probabilities.copy()
    assert type(entry.function(truth, probabilities)) is float
    assert np.array_equal(before[0], truth)
    assert np.array_equal(before[1], probabilities)
    assert entry.function(truth.tolist(), probabilities.tolist()) == entry.function(truth, probabilities)


UNSOUND = {
    "empty": ([], np.empty((0, 2)), "non-empty"),
    "label too high": ([0, 2], [[0.5, 0.5]] * 2, r"0\.\.1"),
    "label negative": ([0, -1], [[0.5, 0.5]] * 2, r"-1\.\.0"),
    "label not integer": ([0.0, 1.0], [[0.5, 0.5]] * 2, "integer"),
    "label boolean": ([False, True], [[0.5, 0.5]] * 2, "integer"),
    "label word": (["f", "m"], [[0.5, 0.5]] * 2, "integer"),
    "label matrix": ([[0, 1]], [[0.5, 0.5]] * 2, "vector"),
    "labels ragged": ([[0, 1], [0]], [[0.5, 0.5]] * 2, "vector"),
    "rows differ": ([0, 1, 1], [[0.5, 0.5]] * 2, "3 rows"),
    "one column": ([0, 0], [[1.0], [1.0]], r"\(2, 1\)"),
    "one dimension": ([0, 1], [0.5, 0.5], r"\(2,\)"),
    "NaN": ([0, 1], [[0.5, 0.5], [np.nan, 0.5]], "1 of 4"),
    "infinity": ([0, 1], [[0.5, 0.5], [np.inf, 0.5]], "1 of 4"),
    "word": ([0, 1], [["a", "b"], ["c", "d"]], "numbers"),
    "hardly negative": ([0, 1], [[0.5, 0.5], [1.0001, -0.0001]], "row 1"),
    "logits": ([0, 1], [[0.5, 0.5], [3.0, -2.0]], "softmax"),
    "not normalised": ([0, 1], [[0.5, 0.5], [0.5, 0.498]], "row 1"),
}


@CLASS_METRICS
@pytest.mark.parametrize(("truth", "probabilities", "reason"), UNSOUND.values(), ids=UNSOUND)
def test_unsound_input_is_refused_with_the_reason(entry, truth, probabilities, reason):
    with pytest.raises(InputError, match=reason) as refusal:
        entry.function(truth, probabilities)
    assert not isinstance(refusal.value, UndefinedError)
    assert "\n" not in str(refusal.value)


def test_measure_tells_values_from_undefined_and_from_unsound():
    truth, probabilities = [0, 1, 2], np.full((3, 3), 1 / 3)
    values, undefined = measure(ScoreKind.CLASSES, truth, probabilities)
    assert values["accuracy"] == pytest.approx(1 / 3)
    assert set(undefined) == {"roc_auc", "matthews_correlation"}
    assert undefined["roc_auc"] == "the ROC needs two classes: found 3"
    assert set(values) | set(undefined) == {entry.name for entry in metrics_of(ScoreKind.CLASSES)}
    with pytest.raises(InputError, match="rows"):
        measure(ScoreKind.CLASSES, [0], probabilities)


def test_a_second_metric_of_one_name_is_refused():
    def accuracy() -> float:
        return 0.0

    with pytest.raises(ValueError, match="registered twice"):
        metric(ScoreKind.VALUE, greater_is_better=True)(accuracy)
    assert METRICS["accuracy"].kind is ScoreKind.CLASSES


def test_importing_the_room_loads_nothing_heavy():
    program = "import sys, voxbench.metrics; print(*sys.modules)"
    path = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env={"PYTHONPATH": path}
    )
    loaded = done.stdout.split()
    assert "voxbench.metrics.classification" in loaded
    heavy = {"torch", "pingouin", "pandas", "scipy.stats", "sklearn", "mlflow"}
    assert heavy.isdisjoint(loaded)
    assert {f"voxbench.metrics.{name}" for name in LAZY}.isdisjoint(loaded)


def test_a_new_file_is_found_by_itself(tmp_path):
    (tmp_path / "novel.py").write_text(
        "from voxbench.metrics.registries import metric\n"
        "from voxbench.schema import ScoreKind\n"
        "@metric(ScoreKind.VALUE, greater_is_better=False)\n"
        "def novel_error(truth, predicted):\n"
        "    return 0.0\n"
    )
    program = (
        "import pkgutil, sys\n"
        "import importlib.util as util\n"
        "spec = util.find_spec('voxbench.metrics')\n"
        f"spec.submodule_search_locations.append({str(tmp_path)!r})\n"
        "room = util.module_from_spec(spec); sys.modules['voxbench.metrics'] = room\n"
        "spec.loader.exec_module(room)\n"
        "print(*room.METRICS)\n"
    )
    path = os.pathsep.join(filter(None, sys.path))
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env={"PYTHONPATH": path}
    )
    assert "novel_error" in found.stdout.split()
