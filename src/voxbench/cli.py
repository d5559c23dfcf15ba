"""The command line: parse, load `params.yaml`, call one function.

Each command imports its stage when it runs, so that a stage pays only for the libraries it uses.
"""

from __future__ import annotations

import argparse
import errno
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from voxbench import __version__
from voxbench.schema import InputError, ScoreKind
from voxbench.stages.workspace import Workspace, open_workspace

FULL = (errno.ENOSPC, errno.EDQUOT)
LOCKED = (errno.EROFS, errno.EACCES, errno.EPERM)


class Option(NamedTuple):
    """An option of a command: a switch, or one that takes a value of a type, of certain words, or must be given."""

    name: str
    purpose: str
    takes: type | None = None
    choices: tuple[str, ...] | None = None
    required: bool = False


class Command(NamedTuple):
    """One sub-command: what it does, the words that follow it in its example, and the function that runs it.

    `arguments` are names of single words; one that ends in `...` takes several, one in brackets may be left out. The
    function returns an exit status where there is more than success to tell.
    """

    purpose: str
    arguments: tuple[str, ...]
    example: str
    run: Callable[[Workspace, argparse.Namespace], int | None]
    options: tuple[Option, ...] = ()


def _doctor(workspace: Workspace, arguments: argparse.Namespace) -> int:
    from voxbench.stages.doctor import doctor

    return doctor(workspace, arguments.corpus, arguments.root, arguments.json)


def _download(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from voxbench.stages.download import DownloadOptions, download

    options = DownloadOptions(arguments.yes, arguments.unverified, arguments.keep_archives, arguments.list)
    download(workspace, arguments.corpus, arguments.part, arguments.root, options)


def _synthesize(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from voxbench.stages.synthesize import synthesize

    synthesize(workspace, arguments.corpus)


def _prepare(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from voxbench.stages.prepare import prepare

    prepare(workspace, arguments.corpus)


def _mix(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from voxbench.stages.mix import mix

    mix(workspace, arguments.corpus)


def _features(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from voxbench.stages.features import features

    features(workspace, arguments.corpus)


def _select(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from voxbench.stages.select import select

    select(workspace, arguments.study)


def _finetune(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from voxbench.stages.finetune import finetune

    finetune(workspace, arguments.benchmark)


def _repeat(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from voxbench.stages.repeat import repeat

    repeat(workspace, arguments.benchmark)


def _ablate(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from voxbench.stages.ablate import ablate

    ablate(workspace, arguments.benchmark)


def _cross(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from voxbench.stages.cross import cross

    cross(workspace)


def _evaluate(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from voxbench.stages.evaluate import EvaluateOptions, evaluate

    named = {option.name.replace("-", "_") for option in EVALUATE_OPTIONS}
    evaluate(workspace, EvaluateOptions(**{name: getattr(arguments, name) for name in named}))


def _weights(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from voxbench.stages.weights import fetch_weights

    fetch_weights(workspace, arguments.model)


def _report(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from voxbench.stages.report import report

    report(workspace)


def _profile(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from voxbench.config.profiles import apply_profile

    changes = apply_profile(arguments.params, arguments.profile)
    print("\n".join(changes) or "params.yaml has these values already")


ROOT = Option("root", "a folder other than that of params.yaml; needed where CORPUS is a reader, not a row", Path)
EVALUATE_OPTIONS = (
    Option("scores", "the score file: csv, tsv, txt, npy or parquet", Path, required=True),
    Option("output", "a new folder, or one that this command wrote", Path, required=True),
    Option("kind", "what the scores are; --task says it, too", str, tuple(map(str, ScoreKind))),
    Option("task", "detection as that field reports it", str, ("speaker_verification", "anti_spoofing")),
    Option("labels", "trial list, protocol or table with the truth, where the score file lacks it", Path),
    Option("columns", "names of the score file's columns, a,b,c, where it has no header", str),
    Option("utterances", "file with the names of an array's rows, one in a line", Path),
    Option("split", "evaluate the rows of this split alone", str),
    Option("groups", "columns to group by, a,b,c; without it the usual ones", str),
    Option("dev-scores", "scores of development rows: calibration and thresholds are fitted there", Path),
    Option("dev-labels", "their labels", Path),
    Option("dev-split", "their split; without --dev-scores another split of --scores", str),
    Option("against", "scores of another system of the same rows: differences, tests, what could be found", Path),
    Option("against-labels", "their labels; without it those of --labels", Path),
    Option("asv-scores", "scores of the speaker verifier, for the t-DCF", Path),
    Option("asv-rates", "a verifier by its published errors, such as asvspoof2019-la-eval", str),
)
COMMANDS = {
    "doctor": Command(
        "say whether a corpus on disk is complete and usable, and how to mend it",
        ("corpus",),
        "timit",
        _doctor,
        (ROOT, Option("json", "print the findings as JSON")),
    ),
    "download": Command(
        "fetch an open corpus, or say how to come by one that needs registration",
        ("corpus", "[part...]"),
        "librispeech dev-clean --root /data/LibriSpeech",
        _download,
        (
            ROOT,
            Option("list", "show sizes, licence and what is there, and stop"),
            Option("yes", "do not ask"),
            Option("unverified", "take files for which nobody publishes a checksum"),
            Option("keep-archives", "keep archives after they are unpacked"),
        ),
    ),
    "synthesize": Command("write the synthetic twin of a corpus", ("corpus",), "voxceleb1", _synthesize),
    "prepare": Command("clean a corpus, split it, account for every recording", ("corpus",), "timit", _prepare),
    "mix": Command(
        "plan mixtures of people who talk at once, a row of mixtures in params.yaml",
        ("corpus",),
        "count-librispeech",
        _mix,
    ),
    "features": Command("compute the features of a prepared corpus", ("corpus",), "timit", _features),
    "select": Command("stage 1: search the candidate models of a study", ("study",), "gender-voxceleb1", _select),
    "finetune": Command("stage 2: train and register the finalists", ("benchmark",), "age-timit", _finetune),
    "repeat": Command("train every finalist with every seed and test", ("benchmark",), "age-timit", _repeat),
    "ablate": Command("train variants of a benchmark's finalists", ("benchmark",), "age-timit", _ablate),
    "cross": Command("test every benchmark's best network on every corpus", (), "", _cross),
    "evaluate": Command(
        "measure a score file, whoever made it: intervals, groups, thresholds, figures, one page",
        (),
        "--task anti_spoofing --scores scores.txt --labels protocol.txt --output results/anti-spoofing",
        _evaluate,
        EVALUATE_OPTIONS,
    ),
    "report": Command("write reports/index.html and reports/metrics.json", (), "", _report),
    "profile": Command("replace values of params.yaml by those of a profile", ("profile",), "paper", _profile),
    "weights": Command("fetch ImageNet weights, checked by hash", ("action", "model..."), "fetch resnet18", _weights),
}
ACTIONS = {"weights": ("fetch",)}


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="voxbench", description="Which model, on which corpus, is really better, and can it be served?"
    )
    parser.add_argument("--version", action="version", version=f"voxbench {__version__}")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="configuration file (params.yaml)")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        example = f"example: voxbench {name} {command.example}".rstrip()
        one = commands.add_parser(name, help=command.purpose, description=command.purpose, epilog=example)
        # The example stays on one line, to be copied.
        one.formatter_class = argparse.RawDescriptionHelpFormatter
        shown = command.example.split()
        for number, word in enumerate(command.arguments):
            if word == "action":
                one.add_argument(word, choices=ACTIONS[name], help="what to do")
                continue
            several = "*" if word.startswith("[") else "+" if word.endswith("...") else None
            one.add_argument(word.strip("[]."), nargs=several, help=f"its name, e.g. {shown[number]}")
        for option in command.options:
            flag = f"--{option.name}"
            if option.takes is None:
                one.add_argument(flag, action="store_true", help=option.purpose)
                continue
            takes: dict[str, Any] = {"type": option.takes, "choices": option.choices, "required": option.required}
            one.add_argument(flag, help=option.purpose, **takes)
        one.set_defaults(run=command.run)
    return parser


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; wrong input, a full disk or a locked one are a line on standard error and exit status 2."""
    arguments = build_parser().parse_args(words)
    try:
        return arguments.run(open_workspace(arguments.params), arguments) or 0
    except InputError as error:
        print(f"voxbench {arguments.command}: {error}", file=sys.stderr)
    except OSError as error:
        if error.errno not in FULL + LOCKED:
            raise
        place = f" ({error.filename})" if error.filename else ""
        if error.errno in FULL:
            said = f"no space is left on the disk{place}; finished work is kept: free space and run the command again"
        else:
            said = f"{error.strerror}{place}: allow writing there, or work in a copy of the project"
        print(f"voxbench {arguments.command}: {said}", file=sys.stderr)
    return 2
