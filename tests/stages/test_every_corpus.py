"""Every layout in every edition, from its twin to features: read, cleaned, split, certified, and nothing lost."""

import json

import pandas as pd
import pytest

from corpora.twin_trees import BASE
from tiny import tiny_params, write_params
from voxbench.corpora import twins
from voxbench.schema import BONAFIDE, InputError, InputKind
from voxbench.stages.doctor import examine
from voxbench.stages.features import features
from voxbench.stages.prepare import prepare
from voxbench.stages.synthesize import synthesize
from voxbench.stages.workspace import open_workspace
from voxbench.tasks import tasks
from voxbench.training.data import AudioSource, load_data

AGED = {"age_years": [20.0, 70.0], "unlabelled_fraction": 0.1}
SPOOFED = {"speakers": 12, "sessions_per_speaker": 1, "clips_per_session": 1, "test_fraction": 0.34}
CASES = {  # layout and edition: what the twin needs, and how its corpus is split
    ("voxceleb", None): ({}, "speaker"),
    ("voxceleb2", "aac"): ({"age_years": [20.0, 70.0]}, "official"),
    ("voxceleb2", "wav"): ({}, "official"),
    ("common_voice", "7.0"): ({**AGED, "language": "ru"}, "speaker"),
    ("common_voice", "17.0"): (AGED, "speaker"),
    ("timit", "sphere"): ({**AGED, "sessions_per_speaker": 1}, "official"),
    ("timit", "lower"): ({**AGED, "sessions_per_speaker": 1}, "official"),
    ("timit", "riff"): ({**AGED, "sessions_per_speaker": 1}, "official"),
    ("librispeech", None): ({}, "official"),
    ("mixtures", "2"): ({"clips_per_session": 1}, "official"),
    ("asvspoof2019", "LA"): (SPOOFED, "official"),
    ("asvspoof2019", "PA"): (SPOOFED, "official"),
    ("asvspoof2021", "LA"): (SPOOFED, "official"),
    ("asvspoof2021", "DF"): (SPOOFED, "official"),
    ("asvspoof2021", "PA"): (SPOOFED, "official"),
}
ONLY_TEST = {"asvspoof2021"}


def name_of(case):
    return "-".join(filter(None, case))


def test_every_layout_has_a_case():
    assert {layout for layout, _ in CASES} == set(twins)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_from_the_twin_to_features(tmp_path, case):
    layout, workspace = case[0], made(tmp_path, case)
    nothing_is_lost_and_nothing_leaks(layout, workspace)
    the_doctor_calls_it_usable_and_counts_what_prepare_finds(workspace)
    features_carry_the_licence_and_are_there_to_train_on_unless_the_corpus_is_for_tests(layout, workspace)


def made(root, case):
    """Return a workspace with one corpus `own`, its twin written and its features computed."""
    (layout, edition), (changes, by) = case, CASES[case]
    params = tiny_params()
    twin = BASE.model_dump(mode="json") | {"speakers": 20, "snr_db": [20.0, 40.0], "clip_seconds": [2.0, 2.5]}
    params["twins"] = {"own": twin | changes | {"layout": layout, "edition": edition, "root": "own"}}
    row = params["corpora"]["tiny"] | {"reader": layout, "root": "own"}
    row["splitting"] = row["splitting"] | {"by": by, "stratify": None}
    params["corpora"]["own"] = row
    workspace = open_workspace(write_params(root, params))
    for stage in (synthesize, prepare, features):
        stage(workspace, "own")
    return workspace


def nothing_is_lost_and_nothing_leaks(layout, workspace):
    folder = workspace.prepared("own")
    funnel, leakage = (json.loads((folder / f"{name}.json").read_text()) for name in ("funnel", "leakage"))
    manifest = pd.read_parquet(folder / "manifest.parquet")
    assert funnel["found"] == funnel["kept"] + sum(funnel["excluded"].values())
    assert funnel["kept"] == len(manifest) > 20
    assert leakage["clean"]
    assert set(manifest["split"]) == ({"test"} if layout in ONLY_TEST else {"train", "valid", "test"})
    if layout.startswith("asvspoof"):
        assert BONAFIDE in set(manifest["attack"])
        assert manifest["attack"].nunique() > 4
    if layout == "mixtures":
        assert (manifest["speakers"].map(len) == manifest["extra_count"].astype(int)).all()


def the_doctor_calls_it_usable_and_counts_what_prepare_finds(workspace):
    report = examine(workspace, "own", None)
    assert report["usable"], report
    assert report["found"]["missing"]["count"] == 0
    funnel = json.loads((workspace.prepared("own") / "funnel.json").read_text())
    assert report["found"]["rows"] == funnel["found"]
    assert report["labels"]["words"]["split"].keys() <= {"train", "valid", "test"} | {None, "none"}


def features_carry_the_licence_and_are_there_to_train_on_unless_the_corpus_is_for_tests(layout, workspace):
    about = json.loads((workspace.features("own") / "features.json").read_text())
    corpus = workspace.params.corpus("own")
    assert about["licence"] == corpus.licence
    assert (about["cepstra"]["mean"] is None) == (layout in ONLY_TEST)
    if layout in ONLY_TEST:
        audio = AudioSource(workspace.prepared("own"), corpus.features, corpus.cleaning.sample_rate_hz)
        with pytest.raises(InputError, match="own has no training rows: it can be tested on, but not trained on"):
            load_data(
                tasks["gender"],
                InputKind.CEPSTRA,
                audio,
                workspace.features("own"),
                workspace.params.training,
                "split",
                None,
            )
