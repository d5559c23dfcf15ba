"""From the bytes of a recording to what its network makes of it, by the path that evaluation takes, rounding included.

Legend of shape letters: K crops of one recording.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from voxbench.audio import clean, decode_audio
from voxbench.features.dataset import cut, frames_of, places_of, repeated
from voxbench.features.extraction import build_front_end, network_input
from voxbench.features.store import dequantize, quantize
from voxbench.models import spec
from voxbench.serving.bundle import WEIGHTS, read_bundle
from voxbench.tasks import tasks
from voxbench.training.network import Statistics, build_network


@dataclass(frozen=True)
class Heard:
    """What a network makes of one recording, `outputs` `(K, ...)`, and what is known of the recording's quality.

    `cut_seconds` is the silence that was cut off before what the network heard; None where silence within it was
    removed as well, and seconds of one are no seconds of the other.
    """

    outputs: Tensor
    cut_seconds: float | None
    source_seconds: float
    kept_seconds: float
    clipped_fraction: float


class Listener:
    """A trained network, loaded from the folder that the finetune stage wrote; torch's threads are the caller's."""

    def __init__(self, folder: Path) -> None:
        self.bundle = read_bundle(folder)
        self.task = tasks[self.bundle.task]
        self.kind = spec(self.bundle.model).input_kind
        self.front_end = build_front_end(self.bundle.features, self.bundle.cleaning.sample_rate_hz).eval()
        weights = load_file(folder / WEIGHTS)
        mean, std = (weights[name][:, 0].numpy() for name in ("mean_F1", "std_F1"))
        # The head's scale is part of the weights; these targets only give it its shape.
        statistics = Statistics(mean, std, targets=np.array([0.0, 1.0]))
        self.network = build_network(
            self.bundle.model, self.task, self.bundle.training, self.bundle.trainable, statistics, initial=None
        ).eval()
        built = self.network.state_dict()
        # What is not kept of a network is never asked: the head of one that embeds.
        unused = {name: built[name] for name in built.keys() - self.network.kept().keys()}
        self.network.load_state_dict(unused | weights)
        hop_ms, rate_hz = self.bundle.features.hop_ms, self.bundle.cleaning.sample_rate_hz
        crop_seconds = self.bundle.training.crop_seconds
        self.crop_frames = None if crop_seconds is None else frames_of(self.kind, crop_seconds, hop_ms, rate_hz)

    def clean_by(self, changes: Mapping[str, object]) -> None:
        """Replace values of the cleaning, to ask a network of recordings that were cleaned in another way."""
        cleaning = self.bundle.cleaning.model_copy(update=changes)
        self.bundle = self.bundle.model_copy(update={"cleaning": cleaning})

    def __call__(self, source: bytes) -> Heard:
        """Return what is heard in a recording (wav, flac, mp3, ogg, m4a, SPHERE bytes); `AudioError` says why not."""
        cleaning = self.bundle.cleaning
        cleaned = clean(*decode_audio(source, max_seconds=cleaning.max_seconds), cleaning)
        values = network_input(self.front_end, dequantize(*quantize(cleaned.wave)), self.kind)
        with torch.inference_mode():
            outputs = self.network.judged(torch.from_numpy(self._seen(values)))
        seconds = (cleaned.lead_seconds, cleaned.source_seconds, cleaned.kept_seconds)
        return Heard(outputs, *seconds, cleaned.clipped_fraction)

    def _seen(self, values: np.ndarray) -> np.ndarray:
        """Return what the network sees of a recording's features or wave, `(K, F, C)`: its crops, or all of it."""
        frames = self.crop_frames or len(values)
        if self.bundle.training.shorter == "repeat":
            values = repeated(values, frames)
        return np.stack([cut(values, place, frames) for place in places_of(self.bundle.training)])
