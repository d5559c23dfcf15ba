"""The tiny pipeline's states, as `stages/pipeline.py` builds them once for all rooms, and one with ages."""

import pytest

from stages.pipeline import copied, copy_of, featured, finished
from stages.verification import people
from training.recipes import give_ages

__all__ = ["aged", "copied", "featured", "finished", "people"]


@pytest.fixture(scope="session")
def aged(featured, tmp_path_factory):
    """Return a copy of the featured workspace whose speakers have ages; read it only."""
    copy = copy_of(featured, tmp_path_factory.mktemp("aged") / "copy")
    give_ages(copy)
    return copy
