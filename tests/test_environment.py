"""The files that make an environment agree with each other, with the code and with what is installed."""

import ast
import os
import re
import shlex
import shutil
import subprocess
import tomllib
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from ruamel.yaml import YAML

from sources import imports, read_sources
from voxbench.cli import build_parser

PROJECT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
LOCK_LINES = (PROJECT / "requirements.lock").read_text(encoding="utf-8").splitlines()
NEEDED = [Requirement(line) for line in PYPROJECT["project"]["dependencies"]]
NEEDED_TO_DEVELOP = [Requirement(line) for line in PYPROJECT["project"]["optional-dependencies"]["dev"]]
TRIO = {"torch": "2.11.0", "torchvision": "0.26.0", "torchaudio": "2.11.0"}
STAGES = {"synthesize", "prepare", "mix", "features", "select", "finetune", "repeat", "ablate", "cross", "report"}


def load_yaml(name: str) -> dict[str, Any]:
    content: dict[str, Any] = YAML(typ="safe").load(PROJECT / name)
    return content


def locked() -> dict[str, str]:
    pins = (Requirement(line) for line in LOCK_LINES)
    return {canonicalize_name(pin.name): next(iter(pin.specifier)).version for pin in pins}


def test_the_lock_holds_exact_versions_and_no_address() -> None:
    pin = re.compile(r"[a-z0-9._-]+==[a-z0-9.!+_-]+( ; [^#@:]+)?", re.IGNORECASE)
    assert [line for line in LOCK_LINES if not pin.fullmatch(line)] == []


def test_the_lock_names_every_package_once() -> None:
    assert len(locked()) == len(LOCK_LINES)


@pytest.mark.parametrize("requirement", [*NEEDED, *NEEDED_TO_DEVELOP], ids=str)
def test_the_lock_satisfies_a_direct_dependency(requirement: Requirement) -> None:
    assert requirement.specifier.contains(locked()[canonicalize_name(requirement.name)])


def test_the_torch_trio_is_pinned_together() -> None:
    exact = {each.name: str(each.specifier) for each in NEEDED if each.name in TRIO}
    assert exact == {name: f"=={pin}" for name, pin in TRIO.items()}


def test_the_build_uses_what_the_lock_holds() -> None:
    (build,) = map(Requirement, PYPROJECT["build-system"]["requires"])
    assert str(build.specifier) == f"=={locked()[build.name]}"


def test_what_is_installed_is_what_is_locked() -> None:
    def installed(name: str) -> str | None:
        try:
            return version(name)
        except PackageNotFoundError:
            return None

    assert {name: found for name, pin in locked().items() if (found := installed(name)) not in (None, pin)} == {}


def test_the_python_version_is_the_same_everywhere() -> None:
    conda = load_yaml("conda.yaml")["dependencies"]
    assert PYPROJECT["project"]["requires-python"] == "==3.11.*"
    assert PYPROJECT["tool"]["mypy"]["python_version"] == "3.11"
    assert conda[0] == "python=3.11"
    assert "sys.version_info[:2] != (3, 11)" in (PROJECT / "Makefile").read_text(encoding="utf-8")


def test_conda_installs_the_lock_and_pins_nothing_itself() -> None:
    assert load_yaml("conda.yaml")["dependencies"][1:] == ["pip", {"pip": ["-r requirements.lock"]}]


def test_every_library_that_the_code_imports_is_a_direct_dependency() -> None:
    sources = read_sources(PROJECT)
    used = {each.name for source in sources.values() for each in imports(source, sources) if not each.ours}
    assert undeclared_imports(used, NEEDED) == set()


def test_every_library_that_the_tests_import_is_a_direct_dependency() -> None:
    own = {path.stem for path in (PROJECT / "tests").glob("*.py")} | {"voxbench"}
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in (PROJECT / "tests").rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    used = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    used |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}
    used = {name.partition(".")[0] for name in used} - own
    assert undeclared_imports(used, [*NEEDED, *NEEDED_TO_DEVELOP]) == set()


def undeclared_imports(used: set[str], requirements: list[Requirement]) -> set[str]:
    declared = {canonicalize_name(each.name) for each in requirements}
    origin = packages_distributions()
    return {
        name
        for name in used
        if name in origin and not declared & {canonicalize_name(package) for package in origin[name]}
    }


def test_an_undeclared_import_is_found() -> None:
    assert undeclared_imports({"numpy", "sklearn", "os"}, [Requirement("numpy")]) == {"sklearn"}


def test_mlproject_is_the_same_project_in_the_same_environment() -> None:
    project = load_yaml("MLproject")
    assert (project["name"], project["conda_env"]) == (PYPROJECT["project"]["name"], "conda.yaml")
    assert project["entry_points"]["main"] == {"command": "dvc repro"}
    assert set(project["entry_points"]) == {"main", *STAGES}


@pytest.mark.parametrize("stage", sorted(STAGES))
def test_an_mlproject_entry_point_is_a_command_of_voxbench(stage: str) -> None:
    entry = load_yaml("MLproject")["entry_points"][stage]
    start, _, words = entry["command"].partition(" -m voxbench ")
    assert start == "PYTHONPATH=src python"
    assert set(re.findall(r"{(\w+)}", words)) == set(entry.get("parameters", {}))
    assert build_parser().parse_args(shlex.split(words)).command == stage


def test_the_licence_of_every_direct_dependency_is_stated() -> None:
    text = (PROJECT / "docs" / "licences.md").read_text(encoding="utf-8")
    stated = set(re.findall(r"^\| ([\w.-]+) \|", text, re.MULTILINE)) - {"package"}
    assert stated == {each.name for each in [*NEEDED, *NEEDED_TO_DEVELOP]}


def run_make(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    return subprocess.run(["make", *words], cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_make_lists_every_task() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", (PROJECT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert phony
    listed = re.findall(r"^make (\w+) +\S", run_make(PROJECT).stdout, re.MULTILINE)
    assert sorted(listed) == sorted(phony[1].split())


def test_a_missing_python_is_one_line(tmp_path: Path) -> None:
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(PROJECT / name, tmp_path)
    made = run_make(tmp_path, "environment", "PYTHON=no-such-python")
    assert made.returncode == 2
    assert len(made.stderr.splitlines()) == 1
    assert "voxbench needs Python 3.11, not found as: no-such-python" in made.stderr
    assert not (tmp_path / ".venv").exists()


def test_clean_removes_what_stages_wrote_and_spares_the_rest(tmp_path: Path) -> None:
    shutil.copy(PROJECT / "Makefile", tmp_path)
    for name in ("data/raw/twin", "data/raw/own", "data/prepared/twin", "results/a", "src", "tests", ".venv"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "results/a/metrics.json").touch()
    (tmp_path / "mlflow.db").touch()
    write_lock(tmp_path)
    assert run_make(tmp_path, "clean").returncode == 0
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}
    kept = "Makefile dvc.lock data data/raw data/raw/own data/prepared results src tests .venv"
    assert left == set(kept.split())


def write_lock(folder: Path) -> None:
    """Write a `dvc.lock` in DVC's own form: three stages, the last of which has no outputs."""
    outputs = {"synthesize@twin": ["data/raw/twin"], "prepare@twin": ["data/prepared/twin", "results/a"]}
    lock = {
        stage: {
            "cmd": "x",
            "deps": [{"path": "data/raw/own", "size": 1}],
            "outs": [{"path": path, "hash": "md5"} for path in paths],
        }
        for stage, paths in outputs.items()
    }
    lock["report"] = {"cmd": "x", "deps": [{"path": "data/raw/own"}]}
    writer = YAML()
    writer.default_flow_style = False
    writer.dump({"schema": "2.0", "stages": lock}, folder / "dvc.lock")


def test_continuous_integration_runs_the_tests() -> None:
    script = PROJECT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert script.read_text(encoding="utf-8").rstrip().endswith("exec make test </dev/null")
