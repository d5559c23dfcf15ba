"""The best path's text, by hand and against every path."""

import numpy as np
import pytest
import torch

from transcripts.paths import all_paths, collapse, outputs, padded
from voxbench.schema import InputError
from voxbench.transcripts.alphabet import CLASSES
from voxbench.transcripts.greedy import greedy
from voxbench.transcripts.normalising import normalise


def said(path):
    """Log-probabilities (1, T, C) whose best path is `path`, `_` for the blank of CTC."""
    numbers = [0 if letter == "_" else CLASSES.index(letter) for letter in path]
    return (torch.nn.functional.one_hot(torch.tensor(numbers), len(CLASSES)) * 8.0).log_softmax(dim=1)[None]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("_", ""),
        ("aab_b", "abb"),
        ("__яя_я", "яя"),
        ("  a  _ b ", "a b"),
        ("a_' _b", "a' b"),
        (" '_ a", "a"),
        ("''_'a", "a"),
    ],
)
def test_runs_become_one_and_the_text_is_normal(path, text):
    assert greedy(said(path)) == [text]


def test_the_path_is_the_best_of_all():
    draws = np.random.default_rng(1)
    for _ in range(20):
        found = outputs(draws, 5)
        path, _ = max(all_paths(found), key=lambda each: each[1])
        assert greedy(found[None]) == [normalise(collapse(path))]


def test_of_equal_classes_the_first_counts():
    assert greedy(torch.full((1, 3, len(CLASSES)), -5.0)) == [""]


def test_frames_at_the_end_change_nothing():
    found = outputs(np.random.default_rng(2), 30)
    both = torch.stack([padded(found, 12), padded(outputs(np.random.default_rng(3), 42), 0)])
    assert greedy(both)[0] == greedy(found[None])[0] != ""


def test_no_frames_say_nothing():
    assert greedy(torch.zeros(2, 0, len(CLASSES))) == ["", ""]
    assert greedy(torch.zeros(0, 4, len(CLASSES))) == []


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (torch.zeros(2, 3), "shape"),
        (torch.zeros(1, 3, 60), "shape"),
        (torch.full((1, 3, 61), torch.nan), "diverged"),
        (torch.full((1, 3, 61), -torch.inf), "diverged"),
        (torch.full((1, 3, 61), 0.5), "logits"),
    ],
)
def test_what_is_no_log_probability_is_refused(found, message):
    with pytest.raises(InputError, match=message):
        greedy(found)
