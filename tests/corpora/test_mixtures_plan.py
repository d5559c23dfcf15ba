"""The plan of mixtures: its law by count and by simulation, and what keeps it the same."""

from collections import Counter
from itertools import chain, combinations
from math import comb

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxbench.corpora.mixture_plan import JOINT, Mixing, plan_mixtures, plan_rows, pool_sources
from voxbench.corpora.mixtures import read
from voxbench.schema import InputError, Split

SIXTY = {Split.TRAIN: 60, Split.VALID: 31, Split.TEST: 2}
LEVELS = {"seconds": 1.2, "snr_db": (-5.0, 5.0), "overlap": (0.25, 0.75)}


def sources(women=4, men=5, recordings=3, splits=tuple(Split)):
    """Return recordings of which each speaker has a different number, of 2 seconds and more."""
    rows = [
        (f"{split}/{sex}{k}/{n}", f"{split}-{sex}{k}", sex, str(split), 2.0 + k + n / 10)
        for split in splits
        for sex, people in (("female", women), ("male", men))
        for k in range(people)
        for n in range(recordings + k)
    ]
    return pd.DataFrame(rows, columns=["id", "speaker", "gender", "split", "seconds"])


def mixing(**changes):
    plain = {"seed": 1, "people": 3, "mixtures": SIXTY, "seconds": None, "snr_db": None, "overlap": (1.0, 1.0)}
    return Mixing(**plain | {"reverberation_seconds": None} | changes)


@settings(deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 2**40),
    people=st.integers(1, 5),
    women=st.integers(5, 8),
    men=st.integers(5, 8),
    mixtures=st.dictionaries(st.sampled_from(list(Split)), st.integers(1, 40), min_size=1),
)
def test_what_holds_of_every_plan(seed, people, women, men, mixtures):
    known = sources(women, men)
    plan = plan_mixtures(known, mixing(seed=seed, people=people, mixtures=mixtures, **LEVELS))
    assert Counter(plan["split"]) == {str(split): number for split, number in mixtures.items()}
    assert plan["path"].is_unique
    facts = known.set_index("id")
    for row in plan.itertuples():
        count = len(row.sexes)
        recordings = facts.loc[list(row.ids)]
        assert row.sources.split(JOINT) == recordings["speaker"].tolist()
        assert len(set(row.sources.split(JOINT))) == count
        assert set(recordings["split"]) == {row.split}
        assert row.sexes == "".join(gender[0].upper() for gender in recordings["gender"])
        assert len(row.starts_seconds) == count
        assert all(
            0 <= start <= one - 1.2 for start, one in zip(row.starts_seconds, recordings["seconds"], strict=True)
        )
        assert len(row.snr_db) == len(row.overlap) == len(row.onset) == count - 1
        assert all(-5 <= ratio <= 5 for ratio in row.snr_db)
        assert all(0.25 <= share <= 0.75 for share in row.overlap)
        assert all(0 <= onset < 1 for onset in row.onset)
    for _, counts in plan["sexes"].str.len().groupby(plan["split"]):
        sizes = [int((counts == count).sum()) for count in range(1, people + 1)]
        assert sum(sizes) == len(counts)
        assert max(sizes) - min(sizes) <= 1


def test_the_plain_law_takes_whole_recordings_as_they_are():
    plan = plan_mixtures(sources(), mixing())
    assert set(chain(*plan["starts_seconds"])) == {0.0}
    assert plan["snr_db"].isna().all()
    assert set(chain(*plan["overlap"])) == {1.0}
    assert plan["path"].iloc[[0, 60, 91]].tolist() == ["train/000000.flac", "valid/000000.flac", "test/000000.flac"]


def test_the_law_of_sexes_people_and_recordings():
    """30,000 mixtures of a pool with two women for each man: no frequency is 4.5 sigma from the law."""
    known = sources(women=6, men=3, splits=(Split.TRAIN,))
    plan = plan_mixtures(known, mixing(mixtures={Split.TRAIN: 30_000}))

    def holds(found, trials, probability):
        assert abs(found - trials * probability) < 4.5 * (trials * probability * (1 - probability)) ** 0.5

    for count in (1, 2, 3):
        women = Counter(sexes.count("F") for sexes in plan["sexes"] if len(sexes) == count)
        for number in range(count + 1):
            holds(women[number], 10_000, comb(count, number) / 2**count)
    for sexes, possible in (("F", 6), ("FF", 6 * 5), ("FM", 6 * 3), ("MF", 3 * 6), ("MMM", 6)):
        groups = Counter(row.sources for row in plan.itertuples() if row.sexes == sexes)
        assert len(groups) == possible
        for found in groups.values():
            holds(found, groups.total(), 1 / possible)
    own = Counter(one for ids in plan["ids"] for one in ids if "male0/" in one and "female0" not in one)
    assert len(own) == 3
    for found in own.values():
        holds(found, own.total(), 1 / 3)


def test_starts_and_levels_fill_their_bounds_evenly():
    plan = plan_mixtures(sources(), mixing(mixtures={Split.TRAIN: 9_000}, **LEVELS))
    seconds = sources().set_index("id")["seconds"]
    spare = seconds[[*chain(*plan["ids"])]].to_numpy() - 1.2
    starts = np.array([*chain(*plan["starts_seconds"])]) / spare
    shares = [[*chain(*plan["onset"])], [(ratio + 5) / 10 for ratio in chain(*plan["snr_db"])]]
    shares.append([(share - 0.25) / 0.5 for share in chain(*plan["overlap"])])
    for drawn in (starts, *shares):
        found, _ = np.histogram(drawn, bins=10, range=(0, 1))
        assert found.sum() == len(drawn)
        assert np.abs(found - len(drawn) / 10).max() < 4.5 * (len(drawn) * 0.09) ** 0.5
    assert max(abs(np.corrcoef(one, other)[0, 1]) for one, other in combinations(shares, 2)) < 0.05


def test_the_order_of_the_sources_is_of_no_effect():
    known = sources()
    shuffled = known.sample(frac=1, random_state=3)
    pd.testing.assert_frame_equal(
        plan_mixtures(known, mixing(**LEVELS)), plan_mixtures(shuffled, mixing(**LEVELS)), check_exact=True
    )


def test_a_mixture_can_be_derived_alone_and_more_of_them_leave_it_alone():
    whole = plan_mixtures(sources(), mixing(**LEVELS))
    more = mixing(mixtures={Split.TRAIN: 10**6, Split.VALID: 31}, **LEVELS)
    pools = pool_sources(sources(), more)
    assert list(pools) == [Split.TRAIN, Split.VALID]
    for split, index, place in ((Split.TRAIN, 0, 0), (Split.TRAIN, 41, 41), (Split.VALID, 30, 90)):
        alone = plan_rows(pools[split], more, split, index, index + 1)
        assert alone.iloc[0].to_dict() == whole.iloc[place].to_dict()
    halves = [plan_rows(pools[Split.TRAIN], more, Split.TRAIN, *bounds) for bounds in ((0, 29), (29, 60))]
    pd.testing.assert_frame_equal(pd.concat(halves, ignore_index=True), whole[:60], check_exact=True)


def test_one_room_for_each_mixture_which_leaves_everything_else_alone():
    dry = plan_mixtures(sources(), mixing(mixtures={Split.TRAIN: 3_000}, **LEVELS))
    wet = plan_mixtures(sources(), mixing(mixtures={Split.TRAIN: 3_000}, reverberation_seconds=(0.1, 0.6), **LEVELS))
    assert dry["rt60_seconds"].isna().all()
    found, _ = np.histogram(wet["rt60_seconds"], bins=10, range=(0.1, 0.6))
    assert found.sum() == 3_000
    assert np.abs(found - 300).max() < 4.5 * (3_000 * 0.09) ** 0.5
    pd.testing.assert_frame_equal(dry.drop(columns="rt60_seconds"), wet.drop(columns="rt60_seconds"), check_exact=True)


def test_seeds_and_splits_draw_their_own():
    plans = [plan_mixtures(sources(), mixing(seed=seed)) for seed in (1, 1, 2)]
    pd.testing.assert_frame_equal(plans[0], plans[1])
    assert (plans[0]["sexes"] != plans[2]["sexes"]).sum() > 30
    assert plans[0]["sexes"][:31].tolist() != plans[0]["sexes"][60:91].tolist()


def test_a_plan_is_a_recorded_number():
    """Written down on purpose: a change of the law changes every mixture corpus, and must be meant."""
    plan = plan_mixtures(sources(), mixing(mixtures={Split.TEST: 3}))
    assert plan["ids"].tolist() == [
        ("test/female1/1",),
        ("test/male3/4", "test/male4/4"),
        ("test/male3/0", "test/male2/1", "test/male1/0"),
    ]


def test_the_reader_reads_a_plan(tmp_path):
    plan = plan_mixtures(sources(), mixing())
    plan[["path", "split", "sources", "sexes"]].to_csv(tmp_path / "mixtures.csv", index=False)
    rows = list(read(tmp_path))
    assert [row.id for row in rows] == plan["path"].tolist()
    assert [row.extra["sexes"] for row in rows] == plan["sexes"].tolist()


@pytest.mark.slow
def test_the_published_size_takes_seconds():
    known = sources(women=60, men=60, recordings=10)
    plan = plan_mixtures(known, mixing(mixtures={Split.TRAIN: 100_000, Split.VALID: 10_000, Split.TEST: 10_000}))
    assert Counter(plan["sexes"].str.len()) == {1: 40_002, 2: 39_999, 3: 39_999}


def broken(column, value, row=0):
    known = sources()
    known.loc[row, column] = value
    return known


@pytest.mark.parametrize(
    ("known", "message"),
    [
        (
            broken("gender", None),
            r"1 recording\(s\) with gender .*, the first 'train/female0/0'; expected female, male",
        ),
        (broken("gender", "f"), "with gender 'f'"),
        (broken("split", "dev"), "with split 'dev', .* expected train, valid, test"),
        (broken("id", "train/female0/1"), "id 'train/female0/1' occurs twice"),
        (broken("gender", "male"), "speaker 'train-female0' has two genders or splits"),
        (broken("split", "test"), "speaker 'train-female0' has two genders or splits"),
        (broken("speaker", "a+b"), r"speaker 'a\+b' has a \+ in the name"),
        (broken("seconds", 1.1), r"1 recording\(s\) shorter than 1\.2 s, the first 'train/female0/0'"),
        (broken("seconds", float("nan")), "shorter than"),
        (sources(women=2), r"2 female speaker\(s\) in train; mixtures of up to 3 people can need 3 of one sex"),
        (sources(men=2), r"2 male speaker\(s\) in train"),
        (sources(splits=(Split.TRAIN, Split.TEST)), r"0 female speaker\(s\) in valid"),
        (sources()[:0], r"0 female speaker\(s\) in train"),
    ],
)
def test_sources_that_cannot_be_mixed(known, message):
    with pytest.raises(InputError, match=message):
        plan_mixtures(known, mixing(**LEVELS))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"people": 0}, "mixtures with people 0; expected 1 or more"),
        ({"mixtures": {}}, r"mixtures with mixtures \{\}; expected"),
        ({"mixtures": {Split.TRAIN: 0}}, "with mixtures"),
        ({"mixtures": {Split.TRAIN: 5, Split.TEST: -1}}, "with mixtures"),
        ({"mixtures": {"dev": 5}}, "with mixtures"),
        ({"seconds": 0.0}, r"with seconds 0\.0; expected a length, or null"),
        ({"snr_db": (5.0, -5.0)}, r"with snr_db \(5\.0, -5\.0\); expected bounds"),
        ({"overlap": (0.0, 1.0)}, r"with overlap \(0\.0, 1\.0\); expected bounds of a share in \(0, 1\]"),
        ({"overlap": (0.5, 1.5)}, "with overlap"),
        ({"reverberation_seconds": (-0.1, 0.5)}, r"with reverberation_seconds \(-0\.1, 0\.5\); expected bounds of 0 s"),
        ({"reverberation_seconds": (0.5, 0.1)}, "with reverberation_seconds"),
    ],
)
def test_settings_that_no_mixture_can_have(change, message):
    with pytest.raises(InputError, match=message):
        mixing(**change)
