"""The report of `voxbench doctor` as plain text: one screen for a healthy corpus."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

INDENT = 12
MOST_WORDS = 12
MOST_PARTS = 12
FINDINGS = {
    "missing": "listed, but not on disk",
    "empty": "of 0 bytes",
    "misspelt": "listed by another spelling",
    "unlisted": "audio files that no row lists: not read",
    "unread_folders": "folders that cannot be opened",
    "linked_folders": "links to folders, not searched for further files",
}
CHANNELS = {"1": "mono", "2": "stereo"}
COLUMNS = ("part", "rows", "files", "expected", "missing", "speakers", "expected")


def plain_text(report: Mapping[str, Any]) -> str:
    """Return the report that `voxbench.stages.doctor.examine` makes, as lines of text."""
    lines: list[str] = []
    for title, body in _sections(report):
        for place, line in enumerate(body):
            lines.append(f"{title if place == 0 else '':<{INDENT}}{line}".rstrip())
    return "\n".join(lines)


def _sections(report: Mapping[str, Any]) -> Iterator[tuple[str, Iterable[str]]]:
    kind = f" (reader {report['reader']})" if report["reader"] != report["corpus"] else ""
    yield "corpus", [f"{report['corpus']}{kind}: {report['title']}", *filter(None, [report["homepage"]])]
    yield "licence", _licence(report["licence"])
    yield "root", [report["root"]]
    yield "expected", report["tree"]
    if report["found"] is not None:
        yield "found", _found(report["found"])
        yield "release", _release(report["release"])
        yield "", _parts(report["parts"])
        yield "labels", _labels(report["labels"], report["found"]["rows"])
        yield "audio", _sample(report["sample"]) if report["sample"]["drawn"] else ["nothing to decode"]
    yield "disk", _disk(report["disk"])
    if not report["usable"] and report["suggested_root"] is None:
        yield "steps", [f"{number}. {step}" for number, step in enumerate(report["steps"], start=1)]
    yield "note", report["notes"]
    yield "verdict", [f"{'usable' if report['usable'] else 'NOT USABLE'}: {report['verdict']}"]
    yield "fix", filter(None, [report["fix"]])


def _licence(licence: Mapping[str, str | None]) -> list[str]:
    row, sheet = licence["row"], licence["sheet"]
    if row in (None, sheet):
        return [str(sheet)]
    return [f"{row} (as params.yaml says)", f"{sheet} (of the corpus itself)"]


def _found(found: Mapping[str, Any]) -> Iterator[str]:
    yield f"{found['rows']:,} recordings listed, {found['files']:,} files of them there, {_size(found['size_bytes'])}"
    for key, words in FINDINGS.items():
        if found[key]["count"]:
            yield f"{found[key]['count']:,} {words}, the first:"
            yield from (f"  {name}" for name in found[key]["first"])


def _release(release: Mapping[str, str | None]) -> list[str]:
    nearest = f"{release['nearest']} is the nearest: " if release["nearest"] else ""
    return [nearest + str(release["comparison"])]


def _parts(parts: list[dict[str, Any]]) -> Iterator[str]:
    cells = [COLUMNS, *(tuple("-" if cell is None else _cell(cell) for cell in row.values()) for row in parts)]
    cells = cells[: MOST_PARTS + 1]
    widths = [max(len(row[column]) for row in cells) for column in range(len(COLUMNS))]
    for row in cells:
        first, *others = (
            f"{cell:>{width}}" if column else f"{cell:<{width}}"
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join([first, *others])
    if len(parts) > MOST_PARTS:
        yield f"and {len(parts) - MOST_PARTS} parts more"


def _cell(cell: str | int) -> str:
    return f"{cell:,}" if isinstance(cell, int) else cell


def _labels(labels: Mapping[str, Any], rows: int) -> Iterator[str]:
    yield f"{labels['speakers']:,} speakers, {labels['sessions']:,} sessions"
    for label, share in labels["unlabelled"].items():
        words = labels["words"].get(label)
        if label == "age_years" and labels["age_years"]:
            text = "{:.1f} to {:.1f}".format(*labels["age_years"])
        else:
            text = _counts(words) if words else "none" if share == 1 or not rows else "given"
        yield f"{label:<10} {text}" + (f"; {share:.1%} without" if 0 < share < 1 else "")


def _sample(sample: Mapping[str, Any]) -> Iterator[str]:
    yield f"of {sample['drawn']} files drawn (seed {sample['seed']}) and decoded: {_counts(sample['formats'])}"
    rates = {f"{rate} Hz": count for rate, count in sample["rates_hz"].items()}
    channels = {CHANNELS.get(count, f"{count} channels"): files for count, files in sample["channels"].items()}
    yield f"{_counts(rates)}; {_counts(channels)}"
    if sample["seconds"]:
        lengths = "{min:.1f} / {median:.1f} / {max:.1f} s".format(**sample["seconds"])
        yield f"{lengths} (shortest, median, longest); about {sample['hours_estimated']:,.2f} hours in all"
    if sample["faults"]["count"]:
        yield f"{sample['faults']['count']} faulty ({_counts(sample['reasons'])}), the first:"
        yield from (f"  {fault}" for fault in sample["faults"]["first"])


def _disk(disk: Mapping[str, int | None]) -> Iterator[str]:
    yield f"free at the root {_size(disk['free_at_root_bytes'])}, at the project {_size(disk['free_at_project_bytes'])}"
    if disk["prepared_bytes"] is not None:
        yield (
            f"needed at most {_size(disk['prepared_bytes'])} for prepared audio and "
            f"{_size(disk['features_bytes'])} for features (estimated)"
        )


def _counts(counts: Mapping[str, int]) -> str:
    shown = ", ".join(f"{word} {count:,}" for word, count in list(counts.items())[:MOST_WORDS])
    return f"{shown or 'none'}, and {len(counts) - MOST_WORDS} more" if len(counts) > MOST_WORDS else shown or "none"


def _size(size_bytes: int | None) -> str:
    size, unit = float(size_bytes or 0), "kB"
    size /= 1000
    for bigger in ("MB", "GB", "TB"):
        if size < 1000:
            break
        size, unit = size / 1000, bigger
    return f"{size:.1f} {unit}"
