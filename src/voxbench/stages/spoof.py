"""A corpus of spoofed speech, made of one of bona fide speech by the project's own attacks.

The kept recordings of a prepared corpus are written anew as FLAC, 16 kHz, and beside each some attacks on it; both
kinds are decoded, resampled and written alike, so that the file tells nothing. Speakers keep their split. Attacks of
training and validation are other ones than those of the test, as in ASVspoof. The folder is one for the table reader:

    path,speaker,gender,split,attack
    train/1688_1.wav.bonafide.flac,1688,male,train,bonafide
    train/1688_1.wav.lpc_vocoder.flac,1688,male,train,lpc_vocoder

Level and length of a spoofed recording are those of the bona fide one (`voxbench.audio.attacks`).

Shape letter: S samples.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from voxbench.audio import decode_audio, read_bytes
from voxbench.audio.attacks import attacks
from voxbench.audio.cleaning import resample
from voxbench.corpora.asvspoof2019_twin import SEEN, UNSEEN
from voxbench.corpora.asvspoof_twins import SAMPLE_RATE_HZ, write_flac
from voxbench.corpora.synthesis import whole_tree
from voxbench.corpora.table import TABLE
from voxbench.progress import Progress
from voxbench.reporting.quantities import counted
from voxbench.schema import BONAFIDE, AudioError, InputError, Split
from voxbench.seeding import generator
from voxbench.stages.workspace import Workspace
from voxbench.workers import spread

COLUMNS = ("path", "speaker", "gender", "split", "attack")
FULL_SCALE = 1 - 2.0**-15


@dataclass(frozen=True)
class SpoofOptions:
    """Where the corpus goes, how many attacks each recording meets, and of which, None for those of the twin."""

    output: Path
    attacks: int
    seed: int
    seen: Sequence[str] | None
    unseen: Sequence[str] | None


class Order(NamedTuple):
    """One recording to write: its source, the place without its ending, its identity and the attacks on it."""

    source: Path
    stem: str
    speaker: str
    gender: str
    split: str
    attacks: tuple[str, ...]


def spoof(workspace: Workspace, corpus: str, options: SpoofOptions) -> None:
    """Write the corpus; a recording on which an attack fails is left out whole, counted and named.

    Raises InputError for a corpus that is not prepared, attacks that are unknown, on both sides, or fewer than asked
    for, an output that exists, and where nothing could be attacked.
    """
    root = workspace.root / workspace.params.corpus(corpus).root
    sides = _sides(options)
    if options.output.is_file():
        raise InputError(f"--output {options.output} is a file, expected a new folder")
    path = workspace.prepared(corpus) / "manifest.parquet"
    if not path.is_file():
        raise InputError(f"no {path.relative_to(workspace.root)}: run `dvc repro prepare@{corpus}` first")
    manifest = pd.read_parquet(path)
    if "attack" in manifest and (manifest["attack"].dropna() != BONAFIDE).any():
        raise InputError(f"{corpus} has spoofed recordings already: attack a corpus of bona fide speech")
    orders = [_order(root, row, sides, options) for row in manifest.to_dict("records")]
    stems = [order.stem for order in orders]
    if twice := [stem for stem in stems if stems.count(stem) > 1] if len(set(stems)) < len(stems) else []:
        raise InputError(f"{len(twice)} recordings would share a name, {twice[0]} among them: rename their files first")
    size = workspace.params.parallel.rows_per_shard
    pieces = [orders[start : start + size] for start in range(0, len(orders), size)]
    rows: list[tuple[str, ...]] = []
    lost: list[str] = []
    with whole_tree(options.output) as folder, Progress(f"spoof {corpus}", len(pieces)) as progress:
        made = spread(write, ((folder, piece, options.seed) for piece in pieces), workspace.params.parallel)
        for written, failed in made:
            rows += written
            lost += failed
            progress.advance(f"{len(rows)} recordings, {len(lost)} left out")
        if not rows:
            raise InputError(f"no recording of {corpus} could be attacked: {lost[0] if lost else 'it has none'}")
        with (folder / TABLE).open("w", encoding="utf-8", newline="") as stream:
            table = csv.writer(stream, lineterminator="\n")
            table.writerow(COLUMNS)
            table.writerows(rows)
    bonafide = sum(row[-1] == BONAFIDE for row in rows)
    spoofed = counted(len(rows) - bonafide, "spoofed recording")
    print(f"{counted(bonafide, 'bona fide recording')} and {spoofed} in {options.output}")
    for name in lost:
        print(f"left out: {name}")


def _sides(options: SpoofOptions) -> dict[str, tuple[str, ...]]:
    """Return the attacks of each split."""
    asked = (options.seen or SEEN.values(), options.unseen or UNSEEN.values())
    seen, unseen = (tuple(dict.fromkeys(names)) for names in asked)
    for name in (*seen, *unseen):
        attacks[name]  # an unknown one is refused with the closest
    if both := sorted(set(seen) & set(unseen)):
        raise InputError(f"{', '.join(both)} would be seen and unseen: an attack is for training or for the test")
    most = min(len(seen), len(unseen))
    if not 1 <= options.attacks <= most:
        raise InputError(f"--attacks is {options.attacks}, expected 1 to {most}, as many as either side has")
    return {str(Split.TRAIN): seen, str(Split.VALID): seen, str(Split.TEST): unseen}


def _order(root: Path, row: dict[str, str], sides: dict[str, tuple[str, ...]], options: SpoofOptions) -> Order:
    name, split = str(row["id"]), str(row["split"])
    draws = generator(options.seed, "spoof", name)
    chosen = draws.permutation(sides[split])[: options.attacks]
    # Two names that become one stem would be one file.
    stem = f"{split}/{re.sub(r'[^A-Za-z0-9._-]', '_', name)}"
    gender = row.get("gender")
    return Order(
        root / name, stem, str(row["speaker"]), gender if isinstance(gender, str) else "", split, tuple(chosen)
    )


def write(folder: Path, orders: Sequence[Order], seed: int) -> tuple[list[tuple[str, ...]], list[str]]:
    """Write recordings and return their rows, and which were left out and why; runs in a worker process."""
    rows: list[tuple[str, ...]] = []
    lost: list[str] = []
    for order in orders:
        try:
            made = _attacked(order, seed)
        except AudioError as error:
            lost.append(f"{order.stem}: {error}")
            continue
        for attack, wave_S in made.items():
            place = f"{order.stem}.{attack}.flac"
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            write_flac(folder / place, wave_S)
            rows.append((place, order.speaker, order.gender, order.split, attack))
    return rows, lost


def _attacked(order: Order, seed: int) -> dict[str, np.ndarray]:
    """Return the bona fide wave (S,) and one for each attack, under one gain at which none is clipped."""
    wave_S, rate_hz = decode_audio(read_bytes(order.source))
    speech_S = resample(wave_S, rate_hz, SAMPLE_RATE_HZ).astype(np.float64)
    made = {BONAFIDE: speech_S}
    for name in order.attacks:
        made[name] = attacks[name](speech_S, SAMPLE_RATE_HZ, generator(seed, "spoof", order.stem, name))
    peak = max(float(np.abs(each_S).max()) for each_S in made.values())
    gain = min(1.0, FULL_SCALE / peak)
    return {name: each_S * gain for name, each_S in made.items()}
