"""The tiny pipeline's states, as `stages/pipeline.py` builds them once for all rooms."""

from stages.pipeline import copied, featured, finished, trained

__all__ = ["copied", "featured", "finished", "trained"]
