"""Who speaks in each row: what intervals over speakers need, taken only from what a file says.

Several people are heard in a row whose `speaker` joins their names by `+`, as score tables of mixtures have it.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from voxbench.corpora.mixture_plan import JOINT
from voxbench.evaluation.joining import PAIR, keys_of
from voxbench.schema import InputError

SIDES = ("enroll_speaker", "test_speaker")
VOXCELEB_ID = r"^id[0-9]{5}$"


def speakers_of(table: pa.Table) -> tuple[tuple[np.ndarray, ...], tuple[str, ...]]:
    """Return the speakers of N rows: none, one array (N,), or two of the enroll and the test side; and notes.

    They are columns `enroll_speaker` and `test_speaker`, or `speaker`, of which a name with a `+` is a tuple of names,
    and so is then every other; of trials without these the first parts of the
    paths, as in VoxCeleb's lists, if these are equal just where the label says so. Raises InputError for a path of
    VoxCeleb whose label contradicts its speakers.
    """
    names = table.column_names
    for columns in (SIDES, ("speaker",)):
        if set(columns) <= set(names):
            return _complete(table, columns)
    if keys_of(table) != PAIR:
        return (), ("no column speaker: intervals cannot be over speakers",)
    if not all(pc.all(pc.match_substring(table[side], "/")).as_py() for side in PAIR):
        return (), ("no columns enroll_speaker and test_speaker, and no folder in the paths that names speakers",)
    enroll, test = (pc.list_element(pc.split_pattern(table[side], "/", max_splits=1), 0) for side in PAIR)
    wrong_N = pc.equal(enroll, test).to_numpy() != (table["label"].to_numpy() == 1)
    if not wrong_N.any():
        return (_strings(enroll), _strings(test)), ("speakers are the first folders of the paths",)
    row = int(wrong_N.argmax())
    trial = f"{table['enroll'][row].as_py()} {table['test'][row].as_py()}"
    if all(pc.all(pc.match_substring_regex(side, VOXCELEB_ID)).as_py() for side in (enroll, test)):
        raise InputError(
            f"label {table['label'][row].as_py()} of {trial}: the speakers are "
            f"{'different' if enroll[row] != test[row] else 'the same'}, and {int(wrong_N.sum()):,} labels contradict "
            "theirs; correct the list"
        )
    return (), (
        f"the first folders of the paths are not the speakers (label of {trial}): add enroll_speaker, test_speaker",
    )


def _complete(table: pa.Table, columns: tuple[str, ...]) -> tuple[tuple[np.ndarray, ...], tuple[str, ...]]:
    absent = sum(pc.sum(pc.fill_null(pc.equal(table[name], ""), True)).as_py() for name in columns)
    if absent:
        return (), (f"{absent:,} rows of {' and '.join(columns)} are empty: intervals cannot be over speakers",)
    sides = tuple(_strings(table[name]) for name in columns)
    if columns == SIDES or not any(JOINT in name for name in sides[0]):
        return sides, ()
    apart = (tuple(name.split(JOINT)) for name in sides[0])
    return (np.fromiter(apart, object, len(sides[0])),), (
        f"speaker names with a {JOINT} are those of several people heard at once",
    )


def _strings(column: pa.ChunkedArray) -> np.ndarray:
    return column.to_numpy(zero_copy_only=False).astype(object)
