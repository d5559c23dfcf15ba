"""What accuracy costs: trials with their times, the best of each model, the figure and the table, by hand."""

from itertools import pairwise

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure as Canvas

from reporting.figure_evidence import evidence_of
from voxbench.metrics import METRICS
from voxbench.reporting.drawing import STYLE, png, svgs
from voxbench.reporting.figures import figures_of
from voxbench.reporting.figures_costs import COSTS, costs_figure
from voxbench.reporting.quantities import DASH
from voxbench.reporting.tables_costs import costs_table
from voxbench.reporting.trials import best_of_models, timed

ACCURACY = METRICS["accuracy"]


@pytest.fixture
def studied():
    """Return the evidence of a benchmark with a study of its own, one trial of which diverged."""
    found = evidence_of("gender", "accuracy")
    rows = [
        ("cnn", 0, "resnet18", "complete", 11_000_000, 4e8, 0.8, 0.5),
        ("cnn", 1, "resnet18", "pruned", 11_000_000, 4e8, 0.9, 0.4),
        ("cnn", 2, "alexnet", "complete", 57_000_000, 7e8, 0.7, 0.6),
        ("lstm", 0, "bilstm_h128_l1", "complete", 170_000, 9e6, 0.75, 0.5),
        ("lstm", 1, "bilstm_h128_l2", "diverged", 560_000, 3e7, np.nan, np.nan),
    ]
    columns = ["family", "trial", "model", "state", "parameters", "multiply_adds", "valid_accuracy", "valid_loss"]
    trials = timed(pd.DataFrame(rows, columns=columns), epochs())
    found.__dict__.update(study=found.name, selected_by=ACCURACY, trials=trials)
    return found


def epochs():
    """Return times of all trials but the last: of even and odd numbers of epochs, the first of them slow."""
    each = {
        ("cnn", 0): [9.0, 2.0, 3.0],
        ("cnn", 1): [8.0, 4.0],
        ("cnn", 2): [1.5],
        ("lstm", 0): [7.0, 0.25, 0.5, 0.75],
    }
    rows = [(*key, 2, epoch, value) for key, values in each.items() for epoch, value in enumerate(values)]
    return pd.DataFrame(rows, columns=["family", "trial", "workers", "epoch", "seconds"])


def test_a_trials_time_is_the_median_of_its_epochs(studied):
    assert studied.trials["seconds_per_epoch"].tolist() == pytest.approx([3, 6, 1.5, 0.625, np.nan], nan_ok=True)
    assert studied.trials["workers"].tolist() == pytest.approx([2, 2, 2, 2, np.nan], nan_ok=True)


def test_without_times_all_trials_are_there(studied):
    plain = studied.trials.drop(columns=["seconds_per_epoch", "workers"])
    found = timed(plain, epochs().iloc[:0])
    pd.testing.assert_frame_equal(found[list(plain)], plain)
    assert found[["seconds_per_epoch", "workers"]].isna().all(axis=None)


@pytest.mark.parametrize(
    ("metric", "column", "order"),
    [("accuracy", "valid_accuracy", ["a", "b", "d", "c"]), ("log_loss", "valid_log_loss", ["b", "d", "a", "c"])],
)
def test_the_best_of_each_model_by_the_rules_of_selection(metric, column, order):
    """Unfinished trials last, ties by the lower loss and then by name."""
    rows = [
        ("b", "complete", 0.6, 0.5, 0),
        ("a", "complete", 0.6, 0.4, 1),
        ("a", "complete", 0.7, 0.9, 2),
        ("c", "pruned", 0.9, 0.1, 3),
        ("d", "complete", 0.6, 0.5, 4),
        ("d", "diverged", np.nan, np.nan, 5),
    ]
    trials = pd.DataFrame(rows, columns=["model", "state", column, "valid_loss", "trial"])
    if metric == "log_loss":
        trials.loc[trials["trial"] == 1, column] = 0.65
    best = best_of_models(trials, METRICS[metric])
    assert best["model"].tolist() == order
    assert best.set_index("model")["trial"].to_dict() == {
        **{"b": 0, "c": 3, "d": 4},
        "a": 2 if metric == "accuracy" else 1,
    }


def test_the_table_has_a_row_for_each_model(studied):
    table = costs_table(studied)
    assert [row.cells for row in table.rows] == [
        ("resnet18", "cnn", "complete", "11\u202f000\u202f000", "400.00", "3.00", "2", "80.0", "0.500"),
        ("bilstm_h128_l1", "lstm", "complete", "170\u202f000", "9.00", "0.62", "2", "75.0", "0.500"),
        ("alexnet", "cnn", "complete", "57\u202f000\u202f000", "700.00", "1.50", "2", "70.0", "0.600"),
        ("bilstm_h128_l2", "lstm", "diverged", "560\u202f000", "30.00", DASH, DASH, DASH, DASH),
    ]
    assert [row.marked for row in table.rows] == [True, True, False, False]
    assert len(table.columns) == len(table.rows[0].cells)
    assert table.notes == ("bilstm_h128_l2: no seconds, for the times of its run were not kept",)


def test_costs_name_the_finalists_and_count_the_trials(studied):
    figure = figures_of(studied)["costs"]
    assert "one of 5 trials" in figure.says
    assert "64 validation clips" in figure.says
    assert "1 trial without a value: not drawn" in figure.says
    assert "without times" not in figure.says, "what is not drawn at all is counted once"
    for drawing, axis in zip(svgs(figure, "x"), COSTS.values(), strict=True):
        assert f">{axis.format('one crop')}<" in drawing
        assert drawing.count(">resnet18<") == drawing.count(">bilstm_h128_l1<") == 1
        assert ">alexnet<" not in drawing
        assert ">cnn<" in drawing
        assert ">lstm<" in drawing


@pytest.mark.parametrize("column", ["multiply_adds", "seconds_per_epoch"])
def test_costs_are_drawn_alike_each_time_and_move_with_the_trials(studied, column):
    first = png(costs_figure(studied))
    assert png(costs_figure(studied)) == first
    studied.trials.loc[0, column] *= 10
    assert png(costs_figure(studied)) != first


def ticks_of(studied, panel):
    """Return the words and places of at least two ticks below a panel, and whether no word touches the next."""
    with mpl.rc_context(STYLE):
        canvas = Canvas(figsize=(4.0, 3.6), layout="constrained")
        costs_figure(studied).panels[panel](canvas)
        canvas.draw_without_rendering()
        (low, high), ticks = canvas.axes[0].get_xlim(), canvas.axes[0].xaxis.get_major_ticks()
        shown = [tick for tick in ticks if low <= tick.get_loc() <= high]
        boxes = [tick.label1.get_window_extent() for tick in shown]
    assert len(shown) >= 2
    apart = all(left.x1 < right.x0 for left, right in pairwise(boxes))
    return [tick.label1.get_text() for tick in shown], [tick.get_loc() for tick in shown], apart


@pytest.mark.parametrize(
    "times", [[1.0, 1.1, 1.2, 1.05], [0.6, 0.9, 0.7, 1.7], [0.1, 2.0, 30.0, 1.0], [0.01, 90, 1, 8]]
)
def test_ticks_of_seconds_are_plain_and_apart(studied, times):
    studied.trials.loc[:3, "seconds_per_epoch"] = times
    words, places, apart = ticks_of(studied, 2)
    assert [float(word) for word in words] == pytest.approx(places)
    assert apart


@pytest.mark.parametrize("work", [[3.4e6, 5.5e7, 1.2e7, 8e6], [1e6, 1e9, 1e7, 2e8], [1.1e6, 1.2e6, 1.15e6, 1e6]])
def test_ticks_of_multiply_adds_are_apart_and_short(studied, work):
    studied.trials.loc[:3, "multiply_adds"] = work
    words, _, apart = ticks_of(studied, 1)
    assert all(word[-1] in "kMG" for word in words)
    assert apart


def test_trials_without_times_are_counted_and_without_any_time_there_is_no_panel(studied):
    studied.trials.loc[3, "seconds_per_epoch"] = np.nan
    figure = costs_figure(studied)
    assert "1 trial without times: not drawn by seconds" in figure.says
    assert ">bilstm_h128_l1<" not in svgs(figure, "x")[2]
    studied.trials["seconds_per_epoch"] = np.nan
    assert len(svgs(costs_figure(studied), "x")) == len(COSTS) - 1
