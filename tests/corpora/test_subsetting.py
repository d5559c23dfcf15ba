"""Subsets: the rule by which recordings are drawn, and the list that it writes."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import pytest

from voxbench.corpora.subsetting import count_outside, list_sha256, listed, read_subset, turns
from voxbench.schema import InputError, Utterance


def corpus(speakers: int = 6, sessions: int = 3, clips: int = 2) -> list[Utterance]:
    return [
        Utterance(
            id=f"s{s}/v{v}/{c}.wav",
            path=Path(),
            speaker=f"s{s}",
            session=f"s{s}/v{v}",
            gender="female" if s % 3 == 0 else "male",
        )
        for s in range(speakers)
        for v in range(sessions)
        for c in range(clips)
    ]


def test_every_recording_comes_once_and_every_speaker_in_every_turn() -> None:
    order = list(turns(corpus(), seed=1, speakers=None))
    assert sorted(order) == sorted(row.id for row in corpus())
    for turn in range(6):
        assert len({row_id.split("/")[0] for row_id in order[6 * turn : 6 * turn + 6]}) == 6


def test_a_speaker_gives_one_recording_of_each_session_before_a_second_of_any() -> None:
    order = list(turns(corpus(), seed=1, speakers=None))
    for speaker in range(6):
        own = [row_id for row_id in order if row_id.startswith(f"s{speaker}/")]
        assert len({row_id.split("/")[1] for row_id in own[:3]}) == 3


def test_the_order_of_the_tree_changes_nothing_and_the_seed_does() -> None:
    order = list(turns(corpus(), seed=1, speakers=None))
    assert list(turns(reversed(corpus()), seed=1, speakers=None)) == order
    assert list(turns(corpus(), seed=2, speakers=None)) != order


def test_uneven_speakers_drop_out_of_later_turns() -> None:
    rows = [*corpus(speakers=2), Utterance(id="s9/v/0.wav", path=Path(), speaker="s9", session="s9/v")]
    order = list(turns(rows, seed=1, speakers=None))
    assert "s9/v/0.wav" in order[:3]
    assert Counter(row_id.split("/")[0] for row_id in order[3:]) == {"s0": 5, "s1": 5}


@pytest.mark.parametrize("wanted", [1, 3, 6])
def test_drawn_speakers_keep_the_share_of_each_sex(wanted: int) -> None:
    order = list(turns(corpus(), seed=1, speakers=wanted))
    people = {row_id.split("/")[0] for row_id in order}
    assert len(people) == wanted
    assert sum(name in ("s0", "s3") for name in people) == {1: 0, 3: 1, 6: 2}[wanted]


def test_more_speakers_than_there_are_is_refused() -> None:
    with pytest.raises(InputError, match="7 speakers are wanted of a corpus that has 6"):
        next(turns(corpus(), seed=1, speakers=7))


def test_a_list_is_read_and_a_double_line_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("id,seconds\na.wav,1.000\nb.wav,2.000\n")
    of_two = list_sha256(path)
    assert of_two == hashlib.sha256(path.read_bytes()).hexdigest()
    assert read_subset(path, of_two) == {"a.wav", "b.wav"}
    path.write_text("id\na.wav\na.wav\n")
    with pytest.raises(InputError, match=r"names a\.wav 2 times"):
        read_subset(path, list_sha256(path))
    with pytest.raises(InputError, match="as in `only`"):
        read_subset(path, of_two)
    path.write_text("id\n")
    with pytest.raises(InputError, match="names no recording"):
        read_subset(path, list_sha256(path))
    with pytest.raises(InputError, match="no list"):
        read_subset(tmp_path / "absent.csv", of_two)


def test_a_corpus_is_cut_down_to_a_list_that_it_holds_whole() -> None:
    rows, only = corpus(), frozenset({"s0/v0/0.wav", "s5/v2/1.wav"})
    assert {row.id for row in listed(rows, only)} == only
    assert count_outside(rows, only) == 34
    assert list(listed(rows, None)) == rows
    assert count_outside(rows, None) == 0
    with pytest.raises(InputError, match=r"lacks 2 of the 4 recordings of its list `only`, the first is a\.wav"):
        count_outside(rows, only | {"b.wav", "a.wav"})
