"""Mixtures of one to N people who talk at once, for counting them: reader, plan and sheet.

After the course project whose 100,000, 10,000 and 10,000 balanced mixtures of one to three LibriSpeech readers have the
columns Waveform, Speakers, Speakers sex (MMF), F and M. On disk a mixture corpus is `ROOT/mixtures.csv`, UTF-8 with a
header, and the recordings it names:

    path,split,sources,sexes,snr_db
    train/000002.flac,train,84+1034+19,FMF,-1.5+2.25

`sources` are the names of the people, joined by `+`, `sexes` a letter (F, M) for each in that order. Their numbers
follow from the sexes and are no columns. What else there is (levels, starts) is kept as `extra`. The licence is that
of the recordings which were mixed. Nobody is heard in two splits, or twice in one mixture; only `splitting.by:
official` keeps that so.

Such corpora are made by the plan of `voxbench.corpora.mixture_plan`: by the twin, which writes recordings, and by the
mix stage, which writes none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from voxbench.corpora.mixture_plan import JOINT, SEX_LETTERS, SPLITS
from voxbench.corpora.registries import readers, sheets
from voxbench.corpora.sheets import Part, Sheet
from voxbench.corpora.tables import read_rows
from voxbench.registry import closest
from voxbench.schema import InputError, Split, Utterance

TABLE = "mixtures.csv"
NEEDED = ("path", "split", "sources", "sexes")
DERIVED = ("sexes", "F", "M", "count")


@readers.register("mixtures")
def read(root: Path) -> Iterator[Utterance]:
    """Yield one utterance for each row, in the order of the table.

    Raises InputError before the first row for a missing table or column, a column that follows from others, a path
    that is empty, absolute, repeated or leaves ROOT, an unknown split, sexes that do not match the sources, a person
    twice in one mixture, in two splits or of two sexes.
    """
    table = root / TABLE
    if not table.is_file():
        raise InputError(f"no {TABLE} in {root}: the mixtures reader needs one with the columns {', '.join(NEEDED)}")
    for _ in _utterances(root):
        pass
    return _utterances(root)


def _utterances(root: Path) -> Iterator[Utterance]:
    """Yield the checked rows; two passes over the table cost less than a split that leaks halfway."""
    table = root / TABLE
    paths: set[str] = set()
    people: dict[str, tuple[str, str]] = {}
    for line, row in read_rows(table, NEEDED, ",", quoted=True):
        place = f"{table} line {line}"
        utterance = _utterance(root, row, place)
        if utterance.id in paths:
            raise InputError(f"{place}: path {utterance.id!r} occurs twice; keep one row")
        paths.add(utterance.id)
        for name, sex in zip(utterance.speakers, row["sexes"], strict=True):
            split, known = people.setdefault(name, (row["split"], sex))
            if split != row["split"]:
                raise InputError(
                    f"{place}: {name!r} is heard in {row['split']} and in {split}; a person belongs to one split"
                )
            if sex != known:
                raise InputError(f"{place}: {name!r} is {sex} here and {known} before; correct one")
        yield utterance


def _utterance(root: Path, row: Mapping[str, str], place: str) -> Utterance:
    relative = PurePosixPath(row["path"])
    if not row["path"] or relative.is_absolute() or ".." in relative.parts:
        raise InputError(f"{place}: path {row['path']!r} must be relative and stay below {root}")
    if (split := row["split"]) not in SPLITS:
        raise InputError(f"{place}: split {split!r}{closest(split, SPLITS)}; expected {', '.join(SPLITS)}")
    for column in DERIVED[1:]:
        if column in row:
            raise InputError(f"{place}: column {column!r} follows from the sexes; remove it")
    people, sexes = tuple(row["sources"].split(JOINT)), row["sexes"]
    if not all(people) or len(set(people)) < len(people):
        raise InputError(f"{place}: sources {row['sources']!r}; expected different names joined by {JOINT}")
    if len(sexes) != len(people) or not set(sexes) <= set(SEX_LETTERS.values()):
        raise InputError(f"{place}: sexes {sexes!r} for {len(people)} source(s); expected F or M for each")
    counts = (sexes, str(sexes.count("F")), str(sexes.count("M")), str(len(people)))
    return Utterance(
        id=relative.as_posix(),
        path=root / relative,
        speaker=row["sources"],
        speakers=people,
        split=Split(split),
        extra={
            **{column: value for column, value in row.items() if column not in NEEDED},
            **dict(zip(DERIVED, counts, strict=True)),
        },
    )


sheets.add(
    "mixtures",
    Sheet(
        title="Mixtures of one to N people",
        homepage="https://github.com/bereml/iap",
        licence="that of the recordings that were mixed",
        tree=(TABLE, "train/000002.flac", "valid/000002.flac", "test/000002.flac"),
        part_of=lambda utterance: str(utterance.split),
        releases={"course scale": (Part("train", 100_000), Part("valid", 10_000), Part("test", 10_000))},
        steps=(
            "mix recordings of any corpus whose speakers and sexes are known; each speaker belongs to one split",
            f"write {TABLE} with the columns {', '.join(NEEDED)} and put the recordings where its paths say",
        ),
    ),
)
