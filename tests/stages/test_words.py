"""The pipeline of transcription: texts, phrases and their decision, resuming, and what is refused before training."""

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from stages.pipeline import fingerprints
from stages.words import MODELS, SPOKEN, TRAINING, VOCABULARY, WORDS, build_spoken, copy_of_spoken, spoken_params
from tiny import write_params
from voxbench.artifacts import read_json
from voxbench.config import load_params
from voxbench.evaluation.decisions import read_decision
from voxbench.metrics import METRICS
from voxbench.metrics.text import wer
from voxbench.schema import InputError
from voxbench.stages.finetune import finetune
from voxbench.stages.repeat import repeat
from voxbench.stages.select import select
from voxbench.stages.workspace import open_workspace
from voxbench.tracking.store import connect

AUGMENTED = {"probability": 1.0, "noise_snr_db": [10.0, 20.0]}


def held_out(workspace):
    """Return the recordings of validation and test."""
    manifest = pd.read_parquet(workspace.prepared(SPOKEN) / "manifest.parquet")
    return set(manifest.loc[manifest["split"] != "train", "id"])


def table(workspace, model, name="scores.parquet"):
    return pd.read_parquet(workspace.models(WORDS) / model / name)


@pytest.mark.parametrize("model", MODELS.values())
def test_a_score_table_holds_texts_of_people_nobody_learnt(worded, model):
    found = table(worded, model)
    assert set(found["id"]) == held_out(worded)
    assert found["id"].is_unique
    assert set(found["split"]) == {"valid", "test"}
    assert set(" ".join(found["truth"]).split()) <= set(VOCABULARY)
    history = pd.read_csv(worded.models(WORDS) / model / "history.csv")
    best = history.iloc[read_json(worded.models(WORDS) / model / "job.json")["summary"]["best_epoch"]]
    valid = found[found["split"] == "valid"]
    assert wer(valid["truth"], valid["hypothesis"]) == pytest.approx(best["valid_wer"], abs=1e-12)


def test_a_network_learns_words_that_it_is_tested_on(worded):
    """So whoever is served by this corpus's networks is not served by noise."""
    rates = []
    for model in MODELS.values():
        found = table(worded, model)
        rates.append(wer(found["truth"], found["hypothesis"]))
    assert min(rates) < 0.5


@pytest.mark.parametrize("model", MODELS.values())
def test_every_recording_is_held_against_the_phrases_that_the_settings_ask_for(worded, model):
    found, said = table(worded, model, "phrases.parquet"), table(worded, model).set_index("id")["truth"]
    wanted = worded.params.transcription.phrases
    kinds = found.groupby(["id", "kind"]).size().unstack(fill_value=0)
    assert set(kinds.index) == held_out(worded)
    assert (kinds["right"] == 1).all()
    assert (kinds["other"] == wanted.others).all()
    assert (kinds["near"] == wanted.near).all()
    assert ((found["kind"] == "right") == (found["truth"] == 1)).all()
    assert ((found["phrase"] == found["id"].map(said)) == (found["truth"] == 1)).all()
    assert np.isfinite(found["score"]).all()


def test_the_decision_is_fitted_on_validation_phrases(worded):
    for model in MODELS.values():
        found, decision = table(worded, model, "phrases.parquet"), read_decision(worded.models(WORDS) / model)
        valid = found[found["split"] == "valid"]
        assert decision.classes == ("wrong", "right")
        assert (decision.rows, decision.speakers) == (len(valid), valid["speaker"].nunique())
        assert decision.settings.calibration.quality is None
        if decision.reason:
            continue
        strict = decision.thresholds["far-10-percent"]
        accepted = decision.llrs(valid["score"], None) >= strict.value
        assert strict.p_fa == accepted[valid["truth"] == 0].mean() <= 0.1


def test_every_seed_has_word_rates_and_phrase_errors(worded):
    folder = worded.results(WORDS, "repeat")
    seeds, prompted = pd.read_csv(folder / "seeds.csv"), pd.read_csv(folder / "phrase_seeds.csv")
    assert len(seeds) == len(prompted) == len(MODELS) * len(worded.params.repeat.seeds)
    for row, phrases in zip(seeds.to_dict("records"), prompted.to_dict("records"), strict=True):
        assert (row["model"], row["seed"]) == (phrases["model"], phrases["seed"])
        place = folder / f"{row['model']}-seed{row['seed']}"
        scores, trials = pd.read_parquet(place / "scores.parquet"), pd.read_parquet(place / "phrases.parquet")
        assert set(scores["split"]) == set(trials["split"]) == {"test"}
        assert row["wer"] == pytest.approx(wer(scores["truth"], scores["hypothesis"]), abs=1e-12)
        expected = METRICS["eer"].function(trials["score"].to_numpy(), trials["truth"].to_numpy())
        assert phrases["eer"] == pytest.approx(expected, abs=1e-12)
    for name in ("significance.csv", "phrase_significance.csv"):
        assert len(pd.read_csv(folder / name)) == 1


@pytest.mark.slow
def test_resuming_and_doing_it_again_give_equal_bytes(worded, tmp_path):
    shutil.copytree(worded.root, tmp_path / "copy", ignore=shutil.ignore_patterns("mlflow.db", "mlruns", "*.lock"))
    workspace = open_workspace(tmp_path / "copy" / "params.yaml")
    connect(workspace.root)
    folders = [workspace.models(WORDS), workspace.results(WORDS, "repeat")]
    whole = fingerprints(*folders)
    model = next(iter(MODELS.values()))
    shutil.rmtree(workspace.models(WORDS) / model)
    (workspace.results(WORDS, "repeat") / "phrase_seeds.csv").unlink()
    finetune(workspace, WORDS)
    repeat(workspace, WORDS)
    assert fingerprints(*folders) == whole


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return build_spoken(tmp_path_factory.getbasetemp())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"crop_seconds": 0.25, "batch_seconds": None}, r"crop_seconds is 0.25, expected null, with .*batch_seconds"),
        ({"augmentation": AUGMENTED}, "augmentation changes waves, which is not done to whole recordings"),
        ({"balance": "sampling"}, "task 'transcription' has no classes: set it to none"),
    ],
)
def test_settings_that_whole_recordings_cannot_have_are_refused(prepared, tmp_path, changes, message):
    params = spoken_params()
    params["studies"][WORDS]["override"]["training"] = TRAINING | changes
    workspace = replace(prepared, params=load_params(write_params(tmp_path, params)))
    with pytest.raises(InputError, match=message):
        select(workspace, WORDS)
    assert not workspace.results(WORDS, "select").exists()


def test_networks_of_one_embedding_are_refused(prepared):
    study = prepared.params.studies[WORDS].model_copy(update={"models": ("x_vector",)})
    params = prepared.params.model_copy(update={"studies": {WORDS: study}})
    with pytest.raises(InputError, match="x_vector gives one embedding of a clip, which is not what task 'transcr"):
        select(replace(prepared, params=params), WORDS)


def test_recordings_too_short_for_their_transcripts_are_refused(prepared, tmp_path):
    workspace = copy_of_spoken(prepared, tmp_path / "copy")
    place = workspace.prepared(SPOKEN) / "manifest.parquet"
    manifest = pd.read_parquet(place)
    first = manifest.index[manifest["split"] == "train"][0]
    manifest.loc[first, "text"] = "TOMATO " * 40
    manifest.to_parquet(place, index=False)
    with pytest.raises(InputError, match="1 recordings are too short for their transcripts") as refused:
        select(workspace, WORDS)
    assert repr(manifest.loc[first, "id"]) in str(refused.value)
