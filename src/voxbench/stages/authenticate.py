"""`voxbench authenticate`: the enrolled voice, alive, saying the prompted phrase, by the rules of one policy file.

What each part says, what it had to reach and what that rests on is told with the answer, and what the answer takes for
granted. Exit status: 0 accepted, 1 rejected, 2 no answer: wrong input, or a part that cannot be judged while no other
fails.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from voxbench.audio import read_bytes
from voxbench.config.policy import load_policy
from voxbench.metrics.thresholds import Threshold
from voxbench.reporting.quantities import PERCENT, count, counted, decimal
from voxbench.serving.authentication import LIVENESS, PHRASE, VOICE, Authentication, Authenticator, Part
from voxbench.stages.answers import show
from voxbench.stages.model_folders import model_folder
from voxbench.stages.transcribe import beside
from voxbench.stages.voices import FOLDER, exit_status
from voxbench.stages.workspace import Workspace

TRIALS = {
    VOICE: ("trials of two people", "of one person"),
    LIVENESS: ("spoofed recordings", "bona fide ones"),
    PHRASE: ("wrong phrases", "right ones"),
}
"""What each part's validation rows are, of class 0 and 1."""


@dataclass(frozen=True)
class AuthenticateOptions:
    """The prompt, the policy file, where the enrolled voices are (None: beside `params.yaml`), and whether as JSON."""

    phrase: str
    policy: Path
    voices: Path | None
    json: bool


def authenticate(workspace: Workspace, name: str, clip: str, options: AuthenticateOptions) -> int:
    """Print whether a recording is accepted as `name` who says the phrase, and why; return the exit status."""
    # Sums of several threads differ in the last digits: equal recordings shall give equal answers.
    torch.set_num_threads(1)
    policy = load_policy(options.policy)
    networks = (policy.verifier, policy.countermeasure, policy.recognizer)
    verifier, countermeasure, recognizer = (model_folder(workspace, network) for network in networks)
    voices = options.voices or workspace.root / FOLDER
    authenticator = Authenticator(policy, (verifier, countermeasure, recognizer), voices)
    answer = authenticator(name, read_bytes(clip), options.phrase)
    warnings = list(_warnings(answer.parts))
    if options.json:
        print(json.dumps(_told(name, answer, warnings), indent=2, allow_nan=False))
    else:
        show("\n".join(_lines(name, answer, warnings)))
    return exit_status(answer.accepted)


def _told(name: str, answer: Authentication, warnings: Sequence[str]) -> dict[str, Any]:
    """Return the answer as JSON."""
    parts = {part.name: asdict(part) for part in answer.parts}
    for part in answer.parts:
        fitted = part.fitted
        parts[part.name]["fitted"] = None if fitted is None else fitted.model_dump(mode="json")
    return {
        "name": name,
        "accepted": answer.accepted,
        "decisive": list(answer.decisive),
        "phrase": answer.phrase,
        "heard": None if answer.heard is None else answer.heard.text,
        "parts": parts,
        "warnings": list(warnings),
    }


def _lines(name: str, answer: Authentication, warnings: Sequence[str]) -> list[str]:
    lines = [f"{name}: {_head(answer)}"]
    for part in answer.parts:
        lines += [f"{part.name}: {_sentence(part)}", *(f"  {line}" for line in _grounds(part))]
        if part.name == PHRASE and answer.heard is not None:
            lines += [f"  {line}" for line in beside(answer.phrase, answer.heard.text)]
    return [*lines, *(f"note: {warning}" for warning in warnings)]


def _head(answer: Authentication) -> str:
    """Say what is decided, and which parts decided it."""
    parts = " and ".join(answer.decisive)
    if answer.accepted is None:
        return f"no answer, as {parts} cannot be judged and nothing else fails"
    return "accepted, as all parts pass" if answer.accepted else f"rejected by {parts}"


def _sentence(part: Part) -> str:
    """Say whether a part passes, and why."""
    if part.undecided is not None:
        return f"cannot be judged, {part.undecided}"
    assert part.llr is not None
    assert part.threshold is not None
    assert part.score is not None
    verb, side = ("passes", "reaches") if part.passed else ("fails", "is below")
    whose = "the policy file" if part.policy is None else f"policy {part.policy}"
    return (
        f"{verb}, log-likelihood ratio {decimal(part.llr, 2)} {side} the threshold {decimal(part.threshold, 2)} of "
        f"{whose}; score {decimal(part.score, 3)}"
    )


def _grounds(part: Part) -> Iterator[str]:
    """Say who judges, how much was heard, and how often the threshold was wrong on validation rows."""
    heard = ""
    if part.kept_seconds is not None and part.source_seconds is not None:
        heard = f", heard {decimal(part.kept_seconds, 2)} of {decimal(part.source_seconds, 2)} s"
    yield f"by {part.network}{heard}"
    wrong, right = TRIALS[part.name]
    people = f"{counted(part.speakers, 'speaker')} of {part.corpus}"
    if part.fitted is None:
        yield f"how often this threshold accepts {wrong}, nobody has counted on the validation rows of {people}"
        return
    yield (
        f"on validation rows of {people} it accepted {_share(part.fitted.p_fa, part.fitted.nontargets)} {wrong} and "
        f"rejected {_share(part.fitted.p_miss, part.fitted.targets)} {right}"
    )


def _share(rate: float, rows: int) -> str:
    return f"{PERCENT.value(rate)} of {count(rows)}"


def _warnings(parts: Sequence[Part]) -> Iterator[str]:
    """Say what the answer takes for granted."""
    corpora = {part.name: part.corpus for part in parts}
    if len(set(corpora.values())) > 1:
        learnt = ", ".join(f"{name} {corpus}" for name, corpus in corpora.items())
        yield f"the parts were learnt from different corpora ({learnt}); none was tested on the others' speech here"
    yield (
        "each part was calibrated alone; how often all of them are wrong at once is unknown, and the product of their "
        "rates would take them for independent"
    )
    fitted = [part.fitted for part in parts if part.fitted is not None]
    if len(fitted) == len(parts):
        yield _bounds(fitted)


def _bounds(fitted: Sequence[Threshold]) -> str:
    """Say what holds whether or not the parts are independent: Boole's inequality."""
    missed = min(1.0, sum(each.p_miss for each in fitted))
    return (
        "by their rates on validation rows, whoever should be accepted is rejected at most "
        f"{PERCENT.value(missed)} of the time"
    )
