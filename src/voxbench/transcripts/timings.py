"""When each word was said: the best path that spells a text, by Viterbi's search over CTC's states.

States are the text's characters with a blank before, between and after them; a path stays, goes on by one, or passes
a blank between two different characters (Graves et al., ICML 2006, figure 3). Written here in a few lines because
torchaudio, which has it as `forced_align`, ends with the version that is pinned; the tests hold both against each
other.

A CTC network says a character when it is sure of it, mostly for a single frame, and not from its beginning to its
end: starts are late, ends early, by the network's own delay and by up to a frame.

Shape letters: T frames, C classes, S states.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from voxbench.schema import InputError
from voxbench.transcripts.alphabet import BLANK, encode
from voxbench.transcripts.frames import checked, own_frames
from voxbench.transcripts.normalising import normalise
from voxbench.transcripts.phrases import needed_frames

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class WordTiming:
    """One word: from the first frame of its first character to the end of the last frame of its last one.

    `probability` is the mean over the frames that say its characters, of what the network gives to them.
    """

    word: str
    start_seconds: float
    end_seconds: float
    probability: float


def word_timings(log_probs_TC: Tensor, text: str, seconds_per_frame: float) -> list[WordTiming]:
    """Return when each word of a normalised text was said, in order.

    Frames at the end that are blank with certainty carry no word. Of equally probable paths, the one counts that,
    read from the end, stays where it can. Raises `InputError` for an empty text, one that is not normalised, and one
    that needs more frames than there are.
    """
    if not text or normalise(text) != text:
        raise InputError(f"{text!r} cannot be aligned: expected a normalised text of at least one word")
    if not seconds_per_frame > 0:
        raise InputError(f"seconds_per_frame is {seconds_per_frame}, expected a positive duration")
    if log_probs_TC.ndim != 2:
        raise InputError(f"expected log-probabilities (T, C), found shape {tuple(log_probs_TC.shape)}")
    found = checked(log_probs_TC[None])
    frames, numbers_NL = int(own_frames(found)[0]), encode([text])
    if (needed := int(needed_frames(numbers_NL)[0])) > frames:
        raise InputError(f"{text!r} needs at least {needed} frames, the recording has {frames}: it is another text's")
    logs_TC = found[0, :frames].double().cpu().numpy()
    places_T = aligned(logs_TC, numbers_NL[0])
    timings, first = [], 0
    for word in text.split():
        said = np.flatnonzero((places_T >= first) & (places_T < first + len(word)))
        chosen = logs_TC[said, numbers_NL[0, places_T[said]]]
        start, end = seconds_per_frame * int(said[0]), seconds_per_frame * (int(said[-1]) + 1)
        timings.append(WordTiming(word, start, end, float(np.exp(chosen).mean())))
        first += len(word) + 1
    return timings


def aligned(log_probs_TC: Floats, numbers_L: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each frame (T,) the place of the character that the best path says there, -1 for blank."""
    states_S = np.full(2 * len(numbers_L) + 1, BLANK, dtype=np.int64)
    states_S[1::2] = numbers_L
    passes_S = np.zeros(len(states_S), dtype=bool)
    passes_S[3::2] = numbers_L[1:] != numbers_L[:-1]
    best_S = np.full(len(states_S), -np.inf)
    best_S[0] = 0.0
    steps_TS = np.zeros((len(log_probs_TC), len(states_S)), dtype=np.int8)
    for frame, log_probs_C in enumerate(log_probs_TC):
        ways = np.full((3, len(states_S)), -np.inf)
        ways[0] = best_S
        ways[1, 1:] = best_S[:-1]
        ways[2, 2:] = np.where(passes_S[2:], best_S[:-2], -np.inf)
        steps_TS[frame] = ways.argmax(axis=0)
        best_S = ways.max(axis=0) + log_probs_C[states_S]
    state = len(states_S) - 1 - int(best_S[-2] > best_S[-1])
    path_T = np.empty(len(log_probs_TC), dtype=np.int64)
    for frame in reversed(range(len(log_probs_TC))):
        path_T[frame] = state
        state -= int(steps_TS[frame, state])
    return np.where(path_T % 2 == 1, path_T // 2, -1)
