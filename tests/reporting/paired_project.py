"""A finished benchmark of speaker verification, as the stages would have left it, with scores that nobody made."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from reporting.project import PLAN, SEEDS, Plan, write_account, write_selection
from reporting.settings import params
from voxbench.artifacts import read_json, write_json
from voxbench.config import Params
from voxbench.evaluation.decisions import fit_decision, write_decision
from voxbench.features.trial_lists import TrialList, drawn_list
from voxbench.features.trial_rule import draw_trials
from voxbench.metrics.significance import compare_pairs
from voxbench.stages.workspace import Workspace
from voxbench.tasks import tasks
from voxbench.training.scoring import evaluate

VERIFY = "verify-voxceleb1"
SKILLS = {"ecapa_tdnn_64": 1.9, "x_vector_128": 1.2}
LISTED = "veri_test2.txt"


def paired_params() -> Params:
    """Return the parameters with a study and a benchmark of verification, and no other benchmark."""
    whole = params()
    models = tuple(SKILLS)
    about = {"task": "verification", "corpus": "voxceleb1", "metric": "eer"}
    study = whole.studies["gender-voxceleb1"].model_copy(update=about | {"models": models})
    row = whole.benchmarks["gender-voxceleb1"].model_copy(update=about | {"select_from": VERIFY, "variants": ()})
    # As few as intervals of trials may have.
    report = whole.report.model_copy(update={"resamples": 100})
    return whole.model_copy(update={"report": report, "studies": {VERIFY: study}, "benchmarks": {VERIFY: row}})


def write_paired(root: Path, skills: dict[str, float], *, listed: bool) -> Workspace:
    """Write all that the report reads and return the workspace; `listed` says whether test trials are of a list."""
    workspace, plan = Workspace(root, paired_params()), replace(PLAN, skills=skills, speakers=PLAN.speakers)
    rows = _manifest(plan)
    write_account(workspace.prepared("voxceleb1"), rows, plan)
    write_selection(workspace.results(VERIFY, "select"), plan, "eer")
    rule, random = workspace.params.verification.trials, np.random.default_rng(5)
    lists = {split: drawn_list(draw_trials(rows[rows["split"] == split], rule, split)) for split in ("valid", "test")}
    if listed:
        lists["test"] = replace(lists["test"], name=LISTED, is_cleaned=True, lost=7)
    measured = []
    for model, skill in skills.items():
        folder = workspace.models(VERIFY) / model
        _job(folder, rows, lists, skill, random)
        _tuned(folder, skill)
        _decided(folder, workspace.params)
        for seed in SEEDS:
            place = workspace.results(VERIFY, "repeat") / f"{model}-seed{seed}"
            _job(place, rows, {"test": lists["test"]}, skill + plan.luck * random.normal(), random)
            table = pd.read_parquet(place / "scores.parquet")
            measured.append({"model": model, "seed": seed} | evaluate(tasks["verification"], table))
    seeds = pd.DataFrame(measured)
    seeds.to_csv(workspace.results(VERIFY, "repeat") / "seeds.csv", index=False)
    values = seeds.rename(columns={"model": "system", "eer": "value"})[["system", "seed", "value"]]
    tests = compare_pairs(values, workspace.params.report.level, workspace.params.report.power)
    tests.insert(0, "metric", "eer")
    tests.to_csv(workspace.results(VERIFY, "repeat") / "significance.csv", index=False)
    return workspace


def _manifest(plan: Plan) -> pd.DataFrame:
    rows = []
    for split, few in plan.speakers.items():
        for speaker in range(few):
            who, sex = f"{split}-{speaker:02d}", ("female", "male")[speaker % 2]
            rows += [
                (f"{who}/{clip}.wav", who, split, f"{who}/{clip // 2}", sex, 3.0 + clip, 2.5 + clip, None)
                for clip in range(4)
            ]
    return pd.DataFrame(
        rows, columns=["id", "speaker", "split", "session", "gender", "source_seconds", "kept_seconds", "speakers"]
    )


def _job(
    folder: Path, rows: pd.DataFrame, lists: dict[str, TrialList], skill: float, random: np.random.Generator
) -> None:
    """Write score tables as the judge of trials makes them: two people of one sex are harder to tell apart."""
    known, tables = rows.set_index("id"), []
    for split, listed in lists.items():
        trials = listed.trials
        told = {
            f"{side}_{name}": known.loc[trials[side], name].to_numpy()
            for name in ("speaker", "session", "gender")
            for side in ("enroll", "test")
        }
        harder = told["enroll_gender"] == told["test_gender"]
        score = skill * (trials["truth"] - 0.4 * ~harder) + random.normal(size=len(trials))
        about = {"id": trials["enroll"] + "|" + trials["test"], "enroll": trials["enroll"], "test": trials["test"]}
        tables.append(pd.DataFrame(about | told | {"split": split, "truth": trials["truth"], "score": score}))
    folder.mkdir(parents=True)
    pd.concat(tables, ignore_index=True).to_parquet(folder / "scores.parquet", index=False)
    write_json(folder / "trials.json", {split: listed.account() for split, listed in lists.items()})


def _tuned(folder: Path, skill: float) -> None:
    losses = np.array([0.9, 0.6, 0.7])
    history = {
        "epoch": [0, 1, 2],
        "train_loss": [3.1, 1.2, 0.4],
        "valid_loss": losses,
        "valid_eer": losses / (1 + skill),
    }
    pd.DataFrame(history).to_csv(folder / "history.csv", index=False)
    summary = {"best_epoch": 1, "pruned": False, "parameters": 12345, "multiply_adds": 67890, "initial": "random"}
    write_json(folder / "job.json", {"digest": "d", "summary": summary | {"features_digest": "f"}})


def _decided(folder: Path, settings: Params) -> None:
    table = pd.read_parquet(folder / "scores.parquet")
    table = table[table["split"] == "valid"]
    people = pd.concat([table["enroll_speaker"], table["test_speaker"]])
    fitted = fit_decision(settings.decisions, ("nontarget", "target"), table["score"], table["truth"], people, None)
    write_decision(folder, fitted)


def relisted(folder: Path) -> None:
    """Pretend that what lies in `folder` was tested on another list."""
    lists = read_json(folder / "trials.json")
    lists["test"]["sha256"] = "f" * 64
    write_json(folder / "trials.json", lists)
