"""Audio as arrays: reading and cleaning; the demo's voices and channels are imported by their own names."""

from voxbench.audio.cleaning import Cleaned, clean
from voxbench.audio.promise import AudioReason
from voxbench.audio.reading import decode_audio, load_audio, read_bytes
from voxbench.schema import AudioError

__all__ = [
    "AudioError",
    "AudioReason",
    "Cleaned",
    "clean",
    "decode_audio",
    "load_audio",
    "read_bytes",
]
