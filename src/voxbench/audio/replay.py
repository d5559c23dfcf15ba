"""Replay attacks: speech picked up by an attacker, played through a loudspeaker, and picked up again.

Letters and their ranges are those of the ASVspoof 2019 evaluation plan and its PA README:

| environment, 1st letter: room, m2   | a 2-5      | b 5-10     | c 10-20    |
|-------------------------------------|------------|------------|------------|
| 2nd letter: T60, ms                 | a 50-200   | b 200-600  | c 600-1000 |
| 3rd letter: talker to microphone, cm| a 10-50    | b 50-100   | c 100-150  |

| attack, 1st letter: attacker to talker, cm   | A 10-50     | B 50-100        | C over 100           |
|----------------------------------------------|-------------|-----------------|----------------------|
| 2nd letter: device, its lowest frequency, Hz | A perfect   | B high, < 600   | C low, > 600         |
| its upper edge, kHz                          | none        | > 10            | < 10                 |
| its non-linearity                            | none        | small           | large                |

A microphone at a distance d hears the direct sound and, over it by (d / r)^2 in energy, a diffuse tail that falls by
60 dB in T60 (Polack 1988), r = 0.057 sqrt(V / T60) being the critical distance in a room of V m3 (Kuttruff 2009).

Deviations: the plan simulates shoebox rooms by image sources; here the tail is statistical and rooms are 2.7 m high.
Distances "over 100 cm" are at most 150. Device numbers within a quality are choices. No stage changes the level: the
last one sets it anyway.

Shape letter: S samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, fftconvolve, sosfilt

from voxbench.registry import closest
from voxbench.schema import AudioError, InputError

Wave = NDArray[np.floating]

ROOM_M2 = {"a": (2.0, 5.0), "b": (5.0, 10.0), "c": (10.0, 20.0)}
T60_SECONDS = {"a": (0.05, 0.2), "b": (0.2, 0.6), "c": (0.6, 1.0)}
DISTANCE_M = {"a": (0.1, 0.5), "b": (0.5, 1.0), "c": (1.0, 1.5)}
DEVICE_LOW_HZ = {"B": (100.0, 600.0), "C": (600.0, 900.0)}
DEVICE_HIGH_HZ = {"B": (10_000.0, 16_000.0), "C": (3_000.0, 6_000.0)}
DEVICE_DRIVE = {"B": (0.1, 0.3), "C": (1.0, 2.0)}
ROOM_HEIGHT_M = 2.7
SOUND_M_PER_S = 343.0
SNR_AT_1_M_DB = 40.0
"""Noise in the attacker's recording; it rises with distance as the speech falls, by 20 dB for a factor of ten."""

ENVIRONMENTS = tuple(f"{room}{t60}{distance}" for room in "abc" for t60 in "abc" for distance in "abc")
ATTACKS = tuple(f"{distance}{device}" for distance in "ABC" for device in "ABC")


@dataclass(frozen=True, slots=True)
class Place:
    """A room with a talker and a microphone in it; `seed` fixes the room's diffuse tail."""

    room_m2: float
    t60_seconds: float
    distance_m: float
    seed: int


@dataclass(frozen=True, slots=True)
class Device:
    """A loudspeaker: band edges in Hz, None where it has none, and the drive into its soft limiter, 0 for linear."""

    low_hz: float | None
    high_hz: float | None
    drive: float


def draw_place(environment: str, generator: np.random.Generator) -> Place:
    """Draw the numbers of an environment `aaa`..`ccc`; raises InputError for another word."""
    if environment not in ENVIRONMENTS:
        raise InputError(f"environment {environment!r}{closest(environment, ENVIRONMENTS)}; expected aaa to ccc")
    room, t60, distance = tuple(environment)
    return Place(
        room_m2=generator.uniform(*ROOM_M2[room]),
        t60_seconds=generator.uniform(*T60_SECONDS[t60]),
        distance_m=generator.uniform(*DISTANCE_M[distance]),
        seed=int(generator.integers(2**62)),
    )


def draw_device(quality: str, generator: np.random.Generator) -> Device:
    """Draw a device of quality `A` (perfect), `B` (high) or `C` (low); raises InputError for another word."""
    if quality == "A":
        return Device(None, None, 0.0)
    if quality not in DEVICE_DRIVE:
        raise InputError(f"device quality {quality!r}; expected A, B or C")
    low, high, drive = (generator.uniform(*table[quality]) for table in (DEVICE_LOW_HZ, DEVICE_HIGH_HZ, DEVICE_DRIVE))
    return Device(low, high, drive)


def pick_up(wave_S: Wave, sample_rate_hz: int, place: Place) -> Wave:
    """Return what the microphone hears of a dry wave: direct sound first, so that onsets stay in place; same (S,)."""
    volume_m3 = place.room_m2 * ROOM_HEIGHT_M
    surface_m2 = 2.0 * place.room_m2 + 4.0 * np.sqrt(place.room_m2) * ROOM_HEIGHT_M
    critical_m = 0.057 * np.sqrt(volume_m3 / place.t60_seconds)
    # The mean free path of sound between walls (Kosten 1960) is how much later than the direct sound the tail begins.
    first = max(1, round(4.0 * volume_m3 / surface_m2 / SOUND_M_PER_S * sample_rate_hz))
    seconds_S = np.arange(max(1, round(place.t60_seconds * sample_rate_hz))) / sample_rate_hz
    tail_S = np.random.default_rng(place.seed).standard_normal(seconds_S.size)
    tail_S *= 10.0 ** (-3.0 * seconds_S / place.t60_seconds)
    tail_S *= place.distance_m / critical_m / np.sqrt(np.sum(tail_S**2))
    response_S = np.concatenate([[1.0], np.zeros(first - 1), tail_S])
    return np.asarray(fftconvolve(wave_S, response_S)[: wave_S.size]).astype(wave_S.dtype)


def play(wave_S: Wave, sample_rate_hz: int, device: Device) -> Wave:
    """Return what a loudspeaker makes of a wave: second-order band edges, then a soft limiter of odd and even order."""
    played_S = wave_S.astype(np.float64)
    if device.low_hz is not None:
        played_S = sosfilt(butter(2, device.low_hz, "highpass", fs=sample_rate_hz, output="sos"), played_S)
    if device.high_hz is not None and device.high_hz < sample_rate_hz / 2:
        played_S = sosfilt(butter(2, device.high_hz, fs=sample_rate_hz, output="sos"), played_S)
    if device.drive > 0.0:
        peak = float(np.max(np.abs(played_S), initial=1e-12))
        driven_S = device.drive * played_S / peak
        # A bias makes even harmonics, as a voice coil off its centre does.
        played_S = (np.tanh(driven_S + 0.2) - np.tanh(0.2)) / device.drive * peak
    return played_S.astype(wave_S.dtype)


def replay(wave_S: Wave, sample_rate_hz: int, overheard: Place, device: Device, generator: np.random.Generator) -> Wave:
    """Return what a loudspeaker plays of speech that an attacker recorded at `overheard`; same (S,) and dtype.

    `generator` draws the noise of the attacker's recording. Raises AudioError for a silent wave.
    """
    recorded_S = pick_up(wave_S, sample_rate_hz, overheard).astype(np.float64)
    power = float(np.mean(recorded_S**2)) if recorded_S.size else 0.0
    if power == 0.0:
        raise AudioError("silent", "nothing to replay in a silent wave")
    snr_db = SNR_AT_1_M_DB - 20.0 * np.log10(overheard.distance_m)
    recorded_S = recorded_S + generator.normal(0.0, np.sqrt(power) * 10.0 ** (-snr_db / 20.0), recorded_S.size)
    return play(recorded_S, sample_rate_hz, device).astype(wave_S.dtype)
