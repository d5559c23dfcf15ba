"""Where the data and the initial weights of a training run lie, and the one door to them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from voxbench.models import spec
from voxbench.models.pretrained import Initial, initial_weights
from voxbench.tasks import tasks
from voxbench.training.data import AudioSource, BenchmarkData, load_data
from voxbench.training.recipe import Recipe


@dataclass(frozen=True)
class Source:
    """Where a benchmark's data lies: a corpus's audio, features and split column, and the project's initial weights."""

    task: str
    audio: AudioSource
    features: Path
    split_column: str
    root: Path
    weights: Path

    def load(self, recipe: Recipe) -> BenchmarkData:
        """Open the data that the recipe's model eats."""
        kind = spec(recipe.model).input_kind
        test_list = recipe.verification.test_list if recipe.verification else None
        task = tasks[self.task]
        return load_data(task, kind, self.audio, self.features, recipe.training, self.split_column, test_list)

    def initial(self, recipe: Recipe) -> Initial | None:
        """Return the weights that the recipe's model starts from, None for random ones."""
        return initial_weights(recipe.model, recipe.training.weights, self.weights, self.root)
