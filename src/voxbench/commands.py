"""What a command of the command line is, and the parser of them all; `voxbench.cli` has the table of them."""

from __future__ import annotations

import argparse
import errno
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from voxbench import __version__
from voxbench.options import OPTIONS
from voxbench.stages.workspace import Workspace

ACTIONS = {"weights": ("fetch", "convert")}
"""The words that stand for an action of a command that has several."""
FULL = (errno.ENOSPC, errno.EDQUOT)
LOCKED = (errno.EROFS, errno.EACCES, errno.EPERM)


class Command(NamedTuple):
    """One sub-command: what it does, the words that follow it in its examples, and the function that runs it.

    `also` are those of a second example, of a command that does two things. `arguments` are names of single words; one
    that ends in `...` takes several, one in brackets may be left out. The function returns an exit status where there
    is more than success to tell.
    """

    purpose: str
    arguments: tuple[str, ...]
    example: str
    run: Callable[[Workspace, argparse.Namespace], int | None]
    also: str | None = None


def parser_of(commands: Mapping[str, Command]) -> argparse.ArgumentParser:
    """Return the parser of all commands, which stand under their names."""
    parser = argparse.ArgumentParser(
        prog="voxbench", description="Which model, on which corpus, is really better, and can it be served?"
    )
    parser.add_argument("--version", action="version", version=f"voxbench {__version__}")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="configuration file (params.yaml)")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in commands.items():
        shown_lines = [f"example: voxbench {name} {command.example}".rstrip()]
        if command.also is not None:
            shown_lines.append(f"example: voxbench {name} {command.also}")
        one = subparsers.add_parser(
            name, help=command.purpose, description=command.purpose, epilog="\n".join(shown_lines)
        )
        # An example stays on one line, to be copied.
        one.formatter_class = argparse.RawDescriptionHelpFormatter
        shown = shlex.split(command.example)
        for number, word in enumerate(command.arguments):
            if word == "action":
                one.add_argument(word, choices=ACTIONS[name], help="what to do")
                continue
            least, most = ("?", "*") if word.startswith("[") else (None, "+")
            several = most if "..." in word else least
            one.add_argument(word.strip("[]."), nargs=several, help=f"its name, e.g. {shown[number]}")
        for option in OPTIONS.get(name, ()):
            flag = f"--{option.name}"
            if option.takes is None:
                one.add_argument(flag, action="store_true", help=option.purpose)
                continue
            takes: dict[str, Any] = {"type": option.takes, "choices": option.choices, "required": option.required}
            one.add_argument(flag, help=option.purpose, **takes)
        one.set_defaults(run=command.run)
    return parser


def disk_complaint(error: OSError) -> str | None:
    """Return what to do about a full disk or a locked one; None for any other trouble, which is no fault of the user.

    >>> disk_complaint(OSError(errno.EPIPE, "Broken pipe"))
    """
    place = f" ({error.filename})" if error.filename else ""
    if error.errno in FULL:
        return f"no space is left on the disk{place}; finished work is kept: free space and run the command again"
    if error.errno in LOCKED:
        return f"{error.strerror}{place}: allow writing there, or work in a copy of the project"
    return None
