"""A small project folder, as the stages would have left it, with recordings that nobody made.

Four benchmarks: classes with a study of their own, values with one, and two that inherit finalists.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from reporting.settings import params
from voxbench.artifacts import write_json
from voxbench.config import Decisions, Params
from voxbench.evaluation.decisions import detection_scores, fit_decision, undecidable, write_decision
from voxbench.metrics.significance import compare_pairs, holm
from voxbench.reporting.probes import CLUES
from voxbench.schema import AGE_GROUPS, GENDERS, age_group
from voxbench.stages.workspace import Workspace
from voxbench.tasks import Task, tasks
from voxbench.training.scoring import evaluate, score_values

GENDER, AGE, AGE_GROUP, INHERITED = "gender-voxceleb1", "age-timit", "age-commonvoice", "gender-timit"
SEEDS = (3, 1, 7, 12)
HOSTILE = '<img src=x onerror=alert(1)>/"&amp;\u202egnp.wav'
LANGUAGES = {"voxceleb1": None, "timit": "en", "commonvoice": "en"}


@dataclass(frozen=True)
class Plan:
    """What to pretend: each finalist's skill (0 guesses) and how much of it a seed changes."""

    benchmarks: tuple[str, ...]
    skills: dict[str, float]
    luck: float
    speakers: dict[str, int]
    excluded: int
    licence: str
    one_class_test: bool


PLAN = Plan(
    benchmarks=(GENDER,),
    skills={"resnet18": 1.6, "alexnet": 0.4, "bilstm_h128_l1": 1.2},
    luck=0.25,
    speakers={"train": 20, "valid": 8, "test": 8},
    excluded=23,
    licence="Synthetic <b>speech</b>",
    one_class_test=False,
)


def write_workspace(root: Path, plan: Plan) -> Workspace:
    """Write all that the report reads and return the workspace."""
    workspace = Workspace(root, _params(plan))
    for corpus in {workspace.params.benchmark(name).corpus: None for name in plan.benchmarks}:
        write_account(workspace.prepared(corpus), _manifest(corpus, plan), plan)
    for name in plan.benchmarks:
        write_benchmark(workspace, name, plan)
    if len(plan.benchmarks) > 1:
        (root / "results" / "cross").mkdir()
        pd.DataFrame(_cross(workspace)).to_csv(root / "results" / "cross" / "matrix.csv", index=False)
    return workspace


def _params(plan: Plan) -> Params:
    whole = params()
    return whole.model_copy(update={"benchmarks": {name: whole.benchmarks[name] for name in plan.benchmarks}})


def write_benchmark(workspace: Workspace, name: str, plan: Plan) -> None:
    """Write what select (where the study is the benchmark's own), finetune, repeat and ablate leave."""
    random = np.random.default_rng(5)
    row = workspace.params.benchmark(name)
    task, manifest = tasks[row.task], pd.read_parquet(workspace.prepared(row.corpus) / "manifest.parquet")
    if not (study := workspace.results(row.select_from, "select")).exists():
        write_selection(study, plan, workspace.params.study(row.select_from).metric)
    rows = []
    for model, skill in plan.skills.items():
        _tuned(workspace.models(name) / model, manifest, task, (skill, row.metric), random)
        _decided(workspace.models(name) / model, task, workspace.params.decisions)
        for seed in SEEDS:
            table = _scores(manifest[manifest["split"] == "test"], task, skill + plan.luck * random.normal(), random)
            _parquet(table, workspace.results(name, "repeat") / f"{model}-seed{seed}")
            rows.append({"model": model, "seed": seed} | evaluate(task, table))
    seeds = pd.DataFrame(rows)
    seeds[list(seeds)[2:]] = seeds[list(seeds)[2:]].astype(float)
    seeds.to_csv(workspace.results(name, "repeat") / "seeds.csv", index=False)
    values = seeds.rename(columns={"model": "system", row.metric: "value"})[["system", "seed", "value"]]
    tests = compare_pairs(values, workspace.params.report.level, workspace.params.report.power)
    tests.insert(0, "metric", row.metric)
    tests.to_csv(workspace.results(name, "repeat") / "significance.csv", index=False)
    if row.variants:
        _ablated(workspace.results(name, "ablate"), workspace.params, name, seeds)


def _manifest(corpus: str, plan: Plan) -> pd.DataFrame:
    rows, draws = [], np.random.default_rng(len(corpus))
    small = corpus == "voxceleb1"
    for split, few in plan.speakers.items():
        for speaker in range(few if small else 3 * few):
            one = split == "test" and plan.one_class_test
            gender = GENDERS[0] if one or speaker % 5 < 3 else GENDERS[1]
            years = float(round(draws.uniform(15, 70), 2))
            for clip in range(4):
                name = f"{split}-{speaker:02d}"
                who = (gender if small or speaker % 11 else None, None if small else years, None, f"DR{speaker % 3}")
                rows.append((f"{name}/{clip}.wav", name, split, f"{name}/{clip // 2}", *who, 3.0 + clip))
    columns = ["id", "speaker", "split", "session", "gender", "age_years", "age_group", "extra_dialect"]
    manifest = pd.DataFrame(rows, columns=[*columns, "source_seconds"])
    manifest["age_group"] = [
        age_group(years) if years == years else None for years in manifest["age_years"].astype(float)
    ]
    manifest["language"] = LANGUAGES[corpus]
    manifest["split_utterance"] = draws.permutation(manifest["split"])
    if corpus == "commonvoice":
        manifest["age_years"] = np.nan
    return manifest if corpus == "timit" else manifest.drop(columns="extra_dialect")


def _traced(manifest: pd.DataFrame) -> pd.DataFrame:
    """Return the manifest with numbers of silence and channel, which say nothing of anybody."""
    draws = np.random.default_rng(7)
    names = sorted({*CLUES["silence"], *CLUES["channel"]})
    return manifest.assign(**{name: draws.normal(size=len(manifest)) for name in names})


def write_account(folder: Path, manifest: pd.DataFrame, plan: Plan) -> None:
    """Write what prepare says of a corpus."""
    folder.mkdir(parents=True)
    _traced(manifest).to_parquet(folder / "manifest.parquet", index=False)
    lost = [(f"{number}{HOSTILE}", "NA", "silent", f"<script>{number}</script>") for number in range(plan.excluded)]
    pd.DataFrame(lost, columns=["id", "speaker", "reason", "detail"]).to_csv(folder / "excluded.csv", index=False)
    reasons = {"silent": plan.excluded} if plan.excluded else {}
    found = {"found": len(manifest) + plan.excluded, "kept": len(manifest), "excluded": reasons}
    write_json(folder / "funnel.json", found | {"licence": plan.licence})
    pairs = (("train", "valid"), ("train", "test"), ("valid", "test"))
    for file, by in (("leakage.json", "speaker"), ("leakage-utterance.json", "utterance")):
        overlaps = [
            {"key": key, "splits": list(pair), "shared": 7 * (by == "utterance" and key == "speaker")}
            for key in ("speaker", "session", "audio_sha256")
            for pair in pairs
        ]
        write_json(folder / file, {"by": by, "clean": by == "speaker", "overlaps": overlaps})


def write_selection(folder: Path, plan: Plan, metric: str) -> None:
    """Write what select leaves of a study."""
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
            "multiply_adds": 25_000_000 * (number + 1),
            "epochs": 2,
        }
        about |= {"initial": "imagenet" if family == "cnn" else "random"}
        value = {"mae": 12 - skill, "eer": 0.5 - skill / 5, "wer": 1 - skill}.get(metric, 0.5 + skill / 5)
        trials.append(about | {"state": "complete", "valid_loss": 0.5, f"valid_{metric}": value})
        trials.append(
            about
            | {
                "trial": 9 + number,
                "state": "pruned",
                "dropout": 0.1,
                "valid_loss": 0.7,
                f"valid_{metric}": 0.9 * value,
            }
        )
    folder.mkdir(parents=True)
    write_json(folder / "selection.json", {"metric": metric, "features": ["f"], "finalists": finalists})
    pd.DataFrame(trials).to_csv(folder / "trials.csv", index=False)
    _timed(folder.with_name("seconds"), trials)


def _timed(folder: Path, trials: list[dict[str, object]]) -> None:
    """Write three epochs of each trial, of which the first took longest."""
    epochs = pd.DataFrame({"workers": 2, "epoch": [0, 1, 2], "seconds": [9.0, 0.5, 0.25]})
    folder.mkdir()
    pd.DataFrame(trials)[["family", "trial"]].merge(epochs, how="cross").to_csv(folder / "epochs.csv", index=False)


def _tuned(
    folder: Path, manifest: pd.DataFrame, task: Task, goal: tuple[float, str], random: np.random.Generator
) -> None:
    skill, metric = goal
    _parquet(_scores(manifest[manifest["split"] != "train"], task, skill, random), folder)
    losses = np.array([0.7, 0.5, 0.6])
    history = {
        "epoch": [0, 1, 2],
        "train_loss": losses - 0.1,
        "valid_loss": losses,
        f"valid_{metric}": [0.5, 0.5 + skill / 5, 0.6] if task.classes else [13.0, 12 - skill, 12.0],
    }
    pd.DataFrame(history).to_csv(folder / "history.csv", index=False)
    summary = {"best_epoch": 1, "pruned": False, "parameters": 12345, "multiply_adds": 67890}
    summary |= {"features_digest": "f", "initial": "random"}
    write_json(folder / "job.json", {"digest": "d", "summary": summary})


def _decided(folder: Path, task: Task, settings: Decisions) -> None:
    if undecidable(task.score_kind, task.classes):
        return
    table = pd.read_parquet(folder / "scores.parquet")
    table = table[table["split"] == "valid"]
    scores = detection_scores(task.score_kind, score_values(task, table))
    decision = fit_decision(settings, task.classes, scores, table["truth"], table["speaker"], None)
    write_decision(folder, decision)


def _scores(rows: pd.DataFrame, task: Task, skill: float, random: np.random.Generator) -> pd.DataFrame:
    rows = rows[task.labelled(rows)]
    truth = task.targets(rows)
    carried = rows[["id", "speaker", "session", "gender", "split"]].assign(truth=truth)
    if not task.classes:
        share = np.clip(skill / 2, 0, 1)
        estimates = 40 + share * (truth - 40) + random.normal(scale=8, size=len(truth))
        return carried.assign(predicted=estimates)
    if len(task.classes) == 2:
        p_male = 1 / (1 + np.exp(-skill * (2 * truth - 1) - random.normal(size=len(truth))))
        return carried.assign(p_female=1 - p_male, p_male=p_male)
    logits = random.normal(size=(len(truth), len(task.classes))) + skill * np.eye(len(task.classes))[truth]
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return carried.assign(**{column: shares[:, number] for number, column in enumerate(task.score_columns)})


def _parquet(table: pd.DataFrame, folder: Path) -> None:
    folder.mkdir(parents=True)
    table.to_parquet(folder / "scores.parquet", index=False)


def _ablated(folder: Path, params: Params, name: str, seeds: pd.DataFrame) -> None:
    """Write variants of the first CNN and the first LSTM with two seeds: the leaky one better, the other nearly not."""
    row, random = params.benchmark(name), np.random.default_rng(8)
    used = seeds[seeds["seed"].isin(params.ablation.seeds) & seeds["model"].isin(["resnet18", "bilstm_h128_l1"])]
    tables = [used.assign(variant="base")]
    for variant in row.variants:
        step = 0.1 if params.ablation.variants[variant].split else 0.01
        changed = used.assign(variant=variant)
        for metric in used.columns[2:]:
            moved = used[metric] + step * (abs(used[metric]) if row.metric != "mae" else -used[metric])
            moved = moved + 0.01 * random.normal(size=len(used))
            changed[metric] = moved if row.metric == "mae" else moved.clip(upper=1.0)
        tables.append(changed)
    table = pd.concat(tables, ignore_index=True)
    folder.mkdir(parents=True)
    table[["variant", *used.columns]].to_csv(folder / "variants.csv", index=False)
    comparison = pd.DataFrame(_compared(table, params, name))
    comparison["p_t_holm"] = holm(comparison["p_t"])
    comparison.to_csv(folder / "comparison.csv", index=False)


def _compared(table: pd.DataFrame, params: Params, name: str) -> Iterator[dict[str, object]]:
    row, report = params.benchmark(name), params.report
    for variant in row.variants:
        for model in table["model"].unique():
            pair = table[(table["model"] == model) & table["variant"].isin([variant, "base"])]
            values = pair.rename(columns={"variant": "system", row.metric: "value"})[["system", "seed", "value"]]
            values = values.sort_values("system", key=lambda words: words == "base", kind="stable")
            tested = compare_pairs(values, report.level, report.power).iloc[0]
            keys = ("mean_difference", "ci_low", "ci_high", "t", "df", "p_t", "p_t_holm", "smallest_detectable", "note")
            yield {
                **{"variant": variant, "model": model, "metric": row.metric, "seeds": tested["n"]},
                **{"base_mean": tested["mean_b"], "base_sd": tested["sd_b"]},
                **{"variant_mean": tested["mean_a"], "variant_sd": tested["sd_a"]},
                **{key: tested[key] for key in keys},
                "same_test_rows": params.ablation.variants[variant].split is None,
            }


def _cross(workspace: Workspace) -> Iterator[dict[str, object]]:
    for name, row in workspace.params.benchmarks.items():
        task = tasks[row.task]
        for place, corpus in enumerate(LANGUAGES):
            about = {
                "subject": task.subject,
                "benchmark": name,
                "task": task.name,
                "model": "resnet18",
                "trained_on": row.corpus,
                "corpus": corpus,
            }
            counts = {"clips": 96, "speakers": 24, "excluded": place}
            value = 0.9 - 0.1 * place if corpus != row.corpus else 0.95
            classes = 2 if task.subject == "gender" else len(AGE_GROUPS)
            if task.subject == "age" and corpus == "voxceleb1":
                continue
            found = {"metric": "balanced_accuracy", "value": value, "low": value - 0.05, "high": value + 0.04}
            yield about | found | counts | {"baseline": 1 / classes, "note": ""}
            if not task.classes and corpus == "timit":
                found = {"metric": "mae", "value": 8.1, "low": 6.9, "high": 9.4}
                yield about | found | counts | {"baseline": 12.3, "note": ""}
