"""What the tests of the report share: a small project, finished, and copies of it that a test may change."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from reporting.project import AGE, AGE_GROUP, GENDER, INHERITED, PLAN, write_workspace
from voxbench.reporting.evidence import Evidence
from voxbench.stages.report import gather_benchmark
from voxbench.stages.workspace import Workspace


def gather_from(workspace: Workspace, name: str = GENDER) -> Evidence:
    """Return the evidence of one of the workspace's benchmarks, as the stage gathers it."""
    return gather_benchmark(workspace, name)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Return a workspace of one benchmark whose stages are all done; read it only."""
    return write_workspace(tmp_path_factory.mktemp("finished"), PLAN)


@pytest.fixture(scope="session")
def several(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Return a workspace of four benchmarks whose stages are all done, crossing included; read it only."""
    plan = replace(PLAN, benchmarks=(GENDER, AGE, AGE_GROUP, INHERITED))
    return write_workspace(tmp_path_factory.mktemp("several"), plan)


@pytest.fixture(scope="session")
def evidence(finished: Workspace) -> Evidence:
    """Return what the finished workspace proves: two classes."""
    return gather_from(finished)


@pytest.fixture(scope="session")
def age_evidence(several: Workspace) -> Evidence:
    """Return the evidence of the benchmark of values: ages in years."""
    return gather_from(several, AGE)


@pytest.fixture(scope="session")
def age_group_evidence(several: Workspace) -> Evidence:
    """Return the evidence of the benchmark of six classes, with inherited finalists and no variants."""
    return gather_from(several, AGE_GROUP)


@pytest.fixture(scope="session")
def inherited_evidence(several: Workspace) -> Evidence:
    """Return the evidence of two classes with inherited finalists."""
    return gather_from(several, INHERITED)


@pytest.fixture(scope="session", params=[GENDER, AGE, AGE_GROUP, INHERITED])
def any_evidence(several: Workspace, request: pytest.FixtureRequest) -> Evidence:
    """Return the evidence of each kind of benchmark in turn."""
    return gather_from(several, request.param)


@pytest.fixture
def changed(finished: Workspace, tmp_path: Path) -> Workspace:
    """Return a copy of the finished workspace that a test may change."""
    shutil.copytree(finished.root, tmp_path / "copy", ignore=shutil.ignore_patterns("reports"))
    return replace(finished, root=tmp_path / "copy")


@pytest.fixture
def planned(tmp_path: Path) -> Callable[..., Workspace]:
    """Return a function that writes a workspace by the plan with some facts changed."""
    return lambda **facts: write_workspace(tmp_path / "planned", replace(PLAN, **facts))


@pytest.fixture(scope="session")
def gather() -> Callable[..., Evidence]:
    """Return the function that gathers the evidence of a workspace's benchmark as the stage does."""
    return gather_from
