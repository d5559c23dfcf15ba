"""The parsed sources of voxbench and what they import; `architecture.py` judges them."""

import ast
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
UNKNOWN = "?"


@dataclass(frozen=True)
class Source:
    """One parsed file; `module` is its dotted name below `voxbench`, empty for the package itself."""

    module: str
    path: Path
    text: str
    tree: ast.Module

    @property
    def room(self) -> str:
        return self.module.partition(".")[0]

    @property
    def is_package(self) -> bool:
        return self.path.name == "__init__.py"

    def at(self, node: Any) -> str:
        return f"voxbench/{self.module}:{node.lineno}"


@dataclass(frozen=True)
class Import:
    """An import wherever it stands: ours named below `voxbench`, a library by its top name."""

    name: str
    ours: bool
    lineno: int
    function: str | None


Sources = dict[str, Source]


def read_sources(root: Path) -> Sources:
    sources = {}
    package = root / "src" / "voxbench"
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        text = path.read_text(encoding="utf-8")
        sources[module] = Source(module, path, text, ast.parse(text))
    return sources


def imports(source: Source, sources: Sources) -> Iterator[Import]:
    for statement in source.tree.body:
        function = statement.name if isinstance(statement, FUNCTIONS) else None
        for node in ast.walk(statement):
            for name in _imported(node, source, sources):
                ours = name.partition(".")[0] == "voxbench"
                short = name.removeprefix("voxbench").removeprefix(".") if ours else name.partition(".")[0]
                yield Import(short, ours, getattr(node, "lineno", 0), function)


def _imported(node: ast.AST, source: Source, sources: Sources) -> Iterator[str]:
    match node:
        case ast.Import():
            yield from (alias.name for alias in node.names)
        case ast.ImportFrom():
            base = _absolute(node, source)
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield full if full.removeprefix("voxbench.") in sources else base
        case ast.Call(func=ast.Name(id="import_module" | "__import__") | ast.Attribute(attr="import_module")):
            yield from _loaded(node.args[0], source, sources)


def _absolute(node: ast.ImportFrom, source: Source) -> str:
    if not node.level:
        return node.module or ""
    package = ["voxbench", *filter(None, source.module.split("."))]
    up = node.level - source.is_package
    return ".".join([*package[: len(package) - up], *filter(None, [node.module])])


def _loaded(argument: ast.expr, source: Source, sources: Sources) -> Iterator[str]:
    """Yield what `import_module` loads; a computed name in a room's `__init__` stands for the whole room."""
    if isinstance(argument, ast.Constant):
        yield str(argument.value)
    elif source.is_package:
        yield from (f"voxbench.{name}" for name in sources if name.rpartition(".")[0] == source.module)
    else:
        yield UNKNOWN


def closure(start: Iterable[str], sources: Sources, follow: Callable[[Source, Import], bool]) -> set[str]:
    """Return the modules that importing `start` loads: what they import and the packages around them."""
    found: set[str] = set()
    waiting = list(start)
    while waiting:
        module = waiting.pop()
        if module in found or module not in sources:
            continue
        found.add(module)
        source = sources[module]
        waiting.append(module.rpartition(".")[0])
        waiting += [each.name for each in imports(source, sources) if each.ours and follow(source, each)]
    return found
