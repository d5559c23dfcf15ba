"""The score tables that a finished training run leaves, and what those of trials were fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from voxbench.artifacts import write_json
from voxbench.features.dataset import places_of
from voxbench.schema import Split
from voxbench.training.batches import judged_batches
from voxbench.training.data import BenchmarkData
from voxbench.training.judging import TextJudge, TrialJudge, judge_of
from voxbench.training.network import Network, predict
from voxbench.training.recipe import Recipe

SCORES = "scores.parquet"
PHRASES = "phrases.parquet"
LANGUAGE_MODEL = "language_model.json"


def write_scores(
    folder: Path, splits: Sequence[Split], recipe: Recipe, data: BenchmarkData, network: Network
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Write the score table of some splits; return what scores of trials are fitted on, and each split's list.

    Of transcription the table of prompted phrases goes to the folder as well, and the n-grams of a language model.
    """
    places = places_of(recipe.training)
    train_rows = data.training_rows(recipe.train_per_class, recipe.seed)
    tables, phrases, arrays, lists = [], [], {}, {}
    for split in splits:
        judge = judge_of(data, split, recipe, train_rows)
        outputs = predict(network, judged_batches(data, judge.rows, recipe.training), len(places))
        tables.append(judge.table(outputs))
        if isinstance(judge, TextJudge):
            phrases.append(judge.phrases(outputs))
            if judge.grams is not None:
                write_json(folder / LANGUAGE_MODEL, judge.grams)
        if isinstance(judge, TrialJudge):
            back_end, lists[str(split)] = judge.back_end(outputs), judge.listed.account()
            arrays = back_end.arrays() if back_end else {}
    pd.concat(tables, ignore_index=True).to_parquet(folder / SCORES, index=False)
    if phrases:
        pd.concat(phrases, ignore_index=True).to_parquet(folder / PHRASES, index=False)
    return arrays, lists
