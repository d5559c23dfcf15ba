"""Pruning that does not depend on which run happens to finish first.

A run is held against the runs that were complete when its round began, and against nothing else. Optuna's percentile
pruner decides, in a private copy of that history, so that worker processes share no state.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import optuna

optuna.logging.set_verbosity(optuna.logging.WARNING)

Curve = tuple[float | None, ...]  # the metric after each epoch, None where it had no value


@dataclass
class FrozenHistory:
    """The learning curves of the completed runs of earlier rounds; calling it asks whether to stop."""

    curves: tuple[Curve, ...]
    greater_is_better: bool
    percentile: float
    after_epochs: int
    _trial: optuna.Trial | None = field(default=None, compare=False, repr=False)

    def __call__(self, epoch: int, value: float) -> bool:
        """Report one epoch's value and return whether the run is not worth going on with; epoch 0 begins a run."""
        if self._trial is None or epoch == 0:
            self._trial = self._private_trial()
        self._trial.report(value, epoch)
        return bool(self.curves) and bool(self._trial.should_prune())

    def _private_trial(self) -> optuna.Trial:
        pruner = optuna.pruners.PercentilePruner(
            self.percentile, n_startup_trials=1, n_warmup_steps=self.after_epochs, interval_steps=1
        )
        study = optuna.create_study(direction="maximize" if self.greater_is_better else "minimize", pruner=pruner)
        for curve in self.curves:
            points = {epoch: point for epoch, point in enumerate(curve) if point is not None}
            study.add_trial(optuna.trial.create_trial(value=0.0, intermediate_values=points))
        return study.ask()

    def content(self) -> dict[str, Any]:
        """Return what decides, for a job's digest."""
        return {name: value for name, value in asdict(self).items() if not name.startswith("_")}
