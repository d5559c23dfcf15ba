"""Recipes of countermeasures in the shipped profiles: inputs, crops, batches, epochs, rates, as their sources say."""

import re
import shutil

import pytest

from tiny import PROJECT
from voxbench.config import load_params
from voxbench.config.profiles import apply_profile
from voxbench.features.dataset import frames_of
from voxbench.schema import InputKind
from voxbench.training.rates import planned_rate

SPOOFED = ["spoof-asvspoof2019-la", "spoof-asvspoof2019-pa"]


@pytest.fixture(params=["params", "biometric", "paper"])
def project(request, tmp_path):
    shutil.copy(PROJECT / "params.yaml", tmp_path)
    shutil.copytree(PROJECT / "profiles", tmp_path / "profiles")
    if request.param != "params":
        apply_profile(tmp_path / "params.yaml", request.param)
    return tmp_path


@pytest.fixture(scope="module", params=["biometric", "paper"])
def countering(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    shutil.copy(PROJECT / "params.yaml", folder)
    shutil.copytree(PROJECT / "profiles", folder / "profiles")
    apply_profile(folder / "params.yaml", request.param)
    return request.param, load_params(folder / "params.yaml")


@pytest.mark.parametrize("name", SPOOFED)
def test_countermeasures_hear_64600_samples_of_recordings_that_nobody_has_touched(countering, name):
    _, params = countering
    row = params.corpus(params.benchmark(name).corpus)
    cleaning, features = row.cleaning, row.features
    assert (cleaning.silence_q, cleaning.pre_emphasis, cleaning.low_pass_hz, cleaning.z_score) == (0, 0, None, False)
    assert (features.cepstra, features.n_mfcc * (1 + features.deltas), features.n_fft) == ("lfcc", 60, 512)
    assert (features.window_ms, features.hop_ms, features.n_mels) == (20.0, 10.0, 20)
    assert row.max_excluded_fraction == 0
    assert row.asv_scores
    lengths = {
        "aasist": (InputKind.WAVE, 64_600),
        "rawnet2": (InputKind.WAVE, 64_600),
        "lfcc_resnet18": (InputKind.CEPSTRA, 750),
    }
    for model, (kind, length) in lengths.items():
        training = params.learning(name, model).training
        assert frames_of(kind, training.crop_seconds, features.hop_ms, cleaning.sample_rate_hz) == length
        assert (training.shorter, training.evaluation_crops, training.evaluation_place) == ("repeat", 1, "start")
        assert (training.subtract, training.balance, training.weights) == ("nothing", "none", "random")
        schedule = params.learning(name, model).finetune.schedule
        assert (schedule.trainable, schedule.patience >= schedule.max_epochs) == ("all", True)


@pytest.mark.parametrize("name", SPOOFED)
def test_countermeasures_have_batches_epochs_and_rates_of_their_document(countering, name):
    profile, params = countering
    expected = {
        "biometric": {"aasist": (24, 50, 1e-4), "rawnet2": (16, 60, 3e-4), "lfcc_resnet18": (32, 40, 1e-3)},
        "paper": {"aasist": (24, 100, 1e-4), "rawnet2": (32, 100, 1e-4), "lfcc_resnet18": (64, 100, 3e-4)},
    }
    found = {}
    if profile == "paper":  # trained alone, by `voxbench train`
        expected["paper"]["spectrogram_resnet"] = (32, 100, 5e-5)
    for model in expected[profile]:
        learning = params.learning(name, model)
        training, epochs = learning.training, learning.finetune.schedule.max_epochs
        found[model] = (training.batch_size, epochs, training.learning_rate)
        last = planned_rate(training, epochs - 1, epochs)
        if model == "aasist":
            assert training.average_best
            assert planned_rate(training, epochs, epochs) == pytest.approx(5e-6)
        else:
            halvings = (epochs - 1) // 10 if model == "lfcc_resnet18" else 0
            assert last == pytest.approx(training.learning_rate / 2**halvings)
    assert found == expected[profile]
    assert set(params.study("spoof-asvspoof2019-la").models) == set(found) - {"spectrogram_resnet"}


def test_the_rows_of_2021_in_the_document_fit_and_are_for_testing(project):
    blocks = re.findall(r"```yaml\n(.*?)```", (PROJECT / "docs/spoofing.md").read_text(encoding="utf-8"), re.DOTALL)
    (rows,) = [block.removeprefix("corpora:\n") for block in blocks if "asvspoof2021" in block]
    text = (project / "params.yaml").read_text(encoding="utf-8")
    (project / "params.yaml").write_text(text.replace("\nmixtures:", f"{rows}\nmixtures:"), encoding="utf-8")
    params = load_params(project / "params.yaml")
    names = [f"asvspoof2021-{scenario}" for scenario in ("la", "pa")]
    roots = [params.corpus(name).root.as_posix() for name in names]
    assert roots == ["data/asvspoof2021/LA", "data/asvspoof2021/PA"]
    for name in names:
        row, learnt = params.corpus(name), params.corpus("asvspoof2019-la")
        assert (row.reader, row.splitting.by, row.asv_scores) == ("asvspoof2021", "official", None)
        assert row.features == learnt.features
        assert (row.cleaning.z_score, row.cleaning.low_pass_hz, row.cleaning.silence_q) == (False, None, 0.0)
        assert not [benchmark for benchmark in params.benchmarks.values() if benchmark.corpus == name]
