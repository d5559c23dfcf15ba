"""Raw recordings become cleaned audio, a manifest, and an account of every recording that was found.

Outputs in `data/prepared/CORPUS`: `shard-*.arrow` (audio), `manifest.parquet` (one row for each recording kept),
`excluded.csv` (one for each that was not, with the reason), `funnel.json` (found -> readable -> kept, labelled) and
`leakage.json` (the certificate that no speaker, session or audio is in two splits). The manifest also carries the split
by utterance, `split_utterance`, which leaks by design and is trained on for comparison only (`leakage-utterance.json`).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd

from voxbench.artifacts import digest, package_digest, write_json
from voxbench.audio import clean, decode_audio, read_bytes
from voxbench.config import Cleaning, Corpus, Splitting
from voxbench.corpora import read_corpus
from voxbench.corpora.integrity import certify, check_speakers
from voxbench.corpora.splitting import assign_splits
from voxbench.features.store import quantize, read_notes, write_shard
from voxbench.progress import Progress
from voxbench.schema import AudioError, InputError, Split, Utterance
from voxbench.stages.workspace import Workspace

LABELS = ("gender", "age_years", "age_group", "text", "attack")
UNSPLIT = "unsplit"
EXCLUDED_COLUMNS = ["id", "speaker", "reason", "detail"]


def prepare(workspace: Workspace, name: str) -> None:
    """Clean the corpus `name`; shards finished by an interrupted run are kept."""
    corpus, parallel = workspace.params.corpus(name), workspace.params.parallel
    folder = workspace.prepared(name)
    utterances = list(read_corpus(corpus.reader, workspace.root / corpus.root))
    if not utterances:
        raise InputError(f"corpus {name!r}: reader {corpus.reader!r} found no recordings in {corpus.root}")
    check_speakers(_table(utterances))
    outcomes = _unsplit(utterances, corpus)
    taken = [utterance for utterance in utterances if not outcomes or utterance.split is not None]
    chunks = [taken[start : start + parallel.rows_per_shard] for start in range(0, len(taken), parallel.rows_per_shard)]
    paths = [folder / f"shard-{number:05d}.arrow" for number in range(len(chunks))]
    # A manifest vouches for the shards beside it, so it goes before they change.
    for stale in {folder / "manifest.parquet", *folder.glob("shard-*")} - set(paths):
        stale.unlink(missing_ok=True)
    work = (
        joblib.delayed(prepare_shard)(chunk, corpus.cleaning, path) for chunk, path in zip(chunks, paths, strict=True)
    )
    with Progress(f"prepare {name}", len(taken)) as progress:
        for chunk in joblib.Parallel(n_jobs=parallel.workers, return_as="generator")(work):
            outcomes += chunk
            progress.advance(f"{sum('reason' in row for row in outcomes)} excluded", len(chunk))
    _account(utterances, outcomes, corpus, folder)


def _unsplit(utterances: Sequence[Utterance], corpus: Corpus) -> list[dict[str, Any]]:
    """Return the outcome of recordings that an official split leaves out, as Common Voice's does with most."""
    lost = [utterance.id for utterance in utterances if utterance.split is None]
    if corpus.splitting.by != "official" or len(lost) == len(utterances):
        return []
    return [{"id": row_id, "reason": UNSPLIT, "detail": "in none of the official sets"} for row_id in lost]


def prepare_shard(chunk: Sequence[Utterance], cleaning: Cleaning, path: Path) -> list[dict[str, Any]]:
    """Clean one shard's recordings and return what became of each; runs in a worker process."""
    sources = [_source(utterance.path) for utterance in chunk]
    hashes = [source if isinstance(source, str) else hashlib.sha256(source).hexdigest() for source in sources]
    code, ids = package_digest(["audio", "features"]), [utterance.id for utterance in chunk]
    key = digest([code, cleaning.model_dump(mode="json"), ids, hashes])
    if path.is_file() and (notes := read_notes(path))["key"] == key:
        finished: list[dict[str, Any]] = notes["outcomes"]
        return finished
    kept, arrays, scales, outcomes = [], [], [], []
    for utterance, source in zip(chunk, sources, strict=True):
        try:
            if isinstance(source, str):
                raise AudioError("missing", source)
            samples, scale, facts = _clean(source, cleaning)
        except AudioError as error:
            outcomes.append({"id": utterance.id, "reason": str(error.reason), "detail": error.detail})
            continue
        kept.append(utterance.id)
        arrays.append(samples)
        scales.append(scale)
        outcomes.append({"id": utterance.id, **dict(sorted(facts.items()))})
    write_shard(path, kept, arrays, scales, {"key": key, "outcomes": outcomes})
    return outcomes


def _source(path: Path) -> bytes | str:
    """Return a recording's bytes, or why there are none."""
    try:
        return read_bytes(path)
    except AudioError as error:
        return error.detail


def _clean(source: bytes, cleaning: Cleaning) -> tuple[np.ndarray, float, dict[str, Any]]:
    wave, rate = decode_audio(source, max_seconds=cleaning.max_seconds)
    cleaned = clean(wave, rate, cleaning)
    samples, scale = quantize(cleaned.wave)
    facts = {
        "audio_sha256": hashlib.sha256(wave.tobytes()).hexdigest(),
        "source_rate_hz": rate,
        "source_seconds": cleaned.source_seconds,
        "kept_seconds": cleaned.kept_seconds,
        "clipped_fraction": cleaned.clipped_fraction,
    }
    return samples, scale, facts


def _table(utterances: Sequence[Utterance]) -> pd.DataFrame:
    """Return utterances as a table, a column for each key of `extra`, without paths: they differ by machine."""
    rows = []
    for utterance in utterances:
        row = asdict(utterance)
        del row["path"]
        rows.append({f"extra_{key}": value for key, value in row.pop("extra").items()} | row)
    return pd.DataFrame(rows)


def _account(utterances: Sequence[Utterance], outcomes: list[dict[str, Any]], corpus: Corpus, folder: Path) -> None:
    """Write the manifest, what was excluded and why, the funnel, and the leakage certificate."""
    table = _table(utterances).merge(pd.DataFrame(outcomes), on="id", validate="one_to_one")
    if "reason" not in table:
        table = table.assign(reason=None, detail=None)
    lost = table["reason"].notna()
    excluded, manifest = table[lost], table[~lost].drop(columns=["reason", "detail"]).reset_index(drop=True)
    excluded[EXCLUDED_COLUMNS].to_csv(folder / "excluded.csv", index=False)
    reasons = Counter(excluded["reason"])
    funnel = {
        "found": len(table),
        "kept": len(manifest),
        "excluded": dict(sorted(reasons.items())),
        "labelled": {label: int(manifest[label].notna().sum()) for label in LABELS},
        "speakers": int(manifest["speaker"].nunique()) if len(manifest) else 0,
        "hours": round(float(manifest["source_seconds"].sum()) / 3600, 4) if len(manifest) else 0.0,
        "licence": corpus.licence,
    }
    write_json(folder / "funnel.json", funnel)
    print(f"found {len(table)}, kept {len(manifest)}, excluded {dict(reasons)} (listed in {folder.name}/excluded.csv)")
    unusable = excluded[excluded["reason"] != UNSPLIT]
    if len(unusable) > corpus.max_excluded_fraction * len(table):
        first = unusable.iloc[0]
        raise InputError(
            f"{len(unusable)} of {len(table)} recordings are unusable ({dict(reasons)}; first: {first['id']}: "
            f"{first['detail']}), more than max_excluded_fraction {corpus.max_excluded_fraction:g}: mend them "
            f"(listed in {folder / 'excluded.csv'}) or raise it"
        )
    manifest["split_utterance"] = assign_splits(manifest, _leaky(manifest, corpus)).astype(str)
    manifest["split"] = assign_splits(manifest, corpus.splitting).astype(str)
    write_json(folder / "leakage.json", certify(manifest, corpus.splitting.by))
    apart = manifest.assign(split=manifest["split_utterance"])
    write_json(folder / "leakage-utterance.json", certify(apart, "utterance"))
    manifest.to_parquet(folder / "manifest.parquet", index=False)


def _leaky(manifest: pd.DataFrame, corpus: Corpus) -> Splitting:
    """Return how recordings are split for comparison: by utterance, in strata where each can fill every split."""
    splitting = corpus.splitting.model_copy(update={"by": "utterance"})
    strata = manifest[splitting.stratify].fillna("unknown") if splitting.stratify else None
    if strata is not None and manifest.groupby(strata)["audio_sha256"].nunique().min() < len(Split):
        return splitting.model_copy(update={"stratify": None})
    return splitting
