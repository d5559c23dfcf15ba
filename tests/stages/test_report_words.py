"""Transcription from recordings to the page, with the variants of its networks beside the unchanged runs."""

import shutil

import pandas as pd
import pytest

from stages.words import MODELS, WORDS, build_worded, spoken_params
from tiny import write_params
from voxbench.artifacts import read_json
from voxbench.metrics.text import cer, wer
from voxbench.stages.ablate import ablate
from voxbench.stages.report import gather_chapters, report
from voxbench.stages.workspace import open_workspace
from voxbench.tracking.store import connect

LEAKY = "utterance-split"


@pytest.fixture(scope="module")
def ablated(tmp_path_factory):
    """Return a copy of the finished workspace with the variant that has the same people on both sides."""
    folder = tmp_path_factory.mktemp("ablated") / "words"
    # The store that comes with it would lead back: it names the folder of its artifacts.
    unlike = shutil.ignore_patterns("mlflow.db", "mlruns", ".mlflow.lock")
    shutil.copytree(build_worded(tmp_path_factory.getbasetemp()).root, folder, ignore=unlike)
    connect(folder)
    params = spoken_params()
    params["benchmarks"][WORDS]["variants"] = [LEAKY]
    workspace = open_workspace(write_params(folder, params))
    ablate(workspace, WORDS)
    return workspace


@pytest.mark.slow
def test_variants_of_transcription_are_measured_by_their_texts(ablated):
    folder = ablated.results(WORDS, "ablate")
    runs = pd.read_csv(folder / "variants.csv")
    assert set(runs["variant"]) == {"base", LEAKY}
    for row in runs.to_dict("records"):
        place = folder / f"{row['model']}-{LEAKY}-seed{row['seed']}"
        if row["variant"] == "base":
            place = ablated.results(WORDS, "repeat") / f"{row['model']}-seed{row['seed']}"
        table = pd.read_parquet(place / "scores.parquet")
        sides = table["truth"].tolist(), table["hypothesis"].tolist()
        assert (row["wer"], row["cer"]) == pytest.approx((wer(*sides), cer(*sides)))
    compared = pd.read_csv(folder / "comparison.csv")
    assert set(compared["model"]) == set(MODELS.values())
    assert not compared["same_test_rows"].any()


@pytest.mark.slow
def test_the_page_has_words_phrases_and_the_leaky_split(ablated):
    report(ablated)
    numbers = read_json(ablated.reports / "metrics.json")
    assert list(numbers) == [WORDS, f"{WORDS}-phrases"]
    chosen = gather_chapters(ablated, WORDS)[0].validated.model
    seeds = pd.read_csv(ablated.results(WORDS, "repeat") / "seeds.csv").groupby("model").mean()
    assert numbers[WORDS]["wer"] == pytest.approx(seeds.loc[chosen, "wer"])
    prompted = pd.read_csv(ablated.results(WORDS, "repeat") / "phrase_seeds.csv").groupby("model").mean()
    assert numbers[f"{WORDS}-phrases"]["eer"] == pytest.approx(prompted.loc[chosen, "eer"])
    page = (ablated.reports / "index.html").read_text(encoding="utf-8")
    for words in (
        "Every test speaker, the worst first",
        "leaky split",
        "Which wrong phrases are taken for right ones?",
    ):
        assert words in page
    assert "bona fide" not in page
