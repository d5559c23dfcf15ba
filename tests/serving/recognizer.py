"""A model of words with random weights: what serving needs of it, and nothing that was trained."""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from serving.clips import encoded
from tiny import tiny_params, voice, write_params
from voxbench.evaluation.decisions import fit_decision, write_decision
from voxbench.features.extraction import build_front_end, network_input
from voxbench.models import spec
from voxbench.serving.bundle import WEIGHTS, Bundle, write_bundle
from voxbench.stages.workspace import Workspace, open_workspace
from voxbench.tasks import tasks
from voxbench.tasks.phrases import PHRASE_CLASSES
from voxbench.training.network import Statistics, build_network

ASR, RECOGNIZER_NETWORK = "asr-tiny", "deep_speech_2x96"
RECOGNIZER = f"{ASR}/{RECOGNIZER_NETWORK}"
LEARNT_FROM = "tiny"


def tones(seed=0, seconds=1.0):
    """Return the bytes of a voice whose pitch steps up."""
    draws = np.random.default_rng(seed)
    parts = [voice(pitch, seconds / 4, draws) for pitch in (110.0, 140.0, 180.0, 230.0)]
    return encoded(np.concatenate(parts))


def transcribing_row() -> dict:
    """Return the row of a study or benchmark of transcription."""
    return {"task": "transcription", "corpus": LEARNT_FROM, "metric": "wer", "override": {}}


def recognizing_project(root: Path) -> Workspace:
    """Write `params.yaml` and a recognizer."""
    params = tiny_params()
    params["studies"] = {}
    params["benchmarks"] = {}
    add_recognizer(params)
    root.mkdir(exist_ok=True)
    workspace = open_workspace(write_params(root, params))
    write_recognizer(workspace)
    return workspace


def add_recognizer(params: dict) -> None:
    """Add the recognizer's study and benchmark to parameters."""
    ones = {"models": [RECOGNIZER_NETWORK], "finalists": {"deep_speech": 1}, "trials": {"deep_speech": 1}}
    params["studies"][ASR] = transcribing_row() | ones
    params["benchmarks"][ASR] = transcribing_row() | {"select_from": ASR, "variants": []}


def write_recognizer(
    workspace: Workspace, seed: int = 1, one_class: bool = False, beam=None, **cleaning: object
) -> Path:
    """Write what the finetune stage would, weights drawn from `seed`; with `one_class` nothing can be decided."""
    params, folder = workspace.params, workspace.models(ASR) / RECOGNIZER_NETWORK
    folder.mkdir(parents=True, exist_ok=True)
    corpus, task, trainable = params.corpus(LEARNT_FROM), tasks["transcription"], params.finetune.schedule.trainable
    whole = {"crop_seconds": None, "batch_seconds": 20.0, "evaluation_crops": 1, "evaluation_place": "start"}
    training = params.training.model_copy(update=whole)
    bundle = Bundle(
        benchmark=ASR,
        task=task.name,
        corpus=LEARNT_FROM,
        licence=corpus.licence,
        model=RECOGNIZER_NETWORK,
        trainable=trainable,
        training=training,
        cleaning=corpus.cleaning.model_copy(update=cleaning),
        features=corpus.features,
        transcription=params.transcription.model_copy(update={"beam": beam}),
    )
    write_bundle(folder, bundle)
    front_end = build_front_end(corpus.features, corpus.cleaning.sample_rate_hz).eval()
    noise = np.random.default_rng(0).normal(size=16000).astype(np.float32)
    values = network_input(front_end, noise, spec(RECOGNIZER_NETWORK).input_kind)
    statistics = Statistics(values.mean(axis=0), values.std(axis=0), targets=np.zeros((1, 1), dtype=np.int64))
    torch.manual_seed(seed)
    network = build_network(RECOGNIZER_NETWORK, task, training, trainable, statistics, initial=None)
    with torch.no_grad():
        # An untrained network says the same of every frame; larger weights make it say something of each.
        network.head.linear.weight *= 40
    save_file({name: tensor.contiguous() for name, tensor in network.kept().items()}, folder / WEIGHTS)
    scores, labels = np.array([0.0, 0.1, 0.2, 0.5, 0.4, 0.8, 0.9, 1.0]), np.repeat([0, 1], 4)
    labels = np.ones_like(labels) if one_class else labels
    decision = fit_decision(params.decisions, PHRASE_CLASSES, scores, labels, np.arange(8) // 2, None)
    write_decision(folder, decision)
    return folder
