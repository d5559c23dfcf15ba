"""Profiles: files below `profiles/` that replace some values of `params.yaml`, which stays the only configuration.

A profile is merged into `params.yaml` itself, comments kept, so that `git diff` shows what it changed and
`git checkout params.yaml` takes it back. It changes the rows that it names and those that take the changed value over
by `<<`, unless the profile names them as well.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.mergevalue import MergeValue
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.representer import RoundTripRepresenter

from voxbench.artifacts import write_text
from voxbench.config.loading import load_params
from voxbench.registry import closest
from voxbench.schema import InputError

WHOLE = frozenset({"override"})


def apply_profile(params_file: Path, name: str) -> list[str]:
    """Merge `profiles/NAME.yaml` into `params_file` and return what changed, a line for each value.

    A profile may only replace values that are there: a key that `params.yaml` lacks is refused with the closest one.
    A benchmark's `override`, which holds only what differs, is replaced whole. A result that does not pass the checks
    is refused, too; the file is left alone then.
    """
    folder = params_file.resolve().parent / "profiles"
    known = sorted(path.stem for path in folder.glob("*.yaml"))
    if name not in known:
        raise InputError(
            f"no profile {name!r} in {folder}{closest(name, known)}; profiles: {', '.join(known) or 'none'}"
        )
    load_params(params_file)
    original = params_file.read_text(encoding="utf-8")
    merged = _merged(original, YAML(typ="safe").load((folder / f"{name}.yaml").read_text(encoding="utf-8")))
    write_text(params_file, merged)
    try:
        load_params(params_file)
    except InputError as error:
        write_text(params_file, original)
        raise InputError(f"profile {name!r} does not fit: {error}") from error
    before, after = _values(original), _values(merged)
    return [
        f"{place}: {before.get(place, 'nothing')} -> {value}"
        for place, value in after.items()
        if place not in before or before[place] != value
    ]


def _merged(text: str, profile: dict[str, Any]) -> str:
    """Return the text of `params.yaml` with the profile's values.

    What a row inherits changes with the row it inherits from, but shows only when the file is read again; so the
    profile is merged until it changes nothing.
    """
    while True:
        yaml = YAML()
        yaml.preserve_quotes = True
        yaml.width = 120
        yaml.indent(mapping=2, sequence=4, offset=2)
        yaml.representer.add_representer(type(None), _write_null)
        params = yaml.load(text)
        _keep_anchors(params)
        if not _merge(params, profile, ()):
            return text
        merged = io.StringIO()
        yaml.dump(params, merged)
        text = merged.getvalue()


def _write_null(representer: RoundTripRepresenter, _: None) -> ScalarNode:
    """Write null as the word, which ruamel would leave out."""
    return representer.represent_scalar("tag:yaml.org,2002:null", "null")


def _values(text: str) -> dict[str, Any]:
    """Return every value of `params.yaml` by its place, inherited ones included."""

    def walk(node: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
        if isinstance(node, dict) and node:
            for key, value in node.items():
                yield from walk(value, (*path, str(key)))
        else:
            yield ".".join(path), node

    return dict(walk(YAML(typ="safe").load(text), ()))


def _keep_anchors(node: Any) -> None:
    """Let anchors that no other row refers to yet be written too."""
    if isinstance(node, CommentedMap):
        if node.anchor.value:
            node.yaml_set_anchor(node.anchor.value, always_dump=True)
        for value in node.values():
            _keep_anchors(value)


def _merge(params: Any, profile: dict[str, Any], path: tuple[str, ...]) -> bool:
    """Replace the values of `params` that the profile names, and say whether any was another."""
    changed = False
    for key, value in profile.items():
        if key not in params:
            place = ".".join((*path, key))
            raise InputError(f"the profile sets {place!r}, which params.yaml does not have{closest(key, params)}")
        if isinstance(value, dict) and isinstance(params[key], dict) and key not in WHOLE:
            part = _heir(params[key]) if _inherited(params, key) else params[key]
            if not _merge(part, value, (*path, key)):
                continue
            _put(params, key, part)
        elif params[key] != value:
            _put(params, key, _in_line(value))
        else:
            continue
        changed = True
    return changed


def _inherited(params: CommentedMap, key: str) -> bool:
    """Say whether a row has `key` from another row alone, by `<<`."""
    return all(own != key for own, _ in params.non_merged_items())


def _heir(inherited: CommentedMap) -> CommentedMap:
    """Return a mapping that takes over all values of `inherited`, which changes of it leave alone."""
    heir = CommentedMap()
    if inherited.anchor.value:
        heir.fa.set_flow_style()
        source = MergeValue()
        source.append(inherited)
        source.merge_pos = 0
        heir.add_yaml_merge(source)
    else:
        heir.update(inherited)
    return heir


def _put(params: CommentedMap, key: str, value: Any) -> None:
    """Set a value; an inherited one goes to the row's top, for comments that follow a row belong to its last value."""
    if _inherited(params, key):
        params.insert(1, key, value)
    else:
        params[key] = value


def _in_line(value: Any) -> Any:
    """Return a copy of a profile's value that is written in one line where it is a list or a mapping."""
    copy: CommentedMap | CommentedSeq
    if isinstance(value, dict):
        copy = CommentedMap({key: _in_line(part) for key, part in value.items()})
    elif isinstance(value, list):
        copy = CommentedSeq([_in_line(part) for part in value])
    else:
        return value
    copy.fa.set_flow_style()
    return copy
