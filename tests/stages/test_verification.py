"""The pipeline of verification: trials in place of recordings from selection to repetition, and what is refused."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from stages.pipeline import fingerprints
from stages.verification import MODELS, PEOPLE, VERIFY, copy_of_people
from voxbench.artifacts import read_json
from voxbench.evaluation.decisions import fit_decision, read_decision
from voxbench.metrics import METRICS
from voxbench.schema import InputError
from voxbench.stages.ablate import _jobs
from voxbench.stages.finalists import check_pairs, read_selection
from voxbench.stages.finetune import finetune
from voxbench.tasks import tasks
from voxbench.training.scoring import evaluate

COLUMNS = [
    "id", "enroll", "test", "enroll_speaker", "test_speaker", "enroll_session", "test_session", "enroll_gender",
    "test_gender", "split", "truth", "score",
]  # fmt: skip


def manifest_of(workspace):
    return pd.read_parquet(workspace.prepared(PEOPLE) / "manifest.parquet").set_index("id")


def scores_of(workspace, model="bilstm_h128_l1"):
    return pd.read_parquet(workspace.models(VERIFY) / model / "scores.parquet")


def test_the_score_table_has_a_row_for_each_trial_and_says_whose_it_is(verified):
    table, manifest = scores_of(verified), manifest_of(verified)
    assert table.columns.tolist() == COLUMNS
    assert table["id"].is_unique
    assert (table["id"] == table["enroll"] + "|" + table["test"]).all()
    for side in ("enroll", "test"):
        for column in ("speaker", "session", "gender"):
            assert (table[f"{side}_{column}"].to_numpy() == manifest.loc[table[side], column].to_numpy()).all()
        assert (manifest.loc[table[side], "split"].to_numpy() == table["split"]).all()
    assert ((table["enroll_speaker"] == table["test_speaker"]) == (table["truth"] == 1)).all()
    assert set(table["split"]) == {"valid", "test"}
    assert (table["enroll_session"] != table["test_session"]).all()


def test_trials_are_the_same_for_every_model_and_seed(verified):
    tables = [scores_of(verified, model) for model in MODELS.values()]
    repeated = [
        pd.read_parquet(verified.results(VERIFY, "repeat") / f"{model}-seed{seed}" / "scores.parquet")
        for model in MODELS.values()
        for seed in (1, 2)
    ]
    assert tables[0]["id"].tolist() == tables[1]["id"].tolist()
    test = tables[0].loc[tables[0]["split"] == "test", "id"].tolist()
    assert all(each["id"].tolist() == test for each in repeated)
    assert len({tuple(each["score"]) for each in repeated}) == 4


def test_unseen_voices_are_told_apart_far_better_than_by_chance(verified):
    seeds = pd.read_csv(verified.results(VERIFY, "repeat") / "seeds.csv")
    assert seeds.groupby("model")["eer"].mean().min() < 0.35


def test_the_best_epoch_is_the_one_of_the_lowest_minimum_cllr_and_equals_the_stored_scores(verified):
    task = tasks["verification"]
    for model in MODELS.values():
        folder = verified.models(VERIFY) / model
        history, best = pd.read_csv(folder / "history.csv"), read_json(folder / "job.json")["summary"]["best_epoch"]
        assert history["valid_loss"].to_numpy() == pytest.approx(history["valid_min_cllr"].to_numpy(), abs=1e-6)
        assert history["valid_loss"].idxmin() == best
        table = scores_of(verified, model)
        measured = evaluate(task, table[table["split"] == "valid"])
        for name, value in measured.items():
            assert history.loc[best, f"valid_{name}"] == pytest.approx(value, abs=1e-9), name


def test_selection_and_ranking_take_the_lower_error_rate(verified):
    assert not METRICS["eer"].greater_is_better
    ranking = read_json(verified.models(VERIFY) / "ranking.json")
    values = [each["value"] for each in ranking]
    assert values == sorted(values)
    trials = pd.read_csv(verified.results(VERIFY, "select") / "trials.csv")
    finalists = read_json(verified.results(VERIFY, "select") / "selection.json")["finalists"]
    for finalist in finalists:
        own = trials[(trials["model"] == finalist["model"]) & (trials["state"] == "complete")]
        best = own.sort_values(["valid_eer", "valid_loss"]).iloc[0]
        assert finalist["settings"]["learning_rate"] == pytest.approx(best["learning_rate"])


def test_significance_is_of_pairs_of_seeds(verified):
    tests = pd.read_csv(verified.results(VERIFY, "repeat") / "significance.csv")
    assert tests["metric"].tolist() == ["eer"]
    assert tests["n"].tolist() == [2]


def test_the_decision_is_fitted_on_validation_trials_alone(verified):
    folder = verified.models(VERIFY) / "bilstm_h128_l1"
    decision, table = read_decision(folder), scores_of(verified)
    valid = table[table["split"] == "valid"]
    assert decision.classes == ("nontarget", "target")
    assert decision.rows == len(valid)
    assert decision.speakers == len({*valid["enroll_speaker"], *valid["test_speaker"]})
    # Test trials may be as many, of as many people.
    again = {split: _decided(verified, rows) for split, rows in table.groupby("split")}
    assert decision == again["valid"] != again["test"]


def _decided(workspace, rows):
    people = np.concatenate([rows["enroll_speaker"], rows["test_speaker"]])
    return fit_decision(
        workspace.params.decisions, ("nontarget", "target"), rows["score"], rows["truth"], people, seconds=None
    )


def test_what_is_stored_is_the_encoder_and_the_back_end_without_the_training_speakers(verified):
    folder = verified.models(VERIFY) / "bilstm_h128_l1"
    weights = load_file(folder / "weights.safetensors")
    assert weights
    assert not [name for name in weights if name.startswith("head.")]
    back_end = load_file(folder / "back_end.safetensors")
    training = manifest_of(verified).query("split == 'train'")["speaker"].nunique()
    assert back_end["cohort_KD"].shape == (training, 256)
    assert int(back_end["top"]) == 5
    summary = read_json(folder / "job.json")["summary"]
    kept = sum(tensor.size for name, tensor in weights.items() if name not in ("mean_F1", "std_F1"))
    assert summary["parameters"] == kept
    assert not list(verified.results(VERIFY, "repeat").glob("*/back_end.safetensors"))


def test_each_score_table_names_its_lists_and_their_hashes(verified):
    lists = read_json(verified.models(VERIFY) / "bilstm_h128_l1" / "trials.json")
    table = scores_of(verified)
    for split in ("valid", "test"):
        own = table[table["split"] == split]
        assert lists[split]["list"] == "drawn by rule"
        assert len(lists[split]["sha256"]) == 64
        assert (lists[split]["trials"], lists[split]["targets"]) == (len(own), own["truth"].sum())
    assert lists["valid"]["sha256"] != lists["test"]["sha256"]


def test_a_second_run_writes_the_same_bytes(verified, tmp_path):
    copy = copy_of_people(verified, tmp_path / "copy")
    before = fingerprints(copy.models(VERIFY))
    for folder in copy.models(VERIFY).iterdir():
        if folder.is_dir():
            (folder / "job.json").unlink()
    finetune(copy, VERIFY)
    assert fingerprints(copy.models(VERIFY)) == before


@pytest.mark.parametrize(
    ("section", "changes", "words"),
    [
        ("training", {"margin": None}, "training.margin is null, but task 'verification' learns speakers with one"),
        ("verification", {"test_list": "lists/al.txt"}, r"'lists/al\.txt' \(did you mean 'lists/all\.txt'\?\)"),
    ],
)
def test_what_verification_lacks_is_refused_before_training(verified, section, changes, words):
    learning, row = verified.params.learning(VERIFY), verified.params.benchmark(VERIFY)
    other = learning.model_copy(update={section: getattr(learning, section).model_copy(update=changes)})
    check_pairs(verified, row, learning)
    with pytest.raises(InputError, match=words):
        check_pairs(verified, row, other)


def test_what_is_of_speakers_is_refused_for_other_tasks(verified):
    learning = verified.params.learning(VERIFY)
    row = verified.params.benchmark(VERIFY).model_copy(update={"task": "gender"})
    with pytest.raises(InputError, match=r"training\.margin is for tasks that learn speakers, which 'gender' does not"):
        check_pairs(verified, row, learning)
    assert np.isfinite(scores_of(verified)["score"]).all()


def test_a_variant_that_takes_away_what_learning_speakers_needs_is_refused_before_anything_is_trained(verified):
    ablation, finalists = verified.params.ablation, read_selection(verified, VERIFY)["finalists"]
    plain = ablation.variants["noise"].model_copy(update={"training": {"margin": None}})
    params = verified.params.model_copy(
        update={"ablation": ablation.model_copy(update={"variants": ablation.variants | {"plain": plain}})}
    )
    with pytest.raises(InputError, match=r"training\.margin is null, but task 'verification' learns speakers"):
        _jobs(replace(verified, params=params), VERIFY, "plain", finalists)
    assert _jobs(verified, VERIFY, "noise", finalists)
