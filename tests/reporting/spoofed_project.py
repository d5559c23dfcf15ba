"""A finished benchmark of anti-spoofing, as the stages would have left it, with scores that nobody made."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from reporting.project import PLAN, SEEDS, Plan, write_account, write_selection
from reporting.settings import params
from voxbench.artifacts import write_json
from voxbench.config import Params
from voxbench.corpora.stored_asv_scores import store_asv_scores
from voxbench.evaluation.decisions import fit_decision, write_decision
from voxbench.metrics.significance import compare_pairs
from voxbench.stages.workspace import Workspace
from voxbench.tasks import tasks
from voxbench.training.scoring import evaluate

SPOOF, CORPUS = "spoof-la", "voxceleb1"
SKILLS = {"m5": 2.4, "bilstm_h128_l1": 1.3}
SEEN, UNSEEN = ("A01", "A02"), ("A07", "A08", "A09")
CODECS = ("none", "alaw")
HARDER = {"A08": 1.0}
"""By how much an attack is nearer to bona fide speech than the others."""


def spoofed_params() -> Params:
    """Return the parameters with a study and a benchmark of anti-spoofing, and no other benchmark."""
    whole = params()
    about = {"task": "anti_spoofing", "corpus": CORPUS, "metric": "eer_asvspoof"}
    study = whole.studies["gender-voxceleb1"].model_copy(update=about | {"models": tuple(SKILLS)})
    row = whole.benchmarks["gender-voxceleb1"].model_copy(update=about | {"select_from": SPOOF, "variants": ()})
    # As few as intervals of trials may have.
    report = whole.report.model_copy(update={"resamples": 100})
    corpora = {CORPUS: whole.corpora[CORPUS].model_copy(update={"reader": "asvspoof2019"})}
    changed = {"report": report, "corpora": corpora, "studies": {SPOOF: study}, "benchmarks": {SPOOF: row}}
    return whole.model_copy(update=changed)


def write_spoofed(root: Path, *, verifier: bool, changed: Callable[[pd.DataFrame], pd.DataFrame]) -> Workspace:
    """Write all that the report reads and return the workspace; `changed` may change the manifest."""
    plan = replace(PLAN, skills=SKILLS)
    workspace, rows, random = Workspace(root, spoofed_params()), changed(manifest_of(plan)), np.random.default_rng(5)
    write_account(workspace.prepared(CORPUS), rows, plan)
    write_selection(workspace.results(SPOOF, "select"), plan, "eer")
    if verifier:
        write_asv(root / "raw" / "asv.txt", rows)
        store_asv_scores(workspace.prepared(CORPUS), "asvspoof2019", root / "raw", "asv.txt")
    measured = []
    for model, skill in SKILLS.items():
        folder = workspace.models(SPOOF) / model
        _scores(folder, rows[rows["split"] != "train"], skill, random)
        _tuned(folder, skill)
        _decided(folder, workspace.params)
        for seed in SEEDS:
            place = workspace.results(SPOOF, "repeat") / f"{model}-seed{seed}"
            _scores(place, rows[rows["split"] == "test"], skill + plan.luck * random.normal(), random)
            table = pd.read_parquet(place / "scores.parquet")
            measured.append({"model": model, "seed": seed} | evaluate(tasks["anti_spoofing"], table))
    seeds = pd.DataFrame(measured)
    seeds.to_csv(workspace.results(SPOOF, "repeat") / "seeds.csv", index=False)
    values = seeds.rename(columns={"model": "system", "eer_asvspoof": "value"})[["system", "seed", "value"]]
    tests = compare_pairs(values, workspace.params.report.level, workspace.params.report.power)
    tests.insert(0, "metric", "eer_asvspoof")
    tests.to_csv(workspace.results(SPOOF, "repeat") / "significance.csv", index=False)
    return workspace


def manifest_of(plan: Plan) -> pd.DataFrame:
    """Return recordings of both codecs, bona fide and of every attack of their split, of each speaker."""
    rows = []
    for split, few in plan.speakers.items():
        for speaker in range(few):
            who, sex = f"{split}-{speaker:02d}", ("female", "male")[speaker % 2]
            for codec in CODECS:
                for attack in ("bonafide", "bonafide", *(UNSEEN if split == "test" else SEEN)):
                    seconds = 3.0 + len(rows) % 3
                    about = (who, split, None, sex, seconds, seconds - 0.5, None, attack, codec, "LA")
                    rows.append((f"{who}/{len(rows)}.flac", *about))
    columns = ["id", "speaker", "split", "session", "gender", "source_seconds", "kept_seconds", "speakers", "attack"]
    return pd.DataFrame(rows, columns=[*columns, "extra_codec", "extra_scenario"])


def write_asv(path: Path, rows: pd.DataFrame) -> None:
    """Write scores of a verifier of the test rows: it accepts many spoofs, and hardly a nontarget."""
    random, test = np.random.default_rng(6), rows[rows["split"] == "test"]
    lines = []
    for attack in test["attack"]:
        if attack != "bonafide":
            lines.append(f"{attack} spoof {random.normal(2, 2):.5f}")
            continue
        lines.append(f"bonafide target {random.normal(4, 1):.5f}")
        lines.append(f"bonafide nontarget {random.normal(-4, 1):.5f}")
    path.parent.mkdir(parents=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _scores(folder: Path, rows: pd.DataFrame, skill: float, random: np.random.Generator) -> None:
    truth = tasks["anti_spoofing"].targets(rows)
    nearer = rows["attack"].map(HARDER).fillna(0.0).to_numpy()
    score = skill * truth + nearer + random.normal(size=len(rows))
    folder.mkdir(parents=True)
    carried = rows[["id", "speaker", "session", "gender", "split"]]
    carried.assign(truth=truth, score=score).to_parquet(folder / "scores.parquet", index=False)


def _tuned(folder: Path, skill: float) -> None:
    losses = np.array([0.9, 0.6, 0.7])
    history = {
        "epoch": [0, 1, 2],
        "train_loss": [0.8, 0.5, 0.4],
        "valid_loss": losses,
        "valid_eer_asvspoof": losses / (1 + skill),
    }
    pd.DataFrame(history).to_csv(folder / "history.csv", index=False)
    summary = {"best_epoch": 1, "pruned": False, "parameters": 12345, "multiply_adds": 67890, "initial": "random"}
    write_json(folder / "job.json", {"digest": "d", "summary": summary | {"features_digest": "f"}})


def _decided(folder: Path, settings: Params) -> None:
    table = pd.read_parquet(folder / "scores.parquet")
    table = table[table["split"] == "valid"]
    classes = ("spoof", "bonafide")
    fitted = fit_decision(settings.decisions, classes, table["score"], table["truth"], table["speaker"], None)
    write_decision(folder, fitted)
