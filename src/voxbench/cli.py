"""The command line: parse, load `params.yaml`, call one function.

Each command imports its stage when it runs, so that a stage pays only for the libraries it uses.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from voxbench import __version__
from voxbench.schema import InputError
from voxbench.stages.workspace import Workspace, open_workspace


class Command(NamedTuple):
    """One sub-command: what it does, the name of its argument if it takes one, and the function that runs it."""

    purpose: str
    argument: str | None
    run: Callable[[Workspace, argparse.Namespace], None]


def _synthesize(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from voxbench.stages.synthesize import synthesize

    synthesize(workspace, arguments.corpus)


def _prepare(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from voxbench.stages.prepare import prepare

    prepare(workspace, arguments.corpus)


def _features(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from voxbench.stages.features import features

    features(workspace, arguments.corpus)


def _select(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from voxbench.stages.select import select

    select(workspace, arguments.benchmark)


def _finetune(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from voxbench.stages.finetune import finetune

    finetune(workspace, arguments.benchmark)


def _repeat(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from voxbench.stages.repeat import repeat

    repeat(workspace, arguments.benchmark)


def _report(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from voxbench.stages.report import report

    report(workspace)


def _profile(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from voxbench.config.profiles import apply_profile

    changes = apply_profile(arguments.params, arguments.profile)
    print("\n".join(changes) or "params.yaml has these values already")


COMMANDS = {
    "synthesize": Command("write the synthetic twin of a corpus", "corpus", _synthesize),
    "prepare": Command("clean a corpus, split it, and account for every recording", "corpus", _prepare),
    "features": Command("compute the features of a prepared corpus", "corpus", _features),
    "select": Command("stage 1: search the candidate models of a benchmark", "benchmark", _select),
    "finetune": Command("stage 2: train and register the finalists of a benchmark", "benchmark", _finetune),
    "repeat": Command("train every finalist with every seed and test the differences", "benchmark", _repeat),
    "profile": Command("replace values of params.yaml by those of a profile", "profile", _profile),
    "report": Command("write reports/index.html and reports/metrics.json", None, _report),
}
EXAMPLES = {"corpus": "voxceleb1", "benchmark": "gender-voxceleb1", "profile": "full", None: ""}


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="voxbench", description="Which model, on which corpus, is really better, and can it be served?"
    )
    parser.add_argument("--version", action="version", version=f"voxbench {__version__}")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="configuration file (params.yaml)")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        example = f"example: voxbench {name} {EXAMPLES[command.argument]}".rstrip()
        one = commands.add_parser(name, help=command.purpose, description=command.purpose, epilog=example)
        if command.argument:
            one.add_argument(command.argument, help=f"its name, e.g. {EXAMPLES[command.argument]}")
        one.set_defaults(run=command.run)
    return parser


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; wrong input is one line on standard error and exit status 2."""
    arguments = build_parser().parse_args(words)
    try:
        arguments.run(open_workspace(arguments.params), arguments)
    except InputError as error:
        print(f"voxbench {arguments.command}: {error}", file=sys.stderr)
        return 2
    return 0
