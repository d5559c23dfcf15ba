"""voxbench keeps its house rules, and each rule refuses a tree that breaks it.

`BROKEN` shows every rule such a tree, so that no rule passes because it looks at nothing.
"""

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from architecture import (
    RULES,
    Rule,
    broad_excepts,
    docstrings,
    file_sizes,
    floors,
    function_shapes,
    hidden_imports,
    libraries,
    light_starts,
    names,
    open_ends,
    stage_files,
    undeclared,
)
from sources import Sources, read_sources

PROJECT = Path(__file__).resolve().parents[1]

NESTED = "def f():\n for a in b:\n  if a:\n   with a:\n    {}\n"
BROKEN: tuple[tuple[Rule, dict[str, str], str], ...] = (
    (
        floors,
        {"metrics/a.py": "def f():\n from voxbench.tasks import x"},
        "'metrics' does not stand above 'tasks'",
    ),
    (floors, {"features/a.py": "import voxbench.corpora.b"}, "'features' does not stand above 'corpora'"),
    (floors, {"audio/a.py": "from ..models.b import c"}, "'audio' does not stand above 'models'"),
    (
        floors,
        {"schema.py": "from voxbench import config", "config.py": ""},
        "'schema' does not stand above 'config'",
    ),
    (floors, {"attic/a.py": ""}, "'attic' stands on no floor"),
    (libraries, {"metrics/a.py": "import torch.nn"}, "torch has no place here"),
    (libraries, {"stages/a.py": "from mlflow.tracking import b"}, "mlflow has no place here"),
    (libraries, {"training/fit.py": "import optuna"}, "optuna has no place here"),
    (libraries, {"metrics/a.py": "def f():\n import pingouin"}, "pingouin has no place here"),
    (libraries, {"audio/a.py": "import torchaudio"}, "torchaudio has no place here"),
    (hidden_imports, {"stages/a.py": "import_module(name)"}, "hides what a stage depends on"),
    (light_starts, {"cli.py": "import voxbench.tasks", "tasks/__init__.py": "import torch"}, "imports torch"),
    (names, {"audio/utils.py": ""}, "name the concept"),
    (names, {"misc/__init__.py": ""}, "name the concept"),
    (file_sizes, {"schema.py": "a = 1\n" * 301}, "301 lines"),
    (function_shapes, {"schema.py": "def f():\n" + " a = 1\n" * 40}, "f has 41 code lines"),
    (function_shapes, {"schema.py": "def f(a, b, /, c, d, *e, g, h, **i): ..."}, "f has 8 parameters"),
    (function_shapes, {"schema.py": NESTED.format("while a: ...")}, "f has 4 levels"),
    (broad_excepts, {"schema.py": "try: ...\nexcept: ..."}, "catches everything"),
    (
        broad_excepts,
        {"schema.py": "try: ...\nexcept (ValueError, Exception) as e: ..."},
        "catches everything",
    ),
    (open_ends, {"schema.py": "# TODO later"}, "without an issue number"),
    (docstrings, {"schema.py": "a = 1"}, "the file has no docstring"),
    (docstrings, {"schema.py": '"""Doc."""\ndef f(): ...'}, "f has no docstring"),
    (docstrings, {"schema.py": '"""Doc."""\nclass A:\n "Doc."\n def g(self): ...'}, "g has no docstring"),
)
SOUND: tuple[tuple[Rule, dict[str, str]], ...] = (
    (floors, {"tasks/a.py": "from .b import c\nfrom voxbench import schema\nimport voxbench.metrics.d"}),
    (libraries, {"metrics/significance.py": "import pingouin", "training/search_cnn.py": "import optuna"}),
    (hidden_imports, {"tasks/__init__.py": "import_module(name)", "cli.py": "import_module(name)"}),
    (light_starts, {"cli.py": "def f():\n import torch"}),
    (function_shapes, {"schema.py": "def f(self, a, b, c, d, e, g, h):\n '''A\n\nB.'''\n" + " a = 1\n" * 39}),
    (function_shapes, {"schema.py": NESTED.format("a = 1") + "\n".join(["  elif b:\n   c"] * 4)}),
    (function_shapes, {"schema.py": NESTED.format("def g():\n     if a: ...")}),
    (broad_excepts, {"schema.py": "try: ...\nexcept (ValueError, KeyError): ..."}),
    (open_ends, {"schema.py": "# TODO(#12) later"}),
    (docstrings, {"schema.py": '"""Doc."""\ndef _f(): ...\nclass _A:\n def g(self): ...'}),
)
# A stage `one` that reaches its room's data and modules, but neither the sibling stage nor the other command.
REACHED = {
    "src/voxbench/__init__.py": "",
    "src/voxbench/__main__.py": "from voxbench.cli import main",
    "src/voxbench/cli.py": "def one():\n from voxbench.stages.one import run\n"
    "def two():\n from voxbench.stages import two\n import voxbench.training",
    "src/voxbench/stages/__init__.py": "",
    "src/voxbench/stages/one.py": "def run():\n from voxbench.tasks.a import b",
    "src/voxbench/tasks/__init__.py": "import_module(name)",
    "src/voxbench/tasks/a.py": "",
    "src/voxbench/tasks/c.py": "from . import a\nfrom ..metrics import d",
    "src/voxbench/metrics/__init__.py": "",
    "src/voxbench/metrics/tables/bounds.csv": "",
}
UNREACHED = {"src/voxbench/stages/two.py": "", "src/voxbench/training/__init__.py": ""}


def plant(root: Path, files: dict[str, str]) -> Sources:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return read_sources(root)


def pipeline(*deps: str | dict[str, Any]) -> dict[str, Any]:
    stage = {"cmd": "PYTHONPATH=src python -m voxbench one ${key}", "deps": list(deps)}
    return {"stages": {"one": {"foreach": "${rows}", "do": stage}}}


@pytest.fixture(scope="module")
def project() -> Sources:
    return read_sources(PROJECT)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_voxbench_keeps_the_rule(rule: Rule, project: Sources) -> None:
    complaints = list(rule(project))
    assert not complaints, "\n".join(complaints)


def test_every_rule_is_shown_a_broken_tree() -> None:
    assert {rule for rule, _, _ in BROKEN} == set(RULES)


@pytest.mark.parametrize(("rule", "files", "complaint"), BROKEN)
def test_a_broken_tree_is_refused(rule: Rule, files: dict[str, str], complaint: str, tmp_path: Path) -> None:
    found = list(rule(plant(tmp_path, {f"src/voxbench/{name}": text for name, text in files.items()})))
    assert found
    assert all(complaint in each for each in found)


@pytest.mark.parametrize(("rule", "files"), SOUND)
def test_a_sound_tree_passes(rule: Rule, files: dict[str, str], tmp_path: Path) -> None:
    assert not list(rule(plant(tmp_path, {f"src/voxbench/{name}": text for name, text in files.items()})))


def test_each_stage_declares_every_file_it_reaches(project: Sources) -> None:
    declared = YAML(typ="safe").load(PROJECT / "dvc.yaml")
    complaints = list(undeclared(declared, project, PROJECT))
    assert not complaints, "\n".join(complaints)


def test_a_stage_reaches_its_own_files_only(tmp_path: Path) -> None:
    sources = plant(tmp_path, REACHED | UNREACHED)
    assert stage_files("one", sources) == {tmp_path / name for name in REACHED}


@pytest.mark.parametrize("left_out", REACHED)
def test_a_file_missing_from_the_deps_is_named(left_out: str, tmp_path: Path) -> None:
    sources = plant(tmp_path, REACHED | UNREACHED)
    found = list(undeclared(pipeline(*(name for name in REACHED if name != left_out)), sources, tmp_path))
    assert found == [f"one: {left_out} is missing from its deps"]


def test_a_folder_covers_what_it_contains_and_no_more(tmp_path: Path) -> None:
    sources = plant(tmp_path, REACHED)
    files = [name for name in REACHED if "tasks" not in name]
    assert not list(undeclared(pipeline(*files, {"src/voxbench/tasks": None}), sources, tmp_path))
    assert len(list(undeclared(pipeline(*files, "src/voxbench/task"), sources, tmp_path))) == 3


def test_a_stage_that_runs_something_else_is_refused(tmp_path: Path) -> None:
    stray = {"stages": {"three": {"cmd": "python -m voxbench three"}}}
    assert list(undeclared(stray, plant(tmp_path, REACHED), tmp_path))


def test_caches_do_not_count_as_changed_code() -> None:
    assert "__pycache__/" in (PROJECT / ".dvcignore").read_text(encoding="utf-8").splitlines()


def test_the_top_level_is_complete() -> None:
    files = "dvc.yaml params.yaml MLproject conda.yaml pyproject.toml requirements.lock Makefile README.md"
    folders = "src/voxbench tests benchmarks docs profiles models results reports"
    expected = [*files.split(), *folders.split(), "CONTRIBUTING.md", "LICENSE", "data/.gitignore"]
    assert not [name for name in expected if not (PROJECT / name).exists()]
