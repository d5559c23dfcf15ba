"""Which frames are a recording's own: all but those at its end that say blank with certainty."""

import math

import pytest
import torch

from voxbench.transcripts.alphabet import BLANK, CLASSES, NEVER
from voxbench.transcripts.frames import own_frames
from voxbench.transcripts.phrases import phrase_scores


def frames(*said):
    """Log-probabilities (1, T, C) of which each frame is given as that of blank and that of all others."""
    found_1TC = torch.empty(1, len(said), len(CLASSES))
    for frame, (blank, others) in enumerate(said):
        found_1TC[0, frame] = others
        found_1TC[0, frame, BLANK] = blank
    return found_1TC


SURE, PADDING, HEARD = (0.0, -100.0), (0.0, NEVER), (-5.0, -4.0)


def test_frames_at_the_end_that_are_certainly_blank_are_no_ones():
    assert own_frames(frames(HEARD, HEARD, PADDING, PADDING)).tolist() == [2]
    assert own_frames(frames(PADDING, HEARD, PADDING, HEARD)).tolist() == [4]
    assert own_frames(frames(PADDING, PADDING)).tolist() == [0]
    assert own_frames(torch.zeros(2, 0, len(CLASSES))).tolist() == [0, 0]


def test_a_network_that_is_sure_of_a_blank_has_heard_it():
    # Single precision rounds the probability of a logit 100 above the others to 1, whose logarithm is 0.
    logits_C = torch.zeros(len(CLASSES))
    logits_C[BLANK] = 100.0
    assert torch.equal(logits_C.log_softmax(dim=0), frames(SURE)[0, 0])
    assert own_frames(frames(HEARD, SURE, SURE, PADDING)).tolist() == [3]
    assert own_frames(frames(SURE)).tolist() == [1]


def test_an_end_needs_both_signs():
    assert own_frames(frames(HEARD, (-1e-6, NEVER))).tolist() == [2]
    assert own_frames(frames(HEARD, (0.0, NEVER / 2))).tolist() == [2]
    one = frames(HEARD, PADDING)
    one[0, 1, 7] = -100.0
    assert own_frames(one).tolist() == [2]


def test_a_phrase_fits_into_frames_that_are_surely_blank():
    found = frames(HEARD, SURE, SURE)
    # "abc" needs three frames: one path, of -4 and twice -100, beside the best one of -4.
    assert phrase_scores(found, ["abc"]) == pytest.approx([math.exp(-200.0 / 3)], rel=1e-12)
