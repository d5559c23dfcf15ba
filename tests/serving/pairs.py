"""A model that compares recordings, with random weights: what serving needs of it, and nothing that was trained."""

from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import save_file

from serving.clips import encoded
from tiny import tiny_params, voice, write_params
from voxbench.config import Margin
from voxbench.evaluation.decisions import fit_decision, write_decision
from voxbench.features.extraction import build_front_end, network_input
from voxbench.metrics.trial_scores import fit_back_end, score_trials
from voxbench.models import spec
from voxbench.serving.bundle import BACK_END, WEIGHTS, Bundle, write_bundle
from voxbench.serving.listening import Listener
from voxbench.stages.workspace import Workspace, open_workspace
from voxbench.tasks import tasks
from voxbench.training.network import Statistics, build_network
from voxbench.training.trials import embeddings_of

BENCHMARK, NETWORK, OTHER = "verify-tiny", "bilstm_h128_l1", "spectrogram_cnn_3"
MODEL = f"{BENCHMARK}/{NETWORK}"
MARGIN = {"kind": "aam", "margin": 0.1, "scale": 15.0, "beyond": "touching", "subcentres": 1, "warm_up_epochs": [0, 1]}
PITCHES_HZ = (90.0, 120.0, 160.0, 210.0, 280.0)


def recording(pitch_hz, take=0, seconds=1.0):
    """Return the bytes of a voice of this pitch; another take is another recording of it."""
    return encoded(voice(pitch_hz, seconds, np.random.default_rng(take), tremor_ms=1 + pitch_hz % 4))


def verifying_params():
    params = tiny_params()
    task = {"task": "verification", "corpus": "tiny", "metric": "eer", "override": {}}
    ones = {"models": [NETWORK], "finalists": {"lstm": 1}, "trials": {"lstm": 1}}
    params["studies"] = {BENCHMARK: task | ones}
    params["benchmarks"] = {BENCHMARK: task | {"select_from": BENCHMARK, "variants": []}}
    return params


def project(root: Path) -> Workspace:
    """Write `params.yaml` and two models of one benchmark."""
    workspace = open_workspace(write_params(root, verifying_params()))
    for model in (NETWORK, OTHER):
        write_model(workspace, model, seed=1)
    return workspace


def write_model(workspace: Workspace, model: str, seed: int, one_class: bool = False) -> Path:
    """Write what the finetune stage would, its weights drawn from `seed`; with `one_class` nothing can be decided."""
    params, folder = workspace.params, workspace.models(BENCHMARK) / model
    folder.mkdir(parents=True, exist_ok=True)
    corpus = params.corpus("tiny")
    training = params.training.model_copy(update={"margin": Margin.model_validate(MARGIN)})
    schedule = params.finetune.schedule
    write_bundle(
        folder,
        Bundle(
            benchmark=BENCHMARK,
            task="verification",
            corpus="tiny",
            licence=corpus.licence,
            model=model,
            trainable=schedule.trainable,
            training=training,
            transcription=None,
            cleaning=corpus.cleaning,
            features=corpus.features,
        ),
    )
    front_end = build_front_end(corpus.features, corpus.cleaning.sample_rate_hz).eval()
    noise = np.random.default_rng(0).normal(size=16000).astype(np.float32)
    values = network_input(front_end, noise, spec(model).input_kind)
    statistics = Statistics(values.mean(axis=0), values.std(axis=0), targets=np.array([0.0, 1.0]))
    torch.manual_seed(seed)
    network = build_network(model, tasks["verification"], training, schedule.trainable, statistics, initial=None)
    save_file({name: tensor.contiguous() for name, tensor in network.kept().items()}, folder / WEIGHTS)
    _write_fits(folder, params.decisions, one_class)
    return folder


def _write_fits(folder, settings, one_class):
    """Fit the back end on voices that nobody enrols, and the decision on trials between them."""
    listener = Listener(folder)
    people = np.repeat(np.arange(len(PITCHES_HZ)), 3)
    clips = [recording(1.1 * PITCHES_HZ[person], 50 + take) for take, person in enumerate(people)]
    embeddings = np.stack([embeddings_of(listener(clip).outputs[None])[0] for clip in clips])
    back_end = fit_back_end(embeddings, people, centre=True, top=3, plda=None)
    save_arrays(back_end.arrays(), folder / BACK_END)
    enroll, test = np.triu_indices(len(people), 1)
    scores, labels = score_trials(back_end, embeddings, enroll, test), (people[enroll] == people[test]).astype(int)
    labels = np.ones_like(labels) if one_class else labels
    write_decision(folder, fit_decision(settings, ("nontarget", "target"), scores, labels, people[enroll], None))
