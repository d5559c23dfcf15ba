"""A finished benchmark of transcription, as the stages would have left it, with transcripts that nobody wrote."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from reporting.project import PLAN, SEEDS, Plan, write_account, write_selection
from reporting.settings import params
from voxbench.artifacts import write_json
from voxbench.config import Params
from voxbench.evaluation.decisions import fit_decision, write_decision
from voxbench.metrics.significance import compare_pairs
from voxbench.stages.workspace import Workspace
from voxbench.tasks import tasks
from voxbench.tasks.phrases import PHRASES
from voxbench.training.scoring import evaluate

WORDS, CORPUS = "asr-librispeech", "librispeech"
SKILLS = {"quartznet_64": 0.9, "deep_speech_64": 0.7}
"""The share of words that each network gets right."""
VOCABULARY = ("the", "cat", "sat", "on", "a", "mat", "and", "saw", "two", "birds")
CLIPS = 4


def worded_params() -> Params:
    """Return the parameters with a study and a benchmark of transcription, and no other benchmark."""
    whole = params()
    about = {"task": "transcription", "corpus": CORPUS, "metric": "wer"}
    study = whole.studies["gender-voxceleb1"].model_copy(update=about | {"models": tuple(SKILLS)})
    row = whole.benchmarks["gender-voxceleb1"].model_copy(update=about | {"select_from": WORDS, "variants": ()})
    # As few as intervals of `voxbench evaluate` may have.
    report = whole.report.model_copy(update={"resamples": 100})
    corpora = {CORPUS: whole.corpora["voxceleb1"].model_copy(update={"reader": "librispeech"})}
    changed = {"report": report, "corpora": corpora, "studies": {WORDS: study}, "benchmarks": {WORDS: row}}
    return whole.model_copy(update=changed)


def write_worded(root: Path, skills: dict[str, float] = SKILLS) -> Workspace:
    """Write all that the report reads and return the workspace."""
    plan = replace(PLAN, skills=skills)
    workspace, rows, random = Workspace(root, worded_params()), manifest_of(plan), np.random.default_rng(5)
    write_account(workspace.prepared(CORPUS), rows, plan)
    write_selection(workspace.results(WORDS, "select"), plan, "wer")
    measured, prompted = [], []
    for model, skill in skills.items():
        folder = workspace.models(WORDS) / model
        _scores(folder, rows[rows["split"] != "train"], skill, random)
        _tuned(folder, skill)
        _decided(folder, workspace.params)
        for seed in SEEDS:
            place = workspace.results(WORDS, "repeat") / f"{model}-seed{seed}"
            lucky = float(np.clip(skill + 0.05 * random.normal(), 0, 1))
            _scores(place, rows[rows["split"] == "test"], lucky, random)
            about = {"model": model, "seed": seed}
            measured.append(about | evaluate(tasks["transcription"], pd.read_parquet(place / "scores.parquet")))
            prompted.append(about | evaluate(PHRASES, pd.read_parquet(place / "phrases.parquet")))
    for prefix, metric, found in (("", "wer", measured), ("phrase_", "eer", prompted)):
        _tested(workspace, prefix, metric, pd.DataFrame(found))
    return workspace


def _tested(workspace: Workspace, prefix: str, metric: str, seeds: pd.DataFrame) -> None:
    folder, report = workspace.results(WORDS, "repeat"), workspace.params.report
    seeds.to_csv(folder / f"{prefix}seeds.csv", index=False)
    values = seeds.rename(columns={"model": "system", metric: "value"})[["system", "seed", "value"]]
    tests = compare_pairs(values, report.level, report.power)
    tests.insert(0, "metric", metric)
    tests.to_csv(folder / f"{prefix}significance.csv", index=False)


def manifest_of(plan: Plan) -> pd.DataFrame:
    """Return recordings of sentences of 3 to 8 words; the first test speaker says what the first trained one said."""
    rows, random = [], np.random.default_rng(9)
    for split, few in plan.speakers.items():
        for speaker in range(few):
            who, sex = f"{split}-{speaker:02d}", ("female", "male")[speaker % 2]
            for clip in range(CLIPS):
                text = " ".join(random.choice(VOCABULARY, size=3 + (len(rows) % 6)))
                if (split, speaker) == ("test", 0):
                    text = rows[clip][-1]
                seconds = 1.0 + 0.5 * len(text.split()) + clip
                rows.append((f"{who}/{clip}.flac", who, split, who, sex, seconds, seconds - 0.5, None, text))
    columns = ["id", "speaker", "split", "session", "gender", "source_seconds", "kept_seconds", "speakers", "text"]
    return pd.DataFrame(rows, columns=columns)


def _scores(folder: Path, rows: pd.DataFrame, skill: float, random: np.random.Generator) -> None:
    """Write transcripts with words left out, replaced and put in, and trials of phrases; men are heard better."""
    carried = rows[["id", "speaker", "session", "gender", "split"]].reset_index(drop=True)
    texts = rows["text"].tolist()
    easier = (rows["gender"] == "male").to_numpy() * 0.5 * (1 - skill)
    heard = [_heard(text, skill + more, random) for text, more in zip(texts, easier, strict=True)]
    folder.mkdir(parents=True)
    carried.assign(truth=texts, hypothesis=heard).to_parquet(folder / "scores.parquet", index=False)
    trials = []
    for place, text in enumerate(texts):
        spoken = text.split()
        near = " ".join(["zebra", *spoken[1:]])
        others = [texts[(place + step) % len(texts)] for step in (5, 9)]
        for kind, phrase in (("right", text), *(("other", each) for each in others), ("near", near)):
            level = {"right": 2.0, "near": 0.5, "other": -2.0}[kind]
            score = 2 * skill * level + random.normal()
            trials.append((place, phrase, kind, int(kind == "right"), score))
    table = pd.DataFrame(trials, columns=["row", "phrase", "kind", "truth", "score"])
    whole = carried.iloc[table.pop("row")].reset_index(drop=True).join(table)
    whole.to_parquet(folder / "phrases.parquet", index=False)


def _heard(text: str, skill: float, random: np.random.Generator) -> str:
    words = []
    for word in text.split():
        draw = random.uniform()
        if draw < skill:
            words.append(word)
        elif draw < skill + (1 - skill) / 2:
            words.append("hat")
        elif draw < skill + (1 - skill) * 3 / 4:
            words += [word, "uh"]
    return " ".join(words)


def _tuned(folder: Path, skill: float) -> None:
    losses = np.array([2.9, 0.6, 0.7])
    history = {
        "epoch": [0, 1, 2],
        "train_loss": [3.1, 1.2, 0.4],
        "valid_loss": losses,
        "valid_wer": [1.0, 1 - skill, 1 - 0.9 * skill],
        "valid_cer": [1.0, 0.5 - skill / 2, 0.3],
    }
    pd.DataFrame(history).to_csv(folder / "history.csv", index=False)
    summary = {"best_epoch": 1, "pruned": False, "parameters": 12345, "multiply_adds": 67890, "initial": "random"}
    write_json(folder / "job.json", {"digest": "d", "summary": summary | {"features_digest": "f"}})


def _decided(folder: Path, settings: Params) -> None:
    table = pd.read_parquet(folder / "phrases.parquet")
    table = table[table["split"] == "valid"]
    columns = (table[name].to_numpy() for name in ("score", "truth", "speaker"))
    write_decision(folder, fit_decision(settings.decisions, PHRASES.classes, *columns, None))
