"""The encoders: networks that map a batch to embeddings; heads, losses and scores belong to tasks.

Every module of this room is imported here, so a new file with a `@model(...)` builder is found by itself.
"""

from importlib import import_module
from pkgutil import iter_modules

from voxbench.models.encoder import TRAINABLE, Encoder, freeze
from voxbench.models.zoo import ModelSpec, create_model, list_models, min_frames, model, spec, stride_of

__all__ = [
    "TRAINABLE",
    "Encoder",
    "ModelSpec",
    "create_model",
    "freeze",
    "list_models",
    "min_frames",
    "model",
    "spec",
    "stride_of",
]

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
