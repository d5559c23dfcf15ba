"""The shipped `params.yaml` under `dvc exp run -S`: a value that is set for one row changes in no other."""

import shutil

import pytest
from dvc.utils.hydra import apply_overrides
from ruamel.yaml import YAML

from tiny import PROJECT

SHIPPED = PROJECT / "params.yaml"


def values(path) -> dict[str, object]:
    """Return every value by its place."""

    def walk(node, place):
        if isinstance(node, dict) and node:
            for key, value in node.items():
                yield from walk(value, f"{place}.{key}" if place else key)
        else:
            yield place, node

    return dict(walk(YAML(typ="safe").load(path.read_text(encoding="utf-8")), ""))


ROWS = ("corpora", "mixtures", "benchmarks", "studies", "twins")
# The last number of each mapping: its neighbours are set in the same way.
PLACES = list(
    {
        place.rpartition(".")[0]: place
        for place, value in values(SHIPPED).items()
        if place.split(".")[0] in ROWS and isinstance(value, int | float)
    }.values()
)


@pytest.mark.parametrize("place", PLACES)
def test_setting_one_value_of_a_row_changes_nothing_else(tmp_path, place):
    before, copy = values(SHIPPED), tmp_path / "params.yaml"
    shutil.copy(SHIPPED, copy)
    apply_overrides(copy, [f"{place}=7"])
    after = values(copy)
    assert {key for key in before | after if before.get(key) != after.get(key)} == {place}


def test_rows_of_every_kind_are_tried():
    assert {place.split(".")[0] for place in PLACES} == set(ROWS)
    assert len(PLACES) > 20
