"""Prefix beam search: the most probable text, over all paths that spell it, with or without a language model.

Of each frame's texts so far, the best are followed; the probability of a text is the sum over its paths that end in
blank and over those that end in its last character (Graves et al., ICML 2006, section 3.2; as a beam search with a
language model Hannun et al., "First-pass large vocabulary continuous speech recognition using bi-directional
recurrent DNNs", 2014). A text's rank is

    ln P_network(text) + weight * ln P_language(text) + insertion * characters

where the last two are added as each character is (shallow fusion), and the language's end of the text at the end.

Written here, in double precision, because no maintained decoder does this: flashlight-text, on which torchaudio's
decoder is a wrapper, has no insertion score without a lexicon, and follows what ends in blank and what does not as
two hypotheses. The tests hold this search against it and against all paths.

Shape letters: N recordings, T frames, C classes, W hypotheses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from voxbench.config import Beam
from voxbench.schema import InputError
from voxbench.transcripts.alphabet import BLANK, CLASSES
from voxbench.transcripts.frames import checked, own_frames
from voxbench.transcripts.greedy import greedy
from voxbench.transcripts.language_model import CharacterModel, counted
from voxbench.transcripts.normalising import normalise

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Fusion:
    """A language model, its `weight`, and what each character gains (`insertion`, nats)."""

    model: CharacterModel
    weight: float
    insertion: float

    def gains(self, text: str) -> Floats:
        """Return what each class (C,) adds to the rank of `text`; `BLANK`'s is that of the end."""
        gains_C = self.weight * self.model.logs(self.model.context(text)) + self.insertion
        gains_C[BLANK] -= self.insertion
        return gains_C


class Decoder:
    """Reads texts off log-probabilities: by the best path where `settings` is None, else by prefix beam search.

    Where the settings name a language model, it comes from `grams`, the counts of its n-grams: `grams_of` counts those
    of training transcripts.
    """

    def __init__(self, settings: Beam | None, grams: Mapping[str, int] | None) -> None:
        self.settings = settings
        self.fusion = None
        if settings is not None and (language := settings.language_model) is not None:
            assert grams is not None, "counted wherever a language model is named"
            model = CharacterModel(grams, language.order)
            self.fusion = Fusion(model, weight=language.weight, insertion=language.insertion)

    def __call__(self, log_probs_NTC: Tensor) -> list[str]:
        """Return the N texts, normalised as references are; frames at the end that are blank change nothing."""
        if self.settings is None:
            return greedy(log_probs_NTC)
        found = checked(log_probs_NTC)
        lengths = own_frames(found).tolist()
        rows = [row[:length].double().cpu().numpy() for row, length in zip(found, lengths, strict=True)]
        width, threshold = self.settings.width, self.settings.threshold
        return [
            normalise(prefix_search(row_TC, width=width, threshold=threshold, fusion=self.fusion)[0][0])
            for row_TC in rows
        ]


def grams_of(settings: Beam | None, texts: Sequence[str]) -> dict[str, int] | None:
    """Return the counts that the settings' language model takes from normalised texts; None where there is no model."""
    if settings is None or settings.language_model is None:
        return None
    return counted(texts, settings.language_model.order)


@dataclass(slots=True, eq=False)
class _Front:
    """The hypotheses of a frame (W), best first: texts, logarithms of both kinds of paths, and gains so far."""

    texts: list[str]
    last_W: NDArray[np.int64]
    blank_W: Floats
    said_W: Floats
    gained_W: Floats
    gains_WC: Floats


def prefix_search(
    log_probs_TC: Floats, *, width: int, threshold: float, fusion: Fusion | None
) -> list[tuple[str, float]]:
    """Return the texts that are left at the end and their ranks, best first.

    At most `width` are followed through a frame, and none whose rank is more than `threshold` nats below the best.
    Of equal ranks, what was followed before comes before what grew, and both in the order they had. No frames spell
    the empty text.
    """
    if width < 1 or not threshold > 0:
        raise InputError(f"width {width}, threshold {threshold}: expected at least 1 and a positive number of nats")
    front = _Front([""], np.array([BLANK]), np.zeros(1), np.full(1, -np.inf), np.zeros(1), _gains([""], fusion))
    for frame_C in log_probs_TC:
        front = _advanced(front, frame_C, width, threshold, fusion)
    ranks_W = np.logaddexp(front.blank_W, front.said_W) + front.gained_W + front.gains_WC[:, BLANK]
    order = np.argsort(-ranks_W, kind="stable")
    return [(front.texts[place], float(ranks_W[place])) for place in order]


def _advanced(front: _Front, frame_C: Floats, width: int, threshold: float, fusion: Fusion | None) -> _Front:
    """Return the hypotheses after one more frame."""
    count, places_W = len(front.texts), np.arange(len(front.texts))
    total_W = np.logaddexp(front.blank_W, front.said_W)
    grown_WC = total_W[:, None] + frame_C
    # The same character again is a new one only after a blank.
    grown_WC[places_W, front.last_W] = front.blank_W + frame_C[front.last_W]
    grown_WC[:, BLANK] = -np.inf
    blank_W, said_W = total_W + frame_C[BLANK], front.said_W + frame_C[front.last_W]
    _merge_grown(front, grown_WC, said_W)
    stayed_W = np.logaddexp(blank_W, said_W) + front.gained_W
    ranks = np.concatenate([stayed_W, (grown_WC + front.gained_W[:, None] + front.gains_WC).ravel()])
    kept = _best(ranks, width, threshold)
    stays, grows = kept < count, kept >= count
    parents = np.where(stays, kept, (kept - count) // len(CLASSES))
    added = np.where(grows, (kept - count) % len(CLASSES), BLANK)
    texts = [front.texts[parent] + CLASSES[number] for parent, number in zip(parents, added, strict=True)]
    gains_WC = front.gains_WC[parents]
    if fusion is not None and grows.any():
        gains_WC[grows] = _gains([texts[place] for place in np.flatnonzero(grows)], fusion)
    return _Front(
        texts,
        last_W=np.where(stays, front.last_W[parents], added),
        blank_W=np.where(stays, blank_W[parents], -np.inf),
        said_W=np.where(stays, said_W[parents], grown_WC[parents, added]),
        gained_W=front.gained_W[parents] + np.where(grows, front.gains_WC[parents, added], 0.0),
        gains_WC=gains_WC,
    )


def _merge_grown(front: _Front, grown_WC: Floats, said_W: Floats) -> None:
    """Move what grows into a text that is followed already to that text's paths, in place."""
    places = {text: place for place, text in enumerate(front.texts)}
    for place, text in enumerate(front.texts):
        parent = places.get(text[:-1]) if text else None
        if parent is not None:
            last = front.last_W[place]
            said_W[place] = np.logaddexp(said_W[place], grown_WC[parent, last])
            grown_WC[parent, last] = -np.inf


def _best(ranks: Floats, width: int, threshold: float) -> NDArray[np.int64]:
    """Return the places of the `width` highest ranks within `threshold` of the highest, best first."""
    least = ranks.max() - threshold
    if len(ranks) > width:
        least = max(least, np.partition(ranks, -width)[-width])
    near = np.flatnonzero((ranks >= least) & (ranks > -np.inf))
    return near[np.argsort(-ranks[near], kind="stable")][:width]


def _gains(texts: Sequence[str], fusion: Fusion | None) -> Floats:
    """Return what each class adds to the ranks of texts (W, C)."""
    if fusion is None:
        return np.zeros((len(texts), len(CLASSES)))
    return np.stack([fusion.gains(text) for text in texts])
