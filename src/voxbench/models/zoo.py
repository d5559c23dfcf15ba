"""The table of models and the one door to them, `create_model`.

A builder is a function from one frozen settings record to an `Encoder`. The record belongs to the family, and each
model comes with the one that its paper gives. A field whose metadata is `ARCHITECTURE` belongs to the row of the table:
a run does not set it, but whoever builds a model may, for a network with more or fewer layers or filters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any, TypeVar

import torch

from voxbench.models.encoder import Encoder
from voxbench.registry import Registry, closest
from voxbench.schema import InputError, InputKind

Builder = TypeVar("Builder", bound=Callable[[Any], Encoder])
ARCHITECTURE = MappingProxyType({"architecture": True})


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What is known of a model without building it.

    `published` holds the settings of the paper in `reference`, as the dataclass that `build` takes; `pretrained` says
    whether torchvision publishes ImageNet weights of the network.
    """

    name: str
    family: str
    input_kind: InputKind
    published: Any
    reference: str
    build: Callable[[Any], Encoder]
    pretrained: bool

    @property
    def accepts(self) -> tuple[str, ...]:
        """Names of the settings of this model that every run gives."""
        return tuple(field.name for field in fields(self.published) if field.metadata != ARCHITECTURE)

    @property
    def architecture(self) -> tuple[str, ...]:
        """Names of the settings that the model's row of the table gives."""
        return tuple(field.name for field in fields(self.published) if field.metadata == ARCHITECTURE)


_MODELS: Registry[ModelSpec] = Registry("model")


def model(
    name: str, *, family: str, input_kind: InputKind, published: Any, reference: str, pretrained: bool = False
) -> Callable[[Builder], Builder]:
    """Return a decorator that registers a builder as model `name`; a name in use is refused."""

    def register(build: Builder) -> Builder:
        _MODELS.add(name, ModelSpec(name, family, input_kind, published, reference, build, pretrained))
        return build

    return register


def spec(name: str) -> ModelSpec:
    """Return the record of model `name`; an unknown name raises `InputError` with the closest one."""
    return _MODELS[name]


def list_models(family: str | None = None) -> list[str]:
    """List the names of all models, or of one family, in order of registration.

    Raises `InputError` for a family that has no model.
    """
    families = dict.fromkeys(_MODELS[name].family for name in _MODELS)
    if family is not None and family not in families:
        raise InputError(f"unknown model family {family!r}{closest(family, families)}; known: {', '.join(families)}")
    return [name for name in _MODELS if family in (None, _MODELS[name].family)]


def create_model(name: str, **overrides: object) -> Encoder:
    """Build model `name`, its random weights drawn from torch's global generator.

    `overrides` replace published settings by name; the pipeline overrides all that are not of the architecture, so that
    none escapes `params.yaml`. Raises `InputError` for an unknown model, an unknown setting, or a value out of range.
    """
    chosen = spec(name)
    known = chosen.accepts + chosen.architecture
    if unknown := [key for key in overrides if key not in known]:
        raise InputError(
            f"unknown setting {unknown[0]!r}{closest(unknown[0], known)}; {name!r} takes: {', '.join(known)}"
        )
    return chosen.build(replace(chosen.published, **overrides))


def stride_of(name: str) -> int | None:
    """Return for how many frames model `name` gives one output, None where it gives one embedding of a clip.

    It is built without memory for weights. Raises `InputError` for an unknown model.
    """
    with torch.device("meta"):
        return create_model(name).stride


def min_frames(name: str, **overrides: object) -> int:
    """Return the least length of a crop that model `name` can map, in frames, or in samples of a wave.

    The network says so itself: it is built without memory for weights, in milliseconds. Raises as `create_model` does.
    """
    with torch.device("meta"):
        return create_model(name, **overrides).min_frames
