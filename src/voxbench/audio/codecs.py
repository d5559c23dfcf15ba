"""Telephone and media codecs that speech has passed: a wave in, the decoded wave of as many samples out.

| name                | what is done                                                                     |
|---------------------|----------------------------------------------------------------------------------|
| none, nocodec       | nothing                                                                          |
| alaw, ulaw          | 8 kHz, G.711                                                                     |
| pstn                | 300 to 3400 Hz, then alaw                                                        |
| gsm                 | 8 kHz, GSM 06.10 full rate                                                       |
| opus                | 16 kHz, Opus at about 20 kbit/s                                                  |
| low_mp3, high_mp3   | MPEG layer III of variable rate, about 35 and 75 kbit/s of speech at 16 kHz      |
| low_ogg, high_ogg   | Ogg Vorbis, about 35 and 85 kbit/s                                               |

The words are those of ASVspoof 2021 LA and DF, less those that libsndfile cannot code (G.722 and AAC).

Deviations: the databases used calls over real lines and other rates (evaluation plan of ASVspoof 2021, section 2).
What a codec lacks at the end is silence: at most 0.1 s.

Shape letter: S samples.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from voxbench.audio.channel import band_limit
from voxbench.registry import Registry

Wave = NDArray[np.float32]
Codec = Callable[[Wave, int], Wave]

NARROW_RATE_HZ = 8_000
WIDE_RATE_HZ = 16_000
STRONG, WEAK = 0.95, 0.1
"""libsndfile's compression levels, of 0 to 1; the rates above were measured."""


codecs: Registry[Codec] = Registry("codec")


def transcode(wave_S: NDArray[np.floating], sample_rate_hz: int, name: str) -> NDArray[np.floating]:
    """Return the wave after the codec `name`: same (S,) and dtype; raises InputError for an unknown name.

    Samples beyond full scale are clipped, as any coder would.
    """
    coded_S = codecs[name](np.clip(wave_S, -1.0, 1.0).astype(np.float32), sample_rate_hz)
    return np.pad(coded_S[: wave_S.size], (0, max(0, wave_S.size - coded_S.size))).astype(wave_S.dtype)


def _sndfile(container: str, subtype: str, rate_hz: int | None, compression: float | None) -> Codec:
    """Return a codec by libsndfile; `rate_hz` None keeps the wave's own rate, `compression` is 0 (weak) to 1."""

    def code(wave_S: Wave, sample_rate_hz: int) -> Wave:
        rate = rate_hz or sample_rate_hz
        stored = BytesIO()
        options = {} if compression is None else {"compression_level": compression}
        narrow_S = soxr.resample(wave_S, sample_rate_hz, rate)
        with soundfile.SoundFile(stored, "w", rate, 1, subtype, format=container, **options) as stream:
            stream.write(narrow_S)
        stored.seek(0)
        decoded_S, rate = soundfile.read(stored, dtype="float32")
        return np.asarray(soxr.resample(decoded_S, rate, sample_rate_hz))

    return code


def _in_turn(*names: str) -> Codec:
    def code(wave_S: Wave, sample_rate_hz: int) -> Wave:
        for name in names:
            wave_S = codecs[name](wave_S, sample_rate_hz)
        return wave_S

    return code


def _unchanged(wave_S: Wave, sample_rate_hz: int) -> Wave:
    return wave_S


def _telephone_band(wave_S: Wave, sample_rate_hz: int) -> Wave:
    return np.asarray(band_limit(wave_S, sample_rate_hz, 300.0, 3_400.0, 4))


codecs.add("none", _unchanged)
codecs.add("nocodec", _unchanged)
codecs.add("telephone_band", _telephone_band)
codecs.add("alaw", _sndfile("WAV", "ALAW", NARROW_RATE_HZ, None))
codecs.add("ulaw", _sndfile("WAV", "ULAW", NARROW_RATE_HZ, None))
codecs.add("pstn", _in_turn("telephone_band", "alaw"))
codecs.add("gsm", _sndfile("WAV", "GSM610", NARROW_RATE_HZ, None))
codecs.add("opus", _sndfile("OGG", "OPUS", WIDE_RATE_HZ, STRONG))
codecs.add("low_mp3", _sndfile("MP3", "MPEG_LAYER_III", None, STRONG))
codecs.add("high_mp3", _sndfile("MP3", "MPEG_LAYER_III", None, WEAK))
codecs.add("low_ogg", _sndfile("OGG", "VORBIS", None, STRONG))
codecs.add("high_ogg", _sndfile("OGG", "VORBIS", None, WEAK))
