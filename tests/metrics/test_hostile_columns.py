"""Columns as people have them: odd indices, masks, words. Each is measured, or refused with a reason."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from voxbench.metrics import measure, metrics_of
from voxbench.metrics.detection import eer, operating_points, sasv_eer
from voxbench.metrics.inputs import binary_labels, class_indices, cluster_indices, finite_numbers
from voxbench.metrics.regression import mae
from voxbench.metrics.thresholds import EerPoint, fit
from voxbench.schema import InputError, ScoreKind

SCORES, LABELS = np.array([0.125, 0.5, 0.25, 1.0]), np.array([0, 0, 1, 1])
VALUES = measure(ScoreKind.DETECTION, SCORES, LABELS)[0]
SOUND = {
    "an odd index": (pd.Series(SCORES, index=[9, 3, 3, 0]), pd.Series(LABELS, index=[1, 1, 2, 7])),
    "objects": (pd.Series(SCORES, dtype=object), pd.Series(LABELS, dtype=object)),
    "a mask of nothing": (np.ma.masked_array(SCORES), np.ma.masked_array(LABELS, [False] * 4)),
    "numbers that pandas may miss": (pd.array(SCORES, dtype="Float64"), pd.array(LABELS, dtype="Int64")),
    "booleans that pandas may miss": (SCORES, pd.array(LABELS == 1, dtype="boolean")),
    "decimals": ([Decimal(str(score)) for score in SCORES], LABELS.astype(float)),
    "fractions": ([Fraction(score) for score in SCORES], LABELS.astype(bool)),
    "half precision": (SCORES.astype(np.float16), LABELS.astype(np.uint8)),
    "long double": (SCORES.astype(np.longdouble), LABELS.astype(np.float32)),
    "big endian": (SCORES.astype(">f8"), LABELS.astype(">i4")),
    "every other row": (np.repeat(SCORES, 2)[::2], np.repeat(LABELS, 2)[::2]),
    "labels of many kinds": (SCORES, [False, 0.0, 1, True]),
}
REFUSED = {
    "masked scores": (np.ma.masked_array(SCORES, [0, 1, 0, 0]), LABELS, "scores has 1 masked or missing"),
    "masked labels": (SCORES, np.ma.masked_array(LABELS, [0, 1, 1, 0]), "labels has 2 masked or missing"),
    "missing scores": (pd.array([0.1, None, 0.3, 0.4], dtype="Float64"), LABELS, "scores has 1 masked or missing"),
    "missing labels": (SCORES, pd.array([False, None, True, True], dtype="boolean"), "labels has 1 masked or missing"),
    "None as a score": ([0.1, None, 0.3, 0.4], LABELS, "1 of 4 NaN"),
    "None as a label": (SCORES, [0, None, 1, 1], "found None in row 1"),
    "NA among objects": (SCORES, np.array([0, pd.NA, 1, 1], dtype=object), "NA is ambiguous"),
    "digits as labels": (SCORES, LABELS.astype(str), "found '0' in row 0"),
    "bytes as labels": (SCORES, LABELS.astype(bytes), "found b'0' in row 0"),
    "a category": (SCORES, pd.Categorical(["spoof", "spoof", "bonafide", "bonafide"]), "found 'spoof' in row 0"),
    "a label between": (SCORES, [0, 0.5, 1, 1], "found 0.5 in row 1"),
    "digits as scores": (SCORES.astype(str), LABELS, "<U32 such as 0.125"),
    "digits among objects": (np.array(["0.1", 0.2, 0.3, 0.4], dtype=object), LABELS, "object such as 0.1"),
    "digits in pandas": (pd.Series(["0.1", "0.2", "0.3", "0.4"]), LABELS, "such as 0.1"),
    "one text": ("abcd", LABELS, "<U4 such as abcd"),
    "complex": (SCORES + 0j, LABELS, r"complex128 such as \(0.125\+0j\)"),
    "dates": (np.array(["2020-01-01"] * 4, dtype="datetime64[D]"), LABELS, "datetime64"),
    "durations": (np.arange(4).astype("timedelta64[s]"), LABELS, "timedelta64"),
    "records": (np.array([(1,)] * 4, dtype=[("a", float)]), LABELS, "'a'"),
    "a number too large": ([10**400, 1, 2, 3], LABELS, "too large"),
    "a set": ({0.1, 0.2, 0.3, 0.4}, LABELS, "'set'"),
    "a column": (SCORES[:, None], LABELS[:, None], r"\(4, 1\)"),
    "a table": (pd.DataFrame({"score": SCORES}), LABELS, r"\(4, 1\)"),
    "one number": (0.5, 1, r"shape \(\)"),
}


@pytest.mark.parametrize(("scores", "labels"), SOUND.values(), ids=SOUND)
@pytest.mark.filterwarnings("error")
def test_what_holds_the_same_numbers_has_the_same_values(scores, labels):
    assert measure(ScoreKind.DETECTION, scores, labels)[0] == VALUES
    assert fit(EerPoint(), scores, labels) == fit(EerPoint(), SCORES, LABELS)


@pytest.mark.parametrize(("scores", "labels", "reason"), REFUSED.values(), ids=REFUSED)
@pytest.mark.filterwarnings("error")
def test_what_is_no_column_of_numbers_is_refused_by_every_metric(scores, labels, reason):
    for entry in metrics_of(ScoreKind.DETECTION):
        with pytest.raises(InputError, match=reason) as refusal:
            entry.function(scores, labels)
        assert "\n" not in str(refusal.value)


@pytest.mark.filterwarnings("error")
def test_masks_are_refused_everywhere():
    masked = np.ma.masked_array([1, 0, 1], [1, 0, 0])
    for read, name in (
        (lambda column: finite_numbers(column, "ages"), "ages"),
        (lambda column: class_indices(column, "truth", 2), "truth"),
        (cluster_indices, "clusters"),
        (binary_labels, "labels"),
        (lambda column: mae(column, [1, 2, 3]), "truth"),
        (lambda column: sasv_eer([1.0], column, [0.0]), "nontarget scores"),
    ):
        with pytest.raises(InputError, match=f"{name} has 1 masked or missing rows"):
            read(masked)


def test_zeros_of_both_signs_are_one_score():
    points = operating_points([-0.0, 0.0, 0.0, 1.0], [0, 1, 0, 1])
    assert points.thresholds.tolist() == [0.0, 1.0, np.inf]


def test_scores_at_the_ends_of_the_range_are_told_apart():
    tiny = np.nextafter(0, 1)
    assert eer([0.0, tiny, 2 * tiny], [0, 1, 1]) == 0
    largest = np.finfo(np.float64).max
    assert eer([-largest, largest], [0, 1]) == 0
    # Float64 cannot tell these two integers apart: they are one score, as the conversion makes them.
    assert len(operating_points([2**63, 2**63 + 1], [0, 1]).thresholds) == 2


def test_inverted_scores_have_the_values_of_their_definition():
    scores = -SCORES
    values = measure(ScoreKind.DETECTION, scores, LABELS)[0]
    assert values["auc"] == 1 - VALUES["auc"]
    assert values["eer"] == 1 - VALUES["eer"]
    worst = measure(ScoreKind.DETECTION, [1.0, 2.0, 3.0, 4.0], [1, 1, 0, 0])[0]
    assert (worst["eer"], worst["auc"], worst["min_cllr"], worst["min_dcf_p01"]) == (1, 0, 1, 1)
