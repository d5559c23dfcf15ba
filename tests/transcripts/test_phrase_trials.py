"""The phrases that a recording is held against: which, how many, and on what the draw depends."""

import numpy as np
import pytest

from voxbench.schema import InputError
from voxbench.transcripts.phrases import NEAR, OTHER, RIGHT, draw_phrases

TEXTS = ["the cat sat", "a dog ran off", "the cat sat", "one two", "он ушел", "we ran"]
IDS = [f"r{place}" for place in range(len(TEXTS))]


def by_id(drawn, ids):
    """The phrases of each id, in their order."""
    found = {}
    for row, phrase, kind in zip(drawn.rows.tolist(), drawn.phrases, drawn.kinds, strict=True):
        found.setdefault(ids[row], []).append((kind, phrase))
    return found


def test_each_recording_has_its_own_phrase_others_and_near_ones():
    drawn = draw_phrases(TEXTS, IDS, others=2, near=3, seed=1)
    assert drawn.rows.dtype == np.int64
    words = {word for text in TEXTS for word in text.split()}
    for name, trials in by_id(drawn, IDS).items():
        text = TEXTS[IDS.index(name)]
        assert [kind for kind, _ in trials] == [RIGHT, OTHER, OTHER, NEAR, NEAR, NEAR]
        phrases = [phrase for _, phrase in trials]
        assert phrases[0] == text
        assert len(set(phrases)) == 6
        assert set(phrases[1:3]) <= set(TEXTS)
        for phrase in phrases[3:]:
            changed = [(a, b) for a, b in zip(text.split(), phrase.split(), strict=True) if a != b]
            assert len(changed) == 1
            assert changed[0][1] in words


def test_the_word_put_in_is_the_nearest_in_length():
    texts = ["a bb", "ccc dddd", "eeeeeeee"]
    for seed in range(20):
        near = by_id(draw_phrases(texts, IDS[:3], others=0, near=1, seed=seed), IDS)
        assert near["r0"][1][1] in {"bb bb", "a a", "a ccc"}
        assert near["r2"][1][1] == "dddd"


def test_words_of_one_length_are_drawn():
    texts = ["aa", "bb cc", "dd ee"]
    drawn = [by_id(draw_phrases(texts, IDS[:3], others=0, near=4, seed=seed), IDS)["r0"][1:] for seed in range(40)]
    assert all(sorted(each) == [(NEAR, word) for word in ("bb", "cc", "dd", "ee")] for each in drawn)
    assert {each[0] for each in drawn} == {each[3] for each in drawn} == set(drawn[0])


def test_places_are_drawn_and_taken_in_turn():
    texts = ["aa bb cc", "dd ee ff"]
    first = set()
    for seed in range(40):
        near = [phrase for kind, phrase in by_id(draw_phrases(texts, IDS[:2], others=0, near=3, seed=seed), IDS)["r0"]]
        places = [
            next(i for i, (a, b) in enumerate(zip(texts[0].split(), each.split(), strict=True)) if a != b)
            for each in near[1:]
        ]
        assert sorted(places) == [0, 1, 2]
        first.add(places[0])
    assert first == {0, 1, 2}


def test_all_texts_are_as_likely_however_often_they_are_said():
    texts = ["x", *["a"] * 50, "b"]
    ids = [str(place) for place in range(len(texts))]
    drawn = [draw_phrases(texts, ids, others=1, near=0, seed=seed).phrases[1] for seed in range(300)]
    assert 110 < drawn.count("a") < 190
    assert drawn.count("a") + drawn.count("b") == 300


def test_the_order_of_rows_changes_nothing():
    order = [3, 0, 5, 1, 4, 2]
    one = draw_phrases(TEXTS, IDS, others=3, near=2, seed=7)
    shuffled = [IDS[place] for place in order]
    two = draw_phrases([TEXTS[place] for place in order], shuffled, others=3, near=2, seed=7)
    assert by_id(one, IDS) == by_id(two, shuffled)
    assert two.rows.tolist() == sorted(two.rows.tolist())


def test_seeds_and_ids_draw_differently():
    drawn = {draw_phrases(TEXTS, IDS, others=1, near=1, seed=seed).phrases for seed in range(8)}
    assert len(drawn) > 5
    same_text = {by_id(draw_phrases(TEXTS, IDS, others=1, near=0, seed=s), IDS)["r0"][1] for s in range(8)}
    assert len(same_text) > 1
    differ = [draw_phrases(TEXTS, IDS, others=1, near=1, seed=seed) for seed in range(8)]
    assert any(by_id(each, IDS)["r0"] != by_id(each, IDS)["r2"] for each in differ)


def test_small_splits_give_all_they_have():
    drawn = draw_phrases(["a", "a a"], ["p", "q"], others=5, near=5, seed=1)
    assert by_id(drawn, ["p", "q"]) == {"p": [(RIGHT, "a"), (OTHER, "a a")], "q": [(RIGHT, "a a"), (OTHER, "a")]}


def test_a_near_phrase_that_is_another_recordings_stands_once():
    drawn = draw_phrases(["a", "b"], ["p", "q"], others=1, near=1, seed=1)
    assert by_id(drawn, ["p", "q"])["p"] == [(RIGHT, "a"), (OTHER, "b")]
    drawn = draw_phrases(["a", "b"], ["p", "q"], others=0, near=1, seed=1)
    assert by_id(drawn, ["p", "q"])["p"] == [(RIGHT, "a"), (NEAR, "b")]


def test_without_wrong_phrases_the_right_ones_are_left():
    assert set(draw_phrases(TEXTS, IDS, others=0, near=0, seed=1).kinds) == {RIGHT}


@pytest.mark.parametrize(
    ("texts", "ids", "others", "message"),
    [
        (["a", "a"], ["p", "q"], 1, "1 different texts"),
        ([], [], 1, "0 different texts"),
        (["a", "b"], ["p", "p"], 1, "'p' names two recordings"),
        (["a", "b"], ["p"], 1, "2 texts but 1 ids"),
        (["a", "B"], ["p", "q"], 1, "normalise it first"),
        (["a", ""], ["p", "q"], 1, "at least one word"),
        (["a", "b"], ["p", "q"], -1, "counts from 0"),
    ],
)
def test_what_no_trials_can_be_drawn_from_is_refused(texts, ids, others, message):
    with pytest.raises(InputError, match=message):
        draw_phrases(texts, ids, others=others, near=1, seed=1)
