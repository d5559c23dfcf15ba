"""Drawn trials: which pairs there can be, how many of each kind, and always the same ones."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxbench.config import TrialRule
from voxbench.features.trial_rule import draw_trials
from voxbench.schema import InputError

SEXES = {"a": "female", "b": "male", "c": "female", "d": "male", "e": "female"}


def rule(**changes):
    plain = {"targets_per_speaker": 100, "nontargets_per_target": 1.0, "same_sex": 0.5, "across_sessions": True}
    return TrialRule(**(plain | {"seed": 3} | changes))


def people(speakers="abcd", sessions=2, clips=2):
    """Return `clips` recordings of each session of each speaker."""
    names = [(who, f"{who}{session}", f"{who}{session}/{clip}")
             for who in speakers for session in range(sessions) for clip in range(clips)]  # fmt: skip
    table = pd.DataFrame(names, columns=["speaker", "session", "id"])
    return table.assign(gender=table["speaker"].map(SEXES))


def sides(rows, trials):
    about = rows.set_index("id")
    return about.loc[trials["enroll"]].reset_index(), about.loc[trials["test"]].reset_index()


def unordered(trials):
    return [frozenset(pair) for pair in zip(trials["enroll"], trials["test"], strict=True)]


def test_every_target_pair_across_sessions_and_as_many_nontargets():
    """By hand: 2 x 2 pairs of two sessions for each of four speakers, 16; half of 16 nontargets are of one sex."""
    rows = people()
    trials = draw_trials(rows, rule(), "valid")
    assert trials.columns.tolist() == ["enroll", "test", "truth"]
    assert trials["truth"].tolist() == [1] * 16 + [0] * 16
    enroll, test = sides(rows, trials)
    targets = trials["truth"] == 1
    assert ((enroll["speaker"] == test["speaker"]) == targets).all()
    assert (enroll["session"] != test["session"]).all()
    assert (enroll["gender"] == test["gender"])[~targets].sum() == 8
    expected = {frozenset(pair) for pair in combinations(rows["id"], 2) if pair[0][0] == pair[1][0]
                and pair[0][:2] != pair[1][:2]}  # fmt: skip
    assert set(unordered(trials[targets])) == expected


def test_pairs_within_a_session_are_let_in_on_request():
    trials = draw_trials(people(), rule(across_sessions=False), "valid")
    assert trials["truth"].sum() == 4 * 6


def test_at_most_so_many_targets_of_each_speaker():
    rows = people("abcde", sessions=3)
    trials = draw_trials(rows, rule(targets_per_speaker=5, nontargets_per_target=2.5), "valid")
    targets = trials[trials["truth"] == 1]
    assert targets["enroll"].str[0].value_counts().to_dict() == dict.fromkeys("abcde", 5)
    assert (trials["truth"] == 0).sum() == round(2.5 * 25)


@pytest.mark.parametrize(("share", "alike"), [(0.0, 0), (0.25, 4), (1.0, 16)])
def test_the_share_of_pairs_of_one_sex(share, alike):
    rows = people()
    trials = draw_trials(rows, rule(same_sex=share), "valid")
    enroll, test = sides(rows, trials)
    assert ((enroll["gender"] == test["gender"]) & (trials["truth"] == 0)).sum() == alike


def test_without_a_share_sexes_come_as_they_are_and_need_not_be_known():
    rows = people("abcdefgh", sessions=3, clips=2).assign(gender=None)
    trials = draw_trials(rows, rule(same_sex=None), "valid")
    assert (trials["truth"] == 0).sum() == (trials["truth"] == 1).sum() == 8 * 12


def test_all_nontargets_there_are():
    """By hand: 4 x 4 pairs of two women and as many of two men; of two sexes 8 x 8. One more is too many."""
    rows = people()
    trials = draw_trials(rows, rule(nontargets_per_target=2.0, same_sex=1.0), "valid")
    assert len(set(unordered(trials))) == 16 + 32
    with pytest.raises(InputError, match=r"asks for 33 nontarget pairs of one sex, and there are 32: lower"):
        draw_trials(rows, rule(nontargets_per_target=33 / 16, same_sex=1.0), "valid")
    trials = draw_trials(rows, rule(nontargets_per_target=4.0, same_sex=0.0), "valid")
    assert len(set(unordered(trials))) == 16 + 64
    with pytest.raises(InputError, match=r"asks for 65 nontarget pairs of two sexes, and there are 64"):
        draw_trials(rows, rule(nontargets_per_target=65 / 16, same_sex=0.0), "valid")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_recording_meets_itself_no_pair_stands_twice_and_labels_are_true(data):
    counts = data.draw(st.lists(st.integers(1, 5), min_size=3, max_size=7))
    rows = pd.concat([people(who, sessions=1, clips=count) for who, count in zip("abcdefg", counts, strict=False)])
    rows = rows.assign(gender=[data.draw(st.sampled_from(["female", "male"])) for _ in rows["id"]])
    rows["gender"] = rows.groupby("speaker")["gender"].transform("first")
    chosen = rule(across_sessions=False, targets_per_speaker=3, same_sex=data.draw(st.sampled_from([None, 0.5])))
    try:
        trials = draw_trials(rows, chosen, "test")
    except InputError:
        return
    pairs = unordered(trials)
    assert len(set(pairs)) == len(pairs)
    assert all(len(pair) == 2 for pair in pairs)
    enroll, test = sides(rows, trials)
    assert ((enroll["speaker"] == test["speaker"]) == (trials["truth"] == 1)).all()


def test_every_possible_nontarget_is_as_likely_as_another():
    rows = people("abc", sessions=2, clips=1)
    counts: dict[frozenset[str], int] = {}
    for seed in range(400):
        trials = draw_trials(rows, rule(seed=seed, same_sex=None), "valid")
        for pair in unordered(trials[trials["truth"] == 0]):
            counts[pair] = counts.get(pair, 0) + 1
    assert len(counts) == 12
    assert min(counts.values()) > 60
    assert max(counts.values()) < 140


def test_both_sides_enroll():
    rows = people("abcde", sessions=4)
    trials = draw_trials(rows, rule(), "valid")
    assert 0.4 < (trials["enroll"] < trials["test"]).mean() < 0.6


def test_the_same_trials_whatever_the_order_of_rows_and_others_for_another_seed_or_split():
    rows = people("abcde", sessions=3)
    trials = draw_trials(rows, rule(targets_per_speaker=4), "valid")
    again = draw_trials(rows.sample(frac=1, random_state=1), rule(targets_per_speaker=4), "valid")
    pd.testing.assert_frame_equal(trials, again)
    for other in (
        draw_trials(rows, rule(targets_per_speaker=4, seed=4), "valid"),
        draw_trials(rows, rule(targets_per_speaker=4), "test"),
    ):
        assert set(unordered(other)) != set(unordered(trials))


def test_more_speakers_leave_the_targets_of_the_others_as_they_are():
    few, many = (
        draw_trials(people(who, sessions=3), rule(targets_per_speaker=4), "valid") for who in ("abcd", "abcde")
    )
    ours, theirs = (set(unordered(trials[trials["truth"] == 1])) for trials in (few, many))
    assert ours < theirs


@pytest.mark.parametrize(
    ("rows", "changes", "words"),
    [
        (people(sessions=1), {}, r"none of the 4 valid speakers is heard twice in two sessions: set .*to false, or"),
        (people(sessions=1, clips=1), {"across_sessions": False}, r"is heard twice: take a corpus with more"),
        (
            people().assign(session=None),
            {},
            r"16 of 16 recordings have no session, .* set verification\.trials\.across",
        ),
        (people().drop(columns="gender"), {}, r"16 of 16 recordings have no gender, .*same_sex to null"),
    ],
)
def test_what_the_rule_goes_by_must_be_known(rows, changes, words):
    with pytest.raises(InputError, match=words):
        draw_trials(rows, rule(**changes), "valid")


def test_a_large_split_takes_no_memory_for_its_pairs():
    """Of 60,000 recordings there are 1.8 billion pairs."""
    number = np.arange(60_000)
    rows = pd.DataFrame(
        {"speaker": [f"s{each:05d}" for each in number // 10], "id": [f"{each:06d}" for each in number]}
    )
    rows = rows.assign(session=rows["id"], gender=np.where(number // 10 % 2, "female", "male"))
    trials = draw_trials(rows, rule(targets_per_speaker=1), "valid")
    assert len(trials) == 12_000
