"""A small project folder, as the stages would have left it, with recordings that nobody made."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from voxbench import reporting
from voxbench.artifacts import write_json
from voxbench.config import load_params
from voxbench.metrics import measure
from voxbench.metrics.significance import compare_pairs
from voxbench.reporting import Evidence, Sources
from voxbench.schema import GENDERS, ScoreKind
from voxbench.stages.workspace import Workspace
from voxbench.tasks import tasks

PARAMS = load_params(Path(__file__).resolve().parents[2] / "params.yaml")
BENCHMARK = next(iter(PARAMS.benchmarks))
CORPUS = PARAMS.benchmark(BENCHMARK).corpus
SEEDS = (3, 1, 7, 12)
HOSTILE = '<img src=x onerror=alert(1)>/"&amp;\u202egnp.wav'


@dataclass(frozen=True)
class Plan:
    """What to pretend: each finalist's skill (0 guesses) and how much of it a seed changes."""

    skills: dict[str, float]
    luck: float
    speakers: dict[str, int]
    excluded: int
    licence: str
    one_class_test: bool


PLAN = Plan(
    skills={"resnet18": 1.6, "alexnet": 0.4, "bilstm_h128_l1": 1.2},
    luck=0.25,
    speakers={"train": 20, "valid": 8, "test": 8},
    excluded=23,
    licence="Synthetic <b>speech</b>",
    one_class_test=False,
)


def write_workspace(root: Path, plan: Plan) -> Workspace:
    """Write all that the report reads and return the workspace."""
    settings = PARAMS.report.model_copy(update={"resamples": 60})
    repeat = PARAMS.repeat.model_copy(update={"seeds": SEEDS})
    workspace = Workspace(root, PARAMS.model_copy(update={"report": settings, "repeat": repeat}))
    random = np.random.default_rng(5)
    manifest = _manifest(plan)
    _prepared(workspace.prepared(CORPUS), manifest, plan)
    _selected(workspace.results(BENCHMARK, "select"), plan)
    rows = []
    for model, skill in plan.skills.items():
        folder = workspace.models(BENCHMARK) / model
        _tuned(folder, manifest, skill, random)
        for seed in SEEDS:
            lucky = skill + plan.luck * random.normal()
            table = _scores(manifest[manifest["split"] == "test"], lucky, random)
            _parquet(table, workspace.results(BENCHMARK, "repeat") / f"{model}-seed{seed}")
            values, _ = measure(ScoreKind.CLASSES, table["truth"], table[["p_female", "p_male"]].to_numpy())
            rows.append({"model": model, "seed": seed} | values)
    seeds = pd.DataFrame(rows)
    seeds.to_csv(workspace.results(BENCHMARK, "repeat") / "seeds.csv", index=False)
    values = seeds.rename(columns={"model": "system", "accuracy": "value"})[["system", "seed", "value"]]
    tests = compare_pairs(values, settings.level, settings.power)
    tests.insert(0, "metric", "accuracy")
    tests.to_csv(workspace.results(BENCHMARK, "repeat") / "significance.csv", index=False)
    return workspace


def _manifest(plan: Plan) -> pd.DataFrame:
    rows = []
    for split, speakers in plan.speakers.items():
        for speaker in range(speakers):
            one = split == "test" and plan.one_class_test
            gender = GENDERS[0] if one or speaker % 5 < 3 else GENDERS[1]
            for clip in range(4):
                name = f"{split}-{speaker:02d}"
                rows.append((f"{name}/{clip}.wav", name, split, f"{name}/{clip // 2}", gender, 3.0 + clip))
    return pd.DataFrame(rows, columns=["id", "speaker", "split", "session", "gender", "source_seconds"])


def _prepared(folder: Path, manifest: pd.DataFrame, plan: Plan) -> None:
    folder.mkdir(parents=True)
    manifest.to_parquet(folder / "manifest.parquet", index=False)
    lost = [(f"{number}{HOSTILE}", "NA", "silent", f"<script>{number}</script>") for number in range(plan.excluded)]
    pd.DataFrame(lost, columns=["id", "speaker", "reason", "detail"]).to_csv(folder / "excluded.csv", index=False)
    reasons = {"silent": plan.excluded} if plan.excluded else {}
    found = {"found": len(manifest) + plan.excluded, "kept": len(manifest), "excluded": reasons}
    write_json(folder / "funnel.json", found | {"licence": plan.licence})
    pairs = (("train", "valid"), ("train", "test"), ("valid", "test"))
    overlaps = [
        {"key": key, "splits": list(pair), "shared": 0}
        for key in ("speaker", "session", "audio_sha256")
        for pair in pairs
    ]
    write_json(folder / "leakage.json", {"by": "speaker", "clean": True, "overlaps": overlaps})


def _selected(folder: Path, plan: Plan) -> None:
    finalists, trials = [], []
    for number, (model, skill) in enumerate(plan.skills.items()):
        family = "lstm" if "lstm" in model else "cnn"
        settings = {"learning_rate": 0.1 / 3 / (number + 1), "dropout": 0.5}
        finalists.append({"family": family, "model": model, "settings": settings})
        about = {
            "family": family,
            "trial": number,
            "model": model,
            **settings,
            "parameters": 1000 + number,
            "epochs": 2,
        }
        trials.append(about | {"state": "complete", "valid_loss": 0.5, "valid_accuracy": 0.5 + skill / 5})
        trials.append(about | {"trial": 9, "state": "pruned", "dropout": 0.1, "valid_loss": 0.7, "valid_accuracy": 0.4})
    folder.mkdir(parents=True)
    write_json(folder / "selection.json", {"metric": "accuracy", "features": ["f"], "finalists": finalists})
    pd.DataFrame(trials).to_csv(folder / "trials.csv", index=False)


def _tuned(folder: Path, manifest: pd.DataFrame, skill: float, random: np.random.Generator) -> None:
    _parquet(_scores(manifest[manifest["split"] != "train"], skill, random), folder)
    losses = np.array([0.7, 0.5, 0.6])
    history = {
        "epoch": [0, 1, 2],
        "train_loss": losses - 0.1,
        "valid_loss": losses,
        "valid_accuracy": [0.5, 0.5 + skill / 5, 0.6],
    }
    pd.DataFrame(history).to_csv(folder / "history.csv", index=False)
    summary = {"best_epoch": 1, "pruned": False, "parameters": 12345, "features_digest": "f"}
    write_json(folder / "job.json", {"digest": "d", "summary": summary})


def _scores(rows: pd.DataFrame, skill: float, random: np.random.Generator) -> pd.DataFrame:
    truth = (rows["gender"] == GENDERS[1]).to_numpy(np.int64)
    p_male = 1 / (1 + np.exp(-skill * (2 * truth - 1) - random.normal(size=len(truth))))
    return rows[["id", "speaker", "session", "gender", "split"]].assign(truth=truth, p_female=1 - p_male, p_male=p_male)


def _parquet(table: pd.DataFrame, folder: Path) -> None:
    folder.mkdir(parents=True)
    table.to_parquet(folder / "scores.parquet", index=False)


def gather_from(workspace: Workspace) -> Evidence:
    """Return the evidence of the workspace's benchmark, as the stage gathers it."""
    sources = Sources(
        prepared=workspace.prepared(CORPUS),
        select=workspace.results(BENCHMARK, "select"),
        repeat=workspace.results(BENCHMARK, "repeat"),
        models=workspace.models(BENCHMARK),
    )
    task = tasks[PARAMS.benchmark(BENCHMARK).task]
    return reporting.gather(BENCHMARK, task, sources, workspace.params.report, workspace.params.repeat.seeds)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Return a workspace whose stages are all done; read it only."""
    return write_workspace(tmp_path_factory.mktemp("finished"), PLAN)


@pytest.fixture(scope="session")
def evidence(finished: Workspace) -> Evidence:
    """Return what the finished workspace proves."""
    return gather_from(finished)


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
def gather() -> Callable[[Workspace], Evidence]:
    """Return the function that gathers a workspace's evidence as the stage does."""
    return gather_from
