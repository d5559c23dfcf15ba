"""The published test vectors of AASIST, and the signals they are of."""

import json
import math

import torch

SAMPLES, SAMPLE_RATE_HZ = 64_600, 16_000
FILES = {"aasist": "AASIST", "aasist_l": "AASIST-L"}


def vectors(shared, group):
    """Return the rows of a group of the published vectors."""
    rows = json.loads((shared / "vectors" / "model_vectors.json").read_text(encoding="utf-8"))["vectors"]
    return [row for row in rows if row["group"] == group]


def signal(name):
    """Return the wave `(1, 1, S)`, float32, that the vectors call `name`."""
    if name == "zeros":
        return torch.zeros(1, 1, SAMPLES)
    if name == "sine440":
        turns = 440 * torch.arange(SAMPLES, dtype=torch.float64) / SAMPLE_RATE_HZ
        return (0.1 * torch.sin(2 * math.pi * turns)).float()[None, None]
    assert name == "lcg", name
    state, values = 12_345, []
    for _ in range(SAMPLES):
        state = (1_103_515_245 * state + 12_345) % 2**31
        values.append(0.05 * (2 * state / 2**31 - 1))
    return torch.tensor(values)[None, None]
