"""Tables of countermeasures on other corpora: rows by hand, dashes, notes."""

import pandas as pd

from voxbench.reporting.quantities import DASH
from voxbench.reporting.tables_spoofing import (
    read_spoofing,
    read_spoofing_groups,
    spoofing_groups_table,
    spoofing_table,
)

ABOUT = {"benchmark": "spoof-la", "model": "aasist", "trained_on": "la", "form": "as recorded"}
COUNTS = {"clips": 100, "bonafide": 20, "speakers": 10, "attacks": 7, "unknown_attacks": 7, "lost": 1}
AT_HOME = ABOUT | COUNTS | {"corpus": "la", "worst_attack": "A17", "worst_eer": 0.25, "note": ""}
KNOWN = ABOUT | dict.fromkeys(COUNTS, 0) | {"corpus": "df", "worst_attack": None, "worst_eer": None}


def measures():
    return pd.DataFrame(
        [
            AT_HOME | {"metric": "eer_asvspoof", "value": 0.125, "low": 0.1, "high": 0.2},
            AT_HOME | {"metric": "cllr", "value": 0.5, "low": 0.4, "high": 0.6},
            KNOWN
            | {"metric": "eer_asvspoof", "value": None, "low": None, "high": None, "note": "3 of 9 people are known"},
        ]
    )


def test_a_row_for_each_corpus_and_form_with_its_worst_attack():
    table = spoofing_table(measures(), "95 %")
    at_home, known = table.rows
    assert (at_home.marked, known.marked) == (True, False)
    assert at_home.cells[:6] == ("spoof-la", "aasist", "la", "as recorded", "12.50", "10.00 to 20.00")
    assert at_home.cells[-8:] == ("A17", "25.00", "7", "7", "20", "100", "10", "1")
    assert known.cells[4:7] == (DASH, DASH, DASH)
    assert len(at_home.cells) == len(table.columns) == len(known.cells)
    assert table.notes == ("spoof-la on df, as recorded: 3 of 9 people are known",)


def test_groups_are_of_other_corpora_alone_and_small_ones_have_no_figures():
    group = {"benchmark": "spoof-la", "model": "aasist", "trained_on": "la", "metric": "eer_asvspoof", "note": ""}
    groups = pd.DataFrame(
        [
            group
            | {"corpus": "la", "by": "attack", "group": "A07", "rows": 40, "clusters": 10}
            | {"value": 0.1, "low": 0.0, "high": 0.2},
            group
            | {"corpus": "df", "by": "codec", "group": "low_mp3", "rows": 40, "clusters": 10}
            | {"value": 0.25, "low": 0.2, "high": 0.5},
            group
            | {"corpus": "df", "by": "codec", "group": "low_ogg", "rows": 8, "clusters": 2}
            | {"value": None, "low": None, "high": None},
        ]
    )
    figures, small = spoofing_groups_table(groups, "95 %").rows
    assert figures.cells == ("spoof-la", "df", "codec", "low_mp3", "25.00", "20.00 to 50.00", "40", "10")
    assert small.cells == ("spoof-la", "df", "codec", "low_ogg", DASH, DASH, "8", "2")


def test_nothing_written_is_a_table_without_rows(tmp_path):
    assert spoofing_table(read_spoofing(tmp_path), "95 %").rows == ()
    assert spoofing_groups_table(read_spoofing_groups(tmp_path), "95 %").rows == ()


def test_what_was_written_is_read_back(tmp_path):
    measures().to_csv(tmp_path / "spoofing.csv", index=False)
    assert spoofing_table(read_spoofing(tmp_path), "95 %") == spoofing_table(measures(), "95 %")
