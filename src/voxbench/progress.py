"""Progress of long work: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from tqdm import tqdm


class Progress:
    """Counts finished pieces of work; used as a context manager."""

    def __init__(self, label: str, total: int) -> None:
        self.label = label
        self.total = total
        self.done = 0
        self._started = time.monotonic()
        self._bar = tqdm(total=total, desc=label, unit="") if sys.stderr.isatty() else None

    def __enter__(self) -> Progress:
        return self

    def advance(self, message: str, steps: int = 1) -> None:
        """Count `steps` pieces and say what was finished."""
        self.done += steps
        if self._bar is not None:
            self._bar.write(message, file=sys.stderr)
            self._bar.update(steps)
        else:
            elapsed = time.monotonic() - self._started
            print(
                f"{self.label} {self.done}/{self.total} [{elapsed:5.0f} s] {message}",
                file=sys.stderr,
                flush=True,
            )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
