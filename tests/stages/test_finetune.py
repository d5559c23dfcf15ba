"""Fine-tuning: what it leaves for serving, who inherits from whom, and what is refused before anything is trained."""

import json

import pandas as pd
import pytest

from stages.pipeline import (
    BENCHMARK,
    BENCHMARKS,
    CORPUS,
    HEIR,
    copy_of,
    fingerprints,
    folders_of,
    manifest_of,
    models_of,
    selected_copy,
    selection_of,
    write_selection,
)
from voxbench.artifacts import read_json
from voxbench.schema import InputError
from voxbench.stages.ablate import ablate
from voxbench.stages.finalists import finalist_recipe
from voxbench.stages.finetune import finetune
from voxbench.stages.repeat import repeat
from voxbench.stages.select import select


@pytest.mark.parametrize("name", BENCHMARKS)
def test_fine_tuning_leaves_all_that_serving_needs(finished, name):
    folders = sorted(path.name for path in finished.models(name).iterdir())
    assert folders == sorted([*models_of(finished), "ranking.json"])
    manifest = manifest_of(finished)
    scored = manifest.loc[manifest["split"] != "train", "id"]
    for model in models_of(finished):
        folder = finished.models(name) / model
        assert {path.name for path in folder.iterdir()} == {
            *("weights.safetensors", "model.json", "history.csv", "scores.parquet", "job.json"),
            *(["decision.json"] if name == BENCHMARK else []),
        }
        assert sorted(pd.read_parquet(folder / "scores.parquet")["id"]) == sorted(scored)
        assert read_json(folder / "model.json")["licence"] == finished.params.corpus(CORPUS).licence


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_of_a_study_takes_its_finalists_with_their_settings(finished, name):
    for finalist in selection_of(finished)["finalists"]:
        bundle = read_json(finished.models(name) / finalist["model"] / "model.json")
        assert (bundle["benchmark"], bundle["task"]) == (name, finished.params.benchmark(name).task)
        assert {key: bundle["training"][key] for key in finalist["settings"]} == finalist["settings"]
    assert not finished.results(HEIR, "select").exists(), "an heir has no study of its own"


@pytest.mark.parametrize(("name", "sign"), [(BENCHMARK, -1), (HEIR, 1)])
def test_the_ranking_is_by_the_best_epochs_on_validation(finished, name, sign):
    rows = []
    for model in models_of(finished):
        folder = finished.models(name) / model
        history = pd.read_csv(folder / "history.csv")
        best = history.loc[history["valid_loss"].idxmin()]
        value = best["valid_accuracy" if name == BENCHMARK else "valid_mae"]
        rows.append({"model": model, "value": value, "loss": best["valid_loss"]})
    rows.sort(key=lambda row: (sign * row["value"], row["loss"]))
    assert read_json(finished.models(name) / "ranking.json") == rows


@pytest.mark.parametrize("stage", [finetune, repeat, ablate])
@pytest.mark.parametrize("name", BENCHMARKS)
def test_without_a_selection_the_study_is_named(featured, stage, name):
    with pytest.raises(InputError, match=r"selection\.json: run `dvc repro select@gender-tiny` first"):
        stage(featured, name)


def test_an_override_changes_one_benchmark_alone(finished, tmp_path, trained):
    def change(params):
        params["benchmarks"][HEIR]["override"] = {
            "training": {"batch_size": 4},
            "finetune": {"schedule": {"max_epochs": 1}},
            "repeat": {"seeds": [2, 1]},
        }

    copy = copy_of(finished, tmp_path / "copy", change)
    for stage in (finetune, repeat):
        stage(copy, BENCHMARK)
    assert trained == []
    for stage in (finetune, repeat):
        stage(copy, HEIR)
    models = models_of(finished)
    assert sorted(trained) == sorted([*models, *(f"{model}-seed{seed}" for model in models for seed in (1, 2))])
    for model in models:
        folders = [copy.models(name) / model for name in BENCHMARKS]
        assert [read_json(folder / "model.json")["training"]["batch_size"] for folder in folders] == [8, 4]
        assert [len(pd.read_csv(folder / "history.csv")) for folder in folders] == [2, 1]
    seeds = [set(pd.read_csv(copy.results(name, "repeat") / "seeds.csv")["seed"]) for name in BENCHMARKS]
    assert seeds == [{1, 2, 3}, {1, 2}]


def test_an_override_wins_over_what_the_study_chose(finished, tmp_path):
    """The study varies learning rate and dropout; what a benchmark sets for itself must not be lost to its choice."""

    def change(params):
        params["benchmarks"][HEIR]["override"] = {"training": {"learning_rate": 0.005}}

    copy = selected_copy(finished, tmp_path / "copy", change)
    for finalist in selection_of(copy)["finalists"]:
        assert finalist["settings"]["learning_rate"] != 0.005
        recipe, other = (finalist_recipe(copy, name, finalist, 1).training for name in (HEIR, BENCHMARK))
        assert (recipe.learning_rate, recipe.dropout) == (0.005, finalist["settings"]["dropout"])
        assert other.learning_rate == finalist["settings"]["learning_rate"]


def override(**training):
    return lambda params: params["benchmarks"][HEIR].update(override={"training": training})


WRONG = {
    "a metric of classes": (
        lambda params: params["benchmarks"][HEIR].update(metric="accuracy"),
        r"metric 'accuracy' is not for value scores, which task 'age_years' has: choose one of .*\bmae\b",
    ),
    "classes drawn evenly": (override(balance="sampling"), "training.balance is 'sampling', but task 'age_years' has"),
    "classes weighed": (override(balance="loss"), r"task 'age_years' has no classes: set it to none"),
    "an edge above Nyquist": (
        override(augmentation={"low_pass_hz": [1000.0, 9000.0]}),
        r"low_pass_hz is \[1000, 9000\], expected edges above 0 and below 8000",
    ),
    "a stripe as wide as the crop": (
        override(augmentation={"mask_seconds": 0.5}),
        "mask_seconds is 0.5, expected less",
    ),
    "a loss of spoofs": (
        override(one_class={"scale": 20.0, "real": 0.9, "fake": 0.2}),
        "training.one_class is for tasks that detect spoofs, which 'age_years' does not: set it to null",
    ),
    "classes weighed by hand": (
        override(class_weights={"female": 1.0, "male": 2.0}),
        "training.class_weights are set, but task 'age_years' learns no classes of its own: set them to null",
    ),
    "weights that were not fetched": (override(weights="imagenet"), "`voxbench weights fetch resnet18`"),
}


@pytest.mark.parametrize("stage", [finetune, repeat, ablate])
@pytest.mark.parametrize("wrong", list(WRONG))
def test_what_cannot_work_is_refused_before_anything_is_trained(finished, tmp_path, trained, wrong, stage):
    change, message = WRONG[wrong]
    copy = copy_of(finished, tmp_path / "copy", change)
    selection = selection_of(copy)
    selection["finalists"][0]["model"] = "resnet18"
    write_selection(copy, selection)
    before = fingerprints(*folders_of(copy))
    with pytest.raises(InputError, match=message) as refused:
        stage(copy, HEIR)
    assert "\n" not in str(refused.value)
    assert trained == []
    assert fingerprints(*folders_of(copy)) == before


def test_a_study_with_a_metric_of_values_is_refused_before_anything_is_trained(featured, tmp_path, trained):
    copy = copy_of(featured, tmp_path / "copy", lambda params: params["studies"][BENCHMARK].update(metric="mae"))
    with pytest.raises(
        InputError, match=r"metric 'mae' is not for classes scores, which task 'gender' has: .*accuracy"
    ):
        select(copy, BENCHMARK)
    assert trained == []
    assert not copy.results(BENCHMARK, "select").exists()


def test_weights_of_other_classes_are_refused_before_anything_is_trained(featured, tmp_path, trained):
    own = {"override": {"training": {"class_weights": {"female": 1.0, "man": 2.0}}}}
    copy = copy_of(featured, tmp_path / "copy", lambda params: params["studies"][BENCHMARK].update(own))
    with pytest.raises(InputError, match="class_weights has female, man, expected a weight for each of: female, male"):
        select(copy, BENCHMARK)
    assert trained == []


def test_a_metric_without_a_value_on_validation_ranks_nothing(finished, tmp_path):
    """A network that has learnt nothing says one word only, and its correlation with the truth has no value."""

    def change(params):
        params["benchmarks"][BENCHMARK]["metric"] = "matthews_correlation"
        params["finetune"]["schedule"]["max_epochs"] = 1

    copy = selected_copy(finished, tmp_path / "copy", change)
    selection = selection_of(copy)
    for finalist in selection["finalists"]:
        finalist["settings"]["learning_rate"] = 1e-12
    write_selection(copy, selection)
    with pytest.raises(InputError, match="matthews_correlation has no value for") as refused:
        finetune(copy, BENCHMARK)
    assert "\n" not in str(refused.value)
    assert not (copy.models(BENCHMARK) / "ranking.json").exists()


def test_a_finalist_that_is_no_longer_one_leaves_nothing(finished, tmp_path, trained):
    copy = copy_of(finished, tmp_path / "copy")
    selection = selection_of(copy)
    write_selection(copy, selection | {"finalists": selection["finalists"][1:]})
    finetune(copy, HEIR)
    (model,) = (finalist["model"] for finalist in selection["finalists"][1:])
    assert trained == []
    assert {path.name for path in copy.models(HEIR).iterdir()} == {model, "ranking.json"}
    assert [row["model"] for row in json.loads((copy.models(HEIR) / "ranking.json").read_text())] == [model]
