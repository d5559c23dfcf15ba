"""The tables of the data: splits, quarantined files, the funnel, and what the leakage certificates certify."""

from __future__ import annotations

from typing import Any

import pandas as pd

from voxbench.reporting.corpus import CorpusAccount
from voxbench.reporting.quantities import count, counted, decimal, spoken, visible
from voxbench.reporting.table import Row, Table

LISTED = 20
KEYS = {"speaker": "speaker", "session": "session", "audio_sha256": "identical recording (SHA-256 of the audio)"}


def splits_table(account: CorpusAccount, unit: str) -> Table:
    """Tabulate clips, speakers and hours of each split by class; of values, by sex, and their range in `unit`."""
    rows = []
    for split, own in account.sizes.groupby("split", sort=False):
        cells = [f"{count(row.clips)} / {count(row.speakers)}" for row in own.itertuples()]
        total = account.totals.loc[split]
        spans = [f"{total['median']:.4g} [{total['low']:.4g}, {total['high']:.4g}]"] if unit else []
        cells += [count(total.clips), count(total.speakers), *spans, decimal(total.hours, 2)]
        rows.append(Row((str(split), *cells), False))
    classes = account.sizes["class"].drop_duplicates()
    spans = [f"median [range] ({unit})"] if unit else []
    return Table(
        title="Splits",
        says=f"Clips / speakers of each {account.parts}; hours before cleaning.",
        columns=("split", *map(spoken, classes), "clips", "speakers", *spans, "hours"),
        words=1,
        rows=tuple(rows),
        notes=(f"{counted(account.unlabelled, 'clip')} without a label take no part.",) if account.unlabelled else (),
    )


def excluded_table(account: CorpusAccount) -> Table:
    """Tabulate the first recordings that were set aside, and why."""
    first = account.excluded.head(LISTED)
    return Table(
        title="Quarantined files",
        says=f"The first {len(first)} of {counted(len(account.excluded), 'file')}; all are listed in excluded.csv.",
        columns=("file", "speaker", "reason", "detail"),
        words=4,
        rows=tuple(
            Row(tuple(visible(cell) for cell in row), False) for row in first.itertuples(index=False, name=None)
        ),
        notes=(),
    )


def funnel_rows(account: CorpusAccount) -> list[tuple[str, int]]:
    """Return found, excluded by reason, and kept recordings."""
    funnel = account.funnel
    lost = [(f"excluded: {visible(reason)}", number) for reason, number in funnel["excluded"].items()]
    return [("found", funnel["found"]), *(lost or [("excluded", 0)]), ("kept", funnel["kept"])]


def leakage_words(leakage: dict[str, Any]) -> str:
    """Say what a leakage certificate certifies."""
    if leakage["clean"]:
        overlaps = pd.DataFrame(leakage["overlaps"])
        keys = [KEYS.get(key, key) for key in overlaps["key"].unique()]
        return f"Certified clean: no {', no '.join(keys)} is in two splits (split by {leakage['by']})."
    return f"LEAKY (split by {leakage['by']}): {shared_words(leakage)}."


def shared_words(leakage: dict[str, Any]) -> str:
    """Say which splits share how many speakers, sessions or recordings."""
    found = []
    for each in leakage["overlaps"]:
        if each["shared"]:
            shared = counted(each["shared"], KEYS.get(each["key"], each["key"]))
            found.append(f"{each['splits'][0]} and {each['splits'][1]} share {shared}")
    return "; ".join(found)
