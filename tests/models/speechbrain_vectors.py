"""Embeddings by SpeechBrain's own networks, of weights and features that follow from a rule: no weights are stored.

    python tests/models/speechbrain_vectors.py FOLDER

writes `speechbrain_vectors.json` beside this file. FOLDER is the site-packages of an environment with SpeechBrain; the
stored file was made with its version 1.1.2 and torch 2.11. A tensor of a network is drawn from numpy's generator seeded
with the CRC-32 of the tensor's name, as `seeded` says; features are normal numbers of seed 7. `alone` are embeddings of
the clips one by one, `padded` those of one batch padded with zeros, by SpeechBrain's relative lengths. The random
numbers that its x-vector network adds to every mean are switched off.
"""

import json
import sys
import warnings
import zlib
from importlib import import_module
from pathlib import Path

import numpy as np
import torch

STORED = Path(__file__).with_suffix(".json")
EMBEDDING, LENGTHS = 32, (40, 23, 9, 31)
BANDS = {"ecapa_tdnn": 80, "x_vector": 24}


def seeded(state):
    """Return tensors of the names and shapes of `state`, by the rule."""
    found = {}
    for name, value in state.items():
        draws = np.random.default_rng(zlib.crc32(name.encode()))
        if name.endswith("num_batches_tracked"):
            numbers = np.zeros(())
        elif name.endswith("running_var") or (value.ndim == 1 and name.endswith("weight")):
            numbers = draws.uniform(0.5, 1.5, value.shape)
        elif value.ndim == 1:
            numbers = draws.normal(0.0, 0.2, value.shape)
        else:
            numbers = draws.normal(0.0, np.prod(value.shape[1:]) ** -0.5, value.shape)
        found[name] = torch.tensor(numbers, dtype=value.dtype)
    return found


def features(bands):
    """Return a batch `(B, F, T)` of the clips, zeros behind their ends."""
    batch = np.random.default_rng(7).normal(size=(len(LENGTHS), bands, max(LENGTHS)))
    for row, length in zip(batch, LENGTHS, strict=True):
        row[:, length:] = 0.0
    return torch.tensor(batch, dtype=torch.float32)


def networks():
    """Return SpeechBrain's networks by the names of ours."""
    ecapa, x_vector = (import_module(f"speechbrain.lobes.models.{name}") for name in ("ECAPA_TDNN", "Xvector"))
    pooling = import_module("speechbrain.nnet.pooling").StatisticsPooling
    pooling._get_gauss_noise = lambda _, shape, device: torch.zeros(shape)
    return {
        "ecapa_tdnn": ecapa.ECAPA_TDNN(BANDS["ecapa_tdnn"], lin_neurons=EMBEDDING),
        "x_vector": x_vector.Xvector(in_channels=BANDS["x_vector"], lin_neurons=EMBEDDING),
    }


def vectors(network, bands):
    """Return the embeddings of one network in both ways, rounded to six decimals."""
    network.load_state_dict(seeded(network.state_dict()))
    batch_BTF = features(bands).transpose(1, 2)
    with torch.no_grad():
        rows = [network.eval()(batch_BTF[row : row + 1, :length]) for row, length in enumerate(LENGTHS)]
        padded = network(batch_BTF, torch.tensor(LENGTHS) / max(LENGTHS))
    both = {"alone": torch.cat(rows), "padded": padded}
    return {way: [[round(x, 6) for x in row] for row in found[:, 0].tolist()] for way, found in both.items()}


if __name__ == "__main__":
    sys.path.append(sys.argv[1])
    warnings.filterwarnings("ignore")
    found = {name: vectors(network, BANDS[name]) for name, network in networks().items()}
    STORED.write_text(json.dumps(found) + "\n", encoding="utf-8")
