"""The words of labels: the two sides of a detection, and which of them is the target; the classes of a classification.

| nontarget | target   | used by                                          |
|-----------|----------|--------------------------------------------------|
| nontarget | target   | Kaldi's trial lists                              |
| imp       | tgt      | NIST's keys                                      |
| impostor  | genuine  | lists of speaker verification                    |
| spoof     | bonafide | ASVspoof since 2019                              |
| spoof     | genuine  | ASVspoof 2015 and 2017                           |
| 0, false  | 1, true  | VoxCeleb's lists, arrays; what they mean, the task says |

Case does not matter.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from voxbench.registry import closest
from voxbench.schema import BONAFIDE, InputError

SPEAKER_VERIFICATION, ANTI_SPOOFING = "speaker_verification", "anti_spoofing"
TASKS = (SPEAKER_VERIFICATION, ANTI_SPOOFING)
SPOOF = "spoof"
VERIFIED = ("nontarget", "target")
COUNTERED = (SPOOF, BONAFIDE)
PAIRS = (VERIFIED, ("imp", "tgt"), ("impostor", "genuine"), COUNTERED, (SPOOF, "genuine"))
NUMBERED = (("0", "1"), ("false", "true"), ("0.0", "1.0"))
LABEL_WORDS = pa.array(sorted({word for pair in (*PAIRS, *NUMBERED) for word in pair}))
OF_TASK = {
    SPEAKER_VERIFICATION: (VERIFIED, ("imp", "tgt"), ("impostor", "genuine")),
    ANTI_SPOOFING: (COUNTERED, (SPOOF, "genuine")),
}


def are_label_words(column: pa.ChunkedArray) -> bool:
    """Tell whether every field of a column of strings is one of the words."""
    # The first field of nearly every other column is none, which spares a look at millions.
    return all(
        pc.all(pc.is_in(pc.utf8_lower(part), LABEL_WORDS)).as_py() for part in (column.slice(0, 1), column) if len(part)
    )


def label_numbers(words: pa.ChunkedArray, origin: str, task: str | None) -> tuple[np.ndarray, tuple[str, str]]:
    """Return labels (N,), 1 of targets and 0 of nontargets, and the words for 0 and 1.

    `words` are in lower case. Numbers and truth values stand for nontarget and target, or for spoof and bonafide where
    the task is anti-spoofing. Raises InputError, which begins with `origin`, for other words, words of two
    conventions, more than two, and words that contradict the task.
    """
    found = sorted(str(word) for word in pc.unique(words).to_pylist())
    if unknown := [word for word in found if word not in LABEL_WORDS.to_pylist()]:
        place = pc.index(words, unknown[0]).as_py()
        raise InputError(
            f"{origin}: label {unknown[0]!r} in row {place + 1}{closest(unknown[0], LABEL_WORDS.to_pylist())}; "
            f"{_expected(task)}"
        )
    pair = next((pair for pair in _possible(task) if set(found) <= set(pair)), None)
    if pair is None:
        raise InputError(f"{origin}: labels are {', '.join(found)}; {_expected(task)}")
    classes = pair if pair in PAIRS else COUNTERED if task == ANTI_SPOOFING else VERIFIED
    return pc.equal(words, pair[1]).to_numpy().astype(np.int64), classes


def class_places(words: pa.ChunkedArray, classes: tuple[str, ...], origin: str) -> np.ndarray:
    """Return the places (N,) among `classes` of truths that are words of these, or places already, from 0.

    Raises InputError, which begins with `origin`, for others, and for numbers that could be both and differ.
    """
    indices = pa.array([str(place) for place in range(len(classes))])
    readings = [pc.index_in(words, pa.array(known, pa.string())) for known in (classes, indices)]
    sound = [reading for reading in readings if not reading.null_count]
    if not sound:
        place = pc.index(pc.is_null(readings[0]), True).as_py()
        word = words[place].as_py()
        raise InputError(
            f"{origin}: truth {word!r} in row {place + 1}{closest(word, classes)}; expected one of "
            f"{', '.join(classes)[:300]}, or 0 to {len(classes) - 1}"
        )
    if len(sound) == 2 and not sound[0].equals(sound[1]):
        raise InputError(
            f"{origin}: truths could be the classes {', '.join(classes)} or their places from 0; write a word before "
            "the number of a class"
        )
    return sound[0].to_numpy().astype(np.int64)


def _possible(task: str | None) -> tuple[tuple[str, str], ...]:
    return (*(PAIRS if task is None else OF_TASK[task]), *NUMBERED)


def _expected(task: str | None) -> str:
    of_task = "" if task is None else f" for {task}"
    pairs = " or ".join(f"{target}/{other}" for other, target in (*_possible(task)[:-1],))
    return f"expected the words of one pair{of_task}: {pairs}"
