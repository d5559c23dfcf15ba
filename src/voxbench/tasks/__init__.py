"""Tasks: targets, heads, losses and scores. To add one, write a module that adds a `Task`."""

from __future__ import annotations

import importlib
import pkgutil

from voxbench.tasks.registry import Task, tasks

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["Task", "tasks"]
