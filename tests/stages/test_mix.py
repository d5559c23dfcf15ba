"""The mix stage: labels, splits and certificates of mixtures, the same for any worker, and nothing done twice."""

import hashlib
from collections import Counter

import numpy as np
import pandas as pd
import pytest
import soundfile

from stages.mixtures import CORPUS, NUMBERS, SOURCE, build_source, copy_of, manifest_of, mixed_copy, waves_of
from stages.pipeline import fingerprints
from voxbench.artifacts import read_json
from voxbench.audio.traces import trace
from voxbench.corpora.mixtures import TABLE
from voxbench.features.extraction import build_front_end, extract
from voxbench.features.mixed import open_store
from voxbench.features.store import RaggedStore, dequantize
from voxbench.reporting.probes import CLUES
from voxbench.schema import InputKind
from voxbench.stages import mix as mix_module
from voxbench.stages.features import features
from voxbench.stages.mix import mix
from voxbench.stages.prepare import prepare

ROOM = {"snr_db": [-5.0, 5.0], "overlap": [0.5, 1.0], "reverberation_seconds": [0.1, 0.2]}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Return a workspace with a prepared corpus and a row of mixtures; read it only."""
    return build_source(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def mixed(source, tmp_path_factory):
    """Return a workspace with mixtures; read it only."""
    return mixed_copy(source, tmp_path_factory.mktemp("mixed") / "copy")


@pytest.fixture
def blended(monkeypatch):
    """Return a list that grows with every mixture that is made by the stage."""
    rows, work = [], mix_module.blend
    monkeypatch.setattr(mix_module, "blend", lambda *given: rows.append(given[0].id) or work(*given))
    return rows


def test_every_mixture_says_who_is_heard(mixed):
    rows, known = manifest_of(mixed), manifest_of(mixed, SOURCE).set_index("id")
    assert len(rows) == sum(NUMBERS.values())
    for row in rows.itertuples():
        recordings = known.loc[list(row.recordings)]
        assert row.speaker.split("+") == list(row.speakers) == recordings["speaker"].tolist()
        assert row.extra_sexes == "".join(gender[0].upper() for gender in recordings["gender"])
        assert int(row.extra_F) + int(row.extra_M) == int(row.extra_count) == len(set(row.speakers))
        assert set(recordings["split"]) == {row.split}
    assert rows["kept_seconds"].tolist() == rows["source_seconds"].tolist() == [0.5] * len(rows)
    assert rows[["gender", "session", "text", "source_sha256"]].isna().all(axis=None)


def test_classes_are_balanced_in_every_split(mixed):
    rows = manifest_of(mixed)
    found = {split: sorted(Counter(own["extra_count"]).values()) for split, own in rows.groupby("split")}
    assert found == {"train": [10, 10, 11], "valid": [3, 3, 3], "test": [4, 4, 4]}


def test_the_certificate_is_of_people(mixed):
    rows, certificate = manifest_of(mixed), read_json(mixed.prepared(CORPUS) / "leakage.json")
    heard = {split: set(own["speakers"].explode()) for split, own in rows.groupby("split")}
    assert (certificate["by"], certificate["clean"]) == ("speaker", True)
    assert not heard["train"] & heard["valid"] | heard["train"] & heard["test"] | heard["valid"] & heard["test"]
    assert {each["shared"] for each in certificate["overlaps"]} == {0}
    for split, people in heard.items():
        assert certificate["splits"][split] == {"rows": NUMBERS[split], "speakers": len(people)}


def test_the_split_by_utterance_is_as_large_and_leaks(mixed):
    rows, certificate = manifest_of(mixed), read_json(mixed.prepared(CORPUS) / "leakage-utterance.json")
    assert Counter(rows["split_utterance"]) == NUMBERS
    assert not certificate["clean"]
    assert (rows["split"] != rows["split_utterance"]).sum() > 10


def test_the_funnel_counts_mixtures_and_what_they_were_made_of(mixed):
    folder = mixed.prepared(CORPUS)
    funnel, rows = read_json(folder / "funnel.json"), manifest_of(mixed)
    assert (funnel["found"], funnel["kept"], funnel["excluded"], funnel["repeated"]) == (52, 52, {}, 0)
    assert funnel["labelled"] == {"count": 52, "sexes": 52}
    assert funnel["speakers"] == rows["speakers"].explode().nunique()
    assert funnel["hours"] == round(52 * 0.5 / 3600, 4)
    assert funnel["licence"] == mixed.params.corpus(SOURCE).licence
    assert funnel["sources"] == {"corpus": SOURCE, "found": 72, "excluded": {}, "used": 72, "speakers": 36}
    for name in ("excluded.csv", "excluded-sources.csv"):
        assert (folder / name).read_text() == "id,speaker,reason,detail\n"


def test_traces_are_those_of_the_derived_wave(mixed):
    store, rows = open_store(mixed.prepared(CORPUS)), manifest_of(mixed)
    silence_q = mixed.params.corpus(SOURCE).cleaning.silence_q
    for place, row in enumerate(rows.to_dict("records")):
        wave = dequantize(store[place], store.scales[place])
        found = trace(wave, 16_000, silence_q, float(np.abs(wave).max()))
        assert {name: row[name] for name in found} == found
    assert rows["dc_offset"].abs().max() < 1e-3
    assert (rows["clipped_fraction"] == 0).all()
    assert np.isfinite(rows[[name for names in CLUES.values() for name in names]]).all(axis=None), "probes need them"


def test_repeated_mixtures_are_counted(source, tmp_path):
    """Of whole recordings there are 18 a sex and split, so one voice alone comes again."""
    copy = mixed_copy(source, tmp_path / "copy", seconds=None, people=1, mixtures={"train": 200, "valid": 0, "test": 1})
    rows = manifest_of(copy)
    found = read_json(copy.prepared(CORPUS) / "funnel.json")["repeated"]
    assert found == len(rows) - rows["recordings"].map(tuple).nunique() > 100
    assert (rows["split"] == rows["split_utterance"]).all(), "without a validation part nothing is dealt anew"
    prepared = RaggedStore(copy.prepared(SOURCE))
    row = rows.iloc[3]
    assert row["kept_seconds"] * 16_000 == len(prepared[prepared.position(row["recordings"][0])])


def test_the_store_holds_what_the_manifest_says(mixed):
    store, rows = open_store(mixed.prepared(CORPUS)), manifest_of(mixed)
    assert store.ids == rows["id"].tolist()
    for samples, row in zip(store, rows.itertuples(), strict=True):
        assert hashlib.sha256(samples.tobytes()).hexdigest() == row.audio_sha256
        assert samples.size == 8000
        assert store.parts(store.position(row.id)).sources == tuple(row.recordings)


@pytest.mark.parametrize(
    ("workers", "rows_per_shard"), [pytest.param(2, 16, marks=pytest.mark.slow), (1, 7), (1, 1000)]
)
def test_neither_workers_nor_shards_change_a_mixture(source, tmp_path, workers, rows_per_shard):
    def change(params, **parallel):
        params["mixtures"][CORPUS].update(ROOM)
        params["parallel"].update(parallel)

    one = copy_of(source, tmp_path / "one", change)
    other = copy_of(
        source, tmp_path / "other", lambda params: change(params, workers=workers, rows_per_shard=rows_per_shard)
    )
    for workspace in (one, other):
        mix(workspace, CORPUS)
    pd.testing.assert_frame_equal(manifest_of(one), manifest_of(other), check_exact=True)
    before, after = waves_of(one), waves_of(other)
    assert list(before) == list(after)
    assert all(np.array_equal(before[row_id], after[row_id]) for row_id in before)
    if rows_per_shard == 16:
        assert fingerprints(one.prepared(CORPUS)) == fingerprints(other.prepared(CORPUS))


def test_more_mixtures_leave_the_first_ones_as_they_are(mixed, source, tmp_path):
    more = mixed_copy(source, tmp_path / "copy", mixtures={"train": 40, "valid": 10, "test": 15})
    before, after = waves_of(mixed), waves_of(more)
    assert len(after) == 65
    assert all(np.array_equal(wave, after[row_id]) for row_id, wave in before.items())


def test_a_second_run_makes_nothing_and_a_lost_shard_is_made_again(mixed, tmp_path, blended):
    copy = copy_of(mixed, tmp_path / "copy")
    mix(copy, CORPUS)
    assert blended == []
    (copy.prepared(CORPUS) / "shard-00001.arrow").unlink()
    mix(copy, CORPUS)
    assert len(blended) == 16
    assert fingerprints(copy.prepared(CORPUS)) == fingerprints(mixed.prepared(CORPUS))


@pytest.mark.parametrize("change", [{"seed": 1}, {"seconds": 0.4}, {"snr_db": [0.0, 1.0]}, ROOM, {"people": 2}])
def test_changed_settings_make_other_mixtures(mixed, tmp_path, blended, change):
    copy = mixed_copy(mixed, tmp_path / "copy", **change)
    assert len(blended) == 52
    before, after = waves_of(mixed), waves_of(copy)
    assert sum(np.array_equal(before[row_id], after[row_id]) for row_id in before) < 40
    assert {wave.size for wave in after.values()} == {int(change.get("seconds", 0.5) * 16_000)}


def test_another_preparation_makes_every_mixture_anew(mixed, tmp_path, blended):
    copy = copy_of(
        mixed, tmp_path / "copy", lambda params: params["corpora"][SOURCE]["cleaning"].update(pre_emphasis=0.5)
    )
    prepare(copy, SOURCE)
    mix(copy, CORPUS)
    assert len(blended) == 52
    assert (manifest_of(copy)["audio_sha256"] != manifest_of(mixed)["audio_sha256"]).all()


def test_features_are_those_of_the_mixtures(mixed, tmp_path):
    copy = copy_of(mixed, tmp_path / "copy")
    features(copy, CORPUS)
    corpus, audio = copy.params.corpus(CORPUS), open_store(copy.prepared(CORPUS))
    front_end = build_front_end(corpus.features, corpus.cleaning.sample_rate_hz)
    for kind, bins in ((InputKind.SPECTROGRAM, 201), (InputKind.CEPSTRA, 13)):
        store = RaggedStore(copy.features(CORPUS) / kind)
        assert (store.ids, store.width) == (audio.ids, bins)
        for place in (0, 2, 51):
            wave = dequantize(audio[place], audio.scales[place])
            np.testing.assert_array_equal(store[place], extract(front_end, wave)[kind])
            assert len(store[place]) == 1 + 8000 // 200


def test_mixtures_on_disk_have_the_same_manifest(mixed, tmp_path):
    """The very mixtures as recordings and a table, read and prepared like any corpus: labels, splits and types."""
    rows, own = manifest_of(mixed), tmp_path / "copy" / "written"
    copy = copy_of(
        mixed, tmp_path / "copy", lambda params: params["corpora"].update(written=written(params["corpora"][SOURCE]))
    )
    store = open_store(mixed.prepared(CORPUS))
    for place, row in enumerate(rows.itertuples()):
        path = own / f"{row.id}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.5 * store[place] / 32767, 16_000, subtype="PCM_16")
    table = rows.assign(path=rows["id"] + ".flac", sources=rows["speaker"], sexes=rows["extra_sexes"])
    table[["path", "split", "sources", "sexes"]].to_csv(own / TABLE, index=False)
    prepare(copy, "written")
    stored = manifest_of(copy, "written")
    shared = ["speaker", "split", *(name for name in stored if name.startswith("extra_"))]
    assert len(shared) == 6
    pd.testing.assert_frame_equal(stored[shared], rows[shared])
    assert stored["speakers"].map(list).tolist() == rows["speakers"].map(list).tolist()
    assert stored.dtypes.to_dict() == rows[stored.columns].dtypes.to_dict()


def written(corpus):
    changes = {
        "reader": "mixtures",
        "root": "written",
        "splitting": corpus["splitting"] | {"by": "official", "stratify": None},
    }
    return corpus | changes | {"cleaning": corpus["cleaning"] | {"min_seconds": 0.1}}
