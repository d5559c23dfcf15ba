"""What `metrics.py` must show: how much faster than scikit-learn at which number of trials, and in how much memory."""

from __future__ import annotations

from typing import Any

FASTER = {580_000: 8.0, 4_000_000: 10.0}
# Peak memory, in sizes of the float64 scores.
MOST_MEMORY = 6.0


def bars(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what was promised beside what was found, at the sizes of the promise."""
    found = []
    for row in rows:
        if row["side"] == "scikit-learn" and row["trials"] in FASTER:
            ratio, least = row["times_the_time_of_voxbench"], FASTER[row["trials"]]
            words = f"{row['trials']:,} trials: times as fast as scikit-learn, at least {least:g}"
            found.append({"what": words, "found": ratio, "met": ratio >= least})
        if row["side"] == "voxbench" and row["trials"] in FASTER:
            words = f"{row['trials']:,} trials: peak memory in sizes of the scores, below {MOST_MEMORY:g}"
            found.append({"what": words, "found": row["x_scores"], "met": row["x_scores"] < MOST_MEMORY})
    return found
