"""Errors by group: which columns, by hand, by attack, and what small groups and unknown labels do."""

import numpy as np
import pandas as pd
import pytest

from evaluation.rows import reordered, score_rows, settings, verification
from voxbench.evaluation.calibrating import calibrated
from voxbench.evaluation.group_columns import group_columns, group_labels
from voxbench.evaluation.grouping import grouped
from voxbench.evaluation.intervals import plan_of
from voxbench.metrics.detection import eer, eer_asvspoof
from voxbench.schema import BONAFIDE, InputError, ScoreKind


def tables(scored, decided=None, **changes):
    chosen = settings(**changes)
    return grouped(scored, decided, chosen, plan_of(scored, chosen.report, chosen.evaluation))


def values(found, metric):
    """Return the value of each group in one metric."""
    part = found.groups[found.groups["metric"] == metric]
    return dict(zip(part["group"], part["value"], strict=True))


def spoofing(seed=1, name="scores.csv"):
    """Return 8 speakers with bona fide trials and two attacks, the second one harder."""
    numbers = np.random.default_rng(seed)
    attack = np.array([BONAFIDE, "A01", "A02"] * 80)
    scores = numbers.normal(size=240) + 3 * (attack == BONAFIDE) + 2 * (attack == "A02")
    speakers = np.repeat([f"s{place}" for place in range(8)], 30)
    return score_rows(
        ScoreKind.DETECTION,
        scores,
        (attack == BONAFIDE).astype(int),
        (speakers,),
        classes=("spoof", BONAFIDE),
        attack=attack,
        name=name,
    )


def test_columns_are_the_usual_ones_that_vary_or_those_asked_for():
    rows = pd.DataFrame(
        {
            "id": list("abc"),
            "gender": ["f", "m", None],
            "test_accent": ["x", "y", "y"],
            "language": ["en"] * 3,
            "kept_seconds": [1.0, 2.0, 3.0],
            "test_snr_db": [1.0, 2.0, 3.0],
            "other_seconds": [1.0, 2.0, 3.0],
        }
    )
    bins = {"kept_seconds": (2.0,), "snr_db": (2.0,)}
    assert group_columns(rows, (), bins) == ["gender", "test_accent", "kept_seconds", "test_snr_db"]
    assert group_columns(rows, ["language", "id", "language"], bins) == ["language", "id"]
    with pytest.raises(InputError, match=r"no column 'gendr' to group by \(did you mean 'gender'\?\); columns: id, "):
        group_columns(rows, ["gendr"], bins)


def test_labels_are_words_bins_and_whole_numbers():
    assert group_labels(pd.Series([0.5, None, 9.0], name="snr_db"), {"snr_db": (5.0,)}).tolist()[::2] == [
        "< 5 dB",
        ">= 5 dB",
    ]
    assert group_labels(pd.Series([3.0, np.nan, 1.0], name="codec"), {}).dropna().tolist() == ["3", "1"]
    ages = group_labels(pd.Series(["thirties", "teens", None], name="age_group"), {})
    assert ages.cat.categories[0] == "teens"
    with pytest.raises(InputError, match=r"'rate' holds numbers such as 0\.5: give it rising edges under report.bins"):
        group_labels(pd.Series([0.5, 1.0], name="rate"), {})


def test_means_of_classes_and_values_by_hand():
    genders, speakers = list("ffffmmmm"), list("abcdefgh")
    classes = score_rows(
        ScoreKind.CLASSES, [0, 1] * 4, [[0.8, 0.2]] * 4 + [[0.8, 0.2], [0.2, 0.8]] * 2, (speakers,), gender=genders
    )
    found = tables(classes)
    assert values(found, "accuracy") == {"f": 0.5, "m": 1.0}
    assert found.worst[["by", "group", "metric", "value"]].to_numpy().tolist() == [["gender", "f", "accuracy", 0.5]]
    assert found.gaps[["by", "metric", "highest", "lowest", "gap"]].to_numpy().tolist() == [
        ["gender", "accuracy", "m", "f", 0.5]
    ]
    ages = score_rows(
        ScoreKind.VALUE,
        np.zeros(8),
        [1, -1, 1, -1, 5, 5, -5, 5],
        (speakers,),
        gender=genders,
        kept_seconds=np.arange(8.0),
    )
    found = tables(ages, bins={"kept_seconds": (2.0,)})
    assert values(found, "mae") == pytest.approx({"f": 1.0, "m": 5.0, "< 2 s": np.nan, ">= 2 s": 22 / 6}, nan_ok=True)
    assert found.worst.iloc[0]["group"] == "m"
    assert found.gaps.iloc[0]["gap"] == 4.0


def test_error_rates_weigh_words():
    texts = score_rows(
        ScoreKind.TEXT,
        ["a b c d", "e", "f", "g h", "i", "j"],
        ["a b c d", "x", "f", "g x", "x", "x"],
        (list("abcdef"),),
        accent=["n", "n", "n", "s", "s", "s"],
    )
    found = tables(texts)
    assert values(found, "wer") == {"n": 1 / 6, "s": 3 / 4}
    assert found.gaps.iloc[0][["highest", "lowest", "gap"]].tolist() == ["s", "n", pytest.approx(7 / 12)]
    assert (found.groups["low"] <= found.groups["value"]).all()
    assert (found.groups["value"] <= found.groups["high"]).all()


def test_small_groups_have_no_figures_and_unknown_labels_no_part_in_gaps():
    scored = score_rows(
        ScoreKind.CLASSES,
        [0] * 8,
        [[0.9, 0.1]] * 4 + [[0.1, 0.9]] * 4,
        (list("abcdefgh"),),
        gender=["f", "f", "f", "m", None, None, None, "unknown"],
    )
    found = tables(scored)
    groups = found.groups.set_index("group")
    assert np.isnan(groups.loc["m", "value"])
    assert groups.loc["m", "rows"] == 1
    assert groups.loc["m", "note"] == "too few speakers for an interval: 1, expected 3 or more"
    assert groups.loc["unknown", "value"] == 0.0
    assert groups.loc["unknown", "rows"] == 4
    assert found.worst["group"].tolist() == ["f"]
    assert found.gaps.empty


def test_each_attack_stands_against_all_bona_fide_trials():
    scored = spoofing()
    (scores, labels), attack = scored.columns, scored.rows["attack"].to_numpy()
    for task, metric, name in ((None, eer, "eer"), ("anti_spoofing", eer_asvspoof, "eer_asvspoof")):
        found = tables(scored, task=task)
        expected = {
            word: metric(scores[kept], labels[kept])
            for word in ("A01", "A02")
            for kept in [(attack == BONAFIDE) | (attack == word)]
        }
        assert values(found, name) == pytest.approx(expected)
        assert found.groups["rows"].tolist() == [160, 160]
        assert found.groups["clusters"].tolist() == [8, 8]
        assert found.gaps.iloc[0][["highest", "lowest"]].tolist() == ["A02", "A01"]
        assert found.worst["group"].tolist() == ["A02"]


def test_a_word_that_both_classes_have_divides_both():
    numbers = np.random.default_rng(1)
    labels = np.arange(60) % 2
    genders = np.where((labels == 0) & (np.arange(60) % 4 == 0), "m", "f")
    scored = score_rows(
        ScoreKind.DETECTION, numbers.normal(size=60), labels, (np.repeat(range(10), 6),), gender=genders
    )
    groups = tables(scored).groups.set_index("group")
    assert groups["rows"].to_dict() == {"f": 45, "m": 15}
    assert np.isnan(groups.loc["m", "value"])
    assert "undefined: found 0 target" in groups.loc["m", "note"]


def test_errors_at_the_common_threshold_are_those_of_the_calibrated_rows():
    scored, development = verification(seed=1), verification(seed=2, name="dev.csv", prefix="d")
    decided = calibrated(scored, development, settings())
    found = tables(scored, decided, groups=["test_gender"])
    assert list(dict.fromkeys(found.groups["metric"])) == ["eer", "p_miss(bayes)", "p_fa(bayes)"]
    llrs, labels = decided.scored.columns
    for word in ("female", "male"):
        own = (scored.rows["test_gender"] == word).to_numpy()
        assert values(found, "p_miss(bayes)")[word] == pytest.approx((llrs[own & (labels == 1)] < 0).mean())
        assert values(found, "p_fa(bayes)")[word] == pytest.approx((llrs[own & (labels == 0)] >= 0).mean())
        assert values(found, "eer")[word] == pytest.approx(eer(scored.columns[0][own], labels[own]))
    assert set(found.gaps["metric"]) == {"eer", "p_miss(bayes)", "p_fa(bayes)"}


def test_attacks_share_their_misses_so_only_false_alarms_are_compared():
    decided = calibrated(spoofing(), spoofing(seed=2, name="dev.csv"), settings())
    found = tables(spoofing(), decided)
    assert set(found.groups["metric"]) == {"eer", "p_fa(bayes)"}


def test_without_resamples_values_stay_and_reasons_stand_beside_them():
    found = tables(spoofing(), resamples=50)
    assert found.groups["value"].notna().all()
    assert found.groups["low"].isna().all()
    assert found.groups["note"].str.contains("leave 50 resamples").all()
    assert found.worst.empty
    assert found.gaps.empty


def test_rows_alone_are_clusters_where_nobody_says_who_speaks():
    scored = score_rows(ScoreKind.CLASSES, [0] * 7, [[0.9, 0.1]] * 7, gender=list("ffffmmm"))
    found = tables(scored, min_group_speakers=4)
    assert found.groups["clusters"].tolist() == [4, 3]
    assert found.groups["note"].tolist() == ["", "too few rows for an interval: 3, expected 4 or more"]


def test_nothing_to_group_by_gives_empty_tables_with_their_columns():
    found = tables(score_rows(ScoreKind.VALUE, [1.0, 2.0], [1.0, 3.0], (["a", "b"],)))
    assert (len(found.groups), len(found.worst), len(found.gaps)) == (0, 0, 0)
    assert list(found.gaps)[:3] == ["by", "metric", "highest"]
    assert list(found.groups)[:3] == ["by", "group", "metric"]


def test_order_of_rows_changes_no_group():
    scored = spoofing()
    order = np.random.default_rng(5).permutation(240)
    ours, theirs = tables(scored), tables(reordered(scored, order))
    pd.testing.assert_frame_equal(ours.groups, theirs.groups)
    pd.testing.assert_frame_equal(ours.gaps, theirs.gaps)
