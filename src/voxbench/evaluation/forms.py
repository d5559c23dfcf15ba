"""Which column of a text file without a header is which: the forms that toolkits and challenges write.

Columns are told apart by what all of their fields are, numbers, label words or other words, and a file is read only
where exactly one form fits: published score files differ in the order of their columns.

| form                                     | written by                                                            |
|------------------------------------------|-----------------------------------------------------------------------|
| label enroll test                        | VoxCeleb's lists; with a score behind it, many toolkits                 |
| enroll test score                        | Kaldi, WeSpeaker                                                        |
| score enroll test                        | voxceleb_trainer                                                        |
| id score label, id attack label score    | countermeasures on ASVspoof 2019                                        |
| speaker id environment attack label      | countermeasure protocols of ASVspoof 2019                               |
| 8, 13 or 12 columns                      | keys of ASVspoof 2021 LA, DF and PA: `voxbench.corpora.asvspoof2021`     |

Deviation: an attack of bona fide speech is `bonafide`, as corpora name it; protocols write `-` there, score files also
`A00`.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from voxbench.corpora.asvspoof2019 import NOTHING
from voxbench.corpora.asvspoof2021 import COLUMNS, DEVICE, DISTANCE, KEY, TRIAL, replay_attack
from voxbench.evaluation.files import NUMBER, SHOWN, Source, first_without_number, to_numbers
from voxbench.evaluation.label_words import COUNTERED, LABEL_WORDS, SPOOF, are_label_words
from voxbench.schema import BONAFIDE, InputError, ScoreKind

SCORES, LABELS = "scores", "labels"
"""The two sides that a file can be."""

Form = tuple[str, ...]

PROTOCOLS: tuple[Form, ...] = (
    ("speaker", "id", "environment", "attack", "label"),
    *(tuple({TRIAL: "id", KEY: "label"}.get(name, name) for name in names) for names in COLUMNS.values()),
)
FORMS: dict[tuple[ScoreKind, str], tuple[Form, ...]] = {
    (ScoreKind.DETECTION, SCORES): (
        ("score",),
        ("score", "label"),
        ("label", "score"),
        ("id", "score"),
        ("score", "id"),
        ("id", "score", "label"),
        ("id", "label", "score"),
        ("label", "id", "score"),
        ("score", "label", "id"),
        ("score", "id", "label"),
        ("label", "score", "id"),
        ("enroll", "test", "score"),
        ("score", "enroll", "test"),
        ("label", "enroll", "test", "score"),
        ("enroll", "test", "label", "score"),
        ("enroll", "test", "score", "label"),
        ("score", "label", "enroll", "test"),
        ("id", "attack", "label", "score"),
    ),
    (ScoreKind.DETECTION, LABELS): (
        ("label",),
        ("id", "label"),
        ("label", "id"),
        ("label", "enroll", "test"),
        ("enroll", "test", "label"),
        *PROTOCOLS,
    ),
    (ScoreKind.CLASSES, SCORES): (),
    (ScoreKind.CLASSES, LABELS): (("truth",), ("id", "truth")),
    (ScoreKind.VALUE, SCORES): (("predicted",), ("id", "predicted")),
    (ScoreKind.VALUE, LABELS): (("truth",), ("id", "truth")),
    (ScoreKind.TEXT, SCORES): (("hypothesis",), ("id", "hypothesis")),
    (ScoreKind.TEXT, LABELS): (("reference",), ("id", "reference")),
}


@dataclass(frozen=True, slots=True)
class _Looks:
    """What all fields of a column are; a column of 1 and 0 is numbers and label words."""

    numbers: bool
    labels: bool
    countered: bool


def recognised(source: Source, kind: ScoreKind, side: str) -> Source:
    """Return a file without a header with the names of the one form that fits it.

    Raises InputError, with what each column holds, where none or several fit.
    """
    forms = FORMS[kind, side]
    looks = [_look(column, kind) for column in source.table.columns]
    fitting = [form for form in forms if len(form) == len(looks) and _fits(form, looks, kind, side)]
    if len(fitting) != 1:
        raise InputError(f"{source.path} has no header that is known, and {_complaint(source, forms, fitting, side)}")
    table = source.table.rename_columns(fitting[0])
    if fitting[0] in PROTOCOLS:
        table = _cleared(_with_replay(table) if DEVICE in fitting[0] else table)
    return source.of(table)


def with_bonafide(source: Source) -> tuple[Source, tuple[str, ...]]:
    """Return a file whose attack is `bonafide` wherever its label, which is a number by now, is that of bona fide."""
    table = source.table
    if "attack" not in table.column_names or SPOOF not in source.classes:
        return source, ()
    is_bonafide = pc.equal(table["label"], 1)
    words = pc.unique(table["attack"].cast(pa.string()).filter(is_bonafide)).to_pylist()
    attack = pc.if_else(is_bonafide, BONAFIDE, table["attack"].cast(pa.string()))
    other = ", ".join(sorted(repr(word or "") for word in words if word != BONAFIDE))
    notes = (f"attack {other} of bona fide rows of {source.path.name} is read as {BONAFIDE!r}",) if other else ()
    return source.of(table.set_column(table.column_names.index("attack"), "attack", attack)), notes


def _with_replay(table: pa.Table) -> pa.Table:
    """Return the key of replayed speech with the attack, which its columns say in two parts."""
    encoded = pc.binary_join_element_wise(table[DISTANCE], table[DEVICE], " ").combine_chunks().dictionary_encode()
    pairs = [dict(zip((DISTANCE, DEVICE), pair.split(" "), strict=True)) for pair in encoded.dictionary.to_pylist()]
    attack = pa.array(map(replay_attack, pairs), pa.string()).take(encoded.indices)
    return table.append_column("attack", pa.chunked_array([attack]))


def _cleared(table: pa.Table) -> pa.Table:
    """Return a protocol with nothing where it says that something does not apply."""
    nothing = pa.scalar(None, pa.string())
    kept = {
        name: table[name] if name == "attack" else pc.if_else(pc.equal(table[name], NOTHING), nothing, table[name])
        for name in table.column_names
    }
    return pa.table(kept)


def _look(column: pa.ChunkedArray, kind: ScoreKind) -> _Looks:
    numeric = to_numbers(column.slice(0, 1)) is not None and to_numbers(column) is not None
    if kind != ScoreKind.DETECTION or not are_label_words(column):
        return _Looks(numeric, labels=False, countered=False)
    countered = pc.all(pc.is_in(pc.utf8_lower(column), pa.array(COUNTERED))).as_py()
    return _Looks(numeric, labels=True, countered=countered)


def _fits(form: Form, looks: list[_Looks], kind: ScoreKind, side: str) -> bool:
    # Among labels, which hold no scores, a number is a name.
    numbered = side == LABELS or kind in (ScoreKind.CLASSES, ScoreKind.TEXT)
    return all(_can_be(name, look, form, kind, numbered) for name, look in zip(form, looks, strict=True))


def _can_be(name: str, look: _Looks, form: Form, kind: ScoreKind, numbered: bool) -> bool:
    if name in ("score", "predicted") or (name == "truth" and kind == ScoreKind.VALUE):
        return look.numbers
    if name == "label":
        spoofing = "attack" in form or "speaker" in form
        return look.labels and (look.countered or not spoofing) and not (look.countered and "enroll" in form)
    return (numbered or not look.numbers) and (name == "attack" or not look.labels)


def _complaint(source: Source, forms: tuple[Form, ...], fitting: list[Form], side: str) -> str:
    shown = "; ".join(_described(column) for column in source.table.columns[:8])
    known = " or ".join(repr(" ".join(form)) for form in (fitting or forms) if len(form) <= 5)
    why = "could be" if fitting else "is none of" if known else "needs one, such as 'id truth p_female p_male'"
    fix = "name them: --columns id,score" if side == SCORES else "write a first line of names, such as id and label"
    return f"its columns ({shown}) {why}{': ' if known else ''}{known}; {fix}"


def _described(column: pa.ChunkedArray) -> str:
    first = str(column[0].as_py())
    shown = repr(first[:SHOWN])
    if pc.match_substring_regex(pa.array([first]), NUMBER, ignore_case=True)[0].as_py():
        if to_numbers(column) is not None:
            return f"numbers, first {shown}"
        place, text = first_without_number(column)
        return f"numbers, but {text[:SHOWN]!r} in row {place + 1}"
    known = pc.is_in(pc.utf8_lower(column), LABEL_WORDS)
    if not known[0].as_py():
        return f"words, first {shown}"
    place = pc.index(known, False).as_py()
    return (
        f"labels, first {shown}" if place < 0 else f"labels, but {column[place].as_py()[:SHOWN]!r} in row {place + 1}"
    )
