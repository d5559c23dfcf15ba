"""The tiny pipeline's states, as `stages/pipeline.py` builds them once for all rooms."""

from stages.counting import counted
from stages.pipeline import copied, featured, finished, trained
from stages.verification import verified
from stages.words import worded

__all__ = ["copied", "counted", "featured", "finished", "trained", "verified", "worded"]
