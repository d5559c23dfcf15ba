"""What `voxbench evaluate` writes: the folder, the page, the record and the tables of every kind."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reporting.evaluation_findings import COSTS, EMPTY, ORIGIN, RESAMPLED, detection, findings_of, measured, plain
from reporting.reading import Page
from voxbench.evaluation.records import Findings, Measured
from voxbench.reporting.evaluation import (
    FIGURE_NAMES,
    STEPS,
    check_folder,
    curves,
    terminal_lines,
    tiles,
    write_evaluation,
)
from voxbench.reporting.evaluation_record import record_of
from voxbench.reporting.figures_evaluation import evaluation_figures
from voxbench.reporting.quantities import DASH
from voxbench.schema import InputError, ScoreKind

COMMON = {"index.html", "results.json", "results.md"}
WRITTEN = {
    ScoreKind.DETECTION: ({"det", "roc", "scores", "calibration", "groups"}, {"det.csv", "roc.csv"}),
    ScoreKind.CLASSES: ({"confusion", "roc", "reliability"}, {"roc.csv"}),
    ScoreKind.VALUE: ({"estimates"}, set()),
    ScoreKind.TEXT: ({"errors", "confusions"}, set()),
}


def write(findings: Findings, folder: Path) -> Path:
    write_evaluation(findings, COSTS, folder, lambda message: None)
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module", params=list(ScoreKind), ids=str)
def kind(request) -> ScoreKind:
    return request.param


@pytest.fixture(scope="module")
def folder(kind, tmp_path_factory) -> Path:
    return write(findings_of(kind), tmp_path_factory.mktemp("evaluation") / str(kind) / "new")


@pytest.fixture(scope="module")
def html(folder) -> str:
    return (folder / "index.html").read_text(encoding="utf-8")


def test_each_kind_has_its_files(kind, folder) -> None:
    figures, tables = WRITTEN[kind]
    assert set(content(folder)) == COMMON | tables | {f"figures/{name}.png" for name in figures}
    assert {f"{name}.png" for name in figures} <= FIGURE_NAMES


def test_equal_findings_give_equal_bytes(kind, folder, tmp_path) -> None:
    assert content(write(findings_of(kind), tmp_path)) == content(folder)


def test_progress_is_told_of_every_step(tmp_path) -> None:
    steps: list[str] = []
    write_evaluation(plain(ScoreKind.VALUE), COSTS, tmp_path, steps.append)
    assert len(steps) == STEPS


def test_the_page_is_well_formed_and_loads_nothing(html: str) -> None:
    page = Page(html)
    assert not page.open
    identifiers = [value for name, value in page.attributes if name == "id"]
    assert len(identifiers) == len(set(identifiers))
    assert not {"script", "link", "img", "iframe"} & set(page.tags)
    assert not [value for name, value in page.attributes if re.match(r"(?:https?:)?//", value)]
    assert "url(http" not in html


def test_the_page_states_the_list_its_hash_and_the_resampling(kind, html: str) -> None:
    page = " ".join(Page(html).texts)
    assert "Vox1-O, cleaned (sha256 0123456789ab)" in page
    assert ORIGIN.trials_sha256 in page
    assert RESAMPLED in page
    assert "read with care" in page
    assert "20 speakers" in page
    terms = {
        ScoreKind.DETECTION: "minDCF, actDCF",
        ScoreKind.CLASSES: "log loss, Brier score",
        ScoreKind.VALUE: "concordance",
        ScoreKind.TEXT: "word and character error rate",
    }
    assert all((words in page) == (each is kind) for each, words in terms.items())


def test_every_figure_says_its_n_and_what_it_shows(kind) -> None:
    for figure in evaluation_figures(findings_of(kind), COSTS):
        assert re.search(r"\d (?:trials|rows|utterances).* of 20 speakers", figure.says), figure.name
        assert len(figure.says.split(". ")) > 1


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


def test_the_record_is_strict_and_whole(kind, folder) -> None:
    record = json.loads((folder / "results.json").read_text(encoding="utf-8"), parse_constant=refuse)
    findings = findings_of(kind)
    assert record["kind"] == str(kind)
    assert record["origin"]["trials_sha256"] == ORIGIN.trials_sha256
    assert record["origin"]["is_cleaned"] is True
    assert record["rows"] == len(findings.scored.columns[0])
    assert record["speakers"] == 20
    assert [each["name"] for each in record["metrics"]] == [each.name for each in findings.measured]
    first = findings.measured[0]
    assert record["metrics"][0] == {
        "name": first.name, "value": first.value, "low": first.interval.low, "high": first.interval.high, "level": 0.95,
        "clusters": 20, "resamples": 2000, "undefined": 3, "reason": "",
    }  # fmt: skip
    assert set(record["versions"]) >= {"voxbench", "numpy"}


def test_the_record_holds_groups_gaps_calibration_and_thresholds() -> None:
    record = record_of(detection())
    assert record["metrics"][3] == {"name": "auc", "value": None, "reason": "nobody knows"} | dict.fromkeys(
        ("low", "high", "level", "clusters", "resamples", "undefined")
    )
    assert [each["value"] for each in record["groups"]] == [0.02, 0.2, None]
    assert record["worst"][0]["group"] == "A08"
    assert record["gaps"][0]["chance"] == 0.05
    calibrated = record["calibrated"]
    assert calibrated["calibration"] == {"kind": "affine", "scale": 2.0, "offset": -1.0, "weights": {}}
    assert calibrated["development"]["scores"] == "dev.txt"
    assert [each["name"] for each in calibrated["thresholds"]] == ["bayes", "strict"]
    assert calibrated["thresholds"][0]["threshold"]["value"] == 0.0
    assert calibrated["thresholds"][0]["p_fa"]["value"] == 0.125


def test_names_from_files_cannot_act_on_the_page(tmp_path) -> None:
    hostile = '<img src=x onerror=alert(1)>|`"&\u202e$x$.txt'
    findings = detection(classes=("<b>spoof", "$real$"))
    origin = replace(ORIGIN, scores=hostile, trials=hostile)
    scored = replace(findings.scored, origin=origin, notes=(hostile,))
    groups = findings.groups.assign(group=[hostile, "A08", "A09"])
    folder = write(replace(findings, scored=scored, groups=groups, calibrated=None), tmp_path)
    html = (folder / "index.html").read_text(encoding="utf-8")
    assert "<img" not in html
    assert "\u202e" not in html
    assert not Page(html).open
    table = [line for line in (folder / "results.md").read_text(encoding="utf-8").splitlines() if "onerror" in line]
    assert table
    assert not any(re.search(r"(?<!\\)[<`]", line) for line in table)


def test_without_one_class_there_are_histograms_and_reasons(tmp_path) -> None:
    scored = plain(ScoreKind.CLASSES).scored
    alone = replace(scored, kind=ScoreKind.DETECTION, columns=(np.arange(9.0), np.ones(9, dtype=int)), speakers=())
    reason = "the equal error rate needs both classes: found 9 targets and 0 nontargets"
    findings = Findings(alone, (Measured("eer", None, None, reason),), "No intervals.", EMPTY, EMPTY, EMPTY, None)
    written = content(write(findings, tmp_path))
    assert set(written) == COMMON | {"figures/scores.png"}
    assert reason in written["index.html"].decode()
    assert "speakers unknown" in written["results.md"].decode()


def test_perfect_and_constant_scores_can_be_drawn(tmp_path) -> None:
    base = detection(50)
    for name, scores in {"perfect": base.scored.columns[1] * 1.0, "constant": np.zeros(100)}.items():
        scored = replace(base.scored, columns=(scores, base.scored.columns[1]))
        found = replace(base, scored=scored, groups=EMPTY, worst=EMPTY, gaps=EMPTY, calibrated=None)
        assert "figures/det.png" in content(write(found, tmp_path / name))


def test_the_tiles_leave_out_what_has_a_reason_against_it() -> None:
    assert tiles(detection()) == [
        ("22.65\u202f%", "EER, 95\u00a0% interval 20.00 to 25.00"),
        ("0.7500", "minDCF (p_target = 0.01), 95\u00a0% interval 0.7000 to 0.8000"),
    ]


def test_one_custom_of_the_equal_error_rate_is_enough_for_the_tiles() -> None:
    names = ("eer_asvspoof", "eer", "eer_rocch", "min_dcf(p_target=0.01)", "min_dcf(p_target=0.05)")
    found = tiles(replace(detection(), measured=tuple(measured(name, 0.5, 0.4, 0.6) for name in names)))
    assert [words.partition(",")[0] for _, words in found] == ["EER (ASVspoof)", "minDCF (p_target = 0.01)"]


def test_the_terminal_shows_value_interval_and_list() -> None:
    lines = terminal_lines(detection())
    assert lines[0] == "600 trials (300 bonafide, 300 spoof) of 20 speakers; Vox1-O, cleaned (sha256 0123456789ab)"
    assert lines[1].split() == ["EER", "22.65", "%", "20.00", "to", "25.00"]
    assert lines[4].split() == ["AUC", DASH, DASH]
    assert lines[-1] == RESAMPLED


def test_a_folder_with_other_files_is_refused_and_left_alone(tmp_path) -> None:
    (tmp_path / "thesis.docx").write_text("years of work")
    with pytest.raises(InputError, match=r"holds 'thesis.docx', which `voxbench evaluate` did not write"):
        write(plain(ScoreKind.VALUE), tmp_path)
    assert set(content(tmp_path)) == {"thesis.docx"}


@pytest.mark.parametrize("name", ["figures/mine.png", "figures/old/det.png", "det.csv/x"])
def test_other_files_among_the_own_are_refused(tmp_path, name) -> None:
    write(plain(ScoreKind.VALUE), tmp_path)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    with pytest.raises(InputError, match="did not write"):
        write(plain(ScoreKind.VALUE), tmp_path)
    assert (tmp_path / name).read_text() == "mine"


def test_links_are_not_followed(tmp_path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "det.png").write_text("mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "figures").symlink_to(tmp_path / "elsewhere")
    for folder in (tmp_path / "out", tmp_path / "out" / "figures"):
        with pytest.raises(InputError, match=r"did not write|is a file or a link"):
            check_folder(folder)
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "det.csv").symlink_to(tmp_path / "elsewhere" / "det.png")
    with pytest.raises(InputError, match=r"holds 'det\.csv'"):
        check_folder(tmp_path / "linked")
    assert (tmp_path / "elsewhere" / "det.png").read_text() == "mine"


def test_what_an_earlier_run_wrote_is_cleared(tmp_path) -> None:
    (tmp_path / "figures").mkdir()
    for name in ("det.csv", "figures/det.png", "figures/estimates.png", "index.html", "results.json.partial"):
        (tmp_path / name).write_text("of an earlier run")
    write(plain(ScoreKind.VALUE), tmp_path)
    assert set(content(tmp_path)) == COMMON | {"figures/estimates.png"}


def test_the_curves_are_those_of_the_scores() -> None:
    findings = detection(40)
    det, roc = curves(findings).values()
    scores, labels = findings.scored.columns
    for row in det.itertuples():
        assert row.p_miss == (scores[labels == 1] < row.threshold).mean()
        assert row.p_fa == (scores[labels == 0] >= row.threshold).mean()
    assert np.isinf(det["threshold"].iloc[-1])
    assert roc.iloc[-1, 1:].tolist() == [1.0, 1.0]
    assert roc["true_positive_rate"].tolist() == pytest.approx((1 - det["p_miss"][::-1]).tolist())
