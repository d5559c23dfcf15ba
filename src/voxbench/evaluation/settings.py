"""What measuring needs to know besides the rows: sections of `params.yaml`, and what was asked for."""

from __future__ import annotations

from dataclasses import dataclass

from voxbench.config import Decisions, Evaluation, Report
from voxbench.evaluation.label_words import ANTI_SPOOFING, TASKS
from voxbench.registry import closest
from voxbench.schema import InputError


@dataclass(frozen=True, slots=True)
class Settings:
    """Sections of `params.yaml`, the columns of `groups` that were asked for (none: all usual ones), and the task.

    `task` is one of `TASKS`, or None where nobody said; an unknown one raises `InputError`.
    """

    report: Report
    evaluation: Evaluation
    decisions: Decisions
    groups: tuple[str, ...]
    task: str | None

    def __post_init__(self) -> None:
        if self.task is not None and self.task not in TASKS:
            raise InputError(f"unknown task {self.task!r}{closest(self.task, TASKS)}; known: {', '.join(TASKS)}")

    @property
    def is_anti_spoofing(self) -> bool:
        """Return whether the figures are those that anti-spoofing quotes."""
        return self.task == ANTI_SPOOFING
