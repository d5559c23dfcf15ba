"""Preparation: every recording is accounted for, nothing leaks, nothing is done twice."""

import csv
import hashlib
import json
import shutil

import numpy as np
import pandas as pd
import pytest
import soundfile

from stages.pipeline import CORPUS, copy_of, fingerprints, manifest_of
from tiny import RATE_HZ, age_of, tiny_params, voice, write_params, write_table_corpus
from voxbench.audio import clean, load_audio
from voxbench.audio.traces import trace
from voxbench.features.store import RaggedStore, dequantize
from voxbench.schema import InputError
from voxbench.stages import prepare as prepare_module
from voxbench.stages.prepare import prepare
from voxbench.stages.workspace import open_workspace


def workspace_of(root, change=lambda params: None):
    """Return a workspace whose corpus is already in `raw`."""
    params = tiny_params()
    change(params)
    return open_workspace(write_params(root, params))


def tolerant(params):
    params["corpora"][CORPUS]["max_excluded_fraction"] = 0.5


def add_row(raw, path, speaker, gender, age=""):
    with (raw / "metadata.csv").open("a", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerow((path, speaker, gender, age))


def clip(seconds=1.0, seed=5):
    return voice(150.0, seconds, np.random.default_rng(seed))


def _truncated(path):
    soundfile.write(path, clip(), RATE_HZ)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


FAULTS = {
    "text.wav": ("unreadable", lambda path: path.write_text("this is no audio")),
    "empty.wav": ("empty", lambda path: path.write_bytes(b"")),
    "cut.flac": ("truncated", _truncated),
    "gone.wav": ("missing", lambda path: None),
    "folder.wav": ("unreadable", lambda path: path.mkdir()),
    "silent.wav": ("silent", lambda path: soundfile.write(path, np.zeros(RATE_HZ), RATE_HZ)),
    "short.wav": ("too_short", lambda path: soundfile.write(path, clip(0.2), RATE_HZ)),
    "long.wav": ("too_long", lambda path: soundfile.write(path, np.tile(clip(1.0), 61), RATE_HZ)),
    "loud.wav": ("clipped", lambda path: soundfile.write(path, np.clip(clip() * 50, -1, 1), RATE_HZ)),
    "coarse.wav": ("rate_too_low", lambda path: soundfile.write(path, clip(3.0)[::4], RATE_HZ // 4)),
}


@pytest.fixture(scope="module")
def faulty(tmp_path_factory):
    """Return a prepared corpus of 24 sound and ten unusable recordings, two of them alone in a shard."""
    root = tmp_path_factory.mktemp("faulty")
    write_table_corpus(root / "raw", clips=1)
    for name, (_, write) in FAULTS.items():
        write(root / "raw" / name)
        add_row(root / "raw", name, "x" + name, "female")

    def change(params):
        tolerant(params)
        params["parallel"]["rows_per_shard"] = 8

    workspace = workspace_of(root, change)
    prepare(workspace, CORPUS)
    return workspace


@pytest.fixture
def excluded(faulty):
    path = faulty.prepared(CORPUS) / "excluded.csv"
    return pd.read_csv(path, keep_default_na=False).set_index("id")


@pytest.mark.parametrize("name", list(FAULTS))
def test_every_unusable_recording_is_excluded_with_its_reason(excluded, name):
    assert excluded.loc[name, "reason"] == FAULTS[name][0]
    assert excluded.loc[name, "speaker"] == "x" + name
    assert excluded.loc[name, "detail"]


def test_nothing_is_lost_and_nothing_is_in_both_tables(faulty, excluded):
    manifest = manifest_of(faulty)
    with (faulty.root / "raw" / "metadata.csv").open(encoding="utf-8") as stream:
        found = [row["path"] for row in csv.DictReader(stream)]
    assert sorted([*manifest["id"], *excluded.index]) == sorted(found)
    assert set(excluded.index) == set(FAULTS)


def test_the_funnel_adds_up(faulty):
    funnel = json.loads((faulty.prepared(CORPUS) / "funnel.json").read_text())
    reasons = [reason for reason, _ in FAULTS.values()]
    assert (funnel["found"], funnel["kept"]) == (34, 24)
    assert funnel["excluded"] == {reason: reasons.count(reason) for reason in reasons}
    assert funnel["found"] == funnel["kept"] + sum(funnel["excluded"].values())
    assert funnel["labelled"] == {"gender": 24, "age_years": 24, "age_group": 24, "text": 0, "attack": 0}
    assert funnel["speakers"] == 24
    assert funnel["hours"] == pytest.approx(manifest_of(faulty)["source_seconds"].sum() / 3600, abs=5e-5)
    assert funnel["licence"] == faulty.params.corpus(CORPUS).licence


def test_outputs_name_no_folder_of_this_machine(faulty):
    for path in faulty.prepared(CORPUS).iterdir():
        assert str(faulty.root).encode() not in path.read_bytes(), path.name


def test_a_shard_of_which_nothing_is_left_does_not_disturb(faulty):
    """The last two of the 34 recordings, in shards of eight, are both unusable."""
    folder = faulty.prepared(CORPUS)
    assert len(RaggedStore(folder, "shard-00004.arrow")) == 0
    assert set(RaggedStore(folder).ids) == set(manifest_of(faulty)["id"])


def test_what_is_stored_is_the_cleaned_recording(faulty):
    cleaning = faulty.params.corpus(CORPUS).cleaning
    store = RaggedStore(faulty.prepared(CORPUS))
    for row in manifest_of(faulty).head(3).itertuples():
        wave, rate = load_audio(faulty.root / "raw" / row.id)
        cleaned = clean(wave, rate, cleaning)
        position = store.position(row.id)
        stored = dequantize(store[position], store.scales[position])
        assert np.abs(stored - cleaned.wave).max() <= store.scales[position] * 0.5 + 1e-6
        assert row.audio_sha256 == hashlib.sha256(wave.tobytes()).hexdigest()
        assert (row.source_rate_hz, row.source_seconds) == (RATE_HZ, len(wave) / RATE_HZ)
        assert row.kept_seconds == cleaned.kept_seconds < row.source_seconds
        traces = trace(wave, rate, cleaning.silence_q, cleaned.peak)
        assert {name: getattr(row, name) for name in traces} == traces


def test_the_manifest_gives_each_row_its_own_facts(faulty):
    manifest = manifest_of(faulty)
    assert (manifest["id"].str.split("/").str[0] == manifest["speaker"]).all()
    speakers = [int(name[1:]) for name in manifest["speaker"]]
    assert [("female", "male")[speaker % 2] for speaker in speakers] == manifest["gender"].tolist()
    assert [age_of(speaker) for speaker in speakers] == manifest["age_years"].tolist()
    assert "path" not in manifest
    assert set(manifest["split"]) == {"train", "valid", "test"}


def test_too_many_exclusions_stop_with_one_line_that_names_the_first(tmp_path):
    write_table_corpus(tmp_path / "raw", clips=1)
    for speaker in (3, 7, 9):
        (tmp_path / "raw" / f"s{speaker:02d}" / "0.wav").write_text("no audio")
    workspace = workspace_of(tmp_path)
    with pytest.raises(InputError) as refused:
        prepare(workspace, CORPUS)
    message = str(refused.value)
    assert "\n" not in message
    assert message.startswith("3 of 24 recordings are unusable")
    assert "first: s03/0.wav" in message
    assert "max_excluded_fraction 0.1" in message
    listed = pd.read_csv(workspace.prepared(CORPUS) / "excluded.csv")
    assert listed["id"].tolist() == ["s03/0.wav", "s07/0.wav", "s09/0.wav"], "the table must be there to mend them"


def test_exactly_the_allowed_fraction_is_allowed(tmp_path):
    write_table_corpus(tmp_path / "raw", speakers=20, clips=1)
    for speaker in (3, 7):
        (tmp_path / "raw" / f"s{speaker:02d}" / "0.wav").write_text("no audio")
    prepare(workspace_of(tmp_path), CORPUS)


def test_a_refused_preparation_leaves_no_manifest_of_before(copied):
    for speaker in range(10):
        (copied.root / "raw" / f"s{speaker:02d}" / "0.wav").write_text("no audio")
    with pytest.raises(InputError, match="unusable"):
        prepare(copied, CORPUS)
    assert not (copied.prepared(CORPUS) / "manifest.parquet").exists(), "it speaks of audio that is gone"


def test_a_corpus_of_unusable_recordings_is_refused(tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "metadata.csv").write_text("path,speaker,gender\na.wav,a,female\n")
    with pytest.raises(InputError, match="1 of 1 recordings are unusable"):
        prepare(workspace_of(tmp_path, tolerant), CORPUS)


def test_an_empty_corpus_is_refused(tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "metadata.csv").write_text("path,speaker,gender\n")
    with pytest.raises(InputError, match="reader 'table' found no recordings in raw"):
        prepare(workspace_of(tmp_path), CORPUS)


def test_a_speaker_of_two_genders_is_refused_before_any_audio_is_read(tmp_path):
    write_table_corpus(tmp_path / "raw", speakers=12, clips=1)
    add_row(tmp_path / "raw", "s00/9.wav", "s00", "male")
    workspace = workspace_of(tmp_path, tolerant)
    with pytest.raises(InputError, match=r"speaker 's00' is labelled female \(s00/0.wav\) and male \(s00/9.wav\)"):
        prepare(workspace, CORPUS)
    assert not workspace.prepared(CORPUS).exists()


@pytest.fixture
def cleaned_rows(monkeypatch):
    """Return a list to which every recording that is cleaned adds its digest."""
    rows, work = [], prepare_module._clean

    def count(source, cleaning):
        rows.append(hashlib.sha256(source).hexdigest())
        return work(source, cleaning)

    monkeypatch.setattr(prepare_module, "_clean", count)
    return rows


def test_a_second_run_cleans_nothing_and_writes_the_same_bytes(featured, copied, cleaned_rows):
    prepare(copied, CORPUS)
    assert cleaned_rows == []
    assert fingerprints(copied.prepared(CORPUS)) == fingerprints(featured.prepared(CORPUS))


def test_what_a_kill_left_behind_is_done_again_to_the_same_bytes(featured, copied, cleaned_rows):
    folder = copied.prepared(CORPUS)
    (folder / "shard-00001.arrow").rename(folder / "shard-00001.arrow.partial")
    (folder / "manifest.parquet").unlink()
    prepare(copied, CORPUS)
    assert len(cleaned_rows) == 16
    assert fingerprints(folder) == fingerprints(featured.prepared(CORPUS))


def test_a_changed_recording_redoes_its_shard_only(featured, copied, cleaned_rows):
    soundfile.write(copied.root / "raw" / "s00" / "0.wav", clip(1.1), RATE_HZ)
    prepare(copied, CORPUS)
    assert len(cleaned_rows) == 16
    ours, before = fingerprints(copied.prepared(CORPUS)), fingerprints(featured.prepared(CORPUS))
    changed = {name for name in ours if ours[name] != before[name]}
    assert changed - {"tiny/funnel.json"} == {"tiny/shard-00000.arrow", "tiny/manifest.parquet"}


def test_a_recording_that_became_unreadable_is_noticed(copied):
    (copied.root / "raw" / "s00" / "0.wav").unlink()
    prepare(copied, CORPUS)
    assert pd.read_csv(copied.prepared(CORPUS) / "excluded.csv")["id"].tolist() == ["s00/0.wav"]
    assert "s00/0.wav" not in RaggedStore(copied.prepared(CORPUS)).ids


@pytest.mark.parametrize(("key", "value"), [("silence_q", 0.1), ("zero_phase", False), ("sample_rate_hz", 8001)])
def test_a_changed_cleaning_redoes_everything(featured, tmp_path, cleaned_rows, key, value):
    copy = copy_of(
        featured, tmp_path / "copy", lambda params: params["corpora"][CORPUS]["cleaning"].update({key: value})
    )
    prepare(copy, CORPUS)
    assert len(cleaned_rows) == 48


def test_a_changed_split_cleans_nothing_but_divides_anew(featured, tmp_path, cleaned_rows):
    copy = copy_of(featured, tmp_path / "copy", lambda params: params["corpora"][CORPUS]["splitting"].update(seed=1))
    prepare(copy, CORPUS)
    assert cleaned_rows == []
    assert manifest_of(copy)["split"].tolist() != manifest_of(featured)["split"].tolist()


def test_a_corpus_that_shrank_leaves_no_shard_behind(copied):
    lines = (copied.root / "raw" / "metadata.csv").read_text().splitlines(keepends=True)
    (copied.root / "raw" / "metadata.csv").write_text("".join(lines[:31]))
    prepare(copied, CORPUS)
    folder = copied.prepared(CORPUS)
    assert sorted(path.name for path in folder.glob("shard-*")) == ["shard-00000.arrow", "shard-00001.arrow"]
    assert sorted(RaggedStore(folder).ids) == sorted(manifest_of(copied)["id"])


@pytest.mark.slow
def test_the_number_of_workers_changes_no_bit(featured, tmp_path):
    copy = copy_of(featured, tmp_path / "copy", lambda params: params["parallel"].update(workers=2))
    shutil.rmtree(copy.prepared(CORPUS))
    prepare(copy, CORPUS)
    assert fingerprints(copy.prepared(CORPUS)) == fingerprints(featured.prepared(CORPUS))
