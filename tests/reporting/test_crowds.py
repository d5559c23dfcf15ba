"""Groups and decisions where test rows are mixtures: drawn person by person, worked by the plain bootstrap."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from voxbench.evaluation.records import Measured
from voxbench.metrics import METRICS, UndefinedError, cluster_bootstrap
from voxbench.metrics.bayes import cllr
from voxbench.metrics.groups import by_group
from voxbench.metrics.weighted_detection import weighted_cllr
from voxbench.reporting.decisions import _measured
from voxbench.reporting.groups import group_errors
from voxbench.reporting.scored import Bootstrap, Scored, score
from voxbench.seeding import derive_seed, generator
from voxbench.tasks import tasks

TASK, PEOPLE = tasks["speaker_count_2"], 8
SETTINGS = SimpleNamespace(resamples=100, level=0.9, seed=1, bins={"snr_db": (10.0,)}, min_group_speakers=3)


@pytest.fixture
def mixtures() -> Scored:
    """Return 80 recordings of one or two of eight people, some of them noisy."""
    rng = np.random.default_rng(2)
    people = [[f"p{name}" for name in rng.choice(PEOPLE, 1 + row % 2, replace=False)] for row in range(80)]
    rows = pd.DataFrame(
        {"speaker": ["+".join(row) for row in people], "speakers": people, "snr_db": rng.normal(10, 5, 80)}
    )
    truth = np.arange(80) % 2
    shares = rng.dirichlet((1, 1), 80) + 0.3 * np.eye(2)[truth]
    return score(TASK, truth, shares / shares.sum(axis=1, keepdims=True), rows)


def test_groups_and_gaps_are_of_people(mixtures: Scored) -> None:
    table = group_errors(mixtures, SETTINGS, "counts")
    assert table["speakers"].tolist() == [PEOPLE, PEOPLE]
    words = pd.DataFrame({"signal-to-noise ratio": table["group"].iloc[(mixtures.rows["snr_db"] >= 10).astype(int)]})
    members = [tuple(names) for names in mixtures.rows["speakers"]]
    seed = derive_seed(SETTINGS.seed, "report", "counts")
    for clusters, same in ((members, True), (mixtures.rows["speaker"].to_numpy(), False)):
        found = by_group(
            mixtures.row_scores,
            words.reset_index(drop=True),
            clusters,
            min_clusters=3,
            resamples=100,
            level=0.9,
            seed=seed,
        )
        shown = table.sort_values("group")[["low", "high"]].to_numpy()
        own = found.sort_values("signal-to-noise ratio")[["low", "high"]].to_numpy()
        assert np.allclose(shown, own) == same
    assert table["gap_low"].notna().all()


def test_decisions_are_drawn_person_by_person(mixtures: Scored) -> None:
    llrs = np.log(mixtures.scores[:, 1] / mixtures.scores[:, 0])
    bound = Bootstrap("counts", SETTINGS, METRICS["accuracy"])
    found: Measured = _measured({"cllr": weighted_cllr}, llrs, mixtures, bound)["cllr"]

    def both_classes(scores: np.ndarray, truth: np.ndarray) -> float:
        if len(set(truth.tolist())) < 2:
            raise UndefinedError("one class")
        return cllr(scores, truth)

    expected = cluster_bootstrap(
        both_classes,
        [tuple(names) for names in mixtures.rows["speakers"]],
        llrs,
        mixtures.truth,
        resamples=100,
        level=0.9,
        generator=generator(1, "report", "counts", "decision"),
    )
    assert found.value == pytest.approx(cllr(llrs, mixtures.truth))
    assert (found.interval.low, found.interval.high) == pytest.approx((expected.low, expected.high))
    assert (found.interval.clusters, found.interval.undefined) == (PEOPLE, expected.undefined)
