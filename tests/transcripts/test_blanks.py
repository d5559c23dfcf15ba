"""Frames beyond a recording's end change no probability, no text and no gradient."""

import torch
from torch import nn

from voxbench.transcripts.alphabet import BLANK, CLASSES, NEVER
from voxbench.transcripts.blanks import blank_after, joined
from voxbench.transcripts.greedy import greedy

FRAMES, LENGTHS = 12, torch.tensor([12, 9, 5])
TARGETS = torch.tensor([[3, 4, 4, 5], [6, 3, 0, 0], [7, 7, 0, 0]])


def outputs(seed=1, frames=FRAMES, rows=3):
    logits = torch.randn(rows, frames, len(CLASSES), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return logits


def losses(log_probs, lengths):
    letters = (TARGETS != BLANK).sum(dim=1)
    return nn.functional.ctc_loss(log_probs.mT.permute(2, 0, 1), TARGETS, lengths, letters, reduction="none")


def test_frames_after_the_end_are_blank_with_certainty_and_those_before_are_left():
    found = blank_after(outputs().log_softmax(-1), LENGTHS)
    assert torch.equal(found[0], outputs().log_softmax(-1)[0])
    assert torch.equal(found[2, :5], outputs().log_softmax(-1)[2, :5])
    assert (found[2, 5:, BLANK] == 0).all()
    assert (found[2, 5:, BLANK + 1 :] == NEVER).all()


def test_loss_and_gradient_are_those_of_the_recordings_alone():
    own, padded = outputs().requires_grad_(), outputs().requires_grad_()
    wanted = losses(own.log_softmax(-1), LENGTHS)
    found = losses(blank_after(padded.log_softmax(-1), LENGTHS), torch.full((3,), FRAMES))
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)
    wanted.sum().backward()
    found.sum().backward()
    torch.testing.assert_close(padded.grad, own.grad, rtol=1e-10, atol=1e-12)
    assert (padded.grad[2, 5:] == 0).all()


def test_joined_batches_of_different_lengths_say_what_each_said():
    parts = [outputs(seed, frames, rows).log_softmax(-1) for seed, frames, rows in ((1, 12, 2), (2, 7, 3), (3, 9, 1))]
    found = joined(parts)
    assert found.shape == (6, 12, len(CLASSES))
    assert torch.equal(found[2:5, :7], parts[1])
    assert (found[2:5, 7:, BLANK] == 0).all()
    assert greedy(found) == [text for part in parts for text in greedy(part)]


def test_outputs_of_one_shape_are_joined_as_they_are():
    parts = [torch.rand(2, 5), torch.rand(3, 5)]
    assert torch.equal(joined(parts), torch.cat(parts))
