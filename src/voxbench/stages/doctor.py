"""`voxbench doctor CORPUS`: is what lies there usable, and if not, what to do about it.

CORPUS is a row of `corpora` in params.yaml, or the name of a reader together with a root. `examine` returns a report
in JSON's types, `voxbench.stages.doctor_page` its plain text. Keys of the report, all of them always there:

| key                                          | holds                                                                |
|----------------------------------------------|----------------------------------------------------------------------|
| corpus, reader, title, homepage, root        | words                                                                |
| licence                                      | {row, sheet}; row is null without a row in params.yaml               |
| tree, steps                                  | lines: the expected layout, how to come by the corpus                |
| usable, verdict, fix, suggested_root, notes  | true or false; words, words or null, a path or null, lines           |
| found                                        | null if there is nothing to count, or {rows, files, size_bytes,      |
|                                              | missing, empty, unlisted, misspelt, unread_folders, linked_folders}; |
|                                              | from `missing` on {count, first}, the first five by name             |
| release                                      | null or {nearest, comparison}                                        |
| parts                                        | rows of {part, rows, files, expected, missing, speakers,             |
|                                              | expected_speakers}; expected may be null                             |
| labels                                       | null or {words: {label: {word: rows}}, age_years: [lowest, highest], |
|                                              | speakers, sessions, unlabelled: {label: share of rows}}              |
| sample                                       | null or {drawn, seed, formats, rates_hz, channels, reasons: {word:   |
|                                              | files}, faults: {count, first}, seconds: {min, median, max} or null, |
|                                              | hours_estimated}                                                     |
| disk                                         | {free_at_root_bytes, free_at_project_bytes, prepared_bytes,          |
|                                              | features_bytes}; estimates, null where unknown                       |

Not usable: a missing root, a reader that refuses, no recordings, or a larger share missing or faulty than
`max_excluded_fraction` (`MAJORITY` for a bare reader). Files that no row lists, and counts that are those of no known
release, are told but never held against a corpus.
"""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from voxbench.config import Corpus
from voxbench.corpora import readers, sheets
from voxbench.corpora.inspection import (
    LABELS,
    Few,
    Inventory,
    Strays,
    find_strays,
    nearest_release,
    suggest_root,
    take_inventory,
)
from voxbench.corpora.sample import Sample, decode_sample
from voxbench.corpora.sheets import Sheet
from voxbench.registry import closest
from voxbench.schema import InputError
from voxbench.stages.doctor_page import plain_text
from voxbench.stages.workspace import Workspace

SAMPLE_FILES = 200
SEED = 1
MAJORITY = 0.5
SECONDS_BETWEEN_LINES = 5.0
SAMPLE_BYTES = 2  # both of prepared audio (int16) and of features (float16)


def doctor(workspace: Workspace, name: str, root: Path | None, as_json: bool) -> int:
    """Print the report on a corpus, as text or as JSON; return 0 if it is usable and 1 if not.

    `root` replaces that of the row `name`, or makes `name` the name of a reader. Raises InputError for a name that is
    neither, and for a reader without a root.
    """
    report = examine(workspace, name, root)
    if as_json:
        print(json.dumps(report, indent=2, allow_nan=False))
    else:
        # A name on disk may hold bytes, and a terminal lack letters, that would stop the printing.
        print(plain_text(report).encode(sys.stdout.encoding, "backslashreplace").decode(sys.stdout.encoding))
    return 0 if report["usable"] else 1


def examine(workspace: Workspace, name: str, root: Path | None) -> dict[str, Any]:
    """Return the report described at the head of this file; progress goes to standard error."""
    corpus = workspace.params.corpora.get(name)
    reader, place = _what(workspace, name, corpus, root)
    sheet = sheets[reader]
    report = _blank(name, reader, place, sheet, corpus)
    report["disk"] = _disk(workspace.root, place)
    if not place.is_dir():
        report["verdict"] = f"the root {place} is not a folder"
        return _unusable(report, "get the corpus (steps above)", suggest_root(reader, place))
    say = _Progress(name)
    try:
        inventory = take_inventory(readers[reader](place), sheet.part_of, SAMPLE_FILES, SEED, say)
    except (InputError, OSError) as error:
        report["verdict"] = f"the reader {reader!r} refuses it: {error}"
        return _unusable(report, "do what the message says", suggest_root(reader, place))
    strays = find_strays(place, inventory, say)
    sample = decode_sample(inventory.drawn, corpus.cleaning if corpus else None, say)
    _fill(report, sheet, inventory, strays)
    report["sample"] = _sample(sample, inventory)
    if corpus and sample.seconds:
        report["disk"] |= _needs(corpus, report["sample"]["hours_estimated"] * 3600)
    return _judge(report, inventory, sample, corpus)


class _Progress:
    """Says on standard error how far long work is; nothing before some seconds have passed."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._started = self._said = time.monotonic()

    def __call__(self, what: str, count: int) -> None:
        now = time.monotonic()
        if now - self._said >= SECONDS_BETWEEN_LINES:
            self._said = now
            print(f"doctor {self._name}: {count:,} {what} [{now - self._started:.0f} s]", file=sys.stderr, flush=True)


def _what(workspace: Workspace, name: str, corpus: Corpus | None, root: Path | None) -> tuple[str, Path]:
    """Return the reader and the root that the words of the command mean."""
    if corpus is not None:
        return corpus.reader, (workspace.root / corpus.root if root is None else root).absolute()
    if root is None:
        rows = list(workspace.params.corpora)
        hint = "; with --root DIR it is read as a corpus of that kind" if name in readers else closest(name, rows)
        raise InputError(f"{name!r} is no row of corpora in params.yaml{hint}; rows: {', '.join(rows)}")
    if name not in readers:
        known = [*workspace.params.corpora, *readers]
        raise InputError(
            f"{name!r} is no row of corpora and no reader{closest(name, known)}; known: {', '.join(known)}"
        )
    return name, root.absolute()


def _blank(name: str, reader: str, root: Path, sheet: Sheet, corpus: Corpus | None) -> dict[str, Any]:
    return {
        "corpus": name,
        "reader": reader,
        "title": sheet.title,
        "homepage": sheet.homepage,
        "root": str(root),
        "licence": {"row": corpus.licence if corpus else None, "sheet": sheet.licence},
        "tree": list(sheet.tree),
        "steps": list(sheet.steps),
        "usable": False,
        "verdict": "",
        "fix": None,
        "suggested_root": None,
        "notes": [],
        **dict.fromkeys(("found", "release", "labels", "sample", "disk")),
        "parts": [],
    }


def _unusable(report: dict[str, Any], fix: str, suggested: Path | None) -> dict[str, Any]:
    report["fix"] = fix
    if suggested is not None:
        report["suggested_root"] = str(suggested)
        report["fix"] = f"set the root to {suggested}, which the reader takes"
    return report


def _fill(report: dict[str, Any], sheet: Sheet, inventory: Inventory, strays: Strays) -> None:
    """Enter what was counted."""
    report["found"] = {
        "rows": inventory.rows,
        "files": inventory.found,
        "size_bytes": inventory.size_bytes,
        "missing": _few(inventory.missing),
        "empty": _few(inventory.empty),
        "unlisted": _few(strays.files),
        "misspelt": _few(strays.misspelt),
        "unread_folders": _few(strays.unread_folders),
        "linked_folders": _few(strays.linked_folders),
    }
    nearest, comparison = nearest_release(sheet.releases, inventory.parts)
    report["release"] = {"nearest": nearest, "comparison": comparison}
    expected = {part.name: part for part in sheet.releases.get(nearest or "", ())}
    for name in [*expected, *sorted(inventory.parts.keys() - expected.keys())]:
        count, known = inventory.parts.get(name), expected.get(name)
        rows, files = (count.rows, count.found) if count else (0, 0)
        total = known.utterances if known else None
        report["parts"].append(
            {
                "part": name,
                "rows": rows,
                "files": files,
                "expected": total,
                "missing": max(rows if total is None else total, rows) - files,
                "speakers": len(count.speakers) if count else 0,
                "expected_speakers": known.speakers if known else None,
            }
        )
    report["labels"] = {
        "words": {label: dict(words.most_common()) for label, words in sorted(inventory.words.items())},
        "age_years": list(inventory.ages) if inventory.ages else None,
        "speakers": len(inventory.speakers),
        "sessions": len(inventory.sessions),
        "unlabelled": {label: 1 - inventory.labelled[label] / max(inventory.rows, 1) for label in LABELS},
    }


def _few(few: Few) -> dict[str, Any]:
    return {"count": few.count, "first": few.first}


def _sample(sample: Sample, inventory: Inventory) -> dict[str, Any]:
    lengths = sample.seconds
    return {
        "drawn": len(inventory.drawn),
        "seed": SEED,
        "formats": dict(sample.formats.most_common()),
        "rates_hz": {str(rate): count for rate, count in sample.rates_hz.most_common()},
        "channels": {str(channels): count for channels, count in sample.channels.most_common()},
        "reasons": dict(sample.reasons.most_common()),
        "faults": _few(sample.faults),
        "seconds": {"min": min(lengths), "median": statistics.median(lengths), "max": max(lengths)}
        if lengths
        else None,
        "hours_estimated": statistics.fmean(lengths) * inventory.found / 3600 if lengths else None,
    }


def _disk(project: Path, root: Path) -> dict[str, Any]:
    """Return the free bytes at both places, of the nearest folder that exists."""
    free = []
    for place in (root, project):
        there = next(folder for folder in (place, *place.absolute().parents) if folder.exists())
        free.append(shutil.disk_usage(there).free)
    return {
        "free_at_root_bytes": free[0],
        "free_at_project_bytes": free[1],
        "prepared_bytes": None,
        "features_bytes": None,
    }


def _needs(corpus: Corpus, seconds: float) -> dict[str, int]:
    """Return the bytes of prepared audio and of features, before silence is cut: more than will be needed."""
    features = corpus.features
    bins = features.n_mels if features.spectrogram == "log_mel" else features.n_fft // 2 + 1
    frames = seconds * 1000 / features.hop_ms
    return {
        "prepared_bytes": round(seconds * corpus.cleaning.sample_rate_hz * SAMPLE_BYTES),
        "features_bytes": round(frames * (bins + (1 + features.deltas) * features.n_mfcc) * SAMPLE_BYTES),
    }


def _judge(report: dict[str, Any], inventory: Inventory, sample: Sample, corpus: Corpus | None) -> dict[str, Any]:
    """Enter verdict, fix and notes."""
    allowed = corpus.max_excluded_fraction if corpus else MAJORITY
    faulty = inventory.found * sample.faults.count / max(len(inventory.drawn), 1)
    share = (inventory.missing.count + faulty) / max(inventory.rows, 1)
    misspelt = report["found"]["misspelt"]["count"]
    rename = f"rename the {misspelt} files (or mend their rows) that differ in spelling alone" if misspelt else None
    needed = (report["disk"]["prepared_bytes"] or 0) + (report["disk"]["features_bytes"] or 0)
    if needed > report["disk"]["free_at_project_bytes"]:
        report["notes"].append("the disk of the project will be full before prepare and features have finished")
    if not inventory.rows:
        report["verdict"] = "the reader finds no recordings"
        root = Path(report["root"])
        return _unusable(report, "complete the corpus (steps above)", suggest_root(report["reader"], root))
    what = f"{inventory.missing.count:,} of {inventory.rows:,} recordings are missing"
    if sample.faults.count:
        what += f", {sample.faults.count} of {len(inventory.drawn)} drawn are faulty"
    if share > allowed:
        limit = f"max_excluded_fraction {allowed:g}" if corpus else "half"
        report["verdict"] = f"{what}: about {share:.1%}, more than {limit}"
        mend = "complete the corpus" if inventory.missing.count else "replace the faulty recordings"
        return _unusable(report, rename or f"{mend}, or take their rows out of its lists", None)
    report["usable"] = True
    report["verdict"] = what if inventory.missing.count or sample.faults.count else "every recording listed is there"
    report["fix"] = rename
    return report
