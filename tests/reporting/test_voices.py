"""The network that is best on validation, class by class and group by group."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import precision_recall_fscore_support

from reporting.project import GENDER
from voxbench.reporting.evidence import Evidence
from voxbench.reporting.groups import COLUMNS, extremes, group_errors
from voxbench.reporting.tables_voices import classes_table, group_words, groups_table
from voxbench.reporting.verdict import judge
from voxbench.schema import InputError
from voxbench.stages.workspace import Workspace

DASH = "\u2013"


@pytest.mark.parametrize("name", ["evidence", "age_group_evidence"])
def test_classes_are_those_of_scikit_learn(request: pytest.FixtureRequest, name: str) -> None:
    evidence = request.getfixturevalue(name)
    tuned, table = evidence.validated.tuned, classes_table(evidence)
    labels = range(len(evidence.task.classes))
    expected = precision_recall_fscore_support(tuned.truth, tuned.predicted, labels=labels, zero_division=np.nan)
    for number, row in enumerate(table.rows):
        ratios = [DASH if np.isnan(each[number]) else f"{100 * each[number]:.1f}" for each in expected[:3]]
        assert row.cells == (evidence.task.classes[number], str(expected[3][number]), *ratios)


def test_values_have_no_classes(age_evidence: Evidence) -> None:
    assert not classes_table(age_evidence).rows


def test_groups_are_means_over_the_rows_of_each_label(any_evidence: Evidence) -> None:
    tuned, groups = any_evidence.validated.tuned, any_evidence.groups
    assert tuple(groups.columns) == COLUMNS
    right = tuned.predicted == tuned.truth if any_evidence.task.classes else abs(tuned.scores - tuned.truth)
    for row in groups[groups["by"] == "gender"].itertuples():
        own = (tuned.rows["gender"].fillna("unknown") == row.group).to_numpy()
        assert (row.rows, row.speakers) == (own.sum(), len(set(tuned.speakers[own])))
        if not np.isnan(row.mean):
            assert row.mean == pytest.approx(right[own].mean())
    for attribute, table in groups.groupby("by"):
        assert table["rows"].sum() == any_evidence.clips, attribute


def test_small_groups_are_listed_without_figures(any_evidence: Evidence) -> None:
    small = any_evidence.groups["speakers"] < any_evidence.settings.min_group_speakers
    assert small.any()
    assert any_evidence.groups.loc[small, ["mean", "low", "high"]].isna().all(axis=None)
    assert any_evidence.groups.loc[~small, ["mean", "low", "high"]].notna().all(axis=None)
    table = groups_table(any_evidence)
    for row, few in zip(table.rows, small, strict=True):
        assert (row.cells[-2:] == (DASH, DASH)) == few
        assert not (row.marked and few)
    assert f"{small.sum()} of {len(small)} groups have fewer than 3 speakers and no figures." in table.notes


def test_the_minimum_decides_which_groups_count(age_evidence: Evidence) -> None:
    strict = age_evidence.settings.model_copy(update={"min_group_speakers": 1000})
    groups = group_errors(age_evidence.validated.tuned, strict, "age-timit")
    assert groups["mean"].isna().all()
    nobody = replace(age_evidence, groups=groups, settings=strict)
    assert not extremes(groups, greater_is_better=False)
    assert group_words(nobody) == ()
    assert not any(row.marked for row in groups_table(nobody).rows)
    assert "goes by" not in " ".join(judge(nobody).sentences)


def test_an_attribute_without_variation_makes_no_groups(age_evidence: Evidence) -> None:
    assert set(age_evidence.groups["by"]) == {"gender", "age_group", "dialect", "gender x age_group"}
    tuned = age_evidence.validated.tuned
    alike = replace(tuned, rows=tuned.rows[["speaker"]])
    nothing = replace(age_evidence, groups=group_errors(alike, age_evidence.settings, "age-timit"))
    assert not groups_table(nothing).rows
    assert judge(nothing).sentences


def test_what_is_known_of_a_speaker_is_joined_by_recording(changed: Workspace, gather) -> None:
    path = changed.models(GENDER) / "resnet18" / "scores.parquet"
    table = pd.read_parquet(path).sample(frac=1, random_state=3)
    table.drop(columns="gender").to_parquet(path, index=False)
    tuned = next(each for each in gather(changed).finalists if each.model == "resnet18").tuned
    test = table[table["split"] == "test"]
    for column in ("id", "speaker", "gender"):
        assert tuned.rows[column].tolist() == test[column].tolist()
    table.assign(id="no/such.wav").to_parquet(path, index=False)
    with pytest.raises(InputError, match=r"32 recordings that the manifest does not hold, 'no/such.wav'"):
        gather(changed)


def by_hand(gap: tuple[float, ...], **means: float) -> pd.DataFrame:
    rows = [("gender", group, 9, 5, mean, mean - 0.5, mean + 0.5, "", *gap) for group, mean in means.items()]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def test_the_worst_group_and_the_gap_are_said_in_words(age_evidence: Evidence) -> None:
    told = replace(age_evidence, groups=by_hand((1.0, 4.0, 1.25, 0.0123), female=5.0, male=7.5, unknown=99.0))
    assert group_words(told) == (
        "By gender: worst male (7.50 years, 95\u202f% interval 7.00 to 8.00), best female (5.00 years): a gap of 2.50 "
        "years (1.00 to 4.00), more than chance explains: up to 1.25 years (p\u00a0=\u00a00.012).",
    )
    assert [row.marked for row in groups_table(told).rows] == [False, True, False]
    sentence = "by gender from 7.50 years (male) to 5.00 years (female), a gap of 2.50 years"
    assert sentence in " ".join(judge(told).sentences)


def test_of_classes_the_least_accurate_group_is_worst(evidence: Evidence) -> None:
    told = replace(evidence, groups=by_hand((0.02, 0.3, 0.2, 0.051), female=0.8, male=0.95))
    (words,) = group_words(told)
    assert words.startswith("By gender: worst female (80.0\u202f%, 95\u202f% interval 30.0 to 130.0), best male ")
    assert "best male (95.0\u202f%): a gap of 15.0 points (2.0 to 30.0)" in words
    assert words.endswith("(2.0 to 30.0), no more than chance explains: up to 20.0 points (p\u00a0=\u00a00.051).")


def test_a_gap_without_a_test_says_so(evidence: Evidence) -> None:
    (words,) = group_words(replace(evidence, groups=by_hand((np.nan,) * 4, female=0.8, male=0.95)))
    assert words.endswith("a gap of 15.0 points; how much of it is chance cannot be said.")
