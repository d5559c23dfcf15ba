"""Random generators derived from (seed, purpose), so that no draw depends on what was drawn before it."""

from __future__ import annotations

import hashlib

import numpy as np


def derive_seed(seed: int, *purpose: str | int) -> int:
    """Return a 63-bit seed that depends on `seed` and every word of `purpose`, and on nothing else.

    >>> derive_seed(1, "order", 3) == derive_seed(1, "order", 3)
    True
    >>> derive_seed(1, "order", 3) == derive_seed(1, "order", 4)
    False
    """
    words = "\x1f".join(str(word) for word in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(words.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *purpose: str | int) -> np.random.Generator:
    """Return a numpy generator for one purpose."""
    return np.random.default_rng(derive_seed(seed, *purpose))
