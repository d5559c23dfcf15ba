"""A few recordings of a corpus, decoded: formats, lengths and faults at a glance."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import soundfile

from voxbench.audio import clean, load_audio
from voxbench.config import Cleaning
from voxbench.corpora.inspection import Few, Tick
from voxbench.schema import AudioError

DECODED_SECONDS = 60.0
"""Without a declared limit, the header of a longer recording is believed."""


@dataclass
class Sample:
    """Formats, rates (Hz), channels, lengths (s) and faults of the recordings drawn."""

    formats: Counter[str] = field(default_factory=Counter)
    rates_hz: Counter[int] = field(default_factory=Counter)
    channels: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    faults: Few = field(default_factory=Few)


def decode_sample(drawn: Iterable[tuple[str, Path]], cleaning: Cleaning | None, tick: Tick) -> Sample:
    """Decode the recordings drawn (id, path) and, with `cleaning`, clean them as the prepare stage does."""
    sample = Sample()
    for count, (name, path) in enumerate(drawn, start=1):
        try:
            kind, rate_hz, channels, seconds = _decode(path, cleaning)
        except AudioError as error:
            sample.reasons[str(error.reason)] += 1
            sample.faults.add(f"{name}: {error}")
        else:
            sample.formats[kind] += 1
            sample.rates_hz[rate_hz] += 1
            sample.seconds.append(seconds)
            if channels:
                sample.channels[channels] += 1
        tick("recordings decoded", count)
    return sample


def _decode(path: Path, cleaning: Cleaning | None) -> tuple[str, int, int | None, float]:
    """Return format, rate in Hz, channels (None: not told by the header) and seconds; raise AudioError for a fault."""
    try:
        # As bytes, for soundfile refuses names that are no text.
        header = soundfile.info(os.fsencode(path))
    except (soundfile.LibsndfileError, OSError):
        header = None
    if header and cleaning is None and header.duration > DECODED_SECONDS:
        return f"{header.format} {header.subtype}", header.samplerate, header.channels, header.duration
    wave, rate_hz = load_audio(path, cleaning.max_seconds if cleaning else None)
    if cleaning:
        clean(wave, rate_hz, cleaning)
    kind = f"{header.format} {header.subtype}" if header else path.suffix.lstrip(".").upper()
    return kind, rate_hz, header.channels if header else None, len(wave) / rate_hz
