# ruff: noqa: RUF001 - characters that look like others are meant.
"""Classes and texts: what is written is read back, and what no class can write is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxbench.schema import InputError
from voxbench.transcripts.alphabet import BLANK, CLASSES, decode, encode, spelt

TEXTS = st.text("".join(CLASSES), max_size=12)


def test_the_classes_are_fixed():
    assert len(CLASSES) == len(set(CLASSES)) == 61
    assert CLASSES[:5] == ("", " ", "'", "a", "b")
    assert CLASSES[28:30] == ("z", "а")
    assert CLASSES[60] == "я"
    assert "й" in CLASSES
    assert "ё" not in CLASSES


def test_a_case_by_hand():
    found = encode(["b'a", "", "я я"])
    assert found.dtype == np.int64
    assert found.tolist() == [[4, 2, 3], [0, 0, 0], [60, 1, 60]]


def test_there_is_always_a_column():
    assert encode([""]).tolist() == [[BLANK]]
    assert encode([]).shape == (0, 1)


@given(st.lists(TEXTS, max_size=5))
def test_what_is_encoded_is_decoded(texts):
    assert decode(encode(texts)) == texts


@pytest.mark.parametrize("text", ["A", "ё", "a-b", "1", "a\n", "и\u0306"])
def test_other_characters_are_refused(text):
    with pytest.raises(InputError, match="is no class"):
        encode(["a", text])


def test_one_text_is_no_list():
    with pytest.raises(InputError, match="list of texts"):
        encode("ab")


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([[3, 0, 3]], "before a character"),
        ([[61]], "0 to 60"),
        ([[-1]], "0 to 60"),
        ([3, 4], "shape"),
        ([[0.5]], "float64"),
    ],
)
def test_rows_that_are_no_targets_are_refused(rows, found):
    with pytest.raises(InputError, match=found):
        decode(np.array(rows))


def test_frames_are_spelt_as_they_stand():
    assert spelt([0, 3, 3, 0, 1]) == "aa "
