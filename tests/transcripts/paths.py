"""Every path through a few frames, one by one: what the recursions and searches of the room are held against."""

import itertools

import numpy as np
import torch

from voxbench.transcripts.alphabet import BLANK, CLASSES, NEVER

FEW = "ab "


def outputs(draws, frames, letters=FEW, scale=1.0):
    """Log-probabilities (T, C) that fall on blank and a few letters alone."""
    numbers = [BLANK, *(CLASSES.index(letter) for letter in letters)]
    logits = torch.from_numpy(draws.standard_normal((frames, len(numbers))) * scale)
    log_probs_TC = torch.full((frames, len(CLASSES)), NEVER, dtype=torch.float64)
    log_probs_TC[:, numbers] = logits.log_softmax(dim=1)
    return log_probs_TC


def padded(log_probs_TC, frames):
    """The same with so many frames more that are blank with certainty."""
    blank = torch.full((frames, log_probs_TC.shape[1]), NEVER, dtype=log_probs_TC.dtype)
    blank[:, BLANK] = 0.0
    return torch.cat([log_probs_TC, blank])


def collapse(path):
    """The text of a path, step by step."""
    text, before = "", BLANK
    for number in path:
        if number not in (BLANK, before):
            text += CLASSES[number]
        before = number
    return text


def all_paths(log_probs_TC, letters=FEW):
    """Every path and its probability."""
    numbers = [BLANK, *(CLASSES.index(letter) for letter in letters)]
    probabilities = np.exp(np.asarray(log_probs_TC, dtype=np.float64))
    for path in itertools.product(numbers, repeat=len(log_probs_TC)):
        yield path, float(np.prod([probabilities[frame, number] for frame, number in enumerate(path)]))


def all_texts(log_probs_TC, letters=FEW):
    """Every text and its probability: the sum over the paths that spell it."""
    texts = {}
    for path, probability in all_paths(log_probs_TC, letters):
        texts[collapse(path)] = texts.get(collapse(path), 0.0) + probability
    return texts
