"""A prepared corpus of bona fide and spoofed recordings by hand, and two networks that were not trained."""

import shutil

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file, save_file

from serving.clips import encoded
from serving.pairs import BENCHMARK, NETWORK, project, verifying_params
from tiny import voice, write_params
from voxbench.evaluation.decisions import fit_decision, write_decision
from voxbench.schema import BONAFIDE
from voxbench.serving.bundle import WEIGHTS, read_bundle, write_bundle
from voxbench.serving.listening import Listener
from voxbench.stages.workspace import open_workspace
from voxbench.tasks import tasks
from voxbench.training.network import Statistics, build_network

SPOOFING, CORPUS, OTHER, ELSEWHERE = "spoof-tiny", "spoofed", "other", "tiny"
COUNTERMEASURE = f"{SPOOFING}/{NETWORK}"
PEOPLE = {"valid": ("v0", "v1", "v2"), "test": ("t0", "t1", "t2", "t3")}
CLIPS, ATTACKS = 3, ("A01", "A02")
MUTE = "test/t0/mute.wav"


def spoofed_project(root):
    """Write `params.yaml`, both networks, recordings, and the manifests that `prepare` would."""
    params = verifying_params()
    for name in (CORPUS, OTHER):
        params["corpora"][name] = params["corpora"]["tiny"] | {"root": "spoofed-raw"}
    task = {"task": "anti_spoofing", "corpus": ELSEWHERE, "metric": "eer_asvspoof", "override": {}}
    ones = {"models": [NETWORK], "finalists": {"lstm": 1}, "trials": {"lstm": 1}}
    params["studies"][SPOOFING] = task | ones
    params["benchmarks"][SPOOFING] = task | {"select_from": SPOOFING, "variants": []}
    project(root)
    workspace = open_workspace(write_params(root, params))
    write_countermeasure(workspace)
    rows = write_recordings(root / "spoofed-raw")
    for name, table in ((CORPUS, rows), (ELSEWHERE, strangers())):
        folder = workspace.prepared(name)
        folder.mkdir(parents=True)
        table.to_parquet(folder / "manifest.parquet", index=False)
    return workspace


def strangers():
    """Return the manifest of the people both networks learnt."""
    rows = [(f"s{person}/{split}.wav", f"s{person}", split) for person in range(3) for split in ("train", "valid")]
    table = pd.DataFrame(rows, columns=["id", "speaker", "split"])
    return table.assign(session=None, attack=None, audio_sha256="of " + table["id"])


def write_recordings(root):
    """Write everybody's clips, each once as it is and once by every attack."""
    rows = []
    for split, people in PEOPLE.items():
        for place, person in enumerate(people):
            for take in range(CLIPS):
                for number, attack in enumerate((BONAFIDE, *ATTACKS)):
                    rows.append((f"{split}/{person}/{take}-{attack}.wav", person, split, attack))
                    path = root / rows[-1][0]
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(sound(90.0 + 45 * place + 10 * (split == "test"), number, take))
    (root / MUTE).write_bytes(encoded(np.zeros(16000, dtype=np.float32)))
    rows.append((MUTE, "t0", "test", BONAFIDE))
    table = pd.DataFrame(rows, columns=["id", "speaker", "split", "attack"])
    return table.assign(session=None, audio_sha256="of " + table["id"])


def write_countermeasure(workspace, seed=1, one_class=False):
    """Write what the finetune stage would, weights drawn from `seed`, its decision fitted on noise and on voices."""
    folder = workspace.models(SPOOFING) / NETWORK
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    like = workspace.models(BENCHMARK) / NETWORK
    bundle = read_bundle(like)
    training = bundle.training.model_copy(update={"margin": None})
    own = {"benchmark": SPOOFING, "task": "anti_spoofing", "training": training}
    bundle = bundle.model_copy(update=own)
    write_bundle(folder, bundle)
    mean, std = (load_file(like / WEIGHTS)[name][:, 0].numpy() for name in ("mean_F1", "std_F1"))
    statistics = Statistics(mean, std, targets=np.array([0, 1]))
    torch.manual_seed(seed)
    network = build_network(NETWORK, tasks["anti_spoofing"], training, bundle.trainable, statistics, initial=None)
    save_file({name: tensor.contiguous() for name, tensor in network.kept().items()}, folder / WEIGHTS)
    labels, scores = np.repeat([1, 0], 6), judged(folder)
    if scores[labels == 1].mean() < scores[labels == 0].mean():
        # Which class an untrained network takes for which is an accident.
        weights = load_file(folder / WEIGHTS)
        save_file({name: each.flip(0) if len(each) == 2 else each for name, each in weights.items()}, folder / WEIGHTS)
        scores = judged(folder)
    labels = np.ones_like(labels) if one_class else labels
    classes = tasks["anti_spoofing"].classes
    write_decision(folder, fit_decision(workspace.params.decisions, classes, scores, labels, np.arange(12), None))
    return folder


def judged(folder):
    """Return a countermeasure's scores of voices that nobody enrols, six as they are and six as attacks leave them."""
    listener, task = Listener(folder), tasks["anti_spoofing"]
    clips = [sound(pitch_hz, number, take=7) for number in (0, 2) for pitch_hz in (95, 120, 150, 180, 210, 240)]
    return np.array([task.scores(listener(clip).outputs[None])["score"][0] for clip in clips])


def sound(pitch_hz, number, take):
    """Return the bytes of a voice; an attack is another pitch and more noise, the higher its number."""
    draws = np.random.default_rng([int(pitch_hz), take, number])
    wave = voice(pitch_hz * (1 + 0.05 * number), 0.8, draws, tremor_ms=1 + pitch_hz % 4)
    return encoded(wave + 0.1 * number * draws.normal(size=len(wave)).astype(np.float32))
