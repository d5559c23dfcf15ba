"""`voxbench tandem`: trials by a fixed rule, files with every number, and one line for every mistake."""

import json

import numpy as np
import pandas as pd
import pytest

from evaluation.tandem_trials import tandem_trials
from serving.pairs import MODEL
from stages.spoofed import ATTACKS, CLIPS, CORPUS, COUNTERMEASURE, ELSEWHERE, OTHER, PEOPLE, spoofed_project
from tiny import tiny_params, write_params
from voxbench.audio import read_bytes
from voxbench.cli import main
from voxbench.serving.countermeasure import Countermeasure
from voxbench.serving.verifier import Verifier, template_of
from voxbench.stages.model_folders import model_folder
from voxbench.stages.tandem import trials_between

FILES = {"index.html", "findings.json", "tandem.csv", "scores.parquet"}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return spoofed_project(tmp_path_factory.mktemp("tandem"))


@pytest.fixture(scope="module")
def output(workspace):
    folder = workspace.root / "out"
    assert run(workspace.root, *networks(), "--output", str(folder)) == 0
    return folder


def networks(corpus=CORPUS, verifier=MODEL, countermeasure=COUNTERMEASURE, clips=1):
    return [corpus, "--verifier", verifier, "--countermeasure", countermeasure, "--clips", str(clips)]


def run(root, *words):
    return main(["--params", str(root / "params.yaml"), "tandem", *words])


def complaint(root, capfd, *words):
    capfd.readouterr()
    assert run(root, *words) == 2
    (line,) = [each for each in capfd.readouterr().err.splitlines() if each.startswith("voxbench tandem: ")]
    return line


def test_every_recording_that_enrols_nobody_is_a_trial(output):
    scored = pd.read_parquet(output / "scores.parquet")
    people, takes = len(PEOPLE["test"]), CLIPS - 1
    # One recording is silent, which is of nobody's three.
    assert scored["key"].value_counts().to_dict() == {
        "nontarget": people * takes * (people - 1),
        "spoof": people * CLIPS * len(ATTACKS),
        "target": people * takes,
    }
    assert set(scored["attack"]) == {"bonafide", *ATTACKS}
    assert (scored["speaker"] == scored["enroll"]).tolist() == (scored["key"] != "nontarget").tolist()


def test_both_networks_score_as_they_are_served(workspace, output):
    verifier, countermeasure = (model_folder(workspace, name) for name in (MODEL, COUNTERMEASURE))
    root = workspace.root / "spoofed-raw"
    scored = pd.read_parquet(output / "scores.parquet")
    trial = scored[scored["key"] == "spoof"].iloc[-1]
    used = set(scored.loc[scored["key"] == "target", "test"])
    (enrolled,) = {
        f"test/{trial['enroll']}/{take}-bonafide.wav"
        for take in range(CLIPS)
        if f"test/{trial['enroll']}/{take}-bonafide.wav" not in used
    }
    served = Verifier(verifier)
    heard = [served.embed(read_bytes(root / name)) for name in (enrolled, trial["test"])]
    assert trial["asv"] == pytest.approx(served.compare([template_of(heard[:1])], heard[1])[0].score, abs=1e-9)
    assert trial["cm"] == pytest.approx(
        Countermeasure(countermeasure)(read_bytes(root / trial["test"])).score, abs=1e-9
    )


def test_all_is_written_and_what_was_lost_is_said(output):
    assert {path.name for path in output.iterdir()} == FILES
    found = json.loads((output / "findings.json").read_text(encoding="utf-8"))
    assert any("1 recording of 37 of the test trials of spoofed cannot be heard" in note for note in found["notes"])
    assert found["facts"]["verifier"] == MODEL
    assert set(found["systems"]) == {"verifier", "sum", "cascade", "fusion"}
    table = pd.read_csv(output / "tandem.csv", keep_default_na=False)
    assert {"min_tdcf(legacy)", "min_tdcf(revised)", "sasv_eer", "p_fa_spoof", "a_dcf"} <= set(table["metric"])
    assert set(table["minus"]) == {"", "verifier"}
    page = (output / "index.html").read_text(encoding="utf-8")
    assert "Which score tells targets from impostors and spoofs?" in page
    assert "<svg" in page


def test_equal_trials_give_equal_bytes(workspace, output, tmp_path):
    assert run(workspace.root, *networks(), "--output", str(tmp_path / "again")) == 0
    for name in FILES:
        assert (tmp_path / "again" / name).read_bytes() == (output / name).read_bytes(), name


def test_development_may_be_of_another_corpus_of_other_people(workspace, output, capfd, tmp_path):
    """That of the demo in another name, without its test people: the same fit, and the name is told."""
    folder = workspace.prepared(OTHER)
    folder.mkdir()
    listed = pd.read_parquet(workspace.prepared(CORPUS) / "manifest.parquet")
    words = [*networks(), "--dev-corpus", OTHER, "--output", str(tmp_path / "out")]
    listed.assign(split="valid").to_parquet(folder / "manifest.parquet", index=False)
    said = complaint(workspace.root, capfd, *words)
    assert "4 of 4 people of the test trials of spoofed are known to the fit on development trials from" in said
    listed[listed["split"] == "valid"].to_parquet(folder / "manifest.parquet", index=False)
    assert run(workspace.root, *words) == 0
    one, other = (
        json.loads((each / "findings.json").read_text(encoding="utf-8")) for each in (output, tmp_path / "out")
    )
    assert one["fitted"] == other["fitted"]
    assert (other["facts"]["development"], one["facts"].get("development")) == (OTHER, None)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (networks(corpus="spoofled"), "did you mean 'spoofed'"),
        (networks(corpus=ELSEWHERE), "tiny has no spoofed recording"),
        (networks(verifier=COUNTERMEASURE), "judges recordings one by one (task 'anti_spoofing')"),
        (networks(countermeasure=MODEL), "is no countermeasure (task 'verification'): name a model of a benchmark of"),
        (networks(clips=0), "--clips 0: a speaker is enrolled with one recording or more"),
        (networks(clips=CLIPS), "have no target and no nontarget trial"),
        (networks(clips=9), "found none at all"),
        (networks()[:-2], "found no --clips: give CORPUS, --verifier, --countermeasure, --clips; or --scores"),
        (networks()[1:], "found no CORPUS: give"),
        ([*networks(), "--dev", "dev.csv"], "--dev dev.csv without --scores"),
        ([CORPUS, "--scores", "s.csv"], "leave out CORPUS"),
        (["--scores", "s.csv"], "s.csv does not exist"),
    ],
)
def test_a_mistake_is_one_line_with_its_fix(workspace, capfd, tmp_path, words, message):
    assert message in complaint(workspace.root, capfd, *words, "--output", str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_people_whom_a_network_knows_are_refused(workspace, capfd, tmp_path):
    """Somebody of the test trials was validated on, or somebody of development trained on."""
    path = workspace.prepared(ELSEWHERE) / "manifest.parquet"
    own, kept = pd.read_parquet(path), path.read_bytes()
    listed = pd.read_parquet(workspace.prepared(CORPUS) / "manifest.parquet")
    try:
        for person, split, is_refused in (
            ("t1", "valid", True),
            ("t1", "train", True),
            ("v1", "train", True),
            ("v1", "valid", False),
            ("t1", "test", False),
        ):
            shared = listed[listed["speaker"] == person].head(1).assign(split=split)
            pd.concat([own, shared]).to_parquet(path, index=False)
            words = [*networks(), "--output", str(tmp_path / f"{person}-{split}")]
            if is_refused:
                assert f"'{person}' among them" in complaint(workspace.root, capfd, *words)
            else:
                assert run(workspace.root, *words) == 0
    finally:
        path.write_bytes(kept)


def test_a_network_of_unknown_people_is_refused(workspace, capfd, tmp_path):
    path = workspace.prepared(ELSEWHERE) / "manifest.parquet"
    away = path.rename(path.with_suffix(".away"))
    try:
        said = complaint(workspace.root, capfd, *networks(), "--output", str(tmp_path / "out"))
    finally:
        away.rename(path)
    assert "nobody can say whom it knows: run `dvc repro prepare@tiny`" in said


def test_a_folder_of_others_is_left_alone(workspace, capfd, tmp_path):
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    assert "holds 'mine.txt'" in complaint(workspace.root, capfd, *networks(), "--output", str(tmp_path))


HEARD = pd.DataFrame(
    [(f"{name}{take}", name, attack) for name in "abc" for take in range(3) for attack in ("bonafide",)]
    + [("a-s", "a", "A01"), ("d-s", "d", "A01"), ("e0", "e", "bonafide")],
    columns=["id", "speaker", "attack"],
)


def test_trials_by_hand():
    enrolments, trials, unclaimed = trials_between(HEARD, 2, seed=1)
    assert {name: len(clips) for name, clips in enrolments.items()} == {"a": 2, "b": 2, "c": 2}
    assert unclaimed == 1
    left = {name: ({f"{name}{take}" for take in range(3)} - set(clips)).pop() for name, clips in enrolments.items()}
    found = set(trials[["enroll", "test", "key"]].itertuples(index=False, name=None))
    expected = {(one, left[other], "target" if one == other else "nontarget") for one in "abc" for other in "abc"}
    assert found == expected | {("a", "a-s", "spoof")} | {(one, "e0", "nontarget") for one in "abc"}


def test_who_else_is_there_and_in_what_order_changes_no_enrolment():
    whole = trials_between(HEARD, 1, seed=1)[0]
    assert trials_between(HEARD.sample(frac=1, random_state=1), 1, seed=1)[0] == whole
    assert trials_between(HEARD[HEARD["speaker"] != "b"], 1, seed=1)[0].items() < whole.items()
    others = [trials_between(HEARD, 1, seed)[0] for seed in range(2, 12)]
    assert any(each != whole for each in others)
    assert any(len({clip[-1] for (clip,) in list(each.values())[:3]}) > 1 for each in others), "everybody's own draw"


def test_scores_made_elsewhere_and_labels_of_the_test_that_change_nothing_fitted(tmp_path, capsys):
    """The fault is injected into the whole command: permuted keys, and the very same thresholds."""
    write_params(tmp_path, tiny_params())
    development, test = tandem_trials(1), tandem_trials(2).drop(columns="speaker")
    claims = test["key"] != "spoof"
    permuted = test.copy()
    permuted.loc[claims, "key"] = np.random.default_rng(1).permutation(test.loc[claims, "key"])
    development.to_csv(tmp_path / "dev.csv", index=False)
    found = []
    for name, table in (("sound", test), ("permuted", permuted)):
        table.to_csv(tmp_path / f"{name}.csv", index=False)
        words = ["--scores", str(tmp_path / f"{name}.csv"), "--dev", str(tmp_path / "dev.csv")]
        assert run(tmp_path, *words, "--output", str(tmp_path / name)) == 0
        found.append(json.loads((tmp_path / name / "findings.json").read_text(encoding="utf-8")))
    assert found[0]["fitted"] == found[1]["fitted"]
    assert found[0]["systems"] != found[1]["systems"]
    said = capsys.readouterr().out
    assert "fusion of both ratios, least a-DCF" in said
    assert "note: Nobody says who is heard in nontarget trials" in said
