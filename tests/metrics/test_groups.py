"""Reports by group: nobody is lost, small groups are named, and no group depends on another."""

import numpy as np
import pandas as pd
import pytest

from voxbench import seeding
from voxbench.metrics import UndefinedError, clustered_mean_interval
from voxbench.metrics.groups import COLUMNS, UNKNOWN, by_group, gap, worst_group
from voxbench.schema import AGE_GROUPS, InputError

SETTINGS = {"min_clusters": 3, "resamples": 200, "level": 0.9, "seed": 7}


def voices(rows=600, speakers=60, seed=0):
    """Rows of speakers that keep their labels, with missing ones; values are eighths, so sums are exact."""
    rng = np.random.default_rng(seed)
    of_speaker = pd.DataFrame(
        {
            "gender": rng.choice(["female", "male", None], speakers, p=[0.45, 0.45, 0.1]),
            "age_group": rng.choice([*AGE_GROUPS[:3], None], speakers),
            "language": rng.choice(["en", "ru"], speakers),
        }
    )
    speaker = rng.integers(0, speakers, rows)
    values = np.round(8 * rng.exponential(5, rows)) / 8
    return values, of_speaker.iloc[speaker].reset_index(drop=True), np.array([f"id{k:03d}" for k in speaker])


def test_a_small_table_by_hand():
    groups = pd.DataFrame({"gender": ["male", "female", "male", "female", "female", "male"]})
    table = by_group([1, 2, 6, 4, 3, 2], groups, list("abcdee"), **SETTINGS)
    assert table.columns.tolist() == ["gender", *COLUMNS]
    assert table["gender"].tolist() == ["female", "male"]
    assert table["rows"].tolist() == [3, 3]
    assert table["clusters"].tolist() == [3, 3]
    assert table["mean"].tolist() == [3, 3]
    assert table["note"].tolist() == ["", ""]


@pytest.mark.parametrize("columns", [["gender"], ["gender", "age_group"], ["gender", "age_group", "language"]])
def test_pandas_agrees_and_no_row_is_lost(columns):
    values, groups, speakers = voices()
    table = by_group(values, groups[columns], speakers, **SETTINGS)
    frame = groups[columns].fillna(UNKNOWN).assign(value=values, speaker=speakers).groupby(columns)
    expected = frame.agg(rows=("value", "size"), clusters=("speaker", "nunique"), mean=("value", "mean"))
    found = table.set_index(columns)
    pd.testing.assert_frame_equal(found[["rows", "clusters", "mean"]], expected, check_like=True, check_dtype=False)
    assert table["rows"].sum() == len(values)
    assert np.average(table["mean"], weights=table["rows"]) == pytest.approx(values.mean(), rel=1e-12)


def test_the_interval_is_that_of_the_group_alone():
    values, groups, speakers = voices()
    row = by_group(values, groups[["gender", "language"]], speakers, **SETTINGS).iloc[0]
    inside = ((groups["gender"] == row["gender"]) & (groups["language"] == row["language"])).to_numpy()
    alone = clustered_mean_interval(
        values[inside],
        speakers[inside],
        resamples=200,
        level=0.9,
        generator=seeding.generator(7, "groups", f"gender={row['gender']}", f"language={row['language']}"),
    )
    assert (row["mean"], row["low"], row["high"]) == (alone.estimate, alone.low, alone.high)
    assert row["low"] < row["mean"] < row["high"]


def test_a_group_does_not_depend_on_which_others_exist():
    values, groups, speakers = voices()
    whole = by_group(values, groups[["gender"]], speakers, **SETTINGS)
    female = (groups["gender"] == "female").to_numpy()
    alone = by_group(values[female], groups.loc[female, ["gender"]], speakers[female], **SETTINGS)
    pd.testing.assert_frame_equal(alone, whole.iloc[:1])


def test_two_groups_of_equal_content_draw_differently():
    values, _, speakers = voices()
    groups = pd.DataFrame({"half": np.repeat(["first", "second"], len(values))})
    table = by_group(np.tile(values, 2), groups, np.tile(speakers, 2), **SETTINGS)
    assert table["mean"].nunique() == 1
    assert table["low"].nunique() == 2


def test_the_order_of_rows_and_columns_changes_nothing():
    values, groups, speakers = voices()
    table = by_group(values, groups, speakers, **SETTINGS)
    order = np.random.default_rng(1).permutation(len(values))
    pd.testing.assert_frame_equal(by_group(values[order], groups.iloc[order], speakers[order], **SETTINGS), table)
    turned = by_group(values, groups[["language", "gender", "age_group"]], speakers, **SETTINGS)
    order = ["gender", "age_group", "language"]
    pd.testing.assert_frame_equal(
        turned.sort_values(order, ignore_index=True)[table.columns], table.sort_values(order, ignore_index=True)
    )


def test_renamed_speakers_keep_sizes_and_means():
    values, groups, speakers = voices()
    renamed = np.array([int(name[2:]) * 7919 % 1009 for name in speakers])
    kept = [*groups.columns, "rows", "clusters", "mean"]
    first, second = (by_group(values, groups, names, **SETTINGS) for names in (speakers, renamed))
    pd.testing.assert_frame_equal(first[kept], second[kept])
    pd.testing.assert_series_equal(first["low"].isna(), second["low"].isna())


def test_the_seed_and_only_the_seed_moves_the_draws():
    values, groups, speakers = voices()
    first, again, other = (
        by_group(values, groups[["gender"]], speakers, **SETTINGS | {"seed": seed}) for seed in (1, 1, 2)
    )
    pd.testing.assert_frame_equal(first, again)
    assert (first["low"] != other["low"]).all()
    assert (first["mean"] == other["mean"]).all()


def test_the_smallest_group_with_an_interval_has_exactly_the_declared_speakers():
    groups = pd.DataFrame({"language": ["en"] * 4 + ["fr"] * 4 + ["ru"] * 4})
    speakers = [*"abcd", *"efgg", *"hhhh"]
    table = by_group(np.arange(12), groups, speakers, **SETTINGS | {"min_clusters": 4})
    assert table["clusters"].tolist() == [4, 3, 1]
    assert table["low"].notna().tolist() == table["high"].notna().tolist() == [True, False, False]
    assert table["mean"].tolist() == [1.5, 5.5, 9.5]
    assert table["note"].tolist() == [
        "",
        "too few speakers for an interval: 3, expected 4 or more",
        "too few speakers for an interval: 1, expected 4 or more",
    ]
    assert by_group(np.arange(12), groups, speakers, **SETTINGS)["low"].notna().tolist() == [True, True, False]


def test_one_speaker_in_all_is_listed_too():
    table = by_group([1, 0], pd.DataFrame({"gender": ["male"] * 2}), ["a", "a"], **SETTINGS)
    assert table[["rows", "clusters", "mean"]].to_numpy().tolist() == [[2, 1, 0.5]]
    assert np.isnan(table["low"]).all()


def test_a_speaker_of_two_groups_counts_in_both():
    groups = pd.DataFrame({"language": ["en", "ru", "en"]})
    assert by_group([1, 2, 3], groups, ["a", "a", "b"], **SETTINGS)["clusters"].tolist() == [2, 1]


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
def test_a_missing_label_is_the_group_unknown(missing):
    groups = pd.DataFrame({"gender": pd.Series(["zebra", missing, UNKNOWN, "ape"], dtype=object)})
    table = by_group([1, 2, 4, 8], groups, list("abcd"), **SETTINGS)
    assert table["gender"].tolist() == ["ape", "zebra", UNKNOWN]
    assert table["rows"].tolist() == [1, 1, 2]
    assert table["mean"].tolist() == [8, 1, 3]


@pytest.mark.parametrize("column", [[None, None], [np.nan, np.nan], pd.Categorical([None, None], ["a"])])
def test_a_column_without_labels_is_one_unknown_group(column):
    table = by_group([1, 2], pd.DataFrame({"gender": column}), ["a", "b"], **SETTINGS)
    assert table[["gender", "rows"]].to_numpy().tolist() == [[UNKNOWN, 2]]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["b", "a", "c"], ["a", "b", "c"]),
        ([10, 9, 100], ["9", "10", "100"]),
        (pd.array([10, None, 9], dtype="Int64"), ["9", "10", UNKNOWN]),
        ([True, False, True], ["False", "True"]),
        (pd.Categorical(["thirties", "teens", "twenties"], AGE_GROUPS), ["teens", "twenties", "thirties"]),
        (pd.Categorical([None, "unknown", "a"], ["unknown", "b", "a"]), ["a", UNKNOWN]),
    ],
)
def test_the_order_of_the_groups(labels, expected):
    table = by_group([1, 2, 3], pd.DataFrame({"label": labels}), list("abc"), **SETTINGS)
    assert table["label"].tolist() == expected
    assert table["rows"].sum() == 3


def test_combinations_are_sorted_column_by_column_and_only_those_that_occur():
    groups = pd.DataFrame({"gender": ["m", "f", "m", "f"], "age": [30, None, 9, 30]}, dtype=object)
    table = by_group([1, 2, 3, 4], groups, list("abcd"), **SETTINGS)
    found = list(zip(table["gender"], table["age"], table["mean"], strict=True))
    assert found == [("f", "30", 4), ("f", UNKNOWN, 2), ("m", "9", 3), ("m", "30", 1)]


def test_rows_match_by_position_whatever_the_index():
    values, groups, speakers = voices()
    moved = groups.set_index(np.arange(len(groups))[::-1])
    pd.testing.assert_frame_equal(
        by_group(pd.Series(values), moved, pd.Series(speakers), **SETTINGS),
        by_group(values, groups, speakers, **SETTINGS),
    )


def test_the_input_stays():
    values, groups, speakers = voices()
    before = groups.copy()
    by_group(values, groups, speakers, **SETTINGS)
    pd.testing.assert_frame_equal(groups, before)


GOOD = {
    "values": [1.0, 2.0],
    "groups": pd.DataFrame({"gender": ["f", "m"]}),
    "clusters": ["a", "b"],
}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"values": [1.0]}, "2 rows but values"),
        ({"values": [[1.0], [2.0]]}, r"values has shape \(2, 1\)"),
        ({"values": [1.0, np.nan]}, "finite"),
        ({"clusters": ["a", None]}, "name every speaker"),
        ({"clusters": [], "values": []}, "non-empty"),
        ({"groups": pd.DataFrame({"gender": ["f"]})}, "2 rows but groups has 1"),
        ({"groups": pd.DataFrame(index=[0, 1])}, "at least one column"),
        ({"groups": pd.DataFrame({"mean": ["f", "m"]})}, "'mean' of its own"),
        ({"groups": pd.DataFrame([["f", "m"]] * 2, columns=["g", "g"])}, "once, found g, g"),
        ({"groups": pd.DataFrame({"age": [20.5, 31.0]})}, "'age' must .* found float; name ranges"),
        ({"groups": pd.DataFrame({"age": ["teens", 31]}, dtype=object)}, "found int, str"),
        ({"min_clusters": 1}, "at least 2"),
    ],
)
def test_bad_arguments_are_refused(change, reason):
    arguments = GOOD | SETTINGS | change
    with pytest.raises(InputError, match=reason):
        by_group(**arguments)


REPORT = pd.DataFrame(
    {
        "gender": ["female", "male", "other", "unknown"],
        "mean": [4.0, 5.5, 99.0, 4.0],
        "low": [3.0, 5.0, np.nan, 2.0],
    },
    index=[8, 6, 4, 2],
)


def test_the_worst_group_and_the_gap_leave_small_groups_out():
    assert worst_group(REPORT, greater_is_better=False)["gender"] == "male"
    assert worst_group(REPORT, greater_is_better=True)["gender"] == "female"
    assert gap(REPORT) == 1.5
    assert type(gap(REPORT)) is float


def test_the_worst_group_of_a_real_report():
    values, groups, speakers = voices()
    table = by_group(values, groups, speakers, **SETTINGS)
    large = table[table["clusters"] >= SETTINGS["min_clusters"]]
    assert 1 < len(large) < len(table)
    worst, best = (worst_group(table, greater_is_better=better)["mean"] for better in (False, True))
    assert (worst, best) == (large["mean"].max(), large["mean"].min())
    assert gap(table) == worst - best


def test_too_few_large_groups_have_no_worst_one_and_no_gap():
    assert gap(REPORT.iloc[[0, 3]]) == 0
    with pytest.raises(UndefinedError, match="1 of 2 groups have enough speakers, 2 needed"):
        gap(REPORT.iloc[[0, 2]])
    assert worst_group(REPORT.iloc[[0, 2]], greater_is_better=False)["gender"] == "female"
    with pytest.raises(UndefinedError, match="0 of 1 groups"):
        worst_group(REPORT.iloc[[2]], greater_is_better=True)
    with pytest.raises(InputError, match="lacks low"):
        gap(REPORT[["gender", "mean"]])
