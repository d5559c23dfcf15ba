"""Transcripts: what the report measures of them, and their intervals over speakers.

Word and character errors are counted once for each utterance (`Scored.edits`); of a resample of speakers the sums of
errors and of reference tokens are drawn, which gives the rate of that resample exactly. Intervals are the very ones of
`voxbench evaluate` on the same table: the same draws.

Shape letters: N utterances, R resamples.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from voxbench.config import Evaluation
from voxbench.evaluation.intervals import Plan, clusters_of, plan_of
from voxbench.evaluation.records import Origin, ScoreRows
from voxbench.evaluation.row_metrics import resampled_rows
from voxbench.metrics import UndefinedError, metrics_of
from voxbench.metrics.inputs import Floats
from voxbench.metrics.text import error_rate
from voxbench.reporting.scored import Bootstrap, Bounded, Scored, known_rows
from voxbench.schema import ScoreKind, Split
from voxbench.tasks import Task
from voxbench.training.scoring import score_values

UNNAMED = Origin("", "", None, "", "", None)


@dataclass(frozen=True)
class TextBootstrap(Bootstrap):
    """Error rates of transcripts, and their intervals over speakers."""

    evaluation: Evaluation

    def read(self, task: Task, path: Path, labelled: pd.DataFrame) -> Scored:
        """Read the test rows of a score table; `labelled` says what is known of each recording."""
        table = pd.read_parquet(path)
        table = table[table["split"] == Split.TEST]
        rows = known_rows(table, labelled, f"{path.parent.name}/{path.name}")
        return _rated(Scored(table["truth"].to_numpy(object), score_values(task, table), rows, {}, {}))

    def score(self, task: Task, like: Scored, scores: np.ndarray) -> Scored:
        """Measure what a baseline says of the same utterances."""
        return _rated(Scored(like.truth, scores, like.rows, {}, {}, aside=True))

    def __call__(self, system: str, scored: Scored) -> dict[str, Bounded]:
        """Return the intervals of the word and of the character error rate."""
        drawn, plan, speakers = self._drawn(scored), self.plan(scored), len(set(scored.speakers))
        found = {name: Bounded(None, reason) for name, reason in scored.undefined.items()}
        for name, value in scored.values.items():
            found[name] = Bounded(*plan.interval(name, value, drawn.get(name), speakers))
        return found

    def gain(self, system: str, scored: Scored, reference: str, other: Scored) -> Bounded:
        """Return by how much `scored` is better than `other` on the same utterances; above 0 is better."""
        name = self.metric.name
        for each in (scored, other):
            if name in each.undefined:
                return Bounded(None, each.undefined[name])
        own, others = self._drawn(scored), self._drawn(other)
        values_R = others[name] - own[name] if own and others else None
        value = other.values[name] - scored.values[name]
        return Bounded(*self.plan(scored).interval(name, value, values_R, len(set(scored.speakers))))

    def plan(self, scored: Scored) -> Plan:
        """Return how intervals of some utterances are drawn."""
        return plan_of(text_rows(scored, scored.rows, UNNAMED), self.settings, self.evaluation)

    def resamples(self, scored: Scored) -> int:
        """Return how many resamples the intervals are of."""
        return self.plan(scored).resamples

    def _drawn(self, scored: Scored) -> dict[str, Floats]:
        """Return every rate on each resample (R,); the same speakers for every system of the same utterances."""
        rows, plan = text_rows(scored, scored.rows, UNNAMED), self.plan(scored)
        people = clusters_of(rows)
        if plan.why_none or people.total < 2:
            return {}
        defined = [each for each in metrics_of(ScoreKind.TEXT) if each.name in scored.values]
        return resampled_rows(rows, defined, scored.edits, people, plan)


def _rated(scored: Scored) -> Scored:
    values, undefined = {}, {}
    for name, counts in scored.edits.items():
        try:
            values[name] = error_rate(counts.errors, counts.reference)
        except UndefinedError as error:
            undefined[name] = str(error)
    return replace(scored, values=values, undefined=undefined)


def text_rows(scored: Scored, rows: pd.DataFrame, origin: Origin) -> ScoreRows:
    """Return utterances as `voxbench evaluate` would have read them; `rows` (N rows) is what groups them."""
    return ScoreRows(
        kind=ScoreKind.TEXT,
        columns=(scored.truth, scored.scores),
        classes=(),
        unit="",
        rows=rows,
        speakers=(scored.speakers,),
        origin=origin,
        notes=(),
    )
