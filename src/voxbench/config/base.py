"""What every section of `params.yaml` is: frozen, closed to unknown keys, and without hidden defaults.

A default here would change a number without showing in `dvc params diff`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from voxbench.registry import closest


def _ordered(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] > bounds[1]:
        raise ValueError(f"bounds are [{bounds[0]:g}, {bounds[1]:g}], expected the lower one first")
    return bounds


Fraction = Annotated[float, Field(ge=0, lt=1)]
Probability = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Bounds = Annotated[tuple[float, float], AfterValidator(_ordered)]
Trainable = Literal["head", "upper", "all"]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
Changes = dict[str, Any]


class Section(BaseModel):
    """A part of `params.yaml`: immutable, and closed to keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Part = TypeVar("Part", bound=Section)


def changed(section: Part, changes: Changes, place: str) -> Part:
    """Return `section` with the values that `changes` names, sections within it included.

    Raises `ValueError`, which names `place` and the key, for an unknown key or a value that the section refuses.
    """
    try:
        return type(section).model_validate(_merged(section.model_dump(), changes, place))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        found = "" if first["type"] == "value_error" else f", found {first['input']!r}"
        raise ValueError(f"{place}.{key}: {first['msg'].removeprefix('Value error, ')}{found}") from error


def _merged(values: Mapping[str, Any], changes: Changes, place: str) -> dict[str, Any]:
    merged = dict(values)
    for key, change in changes.items():
        if key not in merged:
            raise ValueError(f"unknown key '{place}.{key}'{closest(key, merged)}")
        nested = isinstance(change, dict) and isinstance(merged[key], dict)
        merged[key] = _merged(merged[key], change, f"{place}.{key}") if nested else change
    return merged
