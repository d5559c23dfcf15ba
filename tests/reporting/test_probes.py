"""Probes find the shortcuts that are planted in a corpus, and none where there is none."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

from voxbench.audio.traces import TRACES, trace
from voxbench.config import Report
from voxbench.corpora.manifest import COLUMNS
from voxbench.metrics import METRICS, UndefinedError
from voxbench.reporting.baselines import baselines
from voxbench.reporting.probes import CLUES, KNOWS, Probe, Probes, answers, probes
from voxbench.reporting.scored import Bootstrap, score
from voxbench.schema import ScoreKind
from voxbench.tasks import Task, tasks

RATE_HZ = 8_000
SETTINGS = Report(
    level=0.95,
    resamples=300,
    power=0.8,
    min_group_speakers=3,
    bins={},
    probes=("silence", "duration", "channel", "energy"),
    probe_ridge=0.01,
    seed=1,
)
GENDER, YEARS = tasks["gender"], tasks["age_years"]
DETECTION = replace(GENDER, score_kind=ScoreKind.DETECTION)
Recorder = Callable[[float, np.random.Generator], tuple[float, float, float, float]]


def planted(place: int | None) -> Recorder:
    """Return a law of leading silence and duration in s, noise in dBFS and swing of the level in dB.

    They are random, but for the one at `place`, which a label in [0, 1] decides.
    """
    bounds = np.array([(0.2, 0.5), (1.0, 2.0), (-75, -55), (1.0, 6.0)])

    def law(label: float, draws: np.random.Generator) -> tuple[float, float, float, float]:
        shares = draws.uniform(size=len(bounds))
        if place is not None:
            shares[place] = label
        leading, seconds, floor_dbfs, swing_db = bounds[:, 0] + shares * np.ptp(bounds, axis=1)
        return leading, seconds, floor_dbfs, swing_db

    return law


PLANTS = {"nothing": planted(None)} | {name: planted(place) for place, name in enumerate(CLUES)}


def record(label: float, plant: Recorder, draws: np.random.Generator) -> dict[str, float]:
    """Return what the manifest says of a recording: a burst of noise after silence, with a noise of the room."""
    leading, seconds, floor_dbfs, swing_db = plant(label, draws)
    speech = 0.1 * draws.normal(size=round((seconds - leading) * RATE_HZ))
    speech[np.arange(speech.size) // (RATE_HZ // 20) % 2 == 1] *= 10 ** (-swing_db / 20)
    wave = np.concatenate([np.zeros(round(leading * RATE_HZ)), speech])
    wave = (wave + 10 ** (floor_dbfs / 20) * draws.normal(size=wave.size)).astype(np.float32)
    times = {"source_rate_hz": RATE_HZ, "source_seconds": wave.size / RATE_HZ, "kept_seconds": 0.9 * speech.size}
    return times | {"clipped_fraction": 0.0} | trace(wave, RATE_HZ, 0.075, float(np.abs(wave).max()))


def corpus(plant: str, task: Task, speakers: int = 90) -> pd.DataFrame:
    """Return a manifest of two clips of each speaker, a third of them in the test rows; the targets are balanced."""
    draws, rows = np.random.default_rng(5), []
    for speaker in range(2 * speakers):
        label = speaker // 2 % 2 if task.classes else speaker // 2 / speakers
        about = {"id": f"{speaker}", "speaker": f"s{speaker // 2}", "split": "test" if speaker % 6 > 3 else "train"}
        target = label if task.classes else 20 + 50 * label
        rows.append(about | {"target": target} | record(label, PLANTS[plant], draws))
    return pd.DataFrame(rows)


def probed(manifest: pd.DataFrame, task: Task, metric: str) -> Probes:
    test = manifest[manifest["split"] == "test"].reset_index(drop=True)
    like = score(
        task, test["target"].to_numpy(), np.full((len(test), 2), 0.5) if task.classes else np.ones(len(test)), test
    )
    bound = Bootstrap("some", SETTINGS, METRICS[metric])
    return probes(task, manifest, like, baselines(task, manifest, like, bound)[0], bound)


def named(found: Probes) -> dict[str, Probe]:
    return {probe.name.removesuffix(" probe"): probe for probe in found.found}


def test_every_probe_knows_columns_that_every_manifest_has() -> None:
    known = {name for names in CLUES.values() for name in names}
    assert known <= {name for name, _ in COLUMNS}
    assert set(TRACES) <= known, "a trace that no probe knows is computed in vain"
    assert list(CLUES) == list(KNOWS) == list(SETTINGS.probes)


@pytest.mark.parametrize(("task", "metric"), [(GENDER, "accuracy"), (YEARS, "mae")], ids=["classes", "values"])
@pytest.mark.parametrize("plant", CLUES)
def test_a_planted_shortcut_is_found(plant: str, task: Task, metric: str) -> None:
    found = named(probed(corpus(plant, task), task, metric))
    assert found[plant].finds
    value = found[plant].scored.values[metric]
    assert value > 0.95 if task.classes else value < 6, value


@pytest.mark.parametrize(("task", "metric"), [(GENDER, "accuracy"), (YEARS, "mae")], ids=["classes", "values"])
def test_where_there_is_none_none_is_found(task: Task, metric: str) -> None:
    found = named(probed(corpus("nothing", task), task, metric))
    assert set(found) == set(CLUES)
    assert not any(probe.finds for probe in found.values())


def test_a_shortcut_of_the_test_rows_alone_cannot_be_learnt() -> None:
    manifest = corpus("silence", GENDER)
    training = manifest["split"] == "train"
    manifest.loc[training, "target"] = np.arange(training.sum()) % 2
    assert not any(probe.finds for probe in probed(manifest, GENDER, "accuracy").found)


def simple(values: list[float], targets: list[float]) -> pd.DataFrame:
    return pd.DataFrame({"x": values, "flat": 3.0, "target": targets})


def test_ridge_regression_by_hand() -> None:
    """Targets 2x in deviations: the weight is 2 sd / (1 + ridge), for the mean of x^2 is 1."""
    training = simple([-1.0, 1.0, -1.0, 1.0], [8.0, 12.0, 8.0, 12.0])
    for ridge in (0.01, 1.0):
        said = answers(YEARS, training, simple([1.0, 0.0], [0, 0]), ("x", "flat"), ridge)
        assert said == pytest.approx([10 + 2 / (1 + ridge), 10])


def test_logistic_regression_against_its_loss() -> None:
    draws = np.random.default_rng(2)
    x, ridge = draws.normal(size=40), 0.1
    y = (x + draws.normal(size=40) > 0).astype(np.int64)
    z = (x - x.mean()) / x.std()

    def loss(parameters: np.ndarray) -> float:
        weight, offset = parameters
        margins = (2 * y - 1) * (weight * z + offset)
        return float(np.logaddexp(0, -margins).mean() + ridge / 2 * weight**2)

    weight, offset = minimize(loss, [0.0, 0.0], tol=1e-12).x
    training, asked = simple(list(x), list(y)), simple([x[0], x[1]], [0, 0])
    odds = answers(DETECTION, training, asked, ("x",), ridge)
    assert odds == pytest.approx(weight * z[:2] + offset, abs=1e-4)
    shares = answers(GENDER, training, asked, ("x",), ridge)
    assert shares[:, 1] == pytest.approx(1 / (1 + np.exp(-odds)), abs=1e-12)


def test_the_unit_of_a_column_and_a_constant_one_change_nothing() -> None:
    training, asked = simple([1.0, 2.0, 4.0, 7.0], [0, 1, 0, 1]), simple([3.0], [0])
    scaled, scaled_asked = (table.assign(x=1000 * table["x"] - 7) for table in (training, asked))
    plain = answers(GENDER, training, asked, ("x",), 0.01)
    assert answers(GENDER, scaled, scaled_asked, ("x", "flat"), 0.01) == pytest.approx(plain, abs=1e-6)


def test_beyond_the_range_of_the_training_rows_is_its_end() -> None:
    training = simple([1.0, 2.0, 4.0, 7.0], [8.0, 9.0, 12.0, 15.0])
    said = answers(YEARS, training, simple([7.0, 1e6, 1.0, -1e6], [0] * 4), ("x",), 0.01)
    assert (said[0], said[2]) == (said[1], said[3])


def test_the_order_of_test_rows_and_a_second_time_change_no_bit() -> None:
    manifest = corpus("silence", GENDER, speakers=12)
    train, test = (manifest[manifest["split"] == split] for split in ("train", "test"))
    said = answers(GENDER, train, test, CLUES["silence"], 0.01)
    assert (answers(GENDER, train, test, CLUES["silence"], 0.01) == said).all()
    assert answers(GENDER, train, test[::-1], CLUES["silence"], 0.01)[::-1] == pytest.approx(said, abs=1e-12)


def test_a_class_without_a_training_row_gets_no_share() -> None:
    groups = tasks["age_group"]
    shares = answers(groups, simple([1.0, 2.0, 3.0, 5.0], [1, 4, 1, 4]), simple([2.0], [0]), ("x",), 0.01)
    assert shares.shape == (1, 6)
    assert shares.sum() == pytest.approx(1)
    assert np.flatnonzero(shares[0]).tolist() == [1, 4]


@pytest.mark.parametrize(
    ("training", "columns", "reason"),
    [
        (simple([1, 2], [0, 1]), ("x", "pauses"), "no column pauses: prepare the corpus again"),
        (simple([], []), ("x",), "no training rows"),
        (simple([1, 2], [1, 1]), ("x",), "of one class"),
        (simple([1, 2], [0, 1]), ("flat",), "all recordings are alike"),
        (simple([1, np.nan], [0, 1]), ("x",), "lacks numbers among x"),
    ],
)
def test_nothing_to_learn_from_has_a_reason(training: pd.DataFrame, columns: tuple[str, ...], reason: str) -> None:
    with pytest.raises(UndefinedError, match=reason):
        answers(GENDER, training, simple([1.0], [0]), columns, 0.01)


def test_reasons_stand_beside_the_probes_that_have_an_answer() -> None:
    found = probed(corpus("nothing", GENDER, speakers=12).drop(columns="pauses"), GENDER, "accuracy")
    assert [probe.name for probe in found.found] == ["duration probe", "channel probe", "energy probe"]
    assert found.reasons == {"silence probe": "the manifest has no column pauses: prepare the corpus again"}


def test_a_model_that_does_not_settle_has_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voxbench.reporting.probes.MOST_STEPS", 1)
    with pytest.raises(UndefinedError, match="did not settle"):
        answers(GENDER, simple([1.0, 2.0, 4.0, 7.0], [0, 1, 0, 1]), simple([3.0], [0]), ("x",), 0.01)


def test_separable_classes_settle() -> None:
    shares = answers(GENDER, simple([1.0, 2.0, 8.0, 9.0], [0, 0, 1, 1]), simple([1.0, 9.0], [0, 0]), ("x",), 1e-6)
    assert (shares[0, 1] < 0.01) & (shares[1, 1] > 0.99)
