"""Gaps between groups of test speakers, and groups by duration and noise, against metrics and counts of their own."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from reporting.project import GENDER
from voxbench.metrics import metrics_of
from voxbench.metrics.groups import gap_of_means
from voxbench.metrics.trial_bootstrap import Resampling
from voxbench.reporting.evidence import Evidence
from voxbench.reporting.groups import GAP_COLUMNS, extremes, group_errors
from voxbench.reporting.quantities import QUANTITIES
from voxbench.reporting.scored import Scored
from voxbench.reporting.tables_voices import group_words, groups_table
from voxbench.schema import InputError, ScoreKind
from voxbench.seeding import derive_seed
from voxbench.stages.workspace import Workspace

DURATION, NOISE = "duration without silence", "signal-to-noise ratio"


def with_numbers(tuned: Scored) -> Scored:
    """Return the rows with a duration each, 3 to 6 seconds in turn, and a noise that is words and often unknown."""
    places = np.arange(len(tuned.rows))
    noise = pd.Series(np.where(places % 3 == 0, None, np.where(places % 2, "20.5", "-3")), dtype=object)
    return replace(tuned, rows=tuned.rows.assign(kept_seconds=3.0 + places % 4, snr_db=noise.to_numpy()))


def test_the_gap_is_that_of_the_groups_known_and_large(any_evidence: Evidence) -> None:
    tuned, settings = any_evidence.validated.tuned, any_evidence.settings
    greater = bool(any_evidence.task.classes)
    widths = {attribute: width for attribute, _, _, width in extremes(any_evidence.groups, greater_is_better=greater)}
    # Eight test speakers are too few for two groups of any attribute.
    assert bool(widths) == (any_evidence.speakers > 8)
    for attribute, table in any_evidence.groups.groupby("by", sort=False):
        same = table[list(GAP_COLUMNS)].drop_duplicates()
        assert len(same) == 1
        low, high, chance, p = same.iloc[0]
        if attribute not in widths:
            assert np.isnan([low, high, chance, p]).all()
            continue
        if np.isnan(p):
            continue
        assert low <= high
        assert chance > 0
        assert 1 / (1 + settings.resamples) <= p <= 1
        # More than chance explains, by either reading: the level leaves what lies above `chance`.
        if p < 1 - settings.level - 1 / settings.resamples:
            assert widths[str(attribute)] >= chance
    if "gender" in widths:
        known = tuned.rows["gender"].notna().to_numpy()
        resampling = Resampling(settings.resamples, settings.level, settings.min_group_speakers, 0.5)
        groups = pd.DataFrame({"gender": tuned.rows["gender"][known]})
        seed = derive_seed(settings.seed, "report", any_evidence.name)
        found = gap_of_means(tuned.row_scores[known], groups, tuned.speakers[known], resampling, seed)
        assert found.interval.estimate == pytest.approx(widths["gender"], rel=1e-12)
        gender = any_evidence.groups[any_evidence.groups["by"] == "gender"].iloc[0]
        expected = [found.interval.low, found.interval.high, found.chance, found.p]
        assert gender[list(GAP_COLUMNS)].tolist() == expected


def test_errors_of_one_group_alone_make_a_gap_that_chance_does_not(age_evidence: Evidence) -> None:
    tuned = age_evidence.validated.tuned
    worse = replace(tuned, scores=tuned.truth + np.where(tuned.rows["gender"] == "male", 40.0, 1.0))
    groups = group_errors(worse, age_evidence.settings, "age-timit")
    gender = groups[groups["by"] == "gender"].iloc[0]
    assert (gender["gap_low"], gender["gap_high"]) == (39.0, 39.0)
    assert gender["gap_chance"] == pytest.approx(0, abs=1e-9)
    assert gender["gap_p"] == 1 / (1 + age_evidence.settings.resamples)
    told = " ".join(group_words(replace(age_evidence, groups=groups)))
    assert (
        "worst male (40.00 years, 95\u202f% interval 40.00 to 40.00), best female (1.00 years): a gap of 39.00" in told
    )
    assert "more than chance explains" in told


def test_equal_errors_make_no_gap(age_evidence: Evidence) -> None:
    tuned = age_evidence.validated.tuned
    groups = group_errors(replace(tuned, scores=tuned.truth + 2.0), age_evidence.settings, "age-timit")
    found = groups.dropna(subset="gap_p")
    assert len(found)
    assert found["gap_p"].tolist() == [1.0] * len(found)
    assert "no more than chance explains" in " ".join(group_words(replace(age_evidence, groups=groups)))


def test_numbers_make_groups_by_their_bins(any_evidence: Evidence) -> None:
    tuned = with_numbers(any_evidence.validated.tuned)
    groups = group_errors(tuned, any_evidence.settings, any_evidence.name)
    by_duration, by_noise = (groups[groups["by"] == name].set_index("group") for name in (DURATION, NOISE))
    assert by_duration.index.tolist() == ["< 3.5 s", "3.5 to < 5 s", ">= 5 s"]
    assert by_noise.index.tolist() == ["< 10 dB", ">= 10 dB", "unknown"]
    for name, row in by_duration.iterrows():
        seconds = tuned.rows["kept_seconds"]
        own = {"< 3.5 s": seconds < 3.5, "3.5 to < 5 s": seconds.between(3.5, 4.9), ">= 5 s": seconds >= 5}[str(name)]
        assert row["rows"] == own.sum()
        assert row["mean"] == pytest.approx(tuned.row_scores[own.to_numpy()].mean())
    assert by_noise["rows"].sum() == len(tuned.rows)
    # What is known of other attributes does not change.
    others = groups[~groups["by"].isin([DURATION, NOISE])].reset_index(drop=True)
    pd.testing.assert_frame_equal(others, any_evidence.groups.reset_index(drop=True), check_dtype=False)
    told = replace(any_evidence, groups=groups)
    assert any(row.cells[:2] == (DURATION, ">= 5 s") for row in groups_table(told).rows)
    assert any(words.startswith(f"By {DURATION}: worst ") for words in group_words(told))


def test_an_odd_index_of_the_rows_does_not_count(evidence: Evidence) -> None:
    tuned = with_numbers(evidence.validated.tuned)
    odd = replace(tuned, rows=tuned.rows.set_index(np.arange(len(tuned.rows))[::-1] * 7))
    found = group_errors(odd, evidence.settings, GENDER)
    pd.testing.assert_frame_equal(found, group_errors(tuned, evidence.settings, GENDER))


def test_bins_for_words_are_refused(evidence: Evidence) -> None:
    tuned = evidence.validated.tuned
    loud = replace(tuned, rows=tuned.rows.assign(snr_db="loud"))
    with pytest.raises(InputError, match=r"'snr_db' has bins in report\.bins.*loud.*take it out"):
        group_errors(loud, evidence.settings, GENDER)


def test_durations_come_from_the_manifest(changed: Workspace, gather) -> None:
    path = next((changed.root / "data").rglob("manifest.parquet"))
    manifest = pd.read_parquet(path)
    manifest["kept_seconds"] = manifest["source_seconds"] - 0.5
    manifest["extra_snr_db"] = np.where(np.arange(len(manifest)) % 2, "3", "12.5")
    manifest.to_parquet(path, index=False)
    found = gather(changed).groups.set_index(["by", "group"])
    assert {DURATION, NOISE} <= set(found.index.get_level_values("by"))
    test = manifest[manifest["split"] == "test"]
    assert found.loc[(DURATION, ">= 5 s"), "rows"] == (test["kept_seconds"] >= 5).sum()
    assert found.loc[(NOISE, "< 10 dB"), "rows"] == (test["extra_snr_db"] == "3").sum()


@pytest.mark.parametrize("kind", list(ScoreKind))
def test_every_metric_of_every_kind_has_a_name_and_a_unit(kind: ScoreKind) -> None:
    assert {metric.name for metric in metrics_of(kind)} <= set(QUANTITIES)
