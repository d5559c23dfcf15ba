"""Phrase verification: was the prompted phrase said? A network of `voxbench.tasks.transcription` answers it.

Nothing is trained for it: a row of its score table is a recording and a phrase, and the score is how probable the
phrase is beside the best path (`voxbench.transcripts.phrases`). So it is a view of transcription's rows, and no task
that a benchmark can name.
"""

from __future__ import annotations

from dataclasses import replace

from voxbench.schema import ScoreKind
from voxbench.tasks.registry import Task
from voxbench.tasks.transcription import TRANSCRIPTION

PHRASE_CLASSES = ("wrong", "right")
PHRASE_METRIC = "eer"
PHRASES: Task = replace(
    TRANSCRIPTION,
    name="phrase_verification",
    subject="phrase",
    score_kind=ScoreKind.DETECTION,
    classes=PHRASE_CLASSES,
    score_columns=("score",),
)
