"""A corpus of both kinds with features, and networks of single recordings that were not trained, but can be asked."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file

from tiny import tiny_params, write_params, write_table_corpus
from training.recipes import load, recipe
from voxbench.evaluation.decisions import detection_scores, fit_decision, undecidable, write_decision
from voxbench.features.dataset import evaluation_loader, places_of
from voxbench.schema import BONAFIDE, ScoreKind, Split
from voxbench.serving.bundle import WEIGHTS, Bundle, write_bundle
from voxbench.stages.features import features
from voxbench.stages.prepare import prepare
from voxbench.stages.workspace import Workspace, open_workspace
from voxbench.tasks import tasks
from voxbench.training.network import Statistics, build_network, predict
from voxbench.training.scoring import score_table, score_values

CORPUS, ATTACK = "tiny", "lpc_vocoder"
SPEAKERS, CLIPS = 12, 2


def two_kinds(root: Path, change=lambda params: None) -> Workspace:
    """Prepare a corpus of which every other recording is named spoofed, and its features."""
    params = tiny_params()
    change(params)
    write_table_corpus(root / "raw", SPEAKERS, CLIPS)
    table = pd.read_csv(root / "raw" / "metadata.csv", dtype=str)
    table["attack"] = [(BONAFIDE, ATTACK)[place % 2] for place in range(len(table))]
    table.to_csv(root / "raw" / "metadata.csv", index=False, quoting=csv.QUOTE_MINIMAL)
    workspace = open_workspace(write_params(root, params))
    prepare(workspace, CORPUS)
    features(workspace, CORPUS)
    return workspace


@dataclass(frozen=True)
class Written:
    """A network's folder, as commands name it, and its score table of validation and test rows."""

    folder: Path
    model: str
    table: pd.DataFrame


def write_network(workspace: Workspace, task: str, model: str, *, p_target=0.5, **training) -> Written:
    """Write what the finetune stage would, its weights drawn, and its decision fitted on what scores high or low."""
    one = recipe(workspace, model, **training)
    data = load(workspace, one, task)
    targets = data.task.targets(data.split(Split.TRAIN))
    torch.manual_seed(3)
    trainable = one.schedule.trainable
    statistics = Statistics(data.mean, data.std, targets)
    network = build_network(model, data.task, one.training, trainable, statistics, initial=None)
    rows = data.rows[data.rows["split"] != Split.TRAIN].reset_index(drop=True)
    places = places_of(one.training)
    outputs = predict(network, evaluation_loader(data.dataset(rows), 8, places), len(places))
    table = score_table(data.task, rows, outputs)
    folder = workspace.root / "models" / task / f"{model}-{p_target:g}"
    folder.mkdir(parents=True)
    save_file({name: value.contiguous() for name, value in network.cpu().kept().items()}, folder / WEIGHTS)
    corpus = workspace.params.corpus(CORPUS)
    facts = {"licence": corpus.licence, "cleaning": corpus.cleaning, "features": corpus.features}
    named = {"benchmark": f"{task}-tiny", "task": task, "corpus": CORPUS, "model": model, "trainable": trainable}
    write_bundle(folder, Bundle(**named, **facts, training=one.training, transcription=None))
    _write_decision(workspace, folder, task, table, p_target)
    return Written(folder, folder.relative_to(workspace.root).as_posix(), table)


def _write_decision(workspace, folder, name, table, p_target):
    task = tasks[name]
    if undecidable(task.score_kind, task.classes):
        return
    values = score_values(task, table)
    scores = values if task.score_kind is ScoreKind.DETECTION else detection_scores(task.score_kind, values)
    labels = (scores > np.median(scores)).astype(int)
    # Not all of them: of two classes that nothing confuses, no ratio would be large enough.
    labels[np.argsort(scores)[len(scores) // 2 - 1 : len(scores) // 2 + 1]] = 1, 0
    settings = workspace.params.decisions
    calibration = settings.calibration.model_copy(update={"p_target": p_target})
    settings = settings.model_copy(update={"calibration": calibration})
    write_decision(folder, fit_decision(settings, task.classes, scores, labels, table["speaker"], None))
