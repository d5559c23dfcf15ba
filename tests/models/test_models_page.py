"""The page of networks names every one of them, with what it sees, and which give outputs for every few frames."""

import re
from pathlib import Path

import pytest

from voxbench.models import list_models, spec, stride_of

PAGE = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
ROWS = {
    row[0].strip("` "): [cell.strip() for cell in row[1:]]
    for row in (line.strip("|").split("|") for line in PAGE.splitlines() if line.startswith("| `"))
}


def test_the_page_has_the_families_and_no_other():
    assert list(ROWS) == sorted({spec(name).family for name in list_models()})


@pytest.mark.parametrize("family", ROWS)
def test_a_row_has_the_models_of_its_family_and_what_they_give(family):
    models, sees, gives, reference = ROWS[family]
    names = re.findall("`([^`]+)`", models)
    assert names == list_models(family)
    assert sees.split()[-1] == spec(names[0]).input_kind
    assert ("`transcription`" in gives) == (stride_of(names[0]) is not None)
    assert reference == spec(names[0]).reference
