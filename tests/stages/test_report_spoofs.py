"""Anti-spoofing from the twin's recordings to the page: attacks that nobody trained on, and the verifier's scores."""

import pytest
import torch
from ruamel.yaml import YAML

from tiny import PROJECT, tiny_params, write_params
from voxbench.artifacts import read_json
from voxbench.corpora.asvspoof2019_twin import UNSEEN
from voxbench.corpora.stored_asv_scores import STORED, read_stored
from voxbench.schema import InputError
from voxbench.stages.features import features
from voxbench.stages.finetune import finetune
from voxbench.stages.prepare import prepare
from voxbench.stages.repeat import repeat
from voxbench.stages.report import report
from voxbench.stages.select import select
from voxbench.stages.synthesize import synthesize
from voxbench.stages.workspace import open_workspace
from voxbench.tracking.store import connect

CORPUS, SPOOF = "asvspoof2019-la", "spoof-la"
SCORES = "ASVspoof2019_LA_asv_scores/ASVspoof2019.LA.asv.{}.gi.trl.scores.txt"
MODELS = {"lstm": "bilstm_h128_l1", "wave_cnn": "m3"}


def spoofed_params():
    """Return parameters of a small twin, and of one study and one benchmark of it."""
    whole = YAML(typ="safe").load((PROJECT / "params.yaml").read_text(encoding="utf-8"))
    params = tiny_params()
    params["twins"] = {CORPUS: whole["twins"][CORPUS] | {"speakers": 12, "clips_per_session": 1, "test_fraction": 0.34}}
    corpus = whole["corpora"][CORPUS] | {"asv_scores": SCORES.format("eval")}
    corpus["cleaning"] |= {"min_seconds": 0.5}
    params["corpora"] = {CORPUS: corpus}
    task = {"task": "anti_spoofing", "corpus": CORPUS, "metric": "eer_asvspoof"}
    ones = {"finalists": dict.fromkeys(MODELS, 1), "trials": dict.fromkeys(MODELS, 1)}
    own = {"training": {"crop_seconds": 1.0, "shorter": "repeat"}, "selection": {"train_per_class": None}}
    params["studies"] = {SPOOF: task | ones | {"models": list(MODELS.values()), "override": own}}
    row = {"select_from": SPOOF, "variants": [], "override": {"training": own["training"]}}
    params["benchmarks"] = {SPOOF: task | row}
    params["repeat"]["seeds"] = [1, 2]
    return params


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Return a project folder with the twin, prepared."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("spoofed")
    workspace = open_workspace(write_params(folder, spoofed_params()))
    connect(folder)
    synthesize(workspace, CORPUS)
    prepare(workspace, CORPUS)
    return folder


@pytest.mark.slow
def test_the_page_has_the_t_dcf_and_every_unseen_attack(root):
    workspace = open_workspace(root / "params.yaml")
    features(workspace, CORPUS)
    for stage in (select, finetune, repeat):
        stage(workspace, SPOOF)
    report(workspace)
    numbers = read_json(workspace.reports / "metrics.json")[SPOOF]
    assert {"eer", "eer_asvspoof", "min_tdcf(legacy)", "min_tdcf(revised)", "probe"} <= set(numbers)
    page = (workspace.reports / "index.html").read_text(encoding="utf-8")
    assert f"{len(UNSEEN)} of {len(UNSEEN)} attacks of the test split are unknown to training." in page
    assert all(f">{attack}<" in page for attack in UNSEEN)
    assert "bonafide" not in page


@pytest.mark.slow
def test_scores_of_the_verifier_are_refused_where_they_cannot_serve(root):
    folder = open_workspace(root / "params.yaml").prepared(CORPUS)
    assert set(read_stored(folder).asv_set.spoofs) == set(UNSEEN)
    params = spoofed_params()
    for name, words in (
        ("nowhere.txt", "there is no file"),
        (SCORES.format("dev"), "of another set than the test rows"),
    ):
        params["corpora"][CORPUS]["asv_scores"] = name
        with pytest.raises(InputError, match=words):
            prepare(open_workspace(write_params(root, params)), CORPUS)
    params["corpora"][CORPUS]["asv_scores"] = None
    prepare(open_workspace(write_params(root, params)), CORPUS)
    assert not (folder / STORED).exists()
