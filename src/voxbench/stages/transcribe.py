"""`voxbench predict` of a network that writes down what is said: words with their times, and whether a phrase was said.

Exit status: 0 where every recording was answered, 2 where one was not; whether a phrase was said is in the answer.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from voxbench.audio import read_bytes
from voxbench.metrics.text import align_words
from voxbench.reporting.quantities import counted, decimal, visible
from voxbench.schema import AudioError
from voxbench.serving.transcriber import Check, Transcriber, Transcript, Word, spelt_phrase
from voxbench.stages.answers import ANSWERED, UNANSWERED, meaning, probability_of, reason, show

Answer = tuple[Transcript, Check | None]


def transcribe(folder: Path, clips: Sequence[str], phrase: str | None, policy: str | None, as_json: bool) -> int:
    """Print what is said in recordings, and of a `phrase` whether it is that, and return the exit status.

    Raises InputError for a phrase that cannot be spelt.
    """
    spelt = None if phrase is None else spelt_phrase(phrase)
    transcriber = Transcriber(folder, policy)
    answers = [(clip, _ask(transcriber, clip, spelt)) for clip in clips]
    if as_json:
        print(json.dumps([_told(transcriber, *each) for each in answers], indent=2, allow_nan=False))
    else:
        show("\n".join(line for each in answers for line in _lines(transcriber, *each)))
    return UNANSWERED if any(isinstance(answer, AudioError) for _, answer in answers) else ANSWERED


def _ask(transcriber: Transcriber, clip: str, phrase: str | None) -> Answer | AudioError:
    try:
        heard = transcriber(read_bytes(clip))
    except AudioError as error:
        return error
    return heard, None if phrase is None else transcriber.check(heard, phrase)


def _told(transcriber: Transcriber, clip: str, answer: Answer | AudioError) -> dict[str, Any]:
    """Return an answer as JSON: the transcript, its words and the phrase, or of a recording without one the error."""
    about: dict[str, Any] = {"clip": clip, "model": transcriber.network, "task": transcriber.listener.bundle.task}
    if isinstance(answer, AudioError):
        return about | {"error": str(answer)}
    heard, check = answer
    quality = ("cut_seconds", "source_seconds", "kept_seconds", "clipped_fraction")
    said = about | {"text": heard.text, "words": [asdict(word) for word in heard.words]}
    said |= {name: getattr(heard, name) for name in quality}
    if check is not None:
        own = {"phrase": check.phrase, "score": check.score, "right": check.right} | asdict(check.verdict)
        said["phrase"] = own | {"p_right": probability_of(transcriber.decision, check.verdict)}
    return said | {"error": None}


def _lines(transcriber: Transcriber, clip: str, answer: Answer | AudioError) -> list[str]:
    place = visible(clip)
    if isinstance(answer, AudioError):
        return [f"{place}: no answer, {answer}"]
    heard, check = answer
    of_what = "the speech that was kept" if heard.cut_seconds is None else "the recording"
    lines = [f"{place}: {heard.text or 'no word is heard'}"]
    if heard.words:
        lines += [f"  words, in seconds of {of_what}, with the network's confidence:", *map(_word_line, heard.words)]
    if check is not None:
        lines += [f"  {line}" for line in _phrase_lines(transcriber, heard, check)]
    return [*lines, f"  heard: {decimal(heard.kept_seconds, 2)} of {decimal(heard.source_seconds, 2)} s"]


def _word_line(word: Word) -> str:
    span = f"{decimal(word.start_seconds, 2)} to {decimal(word.end_seconds, 2)}"
    return f"    {span:>14}  {decimal(word.confidence, 2)}  {word.word}"


def _phrase_lines(transcriber: Transcriber, heard: Transcript, check: Check) -> list[str]:
    """Say how the phrase differs from what was heard, what its score means, and what is decided on which ground."""
    decision, corpus = transcriber.decision, transcriber.listener.bundle.corpus
    lines = [
        *beside(check.phrase, heard.text),
        f"score {decimal(check.score, 3)}: the phrase's probability over that of the best path, as a mean over its "
        "characters; higher means right, and only calibration says how much",
        *meaning(decision, check.verdict, decision.classes, "phrases"),
        f"decision: {reason('right' if check.right else 'wrong', check.right, check.verdict)}",
    ]
    return [
        *lines,
        f"rests on {counted(decision.rows, 'validation phrase')} of {counted(decision.speakers, 'speaker')} of "
        f"{corpus}, right ones, those of other recordings, and right ones with a word replaced",
    ]


def beside(phrase: str, heard: str) -> list[str]:
    """Return a phrase above what was heard, words that differ in brackets, `[]` where the other side has one more.

    >>> beside("open the door", "open a door please")
    ['phrase: open [the] door []', 'heard:  open [a]   door [please]']
    """
    (alignment,) = align_words([phrase], [heard])
    columns = [tuple(_bracketed(mine, other) for mine, other in (pair, pair[::-1])) for pair in alignment.pairs]
    widths = [max(map(len, column)) for column in columns]
    sides = [
        " ".join(column[side].ljust(width) for column, width in zip(columns, widths, strict=True)).rstrip()
        for side in (0, 1)
    ]
    return [f"phrase: {sides[0]}", f"heard:  {sides[1]}"]


def _bracketed(mine: str | None, other: str | None) -> str:
    return mine if mine == other and mine is not None else f"[{mine or ''}]"
