"""Score files in whose rows several people are heard: people are drawn one by one, whatever the column calls them."""

import numpy as np
import pandas as pd
import pytest

from evaluation.rows import score_rows, settings
from evaluation.score_files import read, written
from voxbench.evaluation.calibrating import calibrated
from voxbench.evaluation.comparing import compare
from voxbench.evaluation.intervals import plan_of
from voxbench.evaluation.measuring import find
from voxbench.evaluation.row_metrics import measure_rows
from voxbench.metrics import METRICS, cluster_bootstrap
from voxbench.metrics.joint_clusters import heard
from voxbench.schema import InputError, ScoreKind
from voxbench.seeding import generator

PEOPLE = 8


def mixtures(rows=90, seed=3, classes=3):
    """Return who is in each row, how many they are, and what a system says, which hears some people better."""
    rng = np.random.default_rng(seed)
    members = [
        tuple(f"p{name}" for name in rng.choice(PEOPLE, 1 + row % classes, replace=False)) for row in range(rows)
    ]
    truth = np.arange(rows) % classes
    shares = rng.dirichlet(np.ones(classes), rows)
    clear = np.array(["p0" in row or "p1" in row for row in members])
    shares[clear] += 2 * np.eye(classes)[truth[clear]]
    return members, truth, shares / shares.sum(axis=1, keepdims=True)


def scored(members, truth, shares, **columns):
    names = tuple("123"[: shares.shape[1]])
    side = np.fromiter(members, dtype=object, count=len(members))
    return score_rows(ScoreKind.CLASSES, truth, shares, (side,), classes=names, id=np.arange(len(truth)), **columns)


def file_of(tmp_path, members, truth, shares, name="speaker"):
    table = pd.DataFrame(shares, columns=["p_1", "p_2", "p_3"]).assign(truth=truth + 1, **{name: members})
    return written(tmp_path, "scores.csv", table.to_csv(index=False))


def test_joined_names_are_several_people_and_the_notes_say_so(tmp_path):
    text = "truth,p_1,p_2,speaker\n1,0.5,0.5,a\n2,0.5,0.5,a+b\n"
    rows = read(ScoreKind.CLASSES, written(tmp_path, "s.csv", text))
    assert rows.speakers[0].tolist() == [("a",), ("a", "b")]
    assert [note for note in rows.notes if "several people heard at once" in note]
    alone = read(ScoreKind.CLASSES, written(tmp_path, "s.csv", text.replace("+b", "")))
    assert alone.speakers[0].tolist() == ["a", "a"]


def test_rows_of_a_manifest_say_who_is_heard():
    rows = pd.DataFrame({"speaker": ["a", "b+c", "c"], "speakers": [None, np.array(["b", "c"]), None]})
    assert heard(rows).tolist() == [("a",), ("b", "c"), ("c",)]
    assert heard(rows[["speaker"]]).tolist() == ["a", "b+c", "c"]
    assert heard(rows.assign(speakers=None)).tolist() == ["a", "b+c", "c"]


def test_every_interval_is_that_of_the_bootstrap_of_people():
    members, truth, shares = mixtures()
    rows, chosen = scored(members, truth, shares), settings(resamples=100)
    found = [each for each in measure_rows(rows, plan_of(rows, chosen.report, chosen.evaluation)) if each.interval]
    assert len(found) >= 8
    for each in found:
        expected = cluster_bootstrap(
            METRICS[each.name].function,
            members,
            truth,
            shares,
            resamples=100,
            level=0.9,
            generator=generator(7, "evaluate", "rows"),
        )
        assert each.interval.clusters == PEOPLE
        ends = (each.interval.low, each.interval.high)
        assert ends == pytest.approx((expected.low, expected.high), abs=1e-9), each.name


def test_a_resample_without_rows_is_undefined_and_no_error():
    members = [("a", "b"), ("c", "d")] * 3
    rows, chosen = scored(members, np.arange(6) % 3, mixtures(6)[2]), settings(max_undefined=0.9)
    found = {each.name: each for each in measure_rows(rows, plan_of(rows, chosen.report, chosen.evaluation))}
    # Nobody of either pair: more than half of the draws of four lack one of a pair, a fifth one of both.
    assert 50 < found["accuracy"].interval.undefined < 190


def test_groups_count_people_and_draw_them():
    members, truth, shares = mixtures()
    rows = scored(members, truth, shares, noise=np.where(np.arange(90) % 2, "high", "low"))
    found = find(rows, None, None, settings(groups=("noise",)))
    assert found.groups["clusters"].tolist() == [PEOPLE, PEOPLE]
    joined = score_rows(
        ScoreKind.CLASSES, truth, shares, (["+".join(row) for row in members],), classes=("1", "2", "3"),
        noise=rows.rows["noise"].to_numpy(),
    )  # fmt: skip
    narrow = find(joined, None, None, settings(groups=("noise",))).groups
    assert ((found.groups["high"] - found.groups["low"]) > (narrow["high"] - narrow["low"])).all()
    assert len(found.gaps) == 1


def test_two_systems_are_not_exchanged_for_rows_that_share_people():
    members, truth, shares = mixtures()
    first, second = scored(members, truth, shares), scored(members, truth, mixtures(seed=4)[2])
    found = [each for each in compare(first, second, settings()).differences if each.interval]
    assert len(found) >= 8
    for each in found:
        assert each.test == "bootstrap"
        assert each.interval.clusters == PEOPLE


def test_people_of_the_development_rows_are_looked_for_one_by_one():
    members, truth, shares = mixtures(classes=2)
    others = [tuple(name.replace("p", "q") for name in row) for row in members]
    others[1] = (others[1][0], "p5")
    development = scored(others, truth, shares, name="development.csv")
    development.rows["id"] += 1000
    found = calibrated(scored(members, truth, shares), development, settings())
    assert f"1 of {PEOPLE} speakers are in the development rows as well." in found.scored.notes
    assert all(each.interval is None and "several people are heard" in each.reason for each in found.measured)


def test_a_file_of_joined_names_is_evaluated_as_people(tmp_path):
    members, truth, shares = mixtures()
    rows = read(ScoreKind.CLASSES, file_of(tmp_path, ["+".join(row) for row in members], truth, shares))
    found = {each.name: each for each in find(rows, None, None, settings()).measured}
    assert found["accuracy"].interval.clusters == found["log_loss"].interval.clusters == PEOPLE


def test_a_row_without_a_name_among_several_is_refused():
    rows = scored([("a",), ("a", "b"), ()], np.arange(3), mixtures(3)[2])
    with pytest.raises(InputError, match="1 of 3 rows name no speaker"):
        find(rows, None, None, settings())
