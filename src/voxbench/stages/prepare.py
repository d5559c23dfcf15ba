"""Raw recordings become cleaned audio, a manifest, and an account of every recording that was found.

Outputs in `data/prepared/CORPUS`: `shard-*.arrow` (audio), `manifest.parquet` (one row for each recording kept),
`excluded.csv` (one for each that was not, with the reason), `funnel.json` (found -> readable -> kept, labelled) and
`leakage.json` (the certificate that no speaker, session or audio is in two splits). A corpus with lists of trials has
`trials.parquet` and `trials.json`, by the ids of the manifest: `voxbench.stages.trial_lists`; one with a speaker
verifier's scores has `asv_scores.parquet`: `voxbench.corpora.stored_asv_scores`. The manifest also carries the split by
utterance, `split_utterance`, which leaks by design and is trained on for comparison only (`leakage-utterance.json`). A
corpus with a list of `only` is these recordings and no others: `outside_subset` of the funnel counts those, which are
in no other file.

Recordings stream through: memory holds a few shards' worth of rows, and at the end the columns that splits need. Audio
of copies that are left out stays in the shards; the manifest decides what is used.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from voxbench.artifacts import digest, package_digest, write_json
from voxbench.audio import AudioReason, clean, decode_audio, read_bytes
from voxbench.audio.traces import trace
from voxbench.config import Cleaning, Corpus, Parallel, Splitting
from voxbench.corpora import read_corpus, stored_asv_scores
from voxbench.corpora.exclusions import UNSPLIT, Exclusions
from voxbench.corpora.integrity import ABOUT_AUDIO, LEAKY_KEYS, certify, find_copies
from voxbench.corpora.manifest import Census, RowsWriter, complete, count_labels, read_columns, take_census
from voxbench.corpora.splitting import assign_splits
from voxbench.corpora.subsetting import count_outside, listed, read_subset
from voxbench.features.store import ShardWriter, quantize, read_notes
from voxbench.features.trial_lists import STORED
from voxbench.progress import Progress
from voxbench.schema import AudioError, InputError, Split, Utterance
from voxbench.stages.trial_lists import ACCOUNT, store_trials
from voxbench.stages.workspace import Workspace
from voxbench.workers import spread

LABELS = ("gender", "age_years", "age_group", "text", "attack")
MISSING = "missing"
CODE = ("audio", "features/store.py", "stages/prepare.py")
Outcome = dict[str, Any]


def prepare(workspace: Workspace, name: str) -> None:
    """Clean the corpus `name`; shards finished by an interrupted run are kept."""
    corpus, folder = workspace.params.corpus(name), workspace.prepared(name)
    only = None if corpus.only is None else read_subset(workspace.root / corpus.only.file, corpus.only.sha256)

    def read() -> Iterator[Utterance]:
        return listed(read_corpus(corpus.reader, workspace.root / corpus.root), only)

    outside = count_outside(read_corpus(corpus.reader, workspace.root / corpus.root), only)
    census = take_census(read())
    if corpus.asv_scores:
        # Before the work, which may take hours.
        stored_asv_scores.require_asv_scores(workspace.root / corpus.root, corpus.asv_scores)
    if not census.found:
        raise InputError(f"corpus {name!r}: reader {corpus.reader!r} found no recordings in {corpus.root}")
    leaves_out = corpus.splitting.by == "official" and 0 < census.unsplit < census.found
    taken = census.found - (census.unsplit if leaves_out else 0)
    parallel = workspace.params.parallel
    paths = [folder / f"shard-{number:05d}.arrow" for number in range(-(-taken // parallel.rows_per_shard))]
    # A manifest vouches for the shards beside it, so it goes before they change.
    derived = {folder / name for name in ("manifest.parquet", STORED, ACCOUNT, stored_asv_scores.STORED)}
    for stale in {*derived, *folder.glob("shard-*")} - set(paths):
        stale.unlink(missing_ok=True)
    rows = folder / "manifest.parquet.rows"
    with Exclusions(folder / "excluded.csv") as excluded, RowsWriter(rows, census.extras) as kept:
        for utterance in (row for row in read() if leaves_out and row.split is None):
            excluded.add(utterance.id, utterance.speaker, UNSPLIT, "in none of the official sets")
        utterances = (row for row in read() if not leaves_out or row.split is not None)
        with Progress(f"prepare {name}", taken) as progress:
            for chunk, outcomes in _cleaned(utterances, paths, corpus.cleaning, parallel):
                _sort_out(chunk, outcomes, kept, excluded)
                progress.advance(f"{excluded.unusable} excluded", len(chunk))
        kept.close()
        account(rows, census, excluded, corpus, outside)
    if corpus.trials:
        lists = [(name, workspace.root / corpus.root / name) for name in corpus.trials]
        print(store_trials(folder, lists, corpus.max_excluded_fraction))
    if corpus.asv_scores:
        root = workspace.root / corpus.root
        print(stored_asv_scores.store_asv_scores(folder, corpus.reader, root, corpus.asv_scores))


def _cleaned(
    utterances: Iterator[Utterance], paths: Sequence[Path], cleaning: Cleaning, parallel: Parallel
) -> Iterator[tuple[list[Utterance], list[Outcome]]]:
    """Yield each shard's recordings and what became of them; memory holds those that workers have in hand."""
    in_work: deque[list[Utterance]] = deque()

    def pieces() -> Iterator[tuple[list[Utterance], Cleaning, Path]]:
        for path in paths:
            in_work.append(list(islice(utterances, parallel.rows_per_shard)))
            yield in_work[-1], cleaning, path

    for outcomes in spread(prepare_shard, pieces(), parallel):
        yield in_work.popleft(), outcomes


def _sort_out(chunk: Sequence[Utterance], outcomes: Sequence[Outcome], kept: RowsWriter, excluded: Exclusions) -> None:
    for utterance, outcome in zip(chunk, outcomes, strict=True):
        if "reason" in outcome:
            excluded.add(utterance.id, utterance.speaker, outcome["reason"], outcome["detail"])
        else:
            kept.add(utterance, outcome)


def prepare_shard(chunk: Sequence[Utterance], cleaning: Cleaning, path: Path) -> list[Outcome]:
    """Clean one shard's recordings and return what became of each; runs in a worker process."""
    key = digest([package_digest(CODE), cleaning.model_dump(mode="json")])
    notes = read_notes(path)
    if notes.get("key") == key and _unchanged(chunk, notes["outcomes"]):
        finished: list[Outcome] = notes["outcomes"]
        return finished
    with ShardWriter(path) as shard:
        outcomes = [_outcome(utterance, cleaning, shard) for utterance in chunk]
        shard.finish({"key": key, "outcomes": outcomes})
    return outcomes


def _unchanged(chunk: Sequence[Utterance], outcomes: Sequence[Outcome]) -> bool:
    """Say whether a finished shard is of these recordings, as they are now."""
    if [utterance.id for utterance in chunk] != [outcome["id"] for outcome in outcomes]:
        return False
    return all(
        _hash(utterance.path) == outcome["source_sha256"] for utterance, outcome in zip(chunk, outcomes, strict=True)
    )


def _hash(path: Path) -> str | None:
    try:
        return hashlib.sha256(_source(path)).hexdigest()
    except AudioError:
        return None


def _outcome(utterance: Utterance, cleaning: Cleaning, shard: ShardWriter) -> Outcome:
    """Add one cleaned recording to `shard` and return facts about it, or say why not."""
    outcome: Outcome = {"id": utterance.id, "source_sha256": None}
    try:
        source = _source(utterance.path)
        outcome["source_sha256"] = hashlib.sha256(source).hexdigest()
        samples, scale, facts = _clean(source, cleaning)
    except AudioError as error:
        return outcome | {"reason": str(error.reason), "detail": error.detail}
    shard.add(utterance.id, samples, scale)
    return outcome | facts


def _source(path: Path) -> bytes:
    if not os.path.lexists(path):
        raise AudioError(MISSING, f"{path.name}: no such file")
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise AudioError(AudioReason.UNREADABLE, "the name is no UTF-8: rename the file") from error
    return read_bytes(path)


def _clean(source: bytes, cleaning: Cleaning) -> tuple[np.ndarray, float, dict[str, Any]]:
    wave, rate = decode_audio(source, max_seconds=cleaning.max_seconds)
    cleaned = clean(wave, rate, cleaning)
    samples, scale = quantize(cleaned.wave)
    facts = {
        "audio_sha256": hashlib.sha256(np.ascontiguousarray(wave).data).hexdigest(),
        "source_rate_hz": rate,
        "source_seconds": cleaned.source_seconds,
        "kept_seconds": cleaned.kept_seconds,
        "clipped_fraction": cleaned.clipped_fraction,
        **trace(wave, rate, cleaning.silence_q, cleaned.peak),
    }
    return samples, scale, facts


def account(rows: Path, census: Census, excluded: Exclusions, corpus: Corpus, outside: int) -> None:
    """Write the manifest of the collected `rows`, the funnel and the certificates; copies join what is excluded.

    `outside` recordings of the corpus are not in the list that it is cut down to, 0 where there is none.
    """
    folder, splitting = rows.parent, corpus.splitting
    columns = ["id", "split", "speakers", *LEAKY_KEYS, *ABOUT_AUDIO]
    manifest = read_columns(rows, [*columns, *([splitting.stratify] if splitting.stratify else [])])
    copies = find_copies(manifest)
    for row, reason, detail in copies.itertuples():
        excluded.add(manifest.at[row, "id"], manifest.at[row, "speaker"], reason, detail)
    keep = ~manifest.index.isin(copies.index)
    manifest = manifest[keep]
    labelled, seconds = count_labels(rows, keep, LABELS)
    together = manifest["speakers"].notna()
    people = manifest["speakers"].where(together, manifest["speaker"]).explode().nunique()
    funnel = {
        "outside_subset": outside,
        "found": census.found,
        "kept": len(manifest),
        "excluded": dict(sorted(excluded.reasons.items())),
        "labelled": labelled,
        "speakers": int(people),
        "hours": round(seconds / 3600, 4),
        "licence": corpus.licence,
    }
    write_json(folder / "funnel.json", funnel)
    print(f"found {census.found}, kept {len(manifest)}, excluded {dict(excluded.reasons)} (see excluded.csv)")
    excluded.check(census.found, corpus.max_excluded_fraction)
    split = assign_splits(manifest, splitting)
    only_test = (split == Split.TEST).all()
    apart = split if only_test else assign_splits(manifest, _leaky(manifest, splitting))
    write_json(folder / "leakage.json", certify(manifest.assign(split=split), splitting.by))
    write_json(folder / "leakage-utterance.json", certify(manifest.assign(split=apart), "utterance"))
    complete(rows, folder / "manifest.parquet", keep, {"split": split, "split_utterance": apart})


def _leaky(manifest: pd.DataFrame, official: Splitting) -> Splitting:
    """Return how recordings are split for comparison: by utterance, in strata where each can fill every split."""
    splitting = official.model_copy(update={"by": "utterance"})
    strata = manifest[splitting.stratify].fillna("unknown") if splitting.stratify else None
    if strata is not None and manifest.groupby(strata)["audio_sha256"].nunique().min() < len(Split):
        return splitting.model_copy(update={"stratify": None})
    return splitting
