"""The table of networks on lists of trials: each cell by hand, dashes with their reasons, and no section without it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from reporting.paired_project import SKILLS, VERIFY, write_paired
from reporting.reading import Page
from voxbench.reporting.page import Crossed, render
from voxbench.reporting.quantities import DASH
from voxbench.reporting.tables_lists import crossed_lists_table, identities_table, read_identities, read_lists
from voxbench.reporting.tables_overview import read_matrix
from voxbench.stages.report import gather_benchmark

LOST = "3 of 403 trials are lost with their recordings (3 unreadable)"
KNOWN = "9 of 36 speakers of the list are people of vox that the network was trained or validated on"
HOSTILE, SHOWN = "lists/<b>\u202eall</b>.txt", "lists/<b>\\u202eall</b>.txt"


def rows(corpus, name, is_cleaned, note, **values):
    about = {"benchmark": VERIFY, "task": "verification", "model": "ecapa_tdnn_64", "trained_on": "vox"}
    about |= {"corpus": corpus, "list": f"{name}.txt", "name": name, "is_cleaned": is_cleaned, "sha256": "0" * 64}
    counts = dict(
        zip(("trials", "targets", "speakers", "lost"), (400, 200, 36, 3) if values else (0,) * 4, strict=True)
    )
    for metric, value in (values or {"eer": np.nan}).items():
        bounds = {"value": value, "low": value - 0.0512, "high": value + 0.0634}
        yield about | counts | {"metric": metric} | bounds | {"note": note}


@pytest.fixture
def folder(tmp_path):
    """Return a folder of the cross stage: a list with three metrics, one without ratios, and one that leaks."""
    found = [
        *rows("own", "Vox1-O", True, "", eer=0.12345, **{"min_dcf(p_target=0.01)": 0.56789, "cllr": 0.4}),
        *rows("other", HOSTILE, None, LOST, eer=0.25, **{"min_dcf(p_target=0.01)": 0.9, "cllr": np.nan}),
        *rows("own", "Vox1-H", False, KNOWN),
    ]
    found[5]["note"] = f"{LOST}; one class"
    pd.DataFrame(found).to_csv(tmp_path / "trials.csv", index=False)
    return tmp_path


@pytest.fixture(scope="module")
def evidence(tmp_path_factory):
    return gather_benchmark(write_paired(tmp_path_factory.mktemp("pairs"), SKILLS, listed=True), VERIFY)


def test_a_network_on_a_list_is_a_row(folder):
    table = crossed_lists_table(read_lists(folder), "95 %")
    assert table.columns == (
        *("benchmark", "model", "tested on", "list", "form", "EER (%)", "interval", "minDCF (p_target = 0.01)"),
        *("Cllr (bits)", "trials", "targets", "speakers", "lost"),
    )
    counts = ("400", "200", "36", "3")
    assert [row.cells[1:] for row in table.rows] == [
        ("ecapa_tdnn_64", "own", "Vox1-O", "cleaned", "12.35", "7.23 to 18.69", "0.5679", "0.4000", *counts),
        ("ecapa_tdnn_64", "other", SHOWN, DASH, "25.00", "19.88 to 31.34", "0.9000", DASH, *counts),
        ("ecapa_tdnn_64", "own", "Vox1-H", "original", *[DASH] * 4, *["0"] * 4),
    ]
    assert {row.cells[0] for row in table.rows} == {VERIFY}
    assert "(95 %, over the speakers of both sides) is that of EER (%)" in table.says


def test_what_is_said_of_one_metric_names_it(folder):
    table = crossed_lists_table(read_lists(folder), "95 %")
    assert table.notes == (
        f"{VERIFY} on {SHOWN} of other, EER, minDCF (p_target = 0.01): {LOST}",
        f"{VERIFY} on {SHOWN} of other, Cllr: {LOST}; one class",
        f"{VERIFY} on Vox1-H of own: {KNOWN}",
    )


def test_the_page_has_the_table_without_a_matrix_and_nothing_is_trusted(evidence, folder, monkeypatch):
    monkeypatch.setattr("voxbench.reporting.page.figures_of", lambda evidence: {})
    page = Page(render([evidence], Crossed.read(folder)))
    assert not page.open
    text = " ".join(page.texts)
    assert "Across corpora" in text
    assert "Verification on other lists" in text
    assert "Trained on one corpus, tested on another" not in text
    assert "<b>" in text
    assert "nan" not in text.lower().split()


def test_without_the_file_there_is_no_table_and_no_section(evidence, tmp_path, monkeypatch):
    monkeypatch.setattr("voxbench.reporting.page.figures_of", lambda evidence: {})
    assert crossed_lists_table(read_lists(tmp_path), "95 %").rows == ()
    page = Page(
        render(
            [evidence],
            Crossed.read(tmp_path),
        )
    )
    assert "Across corpora" not in page.texts


@pytest.fixture
def named(tmp_path):
    """Return a folder of the cross stage: a network names speakers of one corpus, and in another nobody is enrolled."""
    about = {"benchmark": VERIFY, "task": "verification", "model": "ecapa_tdnn_64", "trained_on": "vox"}
    counts = {"enrolled": 36, "clips": 72, "tests": 1030, "speakers": 30, "lost": 2}
    own = about | {"corpus": "own"} | counts
    nobody = about | {"corpus": "other"} | dict.fromkeys(counts, 0)
    found = [
        own | {"metric": "rank_accuracy(k=1)", "value": 0.66667, "low": 0.49917, "high": 0.8333, "note": ""},
        own | {"metric": "rank_accuracy(k=5)", "value": 0.9667, "low": np.nan, "high": np.nan, "note": "one speaker"},
        *(nobody | {"metric": f"rank_accuracy(k={k})", "value": np.nan, "note": "nobody"} for k in (1, 5)),
    ]
    pd.DataFrame(found).to_csv(tmp_path / "identification.csv", index=False)
    return tmp_path


def test_a_network_that_names_speakers_is_a_row(named):
    table = identities_table(read_identities(named), "95 %")
    assert table.columns[3:7] == ("rank 1 (%)", "interval", "rank 5 (%)", "interval")
    assert [row.cells[2:] for row in table.rows] == [
        ("own", "66.7", "49.9 to 83.3", "96.7", DASH, "36", "1\N{NARROW NO-BREAK SPACE}030", "30", "2"),
        ("other", *[DASH] * 4, *["0"] * 4),
    ]
    assert table.notes == (
        f"{VERIFY} on own, rank 5: one speaker",
        f"{VERIFY} on other: nobody",
    )


def test_who_speaks_is_shown_with_the_lists(evidence, folder, named, monkeypatch):
    monkeypatch.setattr("voxbench.reporting.page.figures_of", lambda evidence: {})
    matrix = read_matrix(folder)
    assert (
        "Who is it?"
        in Page(
            render([evidence], replace(Crossed.read(folder), matrix=matrix, identities=read_identities(named)))
        ).texts
    )
    (named / "identification.csv").unlink()
    page = Page(render([evidence], replace(Crossed.read(folder), matrix=matrix, identities=read_identities(named))))
    assert "Who is it?" not in page.texts
    assert "Verification on other lists" in page.texts
