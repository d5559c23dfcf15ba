"""Evidence that nobody gathered: as much of a benchmark as its figures ask for."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from voxbench.metrics import METRICS, Interval, metrics_of
from voxbench.metrics.significance import compare_pairs
from voxbench.reporting.baselines import Baseline
from voxbench.reporting.evidence import AUC, Evidence, Finalist, Spread
from voxbench.reporting.scored import Bounded, Scored, score
from voxbench.schema import AGE_GROUPS, GENDERS, ScoreKind, age_group
from voxbench.tasks import tasks

MODELS = ("resnet18", "bilstm_h128_l1")
SEEDS = (1, 12, 42, 77)


def sound(kind: type, **fields: Any) -> Any:
    """Return a record of `kind` with these fields alone: its properties work on them, and others must not be asked."""
    record = object.__new__(kind)
    record.__dict__.update(fields)
    return record


def scored(task: str, skill: float, seed: int, speakers: int = 40) -> Scored:
    """Return test rows of speakers of all ages, four each, answered with `skill` from 0 to 1."""
    random = np.random.default_rng(seed)
    years = np.repeat(np.random.default_rng(0).integers(15, 75, speakers).astype(float), 4)
    voice = np.repeat(np.arange(speakers), 4)
    sex = np.array(GENDERS)[voice % 2]
    truth: np.ndarray = years
    scores: np.ndarray = 40 + skill * (years - 40) + 6 * random.normal(size=len(years))
    if classes := tasks[task].classes:
        words = sex if task == "gender" else np.array([age_group(each) for each in years])
        truth = np.array([classes.index(word) for word in words])
        logits = 4 * skill * np.eye(len(classes))[truth] + random.normal(size=(len(truth), len(classes)))
        scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    rows = pd.DataFrame({"speaker": [f"s{number}" for number in voice], "gender": np.where(voice % 7 == 0, None, sex)})
    return score(tasks[task], truth, scores, rows)


def guess(task: str, like: Scored, constant: float) -> Scored:
    """Return the same rows, all answered with one constant."""
    scores = np.full(len(like.truth), constant)
    if classes := tasks[task].classes:
        scores = np.full((len(like.truth), len(classes)), 1 / len(classes))
    return score(tasks[task], like.truth, scores, like.rows)


def spread(values: list[float]) -> Spread:
    mean, sd = float(np.mean(values)), float(np.std(values, ddof=1))
    reason = "the ROC needs both classes (1 of 4 seeds)" if np.isnan(mean) else ""
    return Spread(tuple(values), mean, sd, mean - sd, mean + sd, reason)


def finalist(task: str, model: str, skill: float, seed: int) -> Finalist:
    kind, tuned = tasks[task].score_kind, scored(task, skill, seed)
    repeats = [scored(task, skill, 100 * seed + luck).values for luck in range(len(SEEDS))]
    history = pd.DataFrame({"epoch": range(4), "train_loss": [1.0, 0.7, 0.5, 0.4], "valid_loss": [0.9, 0.8, 0.7, 0.9]})
    for each in metrics_of(kind):
        history[f"valid_{each.name}"] = np.array([0.8, 0.9, 1.0, 0.95]) * tuned.values.get(each.name, 1.0)
    area = Interval(tuned.values.get(AUC, 0.5), 0.5, 1.0, 0.95, 40, 60, 0)
    return sound(
        Finalist,
        model=model,
        history=history,
        best_epoch=2,
        tuned=tuned,
        bounds={AUC: Bounded(area, "")},
        spreads={each.name: spread([values[each.name] for values in repeats if each.name in values])
                 for each in metrics_of(kind) if each.name in repeats[0]},
    )  # fmt: skip


def groups_of(mean: float) -> pd.DataFrame:
    rows = [("gender", word, 80, 20, mean + shift, "") for word, shift in zip(GENDERS, (-0.05, 0.05), strict=True)]
    rows += [("age_group", word, 12 * n + 4, 3 * n + 1, mean * (0.8 + n / 10), "") for n, word in enumerate(AGE_GROUPS)]
    rows += [
        ("gender x age_group", f"{sex}, {word}", 6 * n + 4, 2 * n + 1, mean * (0.8 + n / 10), "")
        for sex in GENDERS
        for n, word in enumerate(AGE_GROUPS)
    ]
    table = pd.DataFrame(rows, columns=["by", "group", "rows", "speakers", "mean", "note"])
    enough = table["speakers"] >= 5
    return table.assign(low=(table["mean"] * 0.93).where(enough), high=(table["mean"] * 1.06).where(enough))


def variants_of(metric: str) -> pd.DataFrame:
    scale = 3.0 if metric == "mae" else 0.05
    rows = [
        (variant, model, metric, 4, scale * shift, scale * (shift - 0.3), scale * (shift + 0.3), p, 0.2 * scale, same)
        for variant, shift, p, same in (
            ("no_class_weights", -0.1, 0.4, True),
            ("frozen_backbone", 0.8, 0.001, True),
            ("utterance_split", 1.2, 0.001, False),
        )
        for model in MODELS
    ]
    names = ["variant", "model", "metric", "seeds", "mean_difference", "ci_low", "ci_high", "p_t_holm"]
    return pd.DataFrame(rows, columns=[*names, "smallest_detectable", "same_test_rows"])


def evidence_of(task: str, metric: str, models: tuple[str, ...] = MODELS) -> Evidence:
    """Return the evidence of a benchmark that nobody ran, with all that figures ask for."""
    skills = dict(zip(models, (0.7, 0.4, 0.3, 0.5), strict=False))
    finalists = tuple(finalist(task, model, skill, seed) for seed, (model, skill) in enumerate(skills.items()))
    values = [
        (each.model, seed, value)
        for each in finalists
        for seed, value in zip(SEEDS, each.spreads[metric].values, strict=True)
    ]
    tests = pd.DataFrame()
    if len(models) > 1:
        tests = compare_pairs(pd.DataFrame(values, columns=["system", "seed", "value"]), 0.95, 0.8)
    constants = (
        {"majority class": 0.0} if tasks[task].classes else {"training median": 41, "same-sex training median": 44}
    )
    baselines = tuple(
        Baseline(name, "", guess(task, finalists[0].tuned, constant), {}) for name, constant in constants.items()
    )
    kind = tasks[task].score_kind
    return sound(
        Evidence,
        name=f"{task}-twin",
        study="another",
        studied=tasks[task],
        told_in=None,
        chosen_by=METRICS[metric],
        texts=None,
        task=tasks[task],
        metric=METRICS[metric],
        settings=SimpleNamespace(level=0.95, power=0.8, resamples=60, seed=1, min_group_speakers=5),
        seeds=SEEDS,
        finalists=finalists,
        baselines=baselines,
        tests=tests,
        account=SimpleNamespace(totals=pd.DataFrame({"clips": [64]}, index=["valid"])),
        groups=groups_of(finalists[0].tuned.values["mae" if kind is ScoreKind.VALUE else "accuracy"]),
        variants=variants_of(metric),
    )
