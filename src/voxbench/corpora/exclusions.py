"""The account of recordings that are not used: `excluded.csv`, one line each, with the reason."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from types import TracebackType

from voxbench.schema import InputError

COLUMNS = ("id", "speaker", "reason", "detail")
UNSPLIT = "unsplit"
"""In none of the official sets, as most of Common Voice is: left out on purpose, not unusable."""


class Exclusions:
    """Writes the account as recordings come, as a context manager; memory holds counts."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._first: tuple[str, str] | None = None
        self.reasons: Counter[str] = Counter()

    def __enter__(self) -> Exclusions:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._stream = self._path.open("w", encoding="utf-8", newline="")
        self._rows = csv.writer(self._stream, lineterminator="\n")
        self._rows.writerow(COLUMNS)
        return self

    def add(self, row_id: str, speaker: str, reason: str, detail: str) -> None:
        """Account for one recording."""
        self._rows.writerow((row_id, speaker, reason, detail))
        self.reasons[reason] += 1
        if reason != UNSPLIT and self._first is None:
            self._first = (row_id, detail)

    @property
    def unusable(self) -> int:
        """Return how many recordings are excluded for a fault."""
        return self.reasons.total() - self.reasons[UNSPLIT]

    def check(self, found: int, most: float) -> None:
        """Refuse a corpus of `found` recordings of which a larger fraction than `most` is unusable."""
        if self._first is not None and self.unusable > most * found:
            self._stream.flush()
            raise InputError(
                f"{self.unusable} of {found} recordings are unusable ({dict(self.reasons)}; first: {self._first[0]}: "
                f"{self._first[1]}), more than max_excluded_fraction {most:g}: mend them (listed in {self._path}) "
                "or raise it"
            )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()
