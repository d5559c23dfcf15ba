"""The stored decision on the test rows: numbers by hand, intervals by the plain bootstrap, and what is missing."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from reporting.project import GENDER
from reporting.reading import cell, rows_of
from voxbench.evaluation.decisions import fit_decision, read_decision, write_decision
from voxbench.metrics import cluster_bootstrap
from voxbench.metrics.bayes import cllr, min_cllr
from voxbench.reporting.evidence import Evidence
from voxbench.reporting.exports import summary
from voxbench.reporting.page import chapter
from voxbench.reporting.tables_decisions import decision_tables
from voxbench.schema import InputError
from voxbench.seeding import generator
from voxbench.stages.report import report
from voxbench.stages.workspace import Workspace

DASH = "\u2013"


def folder_of(workspace: Workspace, evidence: Evidence) -> Path:
    return workspace.models(evidence.name) / evidence.validated.model


def rows_tested(folder: Path) -> pd.DataFrame:
    """Return the test rows with their log odds and, by the file alone, their log-likelihood ratios."""
    table = pd.read_parquet(folder / "scores.parquet")
    table = table[table["split"] == "test"].reset_index(drop=True)
    record = json.loads((folder / "decision.json").read_text())["calibration"]
    score = np.log(table["p_male"] / table["p_female"])
    return table.assign(score=score, llr=record["scale"] * score + record["offset"])


def bits(llr: pd.Series, is_male: pd.Series) -> float:
    """Return Cllr as its definition says."""
    return float((np.log2(1 + np.exp(-llr[is_male])).mean() + np.log2(1 + np.exp(llr[~is_male])).mean()) / 2)


def rates(table: pd.DataFrame, threshold: float) -> tuple[float, float]:
    is_male = table["truth"] == 1
    return float((table["llr"][is_male] < threshold).mean()), float((table["llr"][~is_male] >= threshold).mean())


def test_the_figures_are_those_of_the_stored_record(evidence: Evidence, finished: Workspace) -> None:
    folder = folder_of(finished, evidence)
    table, thresholds = rows_tested(folder), json.loads((folder / "decision.json").read_text())["thresholds"]
    is_male, found = table["truth"] == 1, evidence.decisions
    assert found.model == evidence.validated.model
    assert found.cllrs["cllr_before"].value == pytest.approx(bits(table["score"], is_male))
    assert found.cllrs["cllr"].value == pytest.approx(bits(table["llr"], is_male))
    assert found.cllrs["min_cllr"].value == pytest.approx(min_cllr(table["llr"], table["truth"]))
    assert {each.name for each in found.decided} == set(thresholds) == set(finished.params.decisions.policies)
    for each in found.decided:
        expected = rates(table, thresholds[each.name]["value"])
        assert (each.p_miss.value, each.p_fa.value) == pytest.approx(expected)
    assert len({(each.p_miss.value, each.p_fa.value) for each in found.decided}) > 1


def test_intervals_are_those_of_the_plain_bootstrap_over_speakers(evidence: Evidence, finished: Workspace) -> None:
    table, found = rows_tested(folder_of(finished, evidence)), evidence.decisions
    served = found.served.threshold.value

    def missed(llrs: np.ndarray, truth: np.ndarray) -> float:
        return float((llrs[truth == 1] < served).mean()) if (truth == 1).any() else np.nan

    references = {
        "cllr_before": (cllr, table["score"], found.cllrs["cllr_before"]),
        "cllr": (cllr, table["llr"], found.cllrs["cllr"]),
        "min_cllr": (min_cllr, table["score"], found.cllrs["min_cllr"]),
        "p_miss": (missed, table["llr"], found.served.p_miss),
    }
    for name, (statistic, scores, measured) in references.items():
        reference = cluster_bootstrap(
            statistic,
            table["speaker"],
            scores,
            table["truth"],
            resamples=evidence.settings.resamples,
            level=evidence.settings.level,
            generator=generator(evidence.settings.seed, "report", evidence.name, "decision"),
        )
        assert measured.interval.low == pytest.approx(reference.low), name
        assert measured.interval.high == pytest.approx(reference.high), name
        assert measured.interval.clusters == reference.clusters == 8
        assert measured.interval.undefined == reference.undefined > 0, "some resamples have no man"
        assert measured.interval.low < measured.value < measured.interval.high


def test_the_tables_show_them_and_mark_the_policy_that_is_served(evidence: Evidence) -> None:
    calibration, policies = decision_tables(evidence)
    found = evidence.decisions
    for row, name in (("before calibration", "cllr_before"), ("after calibration", "cllr"), ("the least", "min_cllr")):
        [full] = [each for each in rows_of(calibration) if each.startswith(row)]
        interval = found.cllrs[name].interval
        assert cell(calibration, full, "Cllr") == f"{interval.estimate:.4f} [{interval.low:.4f}, {interval.high:.4f}]"
    for each in found.decided:
        assert cell(policies, each.name, "threshold") == f"{each.threshold.value:.3f}".replace("-", "\u2212")
        for column, fitted, measured in (
            ("misses", each.threshold.p_miss, each.p_miss),
            ("false alarms", each.threshold.p_fa, each.p_fa),
        ):
            found_there = [100 * number for number in (measured.value, measured.interval.low, measured.interval.high)]
            assert cell(policies, each.name, f"{column} (%), validation") == f"{100 * fitted:.1f}"
            shown = "{:.1f} [{:.1f}, {:.1f}]".format(*found_there)
            assert cell(policies, each.name, f"{column} (%), test") == shown
    assert [row.cells[0] for row in policies.rows if row.marked] == ["bayes"]
    asked = {row.cells[0]: row.cells[1] for row in policies.rows}
    assert asked == {
        "equal": "misses as frequent as false alarms",
        "bayes": "least expected cost at p = 0.5, c_miss = 1, c_fa = 1",
        "few-alarms": "at most 10 % false alarms",
    }
    assert "fitted on 32 validation clips of 8 speakers" in calibration.says
    assert (calibration.notes, policies.notes) == ((), ())


def test_metrics_json_has_the_figures_of_the_policy_that_is_served(evidence: Evidence) -> None:
    numbers, found = summary(evidence), evidence.decisions
    expected = {name: each.value for name, each in found.cllrs.items()}
    expected |= {"p_miss": found.served.p_miss.value, "p_fa": found.served.p_fa.value}
    assert {name: numbers[name] for name in expected} == expected
    assert found.served.name == "bayes"


def test_the_report_follows_the_file_and_fits_nothing(changed: Workspace, evidence: Evidence, gather) -> None:
    path = folder_of(changed, evidence) / "decision.json"
    record = json.loads(path.read_text())
    record["calibration"]["offset"] += 1.5
    record["thresholds"]["bayes"]["value"] = -0.25
    path.write_text(json.dumps(record))
    table, found = rows_tested(path.parent), gather(changed).decisions
    assert found.served.threshold.value == -0.25
    assert (found.served.p_miss.value, found.served.p_fa.value) == pytest.approx(rates(table, -0.25))
    assert found.cllrs["cllr"].value == pytest.approx(bits(table["llr"], table["truth"] == 1))
    assert found.cllrs["cllr_before"] == evidence.decisions.cllrs["cllr_before"]
    assert found.cllrs["min_cllr"] == evidence.decisions.cllrs["min_cllr"]


def test_other_policies_in_params_change_nothing_until_finetune_runs(finished: Workspace, evidence, gather) -> None:
    other = finished.params.decisions.model_copy(update={"policy": "equal"})
    params = finished.params.model_copy(update={"decisions": other})
    again = gather(Workspace(finished.root, params))
    assert again.decisions == evidence.decisions


def test_an_undefined_fit_is_a_dash_with_its_reason(changed: Workspace, evidence: Evidence, gather) -> None:
    path = folder_of(changed, evidence) / "decision.json"
    reason = "on validation rows: <b>the scores</b> do not rise"
    record = json.loads(path.read_text()) | {"calibration": None, "thresholds": {}, "reason": reason}
    path.write_text(json.dumps(record))
    undecided = gather(changed)
    calibration, policies = decision_tables(undecided)
    assert cell(calibration, "before calibration", "Cllr") != DASH
    assert rows_of(calibration)["after calibration"][1] == DASH
    assert f"after calibration: {reason}" in calibration.notes
    assert {row.cells[2:] for row in policies.rows} == {(DASH,) * 5}
    assert policies.notes == (f"no threshold, and no decision in serving: {reason}",)
    assert {"p_miss", "p_fa", "cllr"}.isdisjoint(summary(undecided))
    assert "cllr_before" in summary(undecided)
    report(changed)
    html = (changed.reports / "index.html").read_text(encoding="utf-8")
    assert reason.replace("<", "&lt;").replace(">", "&gt;") in html
    assert reason not in html


def test_one_class_of_test_rows_has_half_of_the_rates(planned, gather) -> None:
    found = gather(planned(one_class_test=True))
    calibration, policies = decision_tables(found)
    assert {row.cells[1:] for row in calibration.rows} == {(DASH,)}
    needs = "a class that it needs has no test clip: found 0 of the positive class and 32 of the other"
    assert all(needs in note for note in calibration.notes)
    assert len(calibration.notes) == 3
    for row in policies.rows:
        assert row.cells[4] == DASH
        assert DASH not in (row.cells[3], *row.cells[5:])
    assert policies.notes == tuple(f"{name}: {needs}" for name in ("bayes", "equal", "few-alarms"))


def test_tasks_without_thresholds_have_no_section(age_evidence: Evidence, age_group_evidence: Evidence) -> None:
    for evidence in (age_evidence, age_group_evidence):
        assert evidence.decisions is None
        assert chapter(evidence, with_trials=False).decisions == ()
        assert {"cllr", "cllr_before", "min_cllr", "p_miss", "p_fa"}.isdisjoint(summary(evidence))


def test_a_model_without_its_decision_names_the_stage(changed: Workspace, evidence: Evidence, gather) -> None:
    (folder_of(changed, evidence) / "decision.json").unlink()
    with pytest.raises(InputError, match=r"no decision\.json in .*: run the finetune stage again"):
        gather(changed)


def test_seconds_are_those_of_the_manifest(changed: Workspace, evidence: Evidence, gather) -> None:
    folder, path = folder_of(changed, evidence), changed.prepared("voxceleb1") / "manifest.parquet"
    manifest = pd.read_parquet(path)
    seconds = dict(zip(manifest["id"], np.linspace(1, 9, len(manifest)), strict=True))
    weighed = changed.params.decisions.calibration.model_copy(update={"quality": "kept_seconds"})
    settings = changed.params.decisions.model_copy(update={"calibration": weighed})
    table = pd.read_parquet(folder / "scores.parquet")
    table["score"], table["seconds"] = np.log(table["p_male"] / table["p_female"]), table["id"].map(seconds)
    valid, test = (table[table["split"] == split] for split in ("valid", "test"))
    fitted = fit_decision(
        settings, ("female", "male"), valid["score"], valid["truth"], valid["speaker"], valid["seconds"]
    )
    write_decision(folder, fitted)
    with pytest.raises(InputError, match="quality is 'kept_seconds', but nothing says it"):
        gather(changed)
    manifest.assign(kept_seconds=manifest["id"].map(seconds)).sample(frac=1, random_state=1).to_parquet(path)
    found = gather(changed).decisions.cllrs["cllr"].value
    assert found == pytest.approx(cllr(read_decision(folder).llrs(test["score"], test["seconds"]), test["truth"]))
    assert found != pytest.approx(evidence.decisions.cllrs["cllr"].value)


def test_equal_evidence_gives_equal_figures(finished: Workspace, evidence: Evidence, gather) -> None:
    assert gather(finished, GENDER).decisions == evidence.decisions
