"""A few speakers' recordings, stored as the prepare and features stages do, and what alters them in training."""

from types import SimpleNamespace

import numpy as np
import torch

from tiny import RATE_HZ, voice
from voxbench.audio.cleaning import z_score
from voxbench.config import Augmentation, Features
from voxbench.features.dataset import CropDataset, frames_of, training_loader
from voxbench.features.extraction import build_front_end
from voxbench.features.mixed import open_store
from voxbench.features.online import OnlineFeatures
from voxbench.features.store import RaggedStore, quantize, write_shard
from voxbench.features.wave_crops import WaveCrops, layout_of
from voxbench.schema import InputKind
from voxbench.stages.features import extract_shard

STEPS = [name for name in Augmentation.model_fields if name not in ("probability", "mask_stripes")]
OFF = Augmentation(probability=1.0, mask_stripes=1, **dict.fromkeys(STEPS))
SPEAKERS, CLIPS, SECONDS, SEED = 6, 2, 0.4, 3


def augmentation(**changes):
    return Augmentation(**(OFF.model_dump() | changes))


def write_corpus(root, spectrogram, **changes):
    """Write twelve recordings of six speakers, person k's hum at 100 + 20 k Hz; return the features section."""
    draws = np.random.default_rng(3)
    section = Features(
        **{"spectrogram": spectrogram, "window_ms": 25.0, "hop_ms": 10.0, "n_fft": 512, "f_min_hz": 20.0},
        **{"f_max_hz": 7600.0, "n_mels": 40, "n_mfcc": 13, "top_db": 80.0, "cepstra": "mfcc", "deltas": 0},
    ).model_copy(update=changes)
    rows = [(f"{person}-{clip}", 100.0 + 20 * person) for person in range(SPEAKERS) for clip in range(CLIPS)]
    waves = [z_score(voice(hz, draws.uniform(0.9, 1.4), draws)) for _, hz in rows]
    samples, scales = zip(*map(quantize, waves), strict=True)
    path = root / "prepared" / "shard-00000.arrow"
    write_shard(path, [row_id for row_id, _ in rows], samples, scales, {"key": "0"})
    cleaning = SimpleNamespace(sample_rate_hz=RATE_HZ)
    extract_shard(path, SimpleNamespace(features=section, cleaning=cleaning), root / "features")
    return section


def people_of(rows):
    return np.array([f"p{row // CLIPS}" for row in rows])


def pieces(corpus, settings, kind=InputKind.SPECTROGRAM, rows=tuple(range(12)), speeds=None, seed=SEED, longer=None):
    """Return the stored crops of some rows, the data set of their waves, and what alters these.

    Crops of `longer` seconds than usual repeat shorter recordings.
    """
    section, root = corpus
    store = open_store(root / "prepared") if kind is InputKind.WAVE else RaggedStore(root / "features" / kind)
    front_end = build_front_end(section, RATE_HZ)
    frames = frames_of(kind, longer or SECONDS, section.hop_ms, RATE_HZ)
    crops = CropDataset(store, rows, np.array(rows) // CLIPS, frames, repeats=longer is not None)
    layout = layout_of(front_end.settings, kind, settings)
    speeds = np.ones(len(rows)) if speeds is None else speeds
    dataset = WaveCrops(crops, open_store(root / "prepared"), layout, settings, people_of(rows), speeds, seed)
    return crops, dataset, OnlineFeatures(front_end, layout, settings, seed)


def epoch_of(dataset, online, sampler, batch_size=4, epoch=0):
    """Return the batches of one epoch as a training step sees them."""
    sampler.set_epoch(epoch)
    loader = training_loader(dataset, batch_size, sampler)
    return [online(batch, epoch, index) for index, batch in enumerate(loader)]


def equal(ours, theirs):
    return all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))
