"""Features: what training and serving share, and statistics that see training rows alone."""

import shutil

import numpy as np
import pytest
import soundfile

from stages.pipeline import CORPUS, copy_of, fingerprints, manifest_of
from tiny import RATE_HZ, voice
from voxbench.artifacts import read_json
from voxbench.features.extraction import build_front_end, extract
from voxbench.features.store import RaggedStore, dequantize
from voxbench.schema import InputError, InputKind
from voxbench.stages import features as features_module
from voxbench.stages.features import features
from voxbench.stages.prepare import prepare

KINDS = (InputKind.SPECTROGRAM, InputKind.CEPSTRA)


def about(workspace):
    return read_json(workspace.features(CORPUS) / "features.json")


@pytest.fixture
def extracted(monkeypatch):
    """Return a list that grows with every recording whose features are computed."""
    rows, work = [], features_module.extract
    monkeypatch.setattr(features_module, "extract", lambda *given: rows.append(1) or work(*given))
    return rows


@pytest.mark.parametrize("kind", KINDS)
def test_every_recording_has_the_features_of_its_audio(featured, kind):
    corpus = featured.params.corpus(CORPUS)
    front_end = build_front_end(corpus.features, corpus.cleaning.sample_rate_hz)
    audio, store = RaggedStore(featured.prepared(CORPUS)), RaggedStore(featured.features(CORPUS) / kind)
    assert store.ids == audio.ids
    for row_id in manifest_of(featured)["id"].iloc[[0, 17, 47]]:
        position = audio.position(row_id)
        wave = dequantize(audio[position], audio.scales[position])
        assert np.array_equal(store[store.position(row_id)], extract(front_end, wave)[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_statistics_are_those_of_the_training_frames(featured, kind):
    store = RaggedStore(featured.features(CORPUS) / kind)
    manifest = manifest_of(featured)
    rows = manifest.loc[manifest["split"] == "train", "id"]
    frames = np.concatenate([store[store.position(row_id)] for row_id in rows]).astype(np.float64)
    described = about(featured)[kind]
    assert described["mean"] == pytest.approx(frames.mean(axis=0).tolist(), rel=1e-9, abs=1e-9)
    assert described["std"] == pytest.approx(frames.std(axis=0).tolist(), rel=1e-7)
    assert (described["bins"], described["hop_ms"]) == (frames.shape[1], 10.0)


@pytest.mark.parametrize(("split", "moved"), [("valid", False), ("test", False), ("train", True)])
def test_only_training_audio_moves_the_statistics(featured, copied, split, moved):
    manifest = manifest_of(copied)
    draws = np.random.default_rng(8)
    for row_id in manifest.loc[manifest["split"] == split, "id"]:
        soundfile.write(copied.root / "raw" / row_id, voice(400.0, 1.0, draws), RATE_HZ)
    prepare(copied, CORPUS)
    features(copied, CORPUS)
    assert manifest_of(copied)["split"].tolist() == manifest["split"].tolist()
    for kind in KINDS:
        ours, before = about(copied)[kind], about(featured)[kind]
        assert (ours["mean"] != before["mean"]) == moved
        assert (ours["std"] != before["std"]) == moved
        assert ours["digest"] != before["digest"]


def test_another_training_split_has_another_digest_and_other_statistics(featured, tmp_path):
    copy = copy_of(featured, tmp_path / "copy", lambda params: params["corpora"][CORPUS]["splitting"].update(seed=1))
    prepare(copy, CORPUS)
    features(copy, CORPUS)
    assert all(about(copy)[kind]["digest"] != about(featured)[kind]["digest"] for kind in KINDS)
    assert all(about(copy)[kind]["mean"] != about(featured)[kind]["mean"] for kind in KINDS)


def test_a_second_run_computes_nothing_and_writes_the_same_bytes(featured, copied, extracted):
    features(copied, CORPUS)
    assert extracted == []
    assert fingerprints(copied.features(CORPUS)) == fingerprints(featured.features(CORPUS))


def test_what_a_kill_left_behind_is_done_again_to_the_same_bytes(featured, copied, extracted):
    folder = copied.features(CORPUS)
    shard = folder / "cepstra" / "shard-00001.arrow"
    shard.rename(shard.with_name(shard.name + ".partial"))
    (folder / "features.json").unlink()
    features(copied, CORPUS)
    assert len(extracted) == 16
    assert fingerprints(folder) == fingerprints(featured.features(CORPUS))


@pytest.mark.parametrize(("key", "value"), [("n_mfcc", 12), ("window_ms", 20.0), ("top_db", 60.0)])
def test_changed_settings_redo_everything(featured, tmp_path, extracted, key, value):
    copy = copy_of(
        featured, tmp_path / "copy", lambda params: params["corpora"][CORPUS]["features"].update({key: value})
    )
    features(copy, CORPUS)
    assert len(extracted) == 48
    assert about(copy)["cepstra"]["digest"] != about(featured)["cepstra"]["digest"]


def test_changed_audio_redoes_its_shard_only(copied, extracted):
    soundfile.write(copied.root / "raw" / "s00" / "0.wav", voice(300.0, 1.0, np.random.default_rng(8)), RATE_HZ)
    prepare(copied, CORPUS)
    features(copied, CORPUS)
    assert len(extracted) == 16


def test_a_corpus_that_shrank_leaves_no_shard_behind(copied):
    lines = (copied.root / "raw" / "metadata.csv").read_text().splitlines(keepends=True)
    (copied.root / "raw" / "metadata.csv").write_text("".join(lines[:31]))
    prepare(copied, CORPUS)
    features(copied, CORPUS)
    for kind in KINDS:
        assert sorted(RaggedStore(copied.features(CORPUS) / kind).ids) == sorted(manifest_of(copied)["id"])


def test_a_constant_bin_is_not_divided_by_zero(copied, monkeypatch):
    """A bin that never changes, such as one above the low-pass of a corpus, keeps its value."""
    work = features_module.extract

    def flatten(front_end, wave):
        values = work(front_end, wave)
        for values_TF in values.values():
            values_TF[:, 3] = -80
        return values

    monkeypatch.setattr(features_module, "extract", flatten)
    shutil.rmtree(copied.features(CORPUS))
    features(copied, CORPUS)
    assert all(about(copied)[kind]["std"][3] == 1.0 and about(copied)[kind]["mean"][3] == -80 for kind in KINDS)


def test_settings_that_cannot_work_are_refused_before_anything_is_computed(featured, tmp_path):
    copy = copy_of(featured, tmp_path / "copy", lambda params: params["corpora"][CORPUS]["features"].update(n_fft=256))
    with pytest.raises(InputError, match="n_fft 256; expected an even number of at least the window's 400 samples"):
        features(copy, CORPUS)


def test_features_before_preparation_name_the_missing_stage(copied):
    shutil.rmtree(copied.prepared(CORPUS))
    with pytest.raises(InputError, match=r"prepare@tiny|prepare tiny"):
        features(copied, CORPUS)


@pytest.mark.slow
def test_the_number_of_workers_changes_no_bit(featured, tmp_path):
    copy = copy_of(featured, tmp_path / "copy", lambda params: params["parallel"].update(workers=2))
    shutil.rmtree(copy.features(CORPUS))
    features(copy, CORPUS)
    assert fingerprints(copy.features(CORPUS)) == fingerprints(featured.features(CORPUS))
