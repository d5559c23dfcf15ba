"""Count word and character errors of many transcripts beside other programs; print the times and check the counts.

    python benchmarks/word_errors.py --utterances 2000 20000 --json FILE
    python benchmarks/word_errors.py --references ref.tsv --hypotheses hyp.tsv

Without files, sentences are generated: 20 words of a vocabulary of 5,000 on average, 4 % of them wrong. A file has
a line `utterance TAB words` for each utterance. "textbook" is the table of Wagner and Fischer in Python lists, on
at most 200 utterances and scaled up. jiwer and voxbench count errors of each kind, textbook and rapidfuzz's
`Levenshtein.distance` their sum alone. All must find the same errors, rapidfuzz and textbook in every utterance. Times
are the processor's, the least of the repetitions; ratios are other programs' times by ours. Memory is the peak that
voxbench adds.
"""

from __future__ import annotations

import argparse
import json
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
from rapidfuzz.distance import Levenshtein

from voxbench.metrics.text import character_counts, word_counts

TEXTBOOK_UTTERANCES = 200
COUNTERS = {"words": word_counts, "characters": character_counts}


def generated(utterances: int) -> tuple[list[str], list[str]]:
    """Return sentences, and what a recogniser with some 4 % of word errors might make of them."""
    draws = np.random.default_rng(1)
    lengths = draws.integers(3, 10, 5000)
    vocabulary = ["".join(draws.choice(list("aeinorstlmd"), length)) for length in lengths]
    references, hypotheses = [], []
    for words in draws.integers(1, 40, utterances):
        sentence = [vocabulary[place] for place in draws.integers(0, 5000, words)]
        heard = []
        for word, chance in zip(sentence, draws.random(words), strict=True):
            heard += (
                [word[1:] + "a"] if chance < 0.03 else [] if chance < 0.035 else [word, "a"][: 1 + (chance > 0.995)]
            )
        references.append(" ".join(sentence))
        hypotheses.append(" ".join(heard))
    return references, hypotheses


def read(references: Path, hypotheses: Path) -> tuple[list[str], list[str]]:
    """Return the texts of two files, joined by utterance."""
    ours, theirs = ({k: v for k, _, v in map(_row, path.open(encoding="utf-8"))} for path in (references, hypotheses))
    if ours.keys() != theirs.keys():
        raise SystemExit(f"{references} and {hypotheses} must name the same utterances")
    return list(ours.values()), [theirs[utterance] for utterance in ours]


def _row(line: str) -> tuple[str, str, str]:
    return line.rstrip("\r\n").partition("\t")


def textbook(ours: Any, theirs: Any) -> int:
    """Return Levenshtein's distance, one cell after the other."""
    row = list(range(len(theirs) + 1))
    for i, token in enumerate(ours, start=1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(theirs, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (token != other))
    return row[-1]


def by_pairs(distance: Callable[[Any, Any], int], references: list[str], hypotheses: list[str], unit: str) -> list[int]:
    """Return the errors of each utterance by a distance between two sequences."""
    if unit == "words":
        return [distance(a.split(), b.split()) for a, b in zip(references, hypotheses, strict=True)]
    return [distance(a, b) for a, b in zip(references, hypotheses, strict=True)]


def by_jiwer(references: list[str], hypotheses: list[str], unit: str) -> int:
    process = jiwer.process_words if unit == "words" else jiwer.process_characters
    found = process(references, hypotheses)
    return int(found.substitutions + found.deletions + found.insertions)


def best_seconds(work: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Return the shortest of several times, and what the work returned."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        found = work()
        times.append(time.process_time() - start)
    return min(times), found


def raced(references: list[str], hypotheses: list[str], unit: str, repeats: int) -> dict[str, Any]:
    """Return errors, rate, seconds of each program and peak memory for one unit."""
    tracemalloc.start()
    COUNTERS[unit](references, hypotheses)
    peak_mb = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    seconds, counts = best_seconds(lambda: COUNTERS[unit](references, hypotheses), repeats)
    part = slice(0, TEXTBOOK_UTTERANCES)
    length = int(counts.reference.sum())
    textbook_seconds, errors = best_seconds(lambda: by_pairs(textbook, references[part], hypotheses[part], unit), 1)
    assert errors == counts.errors[part].tolist(), "the textbook counts other errors"
    # The work is proportional to the cells of the tables.
    cells = counts.reference.astype(float) * (counts.correct + counts.substitutions + counts.insertions)
    times = {"voxbench": seconds, "textbook": textbook_seconds * float(cells.sum() / cells[part].sum())}
    times["jiwer"], total = best_seconds(lambda: by_jiwer(references, hypotheses, unit), repeats)
    assert total == counts.errors.sum(), "jiwer counts other errors"
    fast = Levenshtein.distance
    times["rapidfuzz"], errors = best_seconds(lambda: by_pairs(fast, references, hypotheses, unit), repeats)
    assert errors == counts.errors.tolist(), "rapidfuzz counts other errors"
    ratios = {name: other / seconds for name, other in times.items() if name != "voxbench"}
    return {"errors": total, "length": length, "rate": total / length, "seconds": times, "ratios": ratios} | {
        "peak_mb": peak_mb
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--utterances", type=int, nargs="+", default=[2000, 20000])
    parser.add_argument("--references", type=Path)
    parser.add_argument("--hypotheses", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if bool(options.references) != bool(options.hypotheses):
        parser.error("--references and --hypotheses belong together")
    sets = [read(options.references, options.hypotheses)] if options.references else map(generated, options.utterances)
    figures = []
    for references, hypotheses in sets:
        for unit in COUNTERS:
            result = {"utterances": len(references), "unit": unit}
            result |= raced(references, hypotheses, unit, options.repeats)
            figures.append(result)
            times = ", ".join(
                f"{name} {seconds:.3f} s"
                + (f" ({ratio:.2f} times ours)" if (ratio := result["ratios"].get(name)) else "")
                for name, seconds in result["seconds"].items()
            )
            print(
                f"{len(references):,} utterances, {result['length']:,} {unit}, {result['errors']:,} errors "
                f"({result['rate']:.4f}): {times}; peak {result['peak_mb']:.0f} MB",
                flush=True,
            )
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
