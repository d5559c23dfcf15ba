"""Attacks on a countermeasure, by name: ways to rebuild speech so that it is still speech, but nobody said it so.

The resyntheses themselves stand in `voxbench.audio.spectra` and `voxbench.audio.vocoders`, with their sources; replay
stands in `voxbench.audio.replay`. One law holds for all: of a wave of shape (S,), an attack returns one with S samples,
the same dtype and the same mean power, all finite, so that neither length nor level tells an attack from speech.

| name               | kind                         | name               | kind                          |
|--------------------|------------------------------|--------------------|-------------------------------|
| griffin_lim_mel    | synthesis from mel bands     | griffin_lim_linear | synthesis from magnitudes     |
| lpc_vocoder        | source and filter            | channel_vocoder    | source and filter             |
| cepstral_vocoder   | source and filter            | sinusoids          | sinusoidal model              |
| unit_concatenation | concatenation                | coarse_residual    | coded excitation              |
| pitch_shift        | conversion of pitch          | duration_warp      | conversion of rhythm          |
| formant_shift      | conversion of vocal tract    | robot_phase        | phase removed                 |
| low_rate_codec     | coarse coding                |                    |                               |

Shape letter: S samples.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxbench.audio import spectra, vocoders
from voxbench.audio.spectra import Wave, fit
from voxbench.registry import Registry
from voxbench.schema import AudioError, InputError

Attack = Callable[[NDArray[np.floating], int, np.random.Generator], NDArray[Any]]
Resynthesis = Callable[[Wave, int, np.random.Generator], Wave]

LOWEST_RATE_HZ = 8_000


def lawful(resynthesis: Resynthesis) -> Attack:
    """Return a resynthesis under the law of attacks: as many samples, the same dtype, the same mean power, finite.

    The attack raises AudioError for a silent wave and InputError for a rate below 8 kHz.
    """

    def attack(
        wave_S: NDArray[np.floating], sample_rate_hz: int, generator: np.random.Generator
    ) -> NDArray[np.floating]:
        if sample_rate_hz < LOWEST_RATE_HZ:
            raise InputError(f"sample rate {sample_rate_hz} Hz; expected at least {LOWEST_RATE_HZ}: resample first")
        speech_S = wave_S.astype(np.float64)
        power = float(np.mean(speech_S**2)) if speech_S.size else 0.0
        if power == 0.0:
            raise AudioError("silent", "nothing to attack in a silent wave")
        made_S = fit(resynthesis(speech_S, sample_rate_hz, generator), speech_S.size)
        made_power = float(np.mean(made_S**2))
        assert 0.0 < made_power < np.inf, "an attack on speech is neither silent nor infinite"
        return np.asarray(made_S * np.sqrt(power / made_power)).astype(wave_S.dtype)

    attack.__doc__ = resynthesis.__doc__
    return attack


attacks: Registry[Attack] = Registry("attack")
for _resynthesis in (
    spectra.griffin_lim_mel,
    vocoders.lpc_vocoder,
    vocoders.cepstral_vocoder,
    spectra.unit_concatenation,
    spectra.pitch_shift,
    spectra.formant_shift,
    spectra.griffin_lim_linear,
    vocoders.channel_vocoder,
    spectra.sinusoids,
    vocoders.coarse_residual,
    spectra.duration_warp,
    spectra.robot_phase,
    vocoders.low_rate_codec,
):
    attacks.add(_resynthesis.__name__, lawful(_resynthesis))
