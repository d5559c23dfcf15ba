"""The project's training settings, with some of them changed."""

from functools import cache

from tiny import PROJECT
from voxbench.config import Training, load_params

MARGIN = {"kind": "aam", "margin": 0.2, "scale": 20.0, "beyond": "touching", "subcentres": 1, "warm_up_epochs": None}


@cache
def _plain() -> dict:
    return load_params(PROJECT / "params.yaml").training.model_dump()


def learning(**changes) -> Training:
    """Return the settings; without changes nothing is dropped, no class is evened out, and speakers have a margin."""
    return Training.model_validate(_plain() | {"dropout": 0.0, "balance": "none", "margin": MARGIN} | changes)
