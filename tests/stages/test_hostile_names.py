"""Names, links and tables as they come: each recording is used or accounted for, and no name is changed in silence."""

import csv
import os

import numpy as np
import pandas as pd
import pytest
import soundfile

from stages.pipeline import CORPUS, manifest_of
from tiny import RATE_HZ, tiny_params, voice, write_params, write_table_corpus
from voxbench.features.store import RaggedStore
from voxbench.stages.features import features
from voxbench.stages.prepare import prepare
from voxbench.stages.workspace import open_workspace

ODD = [
    "Zoë café.wav",
    "日本語/语音.wav",
    "a  b.wav",
    'quo"te.wav',
    "semi;colon,comma.wav",
    "-rf.wav",
    "тест.WAV",
    "🎤.wav",
    "%s{}.wav",
]


def workspace_of(root, **corpus):
    params = tiny_params()
    params["corpora"][CORPUS] |= {"max_excluded_fraction": 0.5} | corpus
    return open_workspace(write_params(root, params))


def excluded_of(workspace):
    return pd.read_csv(workspace.prepared(CORPUS) / "excluded.csv", keep_default_na=False).set_index("id")


def speak(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:
        soundfile.write(stream, voice(180.0, 1.0, np.random.default_rng(seed)), RATE_HZ, format="WAV")


def test_odd_names_go_through_to_features_unchanged(tmp_path):
    write_table_corpus(tmp_path / "raw", clips=1)
    with (tmp_path / "raw" / "metadata.csv").open("a", encoding="utf-8", newline="") as stream:
        for number, name in enumerate(ODD):
            speak(tmp_path / "raw" / name, number)
            csv.writer(stream).writerow((name, f"odd{number}", "female", ""))
    workspace = workspace_of(tmp_path)
    prepare(workspace, CORPUS)
    features(workspace, CORPUS)
    assert excluded_of(workspace).empty
    assert manifest_of(workspace)["id"].tolist()[-len(ODD) :] == ODD
    assert RaggedStore(workspace.features(CORPUS) / "cepstra").ids[-len(ODD) :] == ODD


@pytest.fixture
def walked(tmp_path):
    """Return the `wav` folder of a VoxCeleb tree of 12 speakers, whose files are found by walking."""
    lines = ["VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet"]
    for number in range(12):
        speaker = f"id{10001 + number}"
        lines.append(f"{speaker}\tName_{number}\t{'mf'[number % 2]}\tNowhere\tdev")
        speak(tmp_path / "raw" / "wav" / speaker / f"video{number:06d}" / "00001.wav", 100 + number)
    (tmp_path / "raw" / "vox1_meta.csv").write_text("\n".join(lines))
    return tmp_path / "raw" / "wav"


def test_a_name_that_is_no_text_is_listed_in_words_that_are(tmp_path, walked):
    odd = os.fsdecode(b"video\xff\n0001")
    speak(walked / "id10001" / odd / "00001.wav", 1)
    speak(walked / "id10002" / "line\nbreak1" / "00001.wav", 2)
    workspace = workspace_of(tmp_path, reader="voxceleb")
    prepare(workspace, CORPUS)
    excluded = excluded_of(workspace)
    (listed,) = excluded.index
    assert listed.encode() == b"wav/id10001/video\\udcff\n0001/00001.wav"
    assert excluded.loc[listed, "reason"] == "unreadable"
    assert "no UTF-8: rename" in excluded.loc[listed, "detail"]
    assert "wav/id10002/line\nbreak1/00001.wav" in set(manifest_of(workspace)["id"])
    assert len(manifest_of(workspace)) == 13


def test_links_that_lead_in_circles_or_nowhere_are_accounted_for(tmp_path, walked):
    folder = walked / "id10003" / "video000002"
    (folder / "00002.wav").symlink_to("00002.wav")
    (folder / "00003.wav").symlink_to(tmp_path / "nowhere.wav")
    (folder / "00004.wav").symlink_to(folder / "00001.wav")
    (walked / "id10004" / "back").symlink_to(walked, target_is_directory=True)
    os.mkfifo(folder / "00005.wav")
    workspace = workspace_of(tmp_path, reader="voxceleb")
    prepare(workspace, CORPUS)
    reasons = {
        row_id.removeprefix("wav/id10003/video000002/"): reason
        for row_id, reason in excluded_of(workspace)["reason"].items()
    }
    assert reasons == {
        "00002.wav": "unreadable",
        "00003.wav": "unreadable",
        "00004.wav": "duplicate",
        "00005.wav": "unreadable",
    }
    assert len(manifest_of(workspace)) == 12
