"""Profiles: files below `profiles/` that replace some values of `params.yaml`, which stays the only configuration.

A profile is merged into `params.yaml` itself, comments kept, so that `git diff` shows what it changed and
`git checkout params.yaml` takes it back.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from voxbench.artifacts import write_text
from voxbench.config.loading import load_params
from voxbench.registry import closest
from voxbench.schema import InputError


def apply_profile(params_file: Path, name: str) -> list[str]:
    """Merge `profiles/NAME.yaml` into `params_file` and return what changed, a line for each value.

    A profile may only replace values that are there: a key that `params.yaml` lacks is refused with the closest one,
    and so is a result that does not pass the checks; the file is left alone then.
    """
    folder = params_file.resolve().parent / "profiles"
    known = sorted(path.stem for path in folder.glob("*.yaml"))
    if name not in known:
        raise InputError(
            f"no profile {name!r} in {folder}{closest(name, known)}; profiles: {', '.join(known) or 'none'}"
        )
    load_params(params_file)
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 120
    yaml.indent(mapping=2, sequence=4, offset=2)
    params = yaml.load(params_file.read_text(encoding="utf-8"))
    _keep_anchors(params)
    changes = list(_merge(params, YAML(typ="safe").load((folder / f"{name}.yaml").read_text(encoding="utf-8")), ()))
    merged = io.StringIO()
    yaml.dump(params, merged)
    original = params_file.read_text(encoding="utf-8")
    write_text(params_file, merged.getvalue())
    try:
        load_params(params_file)
    except InputError as error:
        write_text(params_file, original)
        raise InputError(f"profile {name!r} does not fit: {error}") from error
    return changes


def _keep_anchors(node: Any) -> None:
    """Let anchors that no other row refers to yet be written too."""
    if isinstance(node, CommentedMap):
        if node.anchor.value:
            node.yaml_set_anchor(node.anchor.value, always_dump=True)
        for value in node.values():
            _keep_anchors(value)


def _merge(params: Any, profile: dict[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    for key, value in profile.items():
        place = ".".join((*path, key))
        if key not in params:
            raise InputError(f"the profile sets {place!r}, which params.yaml does not have{closest(key, params)}")
        if isinstance(value, dict) and isinstance(params[key], dict):
            yield from _merge(params[key], value, (*path, key))
        elif params[key] != value:
            yield f"{place}: {params[key]} -> {value}"
            params[key] = value
