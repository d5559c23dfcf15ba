"""Was this phrase said? A score for a prompt, and the prompts that a recording is held against.

The score compares the phrase with the best that the network could make of the recording: the probability that CTC's
forward recursion gives to the phrase (Graves et al., ICML 2006, eq. 8), over that of the best path, as the geometric
mean over the characters of the phrase. It is the likelihood ratio of keyword and utterance verification with the free
best path as the alternative (Rose and Paul, ICASSP 1990). Near 1 is "said"; it can pass 1, because many paths may
spell the phrase. The mean makes phrases of different lengths comparable. A ratio, and not its logarithm: between a
phrase that is wrong and one that is absurd lie thousands of nats, which a calibration would spend itself on.

A phrase that needs more frames than a recording has (one for each character, and one between two equal ones) has
probability 0, and so has its score.

Shape letters: N prompts, T frames, C classes, L characters, M trials.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from voxbench.schema import InputError
from voxbench.seeding import generator
from voxbench.transcripts.alphabet import BLANK, encode
from voxbench.transcripts.frames import checked, own_frames
from voxbench.transcripts.normalising import normalise

RIGHT, OTHER, NEAR = "right", "other", "near"
AT_ONCE = 1 << 22
"""Log-probabilities that are worked on at once in double precision: 32 MB."""


@dataclass(frozen=True, slots=True, eq=False)
class PhraseTrials:
    """Trials (M): `rows` of the recordings, the `phrases` that each is held against, and their `kinds`."""

    rows: NDArray[np.int64]
    phrases: tuple[str, ...]
    kinds: tuple[str, ...]


def phrase_scores(log_probs_NTC: Tensor, phrases: Sequence[str]) -> NDArray[np.float64]:
    """Return the scores (N,) of one phrase for each row of log-probabilities; higher = more likely said.

    A ratio from 0 on. Frames at the end that are blank with certainty change no bit of it. Raises
    `InputError` for a phrase that is empty or not normalised, and for values that are no log-probabilities.
    """
    if isinstance(phrases, str) or len(phrases) != len(log_probs_NTC):
        raise InputError(f"expected {len(log_probs_NTC)} phrases, one for each recording, found {phrases!r:.80}")
    for phrase in phrases:
        _refuse_unsayable(phrase)
    found = checked(log_probs_NTC)
    if not len(phrases):
        return np.empty(0)
    rows = max(1, AT_ONCE // max(1, found[0].numel()))
    parts = [_scores(found[row : row + rows], phrases[row : row + rows]) for row in range(0, len(phrases), rows)]
    return np.concatenate(parts)


def draw_phrases(texts: Sequence[str], ids: Sequence[str], *, others: int, near: int, seed: int) -> PhraseTrials:
    """Return the trials of a split's recordings: `texts` (normalised) are what was said, `ids` name the recordings.

    Each recording, in the order given, is held against

    - its own phrase (`right`);
    - `others` different phrases of other recordings (`other`), all phrases as likely, however often they are said;
    - `near` phrases that are its own but for one word (`near`): the place is drawn, and so is the word that is put
      there, of the other words of the split nearest in length, so that no phrase is betrayed by its length. Nothing
      is known of sound: two words that sound alike may be exchanged.

    The phrases of a recording are all different; where a split has fewer, all are taken. What is drawn depends on the
    seed, the recording's id and the set of texts, not on the order of the rows. Raises `InputError` for fewer than
    two different texts, an id twice, and a text that is empty or not normalised.
    """
    if others < 0 or near < 0:
        raise InputError(f"others {others}, near {near}: expected counts from 0 on")
    _refuse_unsound(texts, ids)
    known, words = sorted(set(texts)), _by_length(texts)
    places = {text: place for place, text in enumerate(known)}
    rows: list[int] = []
    phrases: list[str] = []
    kinds: list[str] = []
    for row, (text, name) in enumerate(zip(texts, ids, strict=True)):
        draws = generator(seed, "phrases", name)
        wrong = _others(places[text], known, others, draws)
        close = list(islice((each for each in _near(text, words, draws) if each not in wrong), near))
        phrases += [text, *wrong, *close]
        kinds += [RIGHT, *[OTHER] * len(wrong), *[NEAR] * len(close)]
        rows += [row] * (1 + len(wrong) + len(close))
    return PhraseTrials(np.array(rows, dtype=np.int64), tuple(phrases), tuple(kinds))


def needed_frames(numbers_NL: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the fewest frames (N,) that spell class numbers (N, L): equal neighbours need a blank between them.

    >>> needed_frames(encode(["all", "a"])).tolist()
    [4, 1]
    """
    said_NL = numbers_NL != BLANK
    twice_NL = said_NL[:, 1:] & (numbers_NL[:, 1:] == numbers_NL[:, :-1])
    return said_NL.sum(axis=1, dtype=np.int64) + twice_NL.sum(axis=1, dtype=np.int64)


def _scores(log_probs_NTC: Tensor, phrases: Sequence[str]) -> NDArray[np.float64]:
    """Return the scores of a part that fits into memory."""
    frames_N = own_frames(log_probs_NTC).cpu()
    own_NTC = log_probs_NTC[:, : int(frames_N.max())].double().cpu()
    numbers_NL = encode(phrases)
    characters_N = (numbers_NL != BLANK).sum(axis=1)
    fits_N = needed_frames(numbers_NL) <= frames_N.numpy()
    past_NT = np.arange(own_NTC.shape[1]) >= frames_N.numpy()[:, None]
    # One frame after another: zeros at the end of a sum that is taken in pairs would change its rounding.
    best_N = _last_sum(np.where(past_NT, 0.0, own_NTC.amax(dim=2).numpy()))
    scores_N = np.zeros(len(phrases))
    if fits_N.any():
        logs_N = _log_forward(own_NTC[fits_N], numbers_NL[fits_N], frames_N[fits_N])
        scores_N[fits_N] = np.exp((logs_N - best_N[fits_N]) / characters_N[fits_N])
    return scores_N


def _log_forward(log_probs_NTC: Tensor, numbers_NL: NDArray[np.int64], frames_N: Tensor) -> NDArray[np.float64]:
    """Return the logarithms (N,) of the probabilities of all paths that spell the numbers."""
    losses_N = torch.nn.functional.ctc_loss(
        log_probs_NTC.transpose(0, 1),
        torch.from_numpy(numbers_NL),
        frames_N,
        torch.from_numpy((numbers_NL != BLANK).sum(axis=1)),
        blank=BLANK,
        reduction="none",
    )
    return -losses_N.numpy()


def _last_sum(values_NT: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sums (N,) over frames, added in their order."""
    if values_NT.shape[1] == 0:
        return np.zeros(len(values_NT))
    return np.cumsum(values_NT, axis=1)[:, -1]


def _others(own: int, known: Sequence[str], count: int, draws: np.random.Generator) -> list[str]:
    """Return different texts of `known` that do not stand in the place `own`."""
    places = draws.choice(len(known) - 1, min(count, len(known) - 1), replace=False)
    return [known[place + (place >= own)] for place in places.tolist()]


def _near(text: str, words: dict[int, list[str]], draws: np.random.Generator) -> Iterator[str]:
    """Yield different texts that are `text` but for one word, a place after another in a drawn order, and again."""
    parts = text.split()
    places = draws.permutation(len(parts)).tolist()
    replacements = {place: _replacements(parts[place], words, draws) for place in places}
    while replacements:
        for place in [each for each in places if each in replacements]:
            word = next(replacements[place], None)
            if word is None:
                del replacements[place]
            else:
                yield " ".join([*parts[:place], word, *parts[place + 1 :]])


def _replacements(word: str, words: dict[int, list[str]], draws: np.random.Generator) -> Iterator[str]:
    """Yield all other words, those nearest in length first, in a drawn order where that is equal."""
    for distance in range(max(len(word), max(words)) + 1):
        equal = words.get(len(word) - distance, [])
        longer = words.get(len(word) + distance, []) if distance else []
        near = [*equal, *longer]
        for place in draws.permutation(len(near)).tolist():
            if near[place] != word:
                yield near[place]


def _by_length(texts: Sequence[str]) -> dict[int, list[str]]:
    """Return the different words of texts, sorted, by their numbers of characters."""
    found: dict[int, list[str]] = {}
    for word in sorted({word for text in texts for word in text.split()}):
        found.setdefault(len(word), []).append(word)
    return found


def _refuse_unsound(texts: Sequence[str], ids: Sequence[str]) -> None:
    """Raise `InputError` for what no trials can be drawn from."""
    if len(texts) != len(ids):
        raise InputError(f"found {len(texts)} texts but {len(ids)} ids; each recording has one of both")
    if len(set(ids)) < len(ids):
        twice = next(name for place, name in enumerate(ids) if name in ids[:place])
        raise InputError(f"id {twice!r} names two recordings; trials are drawn by it, so ids must differ")
    for text in texts:
        _refuse_unsayable(text)
    if len(set(texts)) < 2:
        raise InputError(
            f"{len(texts)} recordings say {len(set(texts))} different texts; a wrong phrase needs at least 2 in the "
            "split: take more recordings, or other sentences"
        )


def _refuse_unsayable(phrase: str) -> None:
    """Raise `InputError` for a phrase that is empty or not normalised."""
    if (spelt := normalise(phrase)) != phrase or not phrase:
        fix = f"normalise it first ({spelt!r})" if spelt else "a phrase has at least one word"
        raise InputError(f"{phrase!r} cannot be held against a recording: {fix}")
