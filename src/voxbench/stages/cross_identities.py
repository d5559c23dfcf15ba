"""Identification: of each benchmark's best verification network, who of the enrolled speakers it takes a voice for.

VoxCeleb1's `iden_split.txt` deals the recordings of every speaker into three sets. Here its first set enrolls, a
template for each speaker, and its third is identified; the second is not used. A corpus takes part that has such a list
and names lists of trials (`corpora.NAME.trials`). Everybody is a stranger: speakers whom the network was trained or
validated on (`voxbench.stages.strangers`) are neither enrolled nor asked for, and counted. The published accuracies of
VoxCeleb1 are of networks that were trained on the first set of all 1,251 speakers, and are higher for it.

Outputs in `results/cross`, if there is any such corpus and network: `identification.parquet` (a row for each network
and recording: the place of its true speaker among the enrolled, 1 the closest, whoever is as close counted as closer)
and `identification.csv` (a row for each network, corpus and number of places). Intervals are over the test speakers;
who is enrolled stays the same.

Shape letters: M test recordings, S speakers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from voxbench.config import Report
from voxbench.metrics import UndefinedError, cluster_bootstrap
from voxbench.metrics.identification import rank_accuracy
from voxbench.metrics.trial_scores import identification_scores
from voxbench.schema import InputError
from voxbench.seeding import generator
from voxbench.serving.verifier import Speech, Verifier
from voxbench.stages.finalists import best_on_validation
from voxbench.stages.hearing import Hearing
from voxbench.stages.strangers import acquainted
from voxbench.tasks import tasks

RANKED, MEASURES = "identification.parquet", "identification.csv"
SET, ENROLL, TEST = "extra_identification", "train", "test"
PLACES = (1, 5)


@dataclass(frozen=True, eq=False)
class Identified:
    """One network on one corpus: the test recordings with the place of their speaker, and how many were enrolled.

    `lost` counts recordings that cannot be heard, and those of speakers of whom no enrolment can be. `scores_MS` are
    of `ranked`'s rows and the enrolled speakers.
    """

    about: dict[str, Any]
    ranked: pd.DataFrame
    truth_M: np.ndarray
    scores_MS: np.ndarray
    lost: int
    note: str


def cross_identities(hearing: Hearing, folder: Path) -> bool:
    """Identify the voices of every corpus with an identification list; return whether anything was written.

    Files of an earlier run are removed where there is nothing to write.
    """
    params = hearing.workspace.params
    names = [name for name, row in params.benchmarks.items() if tasks[row.task].pairs]
    work = [(name, corpus) for name in names for corpus, row in params.corpora.items() if row.trials]
    found = [each for name, corpus in work if (each := _identify(hearing, name, corpus)) is not None]
    if not found:
        for name in (RANKED, MEASURES):
            (folder / name).unlink(missing_ok=True)
        return False
    folder.mkdir(parents=True, exist_ok=True)
    keys = ["benchmark", "corpus"]
    tables = [
        pd.DataFrame({key: each.about[key] for key in keys}, each.ranked.index).join(each.ranked) for each in found
    ]
    pd.concat(tables, ignore_index=True).to_parquet(folder / RANKED, index=False)
    measures = pd.DataFrame([row for each in found for row in _measured(each, params.report)])
    measures.to_csv(folder / MEASURES, index=False)
    print(measures[["benchmark", "corpus", "metric", "value", "low", "high"]].to_string(index=False))
    return True


def _identify(hearing: Hearing, name: str, corpus: str) -> Identified | None:
    """Return what one network makes of one corpus, None of a corpus that has no identification list."""
    workspace = hearing.workspace
    manifest = pd.read_parquet(workspace.prepared(corpus) / "manifest.parquet")
    if SET not in manifest or manifest[SET].isna().all():
        return None
    row, network = workspace.params.benchmark(name), best_on_validation(workspace, name)
    known = acquainted(workspace, row.corpus, corpus).known
    dealt = manifest[manifest[SET].isin([ENROLL, TEST])]
    strangers = dealt[~dealt["speaker"].isin(known)]
    speeches = hearing(network, f"identify {name} on {corpus}", corpus, strangers["id"])
    enrolled, tests = _sides(strangers[[isinstance(speeches[each], Speech) for each in strangers["id"]]])
    templates = {str(speaker): rows.to_numpy() for speaker, rows in enrolled.groupby("speaker").groups.items()}
    truth_M = tests["speaker"].map({speaker: place for place, speaker in enumerate(templates)}).to_numpy(np.int64)
    scores_MS, note = _scores(network, [*enrolled["id"], *tests["id"]], speeches, list(templates.values()))
    place_M = np.full(len(tests), np.nan)
    if len(scores_MS):
        place_M = (scores_MS >= np.take_along_axis(scores_MS, truth_M[:, None], axis=1)).sum(axis=1).astype(float)
    about: dict[str, Any] = {"benchmark": name, "task": row.task, "model": network.name}
    about |= {"trained_on": row.corpus, "corpus": corpus, "enrolled": len(templates), "clips": len(enrolled)}
    about |= {"tests": len(tests), "speakers": tests["speaker"].nunique()}
    left_out = dealt.loc[dealt["speaker"].isin(known), "speaker"].nunique()
    left = f"{left_out} speakers whom the network was trained or validated on are left out" if left_out else ""
    return Identified(
        about,
        ranked=tests[["id", "speaker"]].assign(place=place_M),
        truth_M=truth_M,
        scores_MS=scores_MS,
        lost=len(strangers) - len(enrolled) - len(tests),
        note="; ".join(filter(None, (note, left))),
    )


def _sides(heard: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the recordings that enroll, and those of the enrolled that are to be identified."""
    enrolled = heard[heard[SET] == ENROLL].reset_index(drop=True)
    tests = heard[(heard[SET] == TEST) & heard["speaker"].isin(enrolled["speaker"])]
    return enrolled, tests.reset_index(drop=True)


def _scores(
    network: Path, recordings: list[str], speeches: dict[str, Speech | str], templates: list[np.ndarray]
) -> tuple[np.ndarray, str]:
    """Return the scores (M, S) of the recordings after those enrolled, or none and the reason."""
    sound = [speech for speech in map(speeches.__getitem__, recordings) if isinstance(speech, Speech)]
    first = sum(map(len, templates))
    if not templates or first == len(sound):
        return np.empty((0, len(templates))), "nobody is enrolled, or nobody who is enrolled is asked for"
    embeddings_UD = np.stack([speech.embedding_D for speech in sound])
    try:
        back_end = Verifier(network).back_end
        return identification_scores(back_end, embeddings_UD, templates, range(first, len(sound))), ""
    except UndefinedError as error:
        return np.empty((0, len(templates))), str(error)


def _measured(each: Identified, settings: Report) -> Iterator[dict[str, Any]]:
    """Yield a row for each number of places."""
    about = each.about | {"lost": each.lost}
    for places in PLACES:
        row = about | {"metric": f"rank_accuracy(k={places})", "value": None, "low": None, "high": None}
        if not len(each.scores_MS):
            yield row | {"note": each.note}
            continue
        try:
            row["value"] = rank_accuracy(each.truth_M, each.scores_MS, k=places)
            low, high, reason = _interval(each, places, settings)
        except UndefinedError as error:
            low, high, reason = None, None, str(error)
        yield row | {"low": low, "high": high, "note": "; ".join(filter(None, (each.note, reason)))}


def _interval(each: Identified, places: int, settings: Report) -> tuple[float | None, float | None, str]:
    """Return the interval of an accuracy over the test speakers, or the reason why there is none."""
    key = (each.about["benchmark"], each.about["corpus"], str(places))
    try:
        found = cluster_bootstrap(
            np.mean,
            each.ranked["speaker"].to_numpy(),
            each.ranked["place"].to_numpy() <= places,
            resamples=settings.resamples,
            level=settings.level,
            generator=generator(settings.seed, "identification", *key),
        )
    except InputError as error:
        return None, None, str(error)
    return found.low, found.high, ""
