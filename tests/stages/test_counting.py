"""The pipeline of counting: waves, linear spectrograms and cepstra in one study, its report, and what is refused."""

import numpy as np
import pandas as pd
import pytest
import torch

from stages.counting import COUNT, CROWD, MODELS, SEXES
from stages.pipeline import BENCHMARK, CORPUS, copy_of, manifest_of
from voxbench.artifacts import read_json
from voxbench.features.mixed import open_store
from voxbench.features.store import RaggedStore, read_notes, write_shard
from voxbench.metrics import METRICS
from voxbench.models import create_model
from voxbench.models.cost import multiply_adds
from voxbench.schema import InputError, InputKind
from voxbench.stages.features import features
from voxbench.stages.finalists import check_learning
from voxbench.stages.report import gather_benchmark, report
from voxbench.tasks import tasks

SAMPLES = 6400  # 0.4 s, the study's own crop


def trials(workspace):
    return pd.read_csv(workspace.results(COUNT, "select") / "trials.csv").set_index("model")


def with_masks(training):
    augmentation = training.augmentation.model_copy(update={"mask_fraction": 0.2})
    return training.model_copy(update={"augmentation": augmentation})


def test_networks_of_every_input_compete_in_one_study(counted):
    table = trials(counted)
    assert dict(zip(table["family"], table.index, strict=True)) == MODELS
    assert set(table["state"]) == {"complete"}
    selection = read_json(counted.results(COUNT, "select") / "selection.json")
    assert len(selection["features"]) == len(InputKind), "each kind of input has a digest of its own"


def test_a_studys_own_settings_rule_its_trials_and_its_cost_is_that_of_a_crop(counted):
    network = torch.nn.Sequential(create_model("m3"), torch.nn.Linear(32, 3))
    row = trials(counted).loc["m3"]
    assert row["multiply_adds"] == multiply_adds(network, torch.zeros(1, 1, SAMPLES))
    assert row["parameters"] == 5_923
    assert trials(counted).loc["spectrogram_cnn_3", "parameters"] == 483
    assert counted.params.searching(COUNT).training.crop_seconds == 0.4 != counted.params.training.crop_seconds


def test_waves_are_described_and_stored_nowhere_but_in_the_prepared_audio(counted):
    about = read_json(counted.features(CROWD) / "features.json")
    assert {"licence", *InputKind} == set(about)
    wave = about["wave"]
    assert (wave["mean"], wave["std"], wave["bins"], wave["hop_ms"]) == ([0.0], [1.0], 1, 0.0625)
    assert not (counted.features(CROWD) / "wave").exists()
    assert about["spectrogram"]["bins"] == 201


def test_prepared_recordings_have_the_statistics_that_waves_are_described_by(counted):
    """So nothing is left for training rows to say about the scale of a wave."""
    store = open_store(counted.prepared(CROWD))
    waves = [store[place] * store.scales[place] for place in range(len(store))]
    assert [wave.mean() for wave in waves] == pytest.approx([0.0] * len(waves), abs=1e-4)
    assert [wave.std() for wave in waves] == pytest.approx([1.0] * len(waves), abs=1e-3)


def test_other_audio_is_another_digest_and_another_split_too(featured, copied):
    def wave_digest(workspace):
        return read_json(workspace.features(CORPUS) / "features.json")["wave"]["digest"]

    path = sorted(copied.prepared(CORPUS).glob("shard-*.arrow"))[0]
    store = RaggedStore(path.parent, path.name)
    arrays = [np.array(row) for row in store]
    arrays[0][100] += 1
    write_shard(path, store.ids, arrays, store.scales.tolist(), read_notes(path))
    features(copied, CORPUS)
    altered = wave_digest(copied)
    assert altered != wave_digest(featured)
    manifest = manifest_of(copied)
    manifest.loc[manifest.index[manifest["split"] == "train"][0], "split"] = "test"
    manifest.to_parquet(copied.prepared(CORPUS) / "manifest.parquet", index=False)
    features(copied, CORPUS)
    assert wave_digest(copied) != altered


def test_a_corpus_without_training_rows_has_no_statistics_of_waves_either(copied):
    manifest = manifest_of(copied)
    manifest.assign(split="test").to_parquet(copied.prepared(CORPUS) / "manifest.parquet", index=False)
    features(copied, CORPUS)
    about = read_json(copied.features(CORPUS) / "features.json")
    assert {about[kind]["mean"] for kind in InputKind} == {about[kind]["std"] for kind in InputKind} == {None}


@pytest.mark.parametrize(("benchmark", "ordered"), [(COUNT, True), (SEXES, False)])
def test_only_ordered_classes_are_measured_by_their_distance(counted, benchmark, ordered):
    history = pd.read_csv(counted.models(benchmark) / "m3" / "history.csv")
    seeds = pd.read_csv(counted.results(benchmark, "repeat") / "seeds.csv")
    assert ("valid_class_distance" in history) == ("class_distance" in seeds) == ordered
    if ordered:
        scores = pd.read_parquet(counted.results(benchmark, "repeat") / "m3-seed1" / "scores.parquet")
        value = METRICS["class_distance"].function(scores["truth"], scores[["p_1", "p_2", "p_3"]].to_numpy())
        stated = seeds[(seeds["model"] == "m3") & (seeds["seed"] == 1)]["class_distance"]
        assert stated.tolist() == pytest.approx([value], abs=1e-12)


def test_masks_are_refused_where_a_candidate_or_a_finalist_reads_waves(counted):
    study, benchmark = counted.params.study(COUNT), counted.params.benchmark(SEXES)
    training = with_masks(counted.params.training)
    for row in (study, benchmark):
        with pytest.raises(InputError, match=r"hide stripes of features, but m3 reads the wave: set both to null"):
            check_learning(counted, row, training)
        check_learning(counted, row, counted.params.training)
    apart = study.model_copy(update={"models": ("spectrogram_cnn_3", "bilstm_h128_l1")})
    check_learning(counted, apart, training)
    off = training.augmentation.model_copy(update={"probability": 0.0})
    check_learning(counted, study, training.model_copy(update={"augmentation": off}))


def test_a_metric_of_ordered_classes_is_refused_for_others(featured):
    row = featured.params.study(BENCHMARK).model_copy(update={"metric": "class_distance"})
    with pytest.raises(InputError, match=r"needs classes in an order, and those of task 'gender' have none: choose"):
        check_learning(featured, row, featured.params.training)


def test_more_people_than_the_task_asks_for_take_no_part(counted):
    manifest = pd.read_parquet(counted.prepared(CROWD) / "manifest.parquet")
    assert tasks["speaker_count"].labelled(manifest).all()
    assert tasks["speaker_count_2"].labelled(manifest).sum() == (manifest["speakers"].str.len() < 3).sum()


def test_the_report_has_costs_and_each_count_by_itself(counted, tmp_path):
    copy = copy_of(counted, tmp_path / "copy")
    report(copy)
    page = (copy.reports / "index.html").read_text(encoding="utf-8")
    drawn = {path.name for path in (copy.reports / "figures").glob("*.png")}
    assert f"{COUNT}-costs.png" in drawn
    assert f"{SEXES}-costs.png" not in drawn, "a study is shown once"
    assert page.count("<h4>Each count by itself</h4>") == 1, "numbers of people are the classes of the other task"
    assert "million multiply-adds" in page
    assert gather_benchmark(copy, COUNT).metric.name == "class_distance"
