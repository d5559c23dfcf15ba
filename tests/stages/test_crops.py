"""Crops too short for a network: refused before anything is trained, for every candidate and finalist at once."""

import pytest
import torch

from stages.counting import CROWD
from stages.pipeline import BENCHMARK, copy_of
from voxbench.artifacts import read_json, write_json
from voxbench.features.dataset import frames_of
from voxbench.models import create_model, list_models, min_frames, spec
from voxbench.schema import InputError, InputKind
from voxbench.stages.finalists import check_learning
from voxbench.stages.select import select

OWN = {"n_features": 64, "resize": None}


def shorter(workspace, seconds, study=BENCHMARK, **changes):
    """Return a study, the tiny one, with other values, and its training with crops of `seconds`."""
    study = workspace.params.study(study).model_copy(update=changes)
    training = workspace.params.training
    off = training.augmentation.model_copy(update={"probability": 0.0, "mask_seconds": None})
    return study, training.model_copy(update={"crop_seconds": seconds, "augmentation": off})


def refusal(workspace, seconds, **changes):
    with pytest.raises(InputError) as refused:
        check_learning(workspace, *shorter(workspace, seconds, **changes))
    return str(refused.value)


@pytest.mark.parametrize("name", list_models())
def test_the_least_crop_is_what_the_network_itself_can_map(name):
    own = {key: value for key, value in OWN.items() if key in spec(name).accepts}
    least = min_frames(name, **own)
    if least == 1:
        assert spec(name).family in ("cnn", "lstm", "spectrogram_resnet", "quartznet", "deep_speech")
        with torch.device("meta"):
            bins = own.get("n_features", 1)
            found = create_model(name, **own).eval()(torch.empty(2, bins, 1))
        assert found.shape[0] == 2
        return
    with torch.device("meta"):
        encoder = create_model(name, **own).eval()
        bins = 1 if spec(name).input_kind is InputKind.WAVE else OWN["n_features"]
        assert encoder(torch.empty(2, bins, least)).shape == (2, encoder.embedding_dim)
        with pytest.raises(InputError, match="expected"):
            encoder(torch.empty(2, bins, least - 1))


def test_all_networks_that_a_crop_is_too_short_for_are_named_with_what_they_need(featured):
    rate_hz = featured.params.corpus("tiny").cleaning.sample_rate_hz
    said = refusal(featured, 0.1, models=("m3", "m11", "m34_res", "bilstm_h128_l1"))
    samples = round(0.1 * rate_hz)
    assert said.startswith("crops of training.crop_seconds 0.1 are too short for ")
    assert f"m11 (4,160 samples, not {samples:,}), m34_res (4,160 samples, not {samples:,}):" in said
    assert "m3 " not in said
    assert "bilstm" not in said


@pytest.mark.parametrize(
    "models", [("m11",), ("m5", "m3_paper"), ("m18_paper", "bilstm_h128_l1"), ("spectrogram_cnn_1",)]
)
def test_the_crop_that_is_asked_for_is_long_enough_and_the_one_before_is_not(featured, models):
    said = refusal(featured, 0.001, models=models)
    needed = float(said.split("set it to ")[1].split(" or more")[0])
    study, training = shorter(featured, needed, models=models)
    training = training.model_copy(update={"resize": None})
    check_learning(featured, study, training)
    with pytest.raises(InputError, match="too short for"):
        check_learning(featured, study, training.model_copy(update={"crop_seconds": needed - 0.001}))


def test_bins_too_few_for_a_network_are_refused_too(featured, tmp_path):
    copy = copy_of(featured, tmp_path / "copy")
    path = copy.features("tiny") / "features.json"
    about = read_json(path)
    about["spectrogram"]["bins"] = 45
    write_json(path, about)
    assert "found 45 bins, and a network of 4 blocks needs 46 or more" in refusal(
        copy, 0.8, models=("spectrogram_cnn_2",)
    )


def test_select_stops_before_its_first_epoch(featured, tmp_path):
    def change(params):
        params["studies"][BENCHMARK]["models"] = ["m3", "m11"]
        params["studies"][BENCHMARK] |= {"finalists": {"wave_cnn": 1}, "trials": {"wave_cnn": 2}}
        params["training"]["crop_seconds"] = 0.1

    copy = copy_of(featured, tmp_path / "copy", change)
    with pytest.raises(InputError, match=r"m11 \(4,160 samples, not"):
        select(copy, BENCHMARK)
    assert not list(copy.results(BENCHMARK, "select").glob("*/*"))


def test_finalists_are_checked_as_candidates_are(counted):
    benchmark = counted.params.benchmark(f"count-{CROWD}")
    _, training = shorter(counted, 0.005, study=f"count-{CROWD}")
    samples = frames_of(InputKind.WAVE, 0.005, 12.5, counted.params.corpus(CROWD).cleaning.sample_rate_hz)
    with pytest.raises(InputError) as refused:
        check_learning(counted, benchmark, training)
    for words in (f"m3 (128 samples, not {samples})", "spectrogram_cnn_3 (4 frames, not 0)"):
        assert words in str(refused.value)
