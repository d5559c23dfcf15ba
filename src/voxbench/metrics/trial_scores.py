"""Scores of speaker-verification trials from embeddings: centring, cosine or PLDA, and AS-norm, as one back end.

A back end is what is known of other speakers than those of the trials: the mean of their embeddings, which is
subtracted, a PLDA that was fitted on them, and the mean embedding of each, against which scores are normalised. It is
a record of arrays, so that what serves a network scores as what evaluated it. Every unique utterance is embedded once;
trials are pairs of rows.

    embedding - mean -> [projection] -> [template: mean of clips of length one] -> cosine or PLDA -> [AS-norm]

A cohort speaker is the mean of that speaker's embeddings as they are, as WeSpeaker computes it; a template is the mean
of its clips' embeddings of length one, so that no clip counts more for being louder or longer.

Shape letters: U unique utterances, D dimensions, N trials, K cohort speakers, M test utterances, S enrolled speakers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxbench.metrics.closeness import Comparable, Vectors, all_scores, by_cosine, pair_scores, unit_length, vectors
from voxbench.metrics.inputs import Floats, Integers, class_indices, cluster_indices
from voxbench.metrics.plda import Plda, PldaSettings, by_likelihood, fit_plda, projected
from voxbench.metrics.score_normalisation import check_top, cohort_levels, normalised
from voxbench.schema import InputError

SHOWN = 3
USED = "embeddings, of those that occur in trials,"


@dataclass(frozen=True, slots=True, eq=False)
class BackEnd:
    """What turns embeddings into scores: each part is None where it is not wanted, without any it is the cosine.

    `mean_D` is subtracted. `plda` takes the place of the cosine; it was fitted on embeddings less `mean_D`.
    `cohort_KD` are the mean embeddings of the cohort's speakers, before anything is subtracted, and `top` how many of
    them count for AS-norm: both or none.
    """

    mean_D: Floats | None
    plda: Plda | None
    cohort_KD: Floats | None
    top: int | None

    def __post_init__(self) -> None:
        if (self.cohort_KD is None) != (self.top is None):
            raise InputError("AS-norm needs both a cohort and top, found one of them: give both or none")
        if self.cohort_KD is not None and self.top is not None:
            check_top(self.top, len(self.cohort_KD))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all parts as arrays by name, for `numpy.savez`; `of_arrays` takes them back."""
        named: dict[str, Any] = {"mean_D": self.mean_D, "cohort_KD": self.cohort_KD, "top": self.top}
        if self.plda is not None:
            named |= {field.name: getattr(self.plda, field.name) for field in fields(Plda)}
        return {name: np.asarray(part) for name, part in named.items() if part is not None}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> BackEnd:
        """Return the back end of `arrays`."""
        names = [field.name for field in fields(Plda)]
        plda = Plda(*(arrays[name] for name in names)) if names[0] in arrays else None
        top = int(arrays["top"]) if "top" in arrays else None
        return cls(arrays.get("mean_D"), plda, arrays.get("cohort_KD"), top)


def fit_back_end(
    training: ArrayLike | None,
    speakers: ArrayLike | None,
    *,
    centre: bool,
    top: int | None,
    plda: PldaSettings | None,
) -> BackEnd:
    """Return the back end of embeddings (N, D) of other people than those of the trials, `speakers` (N,) their names.

    `centre` says whether their mean is subtracted, `top` of how many of their speakers' means AS-norm counts the
    closest, `plda` how a PLDA is fitted on them; None: not. Raises `InputError` for parts that need training embeddings
    or speakers where none are given.
    """
    if not (centre or top is not None or plda is not None):
        return BackEnd(None, None, None, None)
    if training is None or (speakers is None and (top is not None or plda is not None)):
        raise InputError("centring needs training embeddings, AS-norm and PLDA need them and their speakers: give both")
    mean_D = mean_embedding(training) if centre else None
    model = None if plda is None or speakers is None else fit_centred_plda(training, speakers, mean_D, plda)
    cohort_KD = None if top is None or speakers is None else speaker_means(training, speakers)[1]
    return BackEnd(mean_D, model, cohort_KD, top)


def mean_embedding(embeddings: ArrayLike) -> Floats:
    """Return the mean (D,) of embeddings (N, D), which must be finite and not zero.

    >>> mean_embedding([[1.0, 2.0], [3.0, 2.0]]).tolist()
    [2.0, 2.0]
    """
    mean_D: Floats = _sound(embeddings, "training embeddings").mean(axis=0, dtype=np.float64)
    return mean_D


def speaker_means(embeddings: ArrayLike, speakers: ArrayLike) -> tuple[NDArray[np.generic], Floats]:
    """Return the names (K,) of speakers, sorted, and the mean (K, D) of each one's embeddings (N, D).

    >>> speaker_means([[1.0, 2.0], [0.0, 1.0], [3.0, 2.0]], ["b", "a", "b"])[1].tolist()
    [[0.0, 1.0], [2.0, 2.0]]
    """
    vectors_ND = _sound(embeddings, "cohort embeddings")
    names, class_N = cluster_indices(speakers)
    if len(class_N) != len(vectors_ND):
        raise InputError(f"{len(vectors_ND):,} embeddings and {len(class_N):,} speakers; expected one for each")
    order_N = np.argsort(class_N, kind="stable")
    # Speaker by speaker: a copy of all embeddings may not fit into memory.
    rows = np.split(order_N, np.cumsum(np.bincount(class_N))[:-1])
    return names, np.stack([vectors_ND[of_one].mean(axis=0, dtype=np.float64) for of_one in rows])


def fit_centred_plda(embeddings: ArrayLike, speakers: ArrayLike, mean_D: Floats | None, settings: PldaSettings) -> Plda:
    """Return the PLDA of embeddings (N, D) less `mean_D`."""
    return fit_plda(_centred(_sound(embeddings, "PLDA training"), mean_D, "PLDA training"), speakers, settings)


def score_trials(
    back_end: BackEnd,
    embeddings: ArrayLike,
    enroll: ArrayLike,
    test: ArrayLike,
    enrolments: Sequence[ArrayLike] | None = None,
) -> Floats:
    """Return the scores (N,) of trials between rows `enroll` and `test` (N,) of embeddings (U, D), higher = closer.

    With `enrolments`, each the rows of one template's clips, `enroll` are places among these. Cosines lie in [-1, 1]
    up to rounding; scores of a PLDA are natural-log likelihood ratios; AS-norm makes both numbers of standard
    deviations. Raises `InputError` for embeddings that occur in a trial and have no direction (zero, NaN, infinite,
    or equal to the mean), and `UndefinedError` for an utterance to which all its closest cohort speakers are equal.
    """
    vectors_UD = vectors(embeddings, "embeddings")
    test_N = class_indices(test, "test", classes=len(vectors_UD))
    enroll_N = class_indices(enroll, "enroll", classes=len(vectors_UD if enrolments is None else enrolments))
    if enroll_N.shape != test_N.shape:
        raise InputError(f"enroll must have shape {test_N.shape} like test, found {enroll_N.shape}")
    if enrolments is not None:
        used_M, test_N = np.unique(test_N, return_inverse=True)
        sides = _sides(back_end, vectors_UD, enrolments, used_M)
        test_N = test_N + len(enrolments)
    else:
        used_U = np.zeros(len(vectors_UD), dtype=bool)
        used_U[enroll_N], used_U[test_N] = True, True
        if not used_U.all():
            vectors_UD, place_U = vectors_UD[used_U], np.cumsum(used_U) - 1
            enroll_N, test_N = place_U[enroll_N], place_U[test_N]
        sides = _comparable(back_end, _prepared(back_end, vectors_UD, USED))
    scores_N = pair_scores(sides, enroll_N, test_N)
    if back_end.cohort_KD is None or back_end.top is None:
        return scores_N
    levels = cohort_levels(sides, _cohort(back_end, back_end.cohort_KD), top=back_end.top)
    return normalised(scores_N, enroll_N, test_N, levels)


def identification_scores(
    back_end: BackEnd, embeddings: ArrayLike, enrolments: Sequence[ArrayLike], test: ArrayLike
) -> Floats:
    """Return the scores (M, S) of each row `test` (M,) of embeddings (U, D) with each of S templates.

    They are those of `score_trials` for every pair.
    """
    vectors_UD = vectors(embeddings, "embeddings")
    test_M = class_indices(test, "test", classes=len(vectors_UD))
    sides = _sides(back_end, vectors_UD, enrolments, test_M)
    split = len(enrolments)
    scores_MS = all_scores(_part(sides, slice(split, None)), _part(sides, slice(split)))
    if back_end.cohort_KD is None or back_end.top is None:
        return scores_MS
    levels = cohort_levels(sides, _cohort(back_end, back_end.cohort_KD), top=back_end.top)
    mean_U, spread_U = levels.mean_U, levels.spread_U
    of_template = (scores_MS - mean_U[:split]) / spread_U[:split]
    of_test = (scores_MS - mean_U[split:, None]) / spread_U[split:, None]
    return (of_template + of_test) / 2


def refuse_shared_speakers(training: Iterable[str], trials: Iterable[str], what: str) -> None:
    """Raise `InputError` where a speaker of the trials is among those of `training`, which `what` calls in words.

    Scores are then compared with those of the very voices that are tested: figures look better than they are.
    """
    tested = set(trials)
    if shared := sorted(tested.intersection(training)):
        raise InputError(
            f"{what} has {len(shared):,} of the {len(tested):,} speakers of the trials ({', '.join(shared[:SHOWN])}): "
            "leave them out of it, it must be of other people"
        )


def _sound(embeddings: ArrayLike, name: str) -> Vectors:
    """Return embeddings (N, D), all of which have a direction."""
    return by_cosine(vectors(embeddings, name), name).vectors_UD


def _centred(vectors_UD: Vectors, mean_D: Floats | None, name: str) -> Vectors:
    if mean_D is None:
        return vectors_UD
    if vectors_UD.shape[1] != len(mean_D):
        raise InputError(f"{name} have {vectors_UD.shape[1]} dimensions, but the mean that is subtracted {len(mean_D)}")
    return np.asarray(vectors_UD - mean_D, dtype=np.float64)


def _prepared(back_end: BackEnd, vectors_UD: Vectors, name: str) -> Vectors:
    """Return embeddings without what is common to all speakers, projected where there is a PLDA."""
    centred_UD = _centred(vectors_UD, back_end.mean_D, name)
    return centred_UD if back_end.plda is None else projected(back_end.plda, centred_UD, name)


def _comparable(back_end: BackEnd, prepared: Vectors) -> Comparable:
    return (
        by_cosine(prepared, "embeddings")
        if back_end.plda is None
        else by_likelihood(back_end.plda, np.asarray(prepared))
    )


def _cohort(back_end: BackEnd, cohort_KD: Floats) -> Comparable:
    return _comparable(back_end, _prepared(back_end, cohort_KD, "cohort embeddings"))


def _sides(back_end: BackEnd, vectors_UD: Vectors, enrolments: Sequence[ArrayLike], test_M: Integers) -> Comparable:
    """Return templates and after them test utterances, to be compared."""
    clips = [class_indices(rows, f"enrolment {place}", len(vectors_UD)) for place, rows in enumerate(enrolments)]
    starts = np.cumsum([0, *map(len, clips[:-1])])
    of_clips = _prepared(back_end, vectors_UD[np.concatenate(clips)], "embeddings of enrolments")
    sums = np.add.reduceat(unit_length(of_clips, "embeddings of enrolments"), starts, axis=0)
    templates = sums / np.array([len(rows) for rows in clips])[:, None]
    if back_end.plda is not None:
        templates = unit_length(templates, "templates")
    tests = _prepared(back_end, vectors_UD[test_M], USED)
    return _comparable(back_end, np.concatenate([templates, tests]))


def _part(sides: Comparable, rows: slice) -> Comparable:
    return Comparable(sides.vectors_UD[rows], sides.divisor_U[rows], sides.offset_U[rows])
