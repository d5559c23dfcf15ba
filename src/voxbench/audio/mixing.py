"""Several voices become one recording: excerpts, the course's mean, and mixtures of controlled level and overlap.

The plain law is that of the course behind the speaker-counting project (notebook `2d_audio_mezcla` of
https://github.com/bereml/iap): all waves are cut to the shortest, added, and divided by their number. With levels,
each further voice stands at a ratio to the first, as in WSJ0-mix (Hershey et al., ICASSP 2016).

Deviations: a level is mean power, not active speech level. And a set with sparse overlap (SparseLibriMix, Cosentino et
al. 2020) makes a mixture the longer the less its voices overlap; here the first voice lasts from end to end and each
further one is heard in a share of that time, so that the length of a mixture says nothing about how many they are.

All waves of a mixture have one sample rate. Shape letters: K voices, S samples.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from voxbench.audio.reading import AudioReason
from voxbench.schema import AudioError, InputError


def excerpt(
    wave_S: NDArray[np.floating], sample_rate_hz: int, start_seconds: float, seconds: float
) -> NDArray[np.floating]:
    """Return round(seconds * rate) samples from `start_seconds` on; AudioError `too_short` if there are fewer."""
    start, samples = int(start_seconds * sample_rate_hz), round(seconds * sample_rate_hz)
    if start_seconds < 0 or samples < 1:
        raise InputError(f"excerpt of {seconds} s from {start_seconds} s; expected a length and a start of 0 or more")
    if start + samples > wave_S.size:
        raise AudioError(
            AudioReason.TOO_SHORT,
            f"{wave_S.size / sample_rate_hz:.3f} s; an excerpt needs {start_seconds:.3f} + {seconds:.3f} s",
        )
    return wave_S[start : start + samples]


def average(waves: Sequence[NDArray[np.floating]]) -> NDArray[np.floating]:
    """Cut waves to the shortest and return their mean `(S,)`: the course's law, which cannot clip.

    >>> average([np.array([1.0, 0.0, 0.5]), np.array([0.0, -1.0])])
    array([ 0.5, -0.5])
    """
    samples = _shortest(waves)
    mixed_KS = np.stack([wave_S[:samples] for wave_S in waves])
    return mixed_KS.mean(axis=0, dtype=np.float64).astype(mixed_KS.dtype)


def mix(
    waves: Sequence[NDArray[np.floating]],
    snr_db: Sequence[float] | None,
    overlap: Sequence[float],
    onset: Sequence[float],
) -> NDArray[np.floating]:
    """Cut waves to the shortest, set level and place of each after the first, and return the mean `(S,)`.

    The three sequences have one entry for each wave after the first. `snr_db` is the mean power of the first wave
    over that of the other where it is heard, in dB; None keeps the levels as recorded. `overlap` is the share of the
    mixture in which the other is heard, in (0, 1]; of its S samples it keeps round(overlap * S) from the start.
    `onset` in [0, 1] places these: 0 at the beginning, 1 at the end. With None and overlaps of 1 the result is
    `average`'s. A negative ratio may make the mixture exceed full scale. Raises InputError for numbers out of range,
    AudioError `silent` where a ratio has no meaning.
    """
    others = len(waves) - 1
    if not len(overlap) == len(onset) == (others if snr_db is None else len(snr_db)) == others:
        raise InputError(f"{len(waves)} waves; expected an SNR, an overlap and an onset for each after the first")
    samples = _shortest(waves)
    mixed_S = waves[0][:samples].astype(np.float64)
    first_power = 0.0 if snr_db is None else _power(mixed_S)
    for k in range(others):
        heard = _heard(samples, overlap[k], onset[k])
        other_S = waves[k + 1][: heard.stop - heard.start].astype(np.float64)
        if snr_db is not None:
            other_S *= _gain(first_power, _power(other_S), snr_db[k])
        mixed_S[heard] += other_S
    mixed_S /= len(waves)
    return mixed_S.astype(np.result_type(*waves))


def _shortest(waves: Sequence[NDArray[np.floating]]) -> int:
    """Return the length of the shortest wave in samples."""
    samples = min((wave_S.size for wave_S in waves), default=0)
    if not samples:
        raise AudioError(AudioReason.EMPTY, "a mixture needs one wave or more, each with samples")
    return samples


def _heard(samples: int, overlap: float, onset: float) -> slice:
    """Return the samples of the mixture in which a further voice is heard."""
    if not (0.0 < overlap <= 1.0 and 0.0 <= onset <= 1.0):
        raise InputError(f"overlap {overlap}, onset {onset}; expected shares in (0, 1] and [0, 1]")
    length = max(1, round(overlap * samples))
    start = round(onset * (samples - length))
    return slice(start, start + length)


def _power(wave_S: NDArray[np.floating]) -> float:
    return float(np.mean(np.square(wave_S, dtype=np.float64)))


def _gain(first_power: float, power: float, snr_db: float) -> float:
    """Return the factor that puts a wave of `power` at `snr_db` below the first."""
    if first_power == 0.0 or power == 0.0:
        raise AudioError(AudioReason.SILENT, "a ratio of levels needs two voices with power")
    return float(np.sqrt(first_power / power / 10.0 ** (snr_db / 10.0)))
