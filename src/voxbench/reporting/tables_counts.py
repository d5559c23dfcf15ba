"""The table of counts: what joint classes, such as a woman and two men, say of each number by itself.

Shape letters: N rows, C classes, K numbers from 0 to the largest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from voxbench.metrics import METRICS
from voxbench.reporting.evidence import Evidence
from voxbench.reporting.quantities import decimal, quantity
from voxbench.reporting.scored import Scored
from voxbench.reporting.table import Row, Table


def counts_table(evidence: Evidence) -> Table:
    """Tabulate how well each number is told; without rows where the classes count no more than one thing."""
    shown, counts = quantity("accuracy", evidence.clips), evidence.task.counts
    rows = list(_rows(evidence)) if len(counts) > 1 else []
    return Table(
        title="Each count by itself",
        says=(
            f"The fine-tuned networks on the test rows, {evidence.sample}. A class says how many there are of each "
            "kind; a number's probability is the sum over the classes that say it, and the most probable number is "
            "the answer. Error: how far it is from the true one, on average. A baseline never listens."
        ),
        columns=("system", *(f"{name}: {words}" for name in counts for words in (shown.heading, "error"))),
        words=1,
        rows=tuple(rows),
        notes=(),
    )


def number_probabilities(numbers: Sequence[int], probabilities_NC: np.ndarray) -> np.ndarray:
    """Return the probabilities `(N, K)` of the numbers 0, 1, ..., of which `numbers` has that of each class.

    >>> number_probabilities((1, 0, 1), np.array([[0.5, 0.25, 0.25]])).tolist()
    [[0.25, 0.75]]
    """
    said_CK = np.eye(max(numbers) + 1)[list(numbers)]
    probabilities_NK: np.ndarray = probabilities_NC @ said_CK
    return probabilities_NK


def _rows(evidence: Evidence) -> Iterator[Row]:
    best = evidence.validated
    for finalist in evidence.ranked:
        yield Row((finalist.model, *_cells(evidence, finalist.tuned)), finalist is best)
    for baseline in evidence.baselines:
        yield Row((f"{baseline.name} (baseline)", *_cells(evidence, baseline.scored)), False)


def _cells(evidence: Evidence, scored: Scored) -> Iterator[str]:
    shown = quantity("accuracy", evidence.clips)
    for numbers in evidence.task.counts.values():
        columns = np.array(numbers)[scored.truth], number_probabilities(numbers, scored.scores)
        yield shown.number(METRICS["accuracy"].function(*columns))
        yield decimal(METRICS["class_distance"].function(*columns), 2)
