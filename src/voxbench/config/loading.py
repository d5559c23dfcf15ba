"""Reading `params.yaml`: every error names the key and, for a misspelt one, the closest name."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from voxbench.config.base import Section
from voxbench.config.sections import Params
from voxbench.registry import closest
from voxbench.schema import InputError


def load_params(path: Path) -> Params:
    """Read and check `params.yaml`; every error names the key and, for a misspelt one, the closest name."""
    if not path.is_file():
        raise InputError(f"no configuration at {path}: run voxbench in the project's folder, or pass --params")
    try:
        raw = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except (YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    try:
        return Params.model_validate(raw)
    except ValidationError as error:
        problems = "; ".join(_explain(problem) for problem in error.errors())
        raise InputError(f"{path.name}: {problems}") from error


def _explain(problem: Any) -> str:
    place = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"unknown key {place!r}{closest(str(problem['loc'][-1]), _siblings(problem['loc'][:-1]))}"
    if problem["type"] == "missing":
        return f"key {place!r} is missing"
    message = problem["msg"].removeprefix("Value error, ")
    found = "" if problem["type"] == "value_error" else f", found {problem['input']!r}"
    return f"{place}: {message}{found}" if place else f"{message}{found}"


def _siblings(location: Iterable[str | int]) -> list[str]:
    """Return the key names that the section at `location` accepts."""
    section: Any = Params
    for part in location:
        fields = getattr(section, "model_fields", None)
        if fields is not None and part in fields:
            section = fields[part].annotation
        else:
            section = next((a for a in get_args(section) if isinstance(a, type) and issubclass(a, Section)), section)
    return list(getattr(section, "model_fields", {}))
