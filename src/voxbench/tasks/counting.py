"""Tasks that count the people who talk at once, and of which sex they are, as one of a few classes.

`speaker_count` asks for 1 to 3 people, as the speaker counting project of UNAM did, `sex_composition` for the women
and men among them, which that project announced as its next step: F is one woman, FMM a woman and two men. With a
number (`speaker_count_5`) the same is asked of up to so many people. Rows of more people are unlabelled.

Numbers and sexes are those of a corpus's own columns `count` (a number) and `sexes` (a letter for each person, in any
order), which the mix stage and the reader of mixtures give and anybody's table may have.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations_with_replacement

import pandas as pd

from voxbench.tasks.classification import classification, column
from voxbench.tasks.registry import Task, tasks

COUNT, SEXES = column("extra_count"), column("extra_sexes")
LETTERS = {"women": "F", "men": "M"}
PEOPLE = "people"
DOCUMENTS_MOST = 3
MOST = (2, DOCUMENTS_MOST, 4, 5)


def speaker_count(name: str, most: int) -> Task:
    """Return a task that counts from 1 to `most` people."""
    words = tuple(str(number) for number in range(1, most + 1))
    task = classification(name, COUNT, words, subject="speaker count")
    return replace(task, ordered=True, counts={PEOPLE: tuple(range(1, most + 1))})


def sex_composition(name: str, most: int) -> Task:
    """Return a task that tells how many women and men there are, together from 1 to `most`."""
    letters = tuple(LETTERS.values())
    words = tuple("".join(each) for size in range(1, most + 1) for each in combinations_with_replacement(letters, size))
    counts = {kind: tuple(word.count(letter) for word in words) for kind, letter in LETTERS.items()}
    task = classification(name, _sorted_sexes, words, subject="sex composition")
    return replace(task, counts={**counts, PEOPLE: tuple(map(len, words))})


def _sorted_sexes(manifest: pd.DataFrame) -> pd.Series:
    """Return the letters of each row, women first: who was named first says nothing about what is heard."""
    return SEXES(manifest).map(lambda letters: "".join(sorted(letters)), na_action="ignore")


for _make in (speaker_count, sex_composition):
    for _most in MOST:
        _name = _make.__name__ if _most == DOCUMENTS_MOST else f"{_make.__name__}_{_most}"
        tasks.add(_name, _make(_name, _most))
