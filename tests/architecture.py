"""The house rules that a machine can check: floors, libraries, sizes, words, and what a DVC stage depends on.

A rule is a function from the parsed sources to complaints; `test_architecture.py` applies them.
"""

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from sources import FUNCTIONS, UNKNOWN, Import, Source, Sources, closure, imports

FLOORS = (
    ("", "schema"),
    ("artifacts", "progress", "registry", "seeding"),
    ("config", "archives", "downloads", "options"),
    ("audio", "models", "metrics", "transcripts", "workers"),
    ("corpora", "features", "tasks"),
    ("training", "evaluation"),
    ("tracking", "serving", "reporting"),
    ("stages",),
    ("commands",),
    ("cli",),
    ("__main__",),
)
ONLY_IN = {
    "jinja2": ("reporting",),
    "av": ("audio.m4a", "audio.codecs", "corpora.*_twin"),
    "distributed": ("workers",),
    "joblib": ("stages", "training", "workers"),
    "librosa": ("reporting",),
    "lightning": ("training",),
    "matplotlib": ("reporting",),
    "mlflow": ("tracking", "serving"),
    "optuna": ("training.search*", "training.pruning"),
    "pingouin": ("metrics.significance",),
    "torchaudio": (),
}
TORCHLESS = ("", "archives", "artifacts", "config", "downloads", "metrics", "progress", "registry", "schema", "seeding")
NEVER_IN = {"torch": (*TORCHLESS, "transcripts.alphabet", "transcripts.normalising", "workers")}
HEAVY = {"lightning", "mlflow", "optuna", "torch"}
STARTS_WITHOUT = {
    "cli": HEAVY,
    "stages.evaluate": HEAVY,
    "stages.synthesize": HEAVY,
    "stages.prepare": HEAVY,
    "stages.features": HEAVY - {"torch"},
}
ENTRANCE = ("__main__", "cli", "config", "schema", "registry")
FILE_LINES, CODE_LINES, PARAMETERS, NESTING = 300, 40, 7, 3
VAGUE_NAMES = {"common", "helper", "helpers", "misc", "util", "utils"}
COMPOUND = (
    ast.If,
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.With,
    ast.AsyncWith,
    ast.Try,
    ast.TryStar,
    ast.Match,
)

Rule = Callable[[Sources], Iterable[str]]


def floors(sources: Sources) -> Iterator[str]:
    level = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
    for source in sources.values():
        if source.room not in level:
            yield f"voxbench/{source.module}: room {source.room!r} stands on no floor"
            continue
        for each in imports(source, sources):
            room = each.name.partition(".")[0]
            if each.ours and room != source.room and level.get(room, 99) >= level[source.room]:
                yield f"{source.at(each)}: {source.room!r} does not stand above {room!r}"


def libraries(sources: Sources) -> Iterator[str]:
    def stands_in(source: Source, places: Iterable[str]) -> bool:
        return any(source.module == p or fnmatch(source.module, p) or source.room == p for p in places)

    for source in sources.values():
        for each in imports(source, sources):
            allowed = stands_in(source, ONLY_IN.get(each.name, [source.module]))
            if not each.ours and (not allowed or stands_in(source, NEVER_IN.get(each.name, ()))):
                yield f"{source.at(each)}: {each.name} has no place here"


def hidden_imports(sources: Sources) -> Iterator[str]:
    for source in sources.values():
        for each in imports(source, sources):
            if each.name == UNKNOWN and source.room != "cli":
                yield f"{source.at(each)}: an import by a computed name hides what a stage depends on"


def light_starts(sources: Sources) -> Iterator[str]:
    for start, unwanted in STARTS_WITHOUT.items():
        for module in sorted(closure([start], sources, lambda _, each: each.function is None)):
            for each in imports(sources[module], sources):
                if each.function is None and not each.ours and each.name in unwanted:
                    yield f"voxbench/{start}: starting it imports {each.name} ({sources[module].at(each)})"


def names(sources: Sources) -> Iterator[str]:
    for source in sources.values():
        if vague := VAGUE_NAMES & set(source.module.split(".")):
            yield f"voxbench/{source.module}: {vague} says nothing; name the concept"


def file_sizes(sources: Sources) -> Iterator[str]:
    for source in sources.values():
        if (lines := source.text.count("\n")) > FILE_LINES:
            yield f"voxbench/{source.module}: {lines} lines, at most {FILE_LINES}"


def function_shapes(sources: Sources) -> Iterator[str]:
    for source in sources.values():
        for node in ast.walk(source.tree):
            if isinstance(node, FUNCTIONS):
                limits = {"code lines": CODE_LINES, "parameters": PARAMETERS, "levels": NESTING}
                found = (code_lines(node), parameters(node), nesting(node))
                for (what, most), count in zip(limits.items(), found, strict=True):
                    if count > most:
                        yield f"{source.at(node)}: {node.name} has {count} {what}, at most {most}"


def code_lines(node: Any) -> int:
    """Count the lines of a function without its decorators and its docstring."""
    first = node.body[0]
    docstring = first.end_lineno - first.lineno + 1 if ast.get_docstring(node) is not None else 0
    return int(node.end_lineno - node.lineno + 1 - docstring)


def parameters(node: Any) -> int:
    """Count what a caller can pass."""
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    bound = bool(arguments) and arguments[0].arg in {"self", "cls"}
    return len(arguments) - bound + (node.args.vararg is not None) + (node.args.kwarg is not None)


def nesting(node: ast.AST) -> int:
    """Return how deep compound statements stand in each other; an `elif` adds none, nor an inner function."""
    deepest = 0
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, (*FUNCTIONS, ast.ClassDef)):
            chained = isinstance(child, ast.If) and isinstance(node, ast.If) and node.orelse == [child]
            deepest = max(deepest, nesting(child) + (isinstance(child, COMPOUND) and not chained))
    return deepest


def broad_excepts(sources: Sources) -> Iterator[str]:
    for source in sources.values():
        for node in ast.walk(source.tree):
            if isinstance(node, ast.ExceptHandler):
                caught = {each.id for each in ast.walk(node.type or node) if isinstance(each, ast.Name)}
                if node.type is None or caught & {"Exception", "BaseException"}:
                    yield f"{source.at(node)}: catches everything; name the errors"


def open_ends(sources: Sources) -> Iterator[str]:
    for source in sources.values():
        for number, line in enumerate(source.text.splitlines(), start=1):
            if re.search(r"\b(TODO|FIXME|XXX)\b(?!.*#\d)", line):
                yield f"voxbench/{source.module}:{number}: no open end without an issue number"


def docstrings(sources: Sources) -> Iterator[str]:
    def public(body: Iterable[ast.stmt]) -> Iterator[Any]:
        for node in body:
            if isinstance(node, (*FUNCTIONS, ast.ClassDef)) and not node.name.startswith("_"):
                yield node
                yield from public(node.body) if isinstance(node, ast.ClassDef) else ()

    for source in sources.values():
        if not ast.get_docstring(source.tree):
            yield f"voxbench/{source.module}: the file has no docstring"
        for node in public(source.tree.body):
            if not ast.get_docstring(node):
                yield f"{source.at(node)}: {node.name} has no docstring"


def stage_files(stage: str, sources: Sources) -> set[Path]:
    """Return every file of the package that `python -m voxbench STAGE` can reach.

    A function of the command line that imports a stage serves that stage alone; one that imports none belongs
    to a command that is no stage.
    """
    target = f"stages.{stage}"

    def follow(source: Source, each: Import) -> bool:
        if source.room != "cli" or each.function is None:
            return True
        beside = {other.name for other in imports(source, sources) if other.function == each.function}
        return target in beside and (each.name == target or not each.name.startswith("stages."))

    modules = closure([target, *ENTRANCE], sources, follow)
    files = {sources[module].path for module in modules}
    packages = {path.parent for path in files if path.name == "__init__.py"}
    return files | {path for folder in packages for path in _package_data(folder)}


def _package_data(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.is_dir() and path.name != "__pycache__" and not (path / "__init__.py").exists():
            yield from _package_data(path)
        elif path.is_file() and path.suffix not in {".py", ".pyc"}:
            yield path


def undeclared(pipeline: dict[str, Any], sources: Sources, root: Path) -> Iterator[str]:
    """Yield the files that a stage of `dvc.yaml` reaches and that no dependency of it is or contains."""
    for name, declared in pipeline["stages"].items():
        stage = declared.get("do", declared)
        command = re.search(r"-m voxbench (\w+)", str(stage["cmd"]))
        if not command or f"stages.{command[1]}" not in sources:
            yield f"{name}: {stage['cmd']!r} runs no stage of voxbench"
            continue
        entries = (next(iter(each)) if isinstance(each, dict) else each for each in stage.get("deps", ()))
        covered = {root / entry for entry in entries}
        for path in sorted(stage_files(command[1], sources)):
            if not covered & {path, *path.parents}:
                yield f"{name}: {path.relative_to(root).as_posix()} is missing from its deps"


RULES: tuple[Rule, ...] = (
    floors,
    libraries,
    hidden_imports,
    light_starts,
    names,
    file_sizes,
    function_shapes,
    broad_excepts,
    open_ends,
    docstrings,
)
