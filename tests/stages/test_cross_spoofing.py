"""Countermeasures on other corpora and without silence: every number from the stored scores, every loss counted."""

import json
import shutil
from types import SimpleNamespace
from zlib import crc32

import numpy as np
import pandas as pd
import pytest

from serving.clips import encoded
from serving.pairs import NETWORK
from stages.spoofed import CLIPS, CORPUS, ELSEWHERE, OTHER, PEOPLE, SPOOFING, spoofed_project, write_countermeasure
from tiny import RATE_HZ, voice
from voxbench.artifacts import write_json
from voxbench.audio import clean, decode_audio, read_bytes
from voxbench.audio.cleaning import trim_silence
from voxbench.cli import main
from voxbench.metrics.equal_error import eer_asvspoof
from voxbench.schema import BONAFIDE, InputError
from voxbench.serving.bundle import read_bundle, write_bundle
from voxbench.serving.listening import Listener
from voxbench.serving.predictor import Predictor
from voxbench.stages import cross_spoofing as stage
from voxbench.stages.cross_spoofing import MEASURES, TRIMMED, WHOLE, _worst_attack, cross_spoofing

METRIC = "eer_asvspoof"
KEYS = ["corpus", "form", "metric"]
TEST_CLIPS = len(PEOPLE["test"]) * CLIPS * 3


def manifest(workspace, corpus, change=None):
    """Return a manifest, changed on disk as well."""
    path = workspace.prepared(corpus) / "manifest.parquet"
    rows = pd.read_parquet(path)
    if change is not None:
        rows = change(rows)
        rows.to_parquet(path, index=False)
    return rows


def listening_to_all(workspace):
    """Let the countermeasure's own cleaning take nothing out."""
    folder = workspace.models(SPOOFING) / NETWORK
    bundle = read_bundle(folder)
    cleaning = bundle.cleaning.model_copy(update={"silence_q": 0.0, "min_seconds": 0.3})
    write_bundle(folder, bundle.model_copy(update={"cleaning": cleaning}))


def rerecord(workspace, pauses):
    """Write every recording anew: some voice between two pauses, as long as `pauses` say of bona fide and of others."""
    draws = np.random.default_rng(11)
    for row in manifest(workspace, CORPUS).to_dict("records"):
        path = workspace.root / "spoofed-raw" / row["id"]
        if path.name == "mute.wav":
            continue
        bounds = pauses[row["attack"] != BONAFIDE]
        silence = [1e-4 * draws.normal(size=int(RATE_HZ * draws.uniform(*bounds))) for _ in range(2)]
        speech = voice(draws.uniform(100, 240), 0.7, draws, tremor_ms=draws.uniform(1, 4))
        path.write_bytes(encoded(np.concatenate([silence[0], speech, silence[1]]).astype(np.float32)))


def build(root):
    workspace = spoofed_project(root)
    rerecord(workspace, [(0.1, 0.2), (0.1, 0.2)])
    write_json(workspace.models(SPOOFING) / "ranking.json", [{"model": NETWORK}])
    listening_to_all(workspace)
    rows = manifest(workspace, CORPUS)
    # The other one has a test speaker less, and recordings of which nobody says how they were made.
    rows = rows[rows["speaker"] != "t3"].copy()
    rows.loc[rows["speaker"] == "t2", "attack"] = None
    workspace.prepared(OTHER).mkdir(parents=True)
    rows.to_parquet(workspace.prepared(OTHER) / "manifest.parquet", index=False)
    return workspace


def crossed(workspace):
    folder = workspace.root / "results" / "cross"
    assert cross_spoofing(workspace, folder)
    measures = pd.read_csv(folder / MEASURES, keep_default_na=True).set_index(KEYS).sort_index()
    return measures, pd.read_parquet(folder / stage.SPOOFING)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return build(tmp_path_factory.mktemp("crossed"))


@pytest.fixture(scope="module")
def found(workspace):
    return crossed(workspace)


@pytest.fixture
def changed(workspace, tmp_path):
    """Return a copy of the project that a test may change."""
    shutil.copytree(workspace.root, tmp_path / "copy", ignore=shutil.ignore_patterns("cross"))
    return type(workspace)(tmp_path / "copy", workspace.params)


def of(scores, corpus, form=WHOLE):
    return scores[(scores["corpus"] == corpus) & (scores["form"] == form)].reset_index(drop=True)


def test_the_network_meets_every_corpus_that_says_how_recordings_were_made(found):
    measures, scores = found
    assert {(corpus, form) for corpus, form, _ in measures.index} == {
        (corpus, form) for corpus in (CORPUS, OTHER) for form in (WHOLE, TRIMMED)
    }
    assert set(measures["benchmark"]) == {SPOOFING}
    assert set(measures["trained_on"]) == {ELSEWHERE}
    assert set(measures["model"]) == {NETWORK}
    people = {CORPUS: 4, OTHER: 2}
    for corpus, many in people.items():
        rows = of(scores, corpus)
        assert len(rows) == many * CLIPS * 3 + 1
        assert rows["id"].str.startswith("test/").all()
        assert rows["speaker"].nunique() == many


def test_each_score_is_that_of_the_served_network(workspace, found):
    predictor = Predictor(workspace.models(SPOOFING) / NETWORK)
    rows = of(found[1], CORPUS)
    for row in rows[rows["lost"].isna()].to_dict("records"):
        heard = predictor(read_bytes(workspace.root / "spoofed-raw" / row["id"]))
        assert row["score"] == pytest.approx(heard.scores["score"], abs=1e-6)
        assert row["llr"] == pytest.approx(heard.verdict.llr, abs=1e-5)


def test_without_silence_the_ends_are_cut_by_the_law_of_cleaning(workspace, found):
    predictor, q = Predictor(workspace.models(SPOOFING) / NETWORK), workspace.params.evaluation.trim_silence_q
    rows = of(found[1], CORPUS, TRIMMED)
    rows = rows[rows["lost"].isna()].iloc[::5]
    for row in rows.to_dict("records"):
        wave, rate_hz = decode_audio(read_bytes(workspace.root / "spoofed-raw" / row["id"]))
        cut = trim_silence(wave, rate_hz, q)[0]
        assert len(cut) < len(wave)
        heard = predictor(encoded(cut, subtype="FLOAT"))
        assert row["score"] == pytest.approx(heard.scores["score"], abs=1e-5)
    assert (of(found[1], CORPUS)["score"].dropna() != of(found[1], CORPUS, TRIMMED)["score"].dropna()).any()


@pytest.mark.parametrize("form", [WHOLE, TRIMMED])
@pytest.mark.parametrize("corpus", [CORPUS, OTHER])
def test_the_numbers_are_those_of_voxbench_evaluate(workspace, found, tmp_path, corpus, form):
    measures, scores = found
    rows = of(scores, corpus, form)
    rows = rows[rows["lost"].isna()]
    for column, names in (
        ("score", ("eer_asvspoof", "eer", "auc")),
        ("llr", ("cllr", "min_cllr", "act_dcf(p_target=0.01)", "act_dcf(p_target=0.05)")),
    ):
        given = rows[["id", "speaker"]].assign(score=rows[column], label=(rows["attack"] == BONAFIDE).astype(int))
        given.to_csv(tmp_path / f"{column}.csv", index=False)
        words = ["--task", "anti_spoofing", "--scores", str(tmp_path / f"{column}.csv")]
        output = tmp_path / column
        root = str(workspace.root / "params.yaml")
        assert main(["--params", root, "evaluate", *words, "--output", str(output)]) == 0
        told = {each["name"]: each for each in json.loads((output / "results.json").read_text())["metrics"]}
        for name in names:
            row, theirs = measures.loc[(corpus, form, name)], told[name]
            assert row["value"] == pytest.approx(theirs["value"], rel=1e-12)
            assert [row["low"], row["high"]] == pytest.approx([theirs["low"], theirs["high"]], nan_ok=True)


def test_rates_have_intervals_around_them(found):
    for name in (METRIC, "auc"):
        row = found[0].loc[(CORPUS, WHOLE, name)]
        assert 0 <= row["low"] <= row["value"] <= row["high"] <= 1
        assert row["low"] < row["high"]


def test_counts_are_of_what_was_heard(found):
    row = found[0].loc[(CORPUS, WHOLE, METRIC)]
    assert (row["clips"], row["bonafide"], row["speakers"], row["attacks"]) == (TEST_CLIPS, TEST_CLIPS / 3, 4, 2)
    assert (row["lost"], row["unknown_attacks"]) == (1, 2)
    (lost,) = of(found[1], CORPUS).query("lost.notna()").to_dict("records")
    assert (lost["id"], lost["lost"]) == ("test/t0/mute.wav", "silent")
    assert pd.isna(lost["score"])


def test_the_worst_attack_is_that_of_the_highest_error_rate(found):
    """By hand: A02 is above half of the bona fide recordings, A01 below all of them."""
    scores = {BONAFIDE: [1.0, 2.0, 3.0, 4.0], "A01": [0.1, 0.2, 0.3, 0.4], "A02": [0.5, 0.6, 2.4, 2.5]}
    rows = pd.DataFrame([(attack, score) for attack, own in scores.items() for score in own])
    assert _worst_attack(rows.set_axis(["attack", "score"], axis=1)) == ("A02", 0.5)
    assert _worst_attack(rows[rows[0] == BONAFIDE].set_axis(["attack", "score"], axis=1)) == (None, None)
    row, judged = found[0].loc[(CORPUS, WHOLE, METRIC)], of(found[1], CORPUS)
    own = judged[judged["attack"].isin([BONAFIDE, row["worst_attack"]]) & judged["lost"].isna()]
    truth = (own["attack"] == BONAFIDE).to_numpy().astype(int)
    assert row["worst_eer"] == pytest.approx(eer_asvspoof(own["score"].to_numpy(), truth))


def test_an_attack_that_was_trained_on_is_not_unknown(changed):
    known = ["A01" if split == "train" else "A02" for split in manifest(changed, ELSEWHERE)["split"]]
    manifest(changed, ELSEWHERE, lambda rows: rows.assign(attack=known))
    assert crossed(changed)[0].loc[(CORPUS, WHOLE, METRIC), "unknown_attacks"] == 1


def test_a_corpus_of_people_whom_the_network_knows_has_no_value(changed):
    def share(rows):
        own = manifest(changed, ELSEWHERE)
        test = rows.index[rows["speaker"] == "t1"]
        return rows.assign(audio_sha256=rows["audio_sha256"].where(rows.index != test[0], own["audio_sha256"].iloc[0]))

    manifest(changed, OTHER, share)
    measures, scores = crossed(changed)
    rows = measures.loc[OTHER]
    assert rows["value"].isna().all()
    assert len(rows) == 2
    assert (rows[["clips", "lost"]] == 0).all(axis=None)
    said = f"1 of 2 test speakers are people of {ELSEWHERE} that the network was trained or validated on, 't1' among"
    assert rows["note"].str.startswith(said).all()
    assert set(scores["corpus"]) == {CORPUS}


def test_equal_names_that_nothing_ties_are_said_to_be_others(changed):
    manifest(changed, OTHER, lambda rows: rows.assign(speaker=rows["speaker"].replace("t1", "s1")))
    measures, _ = crossed(changed)
    notes = measures.loc[(OTHER, WHOLE), "note"]
    assert notes.str.startswith(f"1 of 2 test speakers have names that training data of {ELSEWHERE} has too").all()
    assert measures.loc[(OTHER, WHOLE, METRIC), "value"] >= 0
    assert pd.isna(measures.loc[(CORPUS, WHOLE, METRIC), "note"])


def test_a_network_that_never_hears_silence_says_so(changed):
    folder = changed.models(SPOOFING) / NETWORK
    bundle = read_bundle(folder)
    cleaning = bundle.cleaning.model_copy(update={"silence_q": 0.075})
    write_bundle(folder, bundle.model_copy(update={"cleaning": cleaning}))
    note = crossed(changed)[0].loc[(CORPUS, WHOLE, METRIC), "note"]
    assert "own cleaning takes silence out everywhere" in note


def test_a_decision_without_ratios_leaves_rates_and_a_reason(changed):
    write_countermeasure(changed, one_class=True)
    rows = crossed(changed)[0].loc[(CORPUS, WHOLE)]
    assert rows.loc[["eer_asvspoof", "eer", "auc"], "value"].notna().all()
    others = rows.drop(["eer_asvspoof", "eer", "auc"])
    assert others["value"].isna().all()
    assert others["note"].str.contains("the stored decision makes no ratios").all()


def test_recordings_that_nobody_can_hear_are_all_lost(changed):
    for path in (changed.root / "spoofed-raw").rglob("*.wav"):
        path.write_text("no audio")
    measures, scores = crossed(changed)
    row = measures.loc[(CORPUS, WHOLE, METRIC)]
    assert (row["clips"], row["lost"]) == (0, TEST_CLIPS + 1)
    assert pd.isna(row["value"])
    assert row["note"] == "no recording could be heard"
    assert set(scores["lost"]) == {"unreadable"}


def test_a_corpus_that_is_not_prepared_names_the_stage(changed):
    shutil.rmtree(changed.prepared(OTHER))
    with pytest.raises(InputError, match=r"run `dvc repro prepare@other` first"):
        crossed(changed)


def test_without_a_benchmark_of_spoofing_earlier_files_are_removed(changed):
    crossed(changed)
    folder = changed.root / "results" / "cross"
    (folder / "matrix.csv").write_text("others")
    rows = {name: row for name, row in changed.params.benchmarks.items() if name != SPOOFING}
    bare = type(changed)(changed.root, changed.params.model_copy(update={"benchmarks": rows}))
    assert not cross_spoofing(bare, folder)
    assert [path.name for path in folder.iterdir()] == ["matrix.csv"]


def test_crossing_again_writes_the_same_bytes(workspace, found, changed):
    crossed(changed)
    for name in (MEASURES, stage.SPOOFING):
        paths = [each.root / "results" / "cross" / name for each in (workspace, changed)]
        assert paths[0].read_bytes() == paths[1].read_bytes()


class Shortcut:
    """A countermeasure that knows how long it is silent before speech, to 10 ms, and beyond that guesses."""

    def __init__(self, folder):
        self.listener = Listener(folder)

    def __call__(self, source):
        wave = clean(*decode_audio(source), self.listener.bundle.cleaning).wave
        lead = int(np.flatnonzero(np.abs(wave) > 0.1 * np.abs(wave).max())[0])
        steps = 100 * lead // RATE_HZ + crc32(source) / 2**32
        return SimpleNamespace(scores={"score": steps}, verdict=SimpleNamespace(llr=steps))


def test_what_tells_by_silence_alone_is_at_chance_without_it(changed, monkeypatch):
    rerecord(changed, [(0.2, 0.4), (0.05, 0.1)])
    monkeypatch.setattr(stage, "Predictor", Shortcut)
    measures, _ = crossed(changed)
    recorded, trimmed = (measures.loc[(CORPUS, form)]["value"] for form in (WHOLE, TRIMMED))
    assert (recorded[METRIC], recorded["auc"]) == (0, 1)
    assert trimmed[METRIC] == pytest.approx(0.5, abs=0.15)
    assert trimmed["auc"] == pytest.approx(0.5, abs=0.15)
    assert (measures.loc[CORPUS, "lost"] == 1).all()
