"""Value metrics against the shared vector, scikit-learn, scipy and moments written out."""

import json

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as reference

from voxbench.metrics import METRICS, UndefinedError, bias, measure, metrics_of
from voxbench.metrics.regression import concordance, mae, median_absolute_error, pearson, r2, rmse
from voxbench.schema import InputError, ScoreKind

VECTOR_TOLERANCE = 2e-6
VALUE_METRICS = pytest.mark.parametrize("entry", metrics_of(ScoreKind.VALUE), ids=lambda entry: entry.name)
FUNCTIONS = (mae, median_absolute_error, rmse, r2, pearson, concordance, bias)
EVERY_FUNCTION = pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
TABLES = pytest.mark.parametrize(("rows", "seed"), [(2, 0), (5, 1), (64, 2), (999, 3)])


def ages(rows, seed):
    """Whole years, with ties, and predictions drawn towards the mean."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(18, 76, rows)
    return truth, np.round(0.6 * truth + 15 + rng.normal(0, 6, rows), 1)


def test_the_shared_value_vector(shared):
    vectors = json.loads((shared / "vectors" / "metric_vectors.json").read_text(encoding="utf-8"))["vectors"]
    (vector,) = (v for v in vectors if v["metric"] == "value")
    names = {function.__name__: function for function in FUNCTIONS} | {"ccc": concordance}
    for name, expected in vector["expected"].items():
        found = names[name](vector["inputs"]["y_true"], vector["inputs"]["y_pred"])
        assert found == pytest.approx(expected, abs=VECTOR_TOLERANCE), name


@TABLES
def test_scikit_learn_and_scipy_agree(rows, seed):
    truth, predicted = ages(rows, seed)
    assert mae(truth, predicted) == pytest.approx(reference.mean_absolute_error(truth, predicted), rel=1e-12)
    assert rmse(truth, predicted) == pytest.approx(reference.root_mean_squared_error(truth, predicted), rel=1e-12)
    assert r2(truth, predicted) == pytest.approx(reference.r2_score(truth, predicted), rel=1e-12)
    assert pearson(truth, predicted) == pytest.approx(stats.pearsonr(truth, predicted).statistic, rel=1e-12)
    assert median_absolute_error(truth, predicted) == pytest.approx(
        reference.median_absolute_error(truth, predicted), rel=1e-12
    )


@TABLES
def test_the_concordance_is_that_of_the_moments(rows, seed):
    truth, predicted = ages(rows, seed)
    (variance_t, covariance), (_, variance_p) = np.cov(truth, predicted, ddof=0)
    moments = 2 * covariance / (variance_t + variance_p + (truth.mean() - predicted.mean()) ** 2)
    assert concordance(truth, predicted) == pytest.approx(moments, rel=1e-12)


def test_every_function_by_hand():
    truth, predicted = [20, 30, 40, 50], [22, 30, 34, 50]
    # Errors 2, 0, -6, 0; truth: mean 35, squares 500; predicted: mean 34, squares 416, product sum 440.
    assert mae(truth, predicted) == 2
    assert median_absolute_error(truth, predicted) == 1
    assert rmse(truth, predicted) == pytest.approx(10**0.5)
    assert bias(truth, predicted) == -1
    assert r2(truth, predicted) == pytest.approx(1 - 40 / 500)
    assert pearson(truth, predicted) == pytest.approx(440 / (500 * 416) ** 0.5)
    assert concordance(truth, predicted) == pytest.approx(2 * 440 / (500 + 416 + 4 * 1**2))


def test_the_directions_are_those_of_selection():
    directions = {entry.name: entry.greater_is_better for entry in metrics_of(ScoreKind.VALUE)}
    assert directions == {
        **dict.fromkeys(("mae", "median_absolute_error", "rmse"), False),
        **dict.fromkeys(("r2", "pearson", "concordance"), True),
    }


def test_the_bias_has_a_sign_and_is_no_registered_metric():
    assert bias([30, 30], [25, 31]) == -2
    assert bias([25, 31], [30, 30]) == 2
    assert "bias" not in METRICS


@VALUE_METRICS
def test_truth_itself_is_the_best_prediction(entry):
    truth, predicted = ages(60, 4)
    best, other = entry.function(truth, truth), entry.function(truth, predicted)
    assert best == pytest.approx(1.0 if entry.greater_is_better else 0.0, abs=1e-15)
    assert best > other if entry.greater_is_better else best < other


@EVERY_FUNCTION
def test_neither_the_order_of_the_rows_nor_a_second_copy_matters(function):
    truth, predicted = ages(200, 5)
    order = np.random.default_rng(1).permutation(200)
    value = function(truth, predicted)
    assert function(truth[order], predicted[order]) == pytest.approx(value, rel=1e-12)
    assert function(np.tile(truth, 2), np.tile(predicted, 2)) == pytest.approx(value, rel=1e-12)


@EVERY_FUNCTION
def test_months_instead_of_years_scale_the_errors_only(function):
    truth, predicted = ages(50, 6)
    in_unit = function in (mae, median_absolute_error, rmse, bias)
    factor = 12 if in_unit else 1
    assert function(12 * truth, 12 * predicted) == pytest.approx(factor * function(truth, predicted), rel=1e-12)


# The root mean squared error squares in the unit of the truth, so it is left out.
@pytest.mark.parametrize("function", [each for each in FUNCTIONS if each is not rmse])
@pytest.mark.parametrize("scale", [1e-200, 1e120])
def test_the_scale_of_the_numbers_costs_no_precision(function, scale):
    truth, predicted = ages(50, 6)
    factor = scale if function in (mae, median_absolute_error, bias) else 1
    expected = pytest.approx(factor * function(truth, predicted), rel=1e-9, abs=0)
    assert function(truth * scale, predicted * scale) == expected


def test_only_the_correlation_is_blind_to_an_offset_and_a_gain():
    truth, predicted = ages(80, 7)
    shrunk = 0.2 * predicted + 40
    assert pearson(truth, shrunk) == pytest.approx(pearson(truth, predicted), rel=1e-12)
    assert pearson(truth, -predicted) == pytest.approx(-pearson(truth, predicted), rel=1e-12)
    assert concordance(truth, shrunk) < concordance(truth, predicted) - 0.1
    assert concordance(truth, predicted) < pearson(truth, predicted)
    assert concordance(truth, predicted) == pytest.approx(concordance(predicted, truth), rel=1e-12)
    assert concordance(truth, 70 - truth) == pytest.approx(
        -2 * truth.var() / (2 * truth.var() + (2 * truth.mean() - 70) ** 2)
    )


def test_a_correlation_never_leaves_its_range():
    for seed in range(50):
        truth = np.random.default_rng(seed).normal(40, 1e-6, 7)
        assert pearson(truth, 0.1 * truth + 3) <= 1
        assert pearson(truth, 3 - 0.1 * truth) >= -1


def test_the_best_constants_are_the_median_and_the_mean():
    truth = np.array([19, 20, 22, 30, 71])
    grid = np.arange(15, 75, 0.1)
    assert mae(truth, np.full(5, np.median(truth))) <= min(mae(truth, np.full(5, value)) for value in grid)
    assert rmse(truth, np.full(5, truth.mean())) <= min(rmse(truth, np.full(5, value)) for value in grid)
    assert r2(truth, np.full(5, truth.mean())) == pytest.approx(0, abs=1e-15)
    assert r2(truth, np.full(5, 80.0)) < 0


def test_a_constant_prediction_has_errors_but_no_correlation():
    # The mean of three times 0.1 is not 0.1, so a test of the variance would miss that it is constant.
    truth, constant = np.array([0.1, 0.3, 0.8]), np.full(3, 0.1)
    assert np.mean(constant) != 0.1
    values, undefined = measure(ScoreKind.VALUE, truth, constant)
    assert set(undefined) == {"pearson"}
    assert undefined["pearson"] == "a correlation needs two different values: the prediction is 0.1 in all 3 rows"
    assert values["concordance"] == 0
    assert values["mae"] == pytest.approx(0.3)


@pytest.mark.parametrize("rows", [1, 3])
def test_a_constant_truth_has_neither_r2_nor_correlation(rows):
    truth, predicted = np.full(rows, 0.1), np.arange(1, rows + 1)
    values, undefined = measure(ScoreKind.VALUE, truth, predicted)
    assert set(undefined) == {"r2", "pearson"}
    assert undefined["r2"] == f"R2 needs two different values in the truth: all {rows} are 0.1"
    assert "the truth is 0.1" in undefined["pearson"]
    assert values["concordance"] == 0


def test_the_concordance_of_two_constants():
    assert concordance([30, 30], [31, 31]) == 0
    with pytest.raises(UndefinedError, match="truth and prediction are 30"):
        concordance([30, 30], [30, 30])


@EVERY_FUNCTION
def test_a_value_is_a_python_float_and_the_input_stays(function):
    truth, predicted = ages(50, 8)
    truth, predicted = truth.astype(np.uint8), predicted.astype(np.float32)
    before = truth.copy(), predicted.copy()
    assert type(function(truth, predicted)) is float
    assert np.array_equal(before[0], truth)
    assert np.array_equal(before[1], predicted)
    assert function(truth.tolist(), predicted.tolist()) == function(truth, predicted)


UNSOUND = {
    "empty": ([], [], "non-empty"),
    "rows differ": ([20, 30, 40], [20, 30], r"\(3,\) like truth, found \(2,\)"),
    "a scalar prediction": ([20, 30], 25, r"found \(\)"),
    "truth a column": ([[20], [30]], [20, 30], r"\(2, 1\)"),
    "both columns": ([[20], [30]], [[20], [30]], r"non-empty vector, found shape \(2, 1\)"),
    "predicted a column": ([20, 30], [[20], [30]], r"\(2, 1\)"),
    "NaN": ([20, np.nan], [20, 30], "truth must be finite.* 1 of 2"),
    "infinity": ([20, 30], [20, np.inf], "predicted must be finite.* 1 of 2"),
    "missing": ([20, None], [20, 30], "finite"),
    "word": (["twenties", "teens"], [20, 30], "numbers"),
    "ragged": ([[20], [30, 40]], [20, 30], "numbers"),
}


@EVERY_FUNCTION
@pytest.mark.parametrize(("truth", "predicted", "reason"), UNSOUND.values(), ids=UNSOUND)
def test_unsound_input_is_refused_with_the_reason(function, truth, predicted, reason):
    with pytest.raises(InputError, match=reason) as refusal:
        function(truth, predicted)
    assert not isinstance(refusal.value, UndefinedError)
    assert "\n" not in str(refusal.value)
