"""A prepared corpus becomes mixtures of one to N of its people who talk at once, planned here and derived when read.

Outputs in `data/prepared/NAME`, beside the source's: `shard-*.arrow` (plans; `voxbench.features.mixed` gives their
waves), `manifest.parquet`, `excluded.csv`, `funnel.json`, `leakage.json` and `leakage-utterance.json`, as the prepare
stage writes them, and `excluded-sources.csv`: recordings of the source that could not be mixed, with the reason.

The manifest is that of mixtures on disk after the prepare stage, so that tasks need not know how they are kept:
`speakers` and, joined, `speaker`; `extra_sexes` in the same order (MMF), `extra_F`, `extra_M` and `extra_count`. Beside
them stand `recordings`, the source's ids. The split is the source's; `split_utterance` deals the mixtures anew, people
on both sides, for comparison only.

Every mixture is made once here, in parallel, for its hash, its scale and its traces (`voxbench.audio.traces`): what
cannot be mixed stops this stage, not a training run. `repeated` in `funnel.json` says how many are equal to one before.

A recording's traces are those of the file that was found. A mixture never was a file: its traces are of the derived
wave, after cleaning, which has mean 0 and deviation 1. So levels are relative to the mixture's own, `dc_offset` is the
rounding of int16, and `clipped_fraction` is 0, for there is no full scale that a sample could reach. Where the source
is prepared with `silence_q` 0 no frame counts as silent; weak and faint frames are told all the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from voxbench.artifacts import digest, package_digest, write_json
from voxbench.audio.traces import TRACES, trace
from voxbench.config import Mixture, Splitting
from voxbench.corpora.exclusions import Exclusions
from voxbench.corpora.integrity import certify
from voxbench.corpora.manifest import COLUMNS, read_columns
from voxbench.corpora.mixture_plan import JOINT, Mixing, plan_mixtures
from voxbench.corpora.mixtures import DERIVED
from voxbench.corpora.splitting import assign_splits
from voxbench.features.mixed import Origin, Parts, blend, fingerprint, write_mixed_shard
from voxbench.features.store import RaggedStore, dequantize, read_notes
from voxbench.progress import Progress
from voxbench.schema import GENDERS, AudioError, InputError, Split
from voxbench.stages.workspace import Workspace
from voxbench.workers import spread

CODE = ("audio", "corpora/mixture_plan.py", "features/mixed.py", "features/store.py", "stages/mix.py")
OWN = [
    *((f"extra_{name}", pa.string()) for name in DERIVED),
    ("recordings", pa.list_(pa.string())),
    ("split_utterance", pa.string()),
]
UNLABELLED, TOO_SHORT = "sex_unknown", "too_short"


class Made(NamedTuple):
    """What making a mixture tells: the hash of its samples, their scale and number, and its `TRACES` in their order."""

    sha256: str
    scale: float
    samples: int
    traces: NDArray[np.float64]


def mix(workspace: Workspace, name: str) -> None:
    """Plan the mixtures of the row `name` and make each once; shards finished by an interrupted run are kept."""
    settings, parallel = workspace.params.mixture(name), workspace.params.parallel
    source, folder = workspace.prepared(settings.corpus), workspace.prepared(name)
    if not (source / "manifest.parquet").is_file():
        place = source.relative_to(workspace.root)
        raise InputError(f"no {place}/manifest.parquet: run `dvc repro prepare@{settings.corpus}` first")
    cleaning = workspace.params.corpus(settings.corpus).cleaning
    rate_hz = cleaning.sample_rate_hz
    with Exclusions(folder / "excluded-sources.csv") as excluded:
        found, sources = read_sources(source, settings, rate_hz, excluded)
    plan = plan_mixtures(sources, mixing(settings))
    samples = None if settings.seconds is None else round(settings.seconds * rate_hz)
    origin = Origin(settings.corpus, fingerprint(source), rate_hz, samples, settings.seed)
    chunks = [plan[start : start + parallel.rows_per_shard] for start in range(0, len(plan), parallel.rows_per_shard)]
    paths = [folder / f"shard-{number:05d}.arrow" for number in range(len(chunks))]
    # A manifest vouches for the shards beside it, so it goes before they change.
    for stale in {folder / "manifest.parquet", *folder.glob("shard-*")} - set(paths):
        stale.unlink(missing_ok=True)
    pieces = (
        (_parts(chunk, rate_hz), origin, cleaning.silence_q, path) for chunk, path in zip(chunks, paths, strict=True)
    )
    made: list[Made] = []
    with Progress(f"mix {name}", len(plan)) as progress:
        for finished in spread(mix_shard, pieces, parallel):
            made += finished
            progress.advance(f"{len(finished)} mixtures", len(finished))
    mixed = {
        "corpus": settings.corpus,
        "found": found,
        "excluded": dict(sorted(excluded.reasons.items())),
        "used": len(sources),
        "speakers": int(sources["speaker"].nunique()),
    }
    funnel = {"licence": workspace.params.corpus(name).licence, "sources": mixed}
    write_account(folder, describe(plan, made, rate_hz), settings, funnel)


def read_sources(source: Path, settings: Mixture, rate_hz: int, excluded: Exclusions) -> tuple[int, pd.DataFrame]:
    """Return how many recordings a prepared corpus has, and those that can be mixed.

    These have the columns id, speaker, gender, split and seconds. The others are `excluded`: of unknown sex, or shorter
    than the mixtures. Raises InputError for recordings of several people, a corpus without sexes, a split that is
    missing, and too many exclusions.
    """
    rows = read_columns(source / "manifest.parquet", ["id", "speaker", "speakers", "gender", "split"])
    if rows["speakers"].notna().any():
        raise InputError(f"corpus {settings.corpus!r} holds recordings of several people; mix one of single speakers")
    if not (labelled := rows["gender"].isin(GENDERS)).any():
        raise InputError(f"corpus {settings.corpus!r} does not say the sex of any speaker; mix one that does")
    store = RaggedStore(source)
    seconds = store.lengths()[[store.position(row_id) for row_id in rows["id"]]] / rate_hz
    long_enough = seconds >= (settings.seconds or 0.0)
    for row_id, speaker in rows.loc[~labelled, ["id", "speaker"]].itertuples(index=False):
        excluded.add(row_id, speaker, UNLABELLED, "the corpus does not say whether a woman or a man speaks")
    for place in np.flatnonzero(labelled & ~long_enough):
        detail = f"{seconds[place]:.3f} s prepared; mixtures last {settings.seconds:g} s"
        excluded.add(rows["id"].iloc[place], rows["speaker"].iloc[place], TOO_SHORT, detail)
    excluded.check(len(rows), settings.max_excluded_fraction)
    usable = rows.assign(seconds=seconds)[labelled & long_enough].drop(columns="speakers")
    for split, wanted in settings.mixtures.model_dump().items():
        if wanted and not (usable["split"] == split).any():
            raise InputError(
                f"{wanted} {split} mixtures are wanted, but corpus {settings.corpus!r} has no {split} recordings to "
                f"mix: set mixtures.{split} to 0, or split the corpus (splitting.by: speaker)"
            )
    return len(rows), usable


def mixing(settings: Mixture) -> Mixing:
    """Return the settings of the plan."""
    return Mixing(
        seed=settings.seed,
        people=settings.people,
        mixtures={Split(split): number for split, number in settings.mixtures.model_dump().items()},
        seconds=settings.seconds,
        snr_db=settings.snr_db,
        overlap=settings.overlap,
        reverberation_seconds=settings.reverberation_seconds,
    )


def _parts(plan: pd.DataFrame, rate_hz: int) -> list[Parts]:
    return [
        Parts(
            id=_id(row.path),
            sources=row.ids,
            starts=tuple(int(start * rate_hz) for start in row.starts_seconds),
            snr_db=row.snr_db,
            overlap=row.overlap,
            onset=row.onset,
            rt60_seconds=row.rt60_seconds,
        )
        for row in plan.itertuples()
    ]


def _id(path: str) -> str:
    """Return the name of a mixture: the path that it would have as a file, without its ending."""
    return path.rpartition(".")[0]


def mix_shard(rows: Sequence[Parts], origin: Origin, silence_q: float, path: Path) -> list[Made]:
    """Make one shard's mixtures and return what that tells of each; runs in a worker process.

    Frames below `silence_q` deviations are silent to the traces; it is the source's, and so in its fingerprint.
    """
    key = digest([package_digest(CODE), asdict(origin), [asdict(row) for row in rows]])
    notes = read_notes(path)
    if notes.get("key") != key:
        source = RaggedStore(path.parent.parent / origin.source)
        notes = {"key": key, "made": [_make(row, origin, silence_q, source) for row in rows]}
        write_mixed_shard(path, rows, [scale for _, scale, _, _ in notes["made"]], origin, notes)
    return [Made(sha256, scale, samples, np.array(traces)) for sha256, scale, samples, traces in notes["made"]]


def _make(row: Parts, origin: Origin, silence_q: float, source: RaggedStore) -> tuple[str, float, int, list[float]]:
    """Return the fields of `Made` as JSON has them."""
    try:
        samples_S, scale = blend(row, origin, source)
    except AudioError as error:
        raise InputError(f"mixture {row.id!r} of corpus {origin.source!r} cannot be made: {error}") from error
    wave_S = dequantize(samples_S, scale)
    traces = trace(wave_S, origin.sample_rate_hz, silence_q, float(np.abs(wave_S).max()))
    return hashlib.sha256(samples_S.tobytes()).hexdigest(), float(scale), samples_S.size, list(traces.values())


def describe(plan: pd.DataFrame, made: Sequence[Made], rate_hz: int) -> pd.DataFrame:
    """Return the manifest's rows, but for the leaky split: what every manifest holds, absent facts None, and `OWN`."""
    rows = pd.DataFrame({name: pd.Series([None] * len(plan), dtype=object) for name, _ in COLUMNS})
    seconds = np.array([each.samples for each in made]) / rate_hz
    sexes = plan["sexes"]
    return rows.assign(
        **dict(zip(TRACES, np.stack([each.traces for each in made], axis=1), strict=True)),
        id=plan["path"].map(_id),
        speaker=plan["sources"],
        split=plan["split"],
        speakers=plan["sources"].str.split(JOINT, regex=False),
        audio_sha256=[each.sha256 for each in made],
        source_rate_hz=rate_hz,
        source_seconds=seconds,
        kept_seconds=seconds,
        clipped_fraction=0.0,
        extra_sexes=sexes,
        extra_F=sexes.str.count("F").astype(str),
        extra_M=sexes.str.count("M").astype(str),
        extra_count=sexes.str.len().astype(str),
        recordings=plan["ids"].map(list),
    )


def write_account(folder: Path, rows: pd.DataFrame, settings: Mixture, funnel: dict[str, Any]) -> None:
    """Certify that no person is heard in two splits, and write the account; `funnel` says what was mixed."""
    people = rows["speakers"].explode().nunique()
    account = {
        "found": len(rows),
        "kept": len(rows),
        "excluded": {},
        "repeated": int(rows["audio_sha256"].duplicated().sum()),
        "labelled": {"count": len(rows), "sexes": len(rows)},
        "speakers": people,
        "hours": round(float(rows["kept_seconds"].sum()) / 3600, 4),
    }
    write_json(folder / "leakage.json", certify(rows, "speaker"))
    apart = _dealt_anew(rows, settings)
    write_json(folder / "leakage-utterance.json", certify(rows.assign(split=apart), "utterance"))
    write_json(folder / "funnel.json", account | funnel)
    with Exclusions(folder / "excluded.csv"):
        pass
    schema = pa.schema([*COLUMNS, *OWN])
    table = pa.Table.from_pandas(rows.assign(split_utterance=apart), schema, preserve_index=False)
    partial = folder / "manifest.parquet.partial"
    pq.write_table(table, partial)
    partial.replace(folder / "manifest.parquet")
    print(f"{len(rows)} mixtures of {people} people out of {funnel['sources']}")


def _dealt_anew(rows: pd.DataFrame, settings: Mixture) -> pd.Series:
    """Return a split of mixtures in which people are heard on both sides, as large as the split by speaker."""
    share = rows["split"].value_counts(normalize=True)
    if len(share) < len(Split):
        return rows["split"]
    splitting = Splitting(
        by="utterance",
        stratify=None,
        valid_fraction=share[Split.VALID],
        test_fraction=share[Split.TEST],
        seed=settings.seed,
    )
    return assign_splits(rows, splitting)
