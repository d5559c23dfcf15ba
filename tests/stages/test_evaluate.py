"""`voxbench evaluate`: every command of its guide, what it writes and prints, and one line for every mistake."""

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tiny import PROJECT, tiny_params, write_params
from voxbench.cli import main
from voxbench.schema import ScoreKind

GUIDE = (PROJECT / "docs" / "evaluate.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^voxbench (evaluate .+)$", GUIDE, flags=re.MULTILINE)
VOICES, UTTERANCES = 12, 5


def write_trials(folder: Path, draws: np.random.Generator) -> None:
    """Write embeddings with their names, a trial list, and the list with scores and without a header."""
    names = [f"id1{voice:04}/session/{number:05}.wav" for voice in range(VOICES) for number in range(UTTERANCES)]
    voices = np.repeat(draws.normal(size=(VOICES, 8)), UTTERANCES, axis=0)
    np.save(folder / "embeddings.npy", voices + 0.6 * draws.normal(size=voices.shape))
    (folder / "embeddings.txt").write_text("\n".join(names) + "\n")
    others = np.repeat(draws.normal(size=(20, 8)), UTTERANCES, axis=0)
    np.save(folder / "others.npy", others + 0.6 * draws.normal(size=others.shape))
    names_of_others = [f"id2{voice:04}/session/{number:05}.wav" for voice in range(20) for number in range(UTTERANCES)]
    (folder / "others.txt").write_text("\n".join(names_of_others) + "\n")
    clips = [f"t{place // UTTERANCES} {name}" for place, name in enumerate(names) if place % UTTERANCES < 3]
    (folder / "enrolments.txt").write_text("\n".join(clips) + "\n")
    tests = [place for place in range(len(names)) if place % UTTERANCES >= 3]
    lines = [f"{int(p // UTTERANCES == t)} t{t} {names[p]}" for p in tests for t in range(VOICES)]
    (folder / "template-trials.txt").write_text("\n".join(lines) + "\n")
    pairs = [(one, other) for one in range(len(names)) for other in range(one + 1, len(names), 7)]
    labels = [int(one // UTTERANCES == other // UTTERANCES) for one, other in pairs]
    lines = [f"{label} {names[a]} {names[b]}" for label, (a, b) in zip(labels, pairs, strict=True)]
    (folder / "trials.txt").write_text("\n".join(lines) + "\n")
    scored = [f"{line} {label + draws.normal():.4f}" for line, label in zip(lines, labels, strict=True)]
    (folder / "plain.txt").write_text("\n".join(scored) + "\n")


def write_spoofs(folder: Path, draws: np.random.Generator) -> None:
    """Write arrays, score files and protocols of countermeasures, and a verifier of the same spoofed trials."""
    labels = np.arange(200) % 2
    np.save(folder / "labels.npy", labels)
    np.save(folder / "scores.npy", draws.normal(2.0 * labels))
    for part, shift in (("dev", 0.0), ("eval", 0.5)):
        words, protocol, scores = ("bonafide", "spoof"), [], []
        for number in range(240):
            key = words[number % 3 > 0]
            attack = f"A0{1 + number % 3}" if key == "spoof" else "-"
            protocol.append(f"LA_{part[0]}{number % 12:03} LA_{part}_{number} - {attack} {key}")
            scores.append(f"LA_{part}_{number} {shift + draws.normal(3.0 * (key == 'bonafide')):.4f} {key}")
        (folder / f"protocol-{part}.txt").write_text("\n".join(protocol) + "\n")
        (folder / f"{part}.txt").write_text("\n".join(scores) + "\n")
    # The system of the evaluated part, with noise, in another order.
    noisy = (line.split() for line in reversed(scores))
    others = [f"{name} {float(score) + draws.normal(0, 2):.4f} {key}" for name, score, key in noisy]
    (folder / "other.txt").write_text("\n".join(others) + "\n")
    verifier = [f"bonafide {key} {draws.normal(4.0 * (key == 'target')):.4f}" for key in ("target", "nontarget") * 40]
    verifier += [f"A0{1 + number % 3} spoof {draws.normal(2.0):.4f}" for number in range(240) if number % 3]
    (folder / "asv.txt").write_text("\n".join(verifier) + "\n")


def write_others(folder: Path, draws: np.random.Generator) -> None:
    """Write scores of classes with two splits, ages, and transcripts."""
    number, speakers = 240, [f"s{row % 24:02}" for row in range(240)]
    truth = np.arange(number) // 24 % 2
    p = 1 / (1 + np.exp(-draws.normal(2.0 * truth - 1)))
    ids = [f"u{row}" for row in range(number)]
    split = np.where(np.arange(number) % 24 < 12, "test", "valid")
    table = {"id": ids, "split": split, "speaker": speakers, "gender": np.array(["female", "male"])[truth]}
    table |= {"language": np.array(["en", "ru"])[np.arange(number) % 2], "p_female": 1 - p, "p_male": p}
    pd.DataFrame(table | {"truth": table["gender"]}).to_parquet(folder / "classes.parquet")
    ages = draws.uniform(20, 70, number)
    values = {"id": ids, "speaker": speakers, "truth": ages, "predicted": ages + draws.normal(0, 5, number)}
    pd.DataFrame(values).to_csv(folder / "ages.csv", index=False)
    pd.DataFrame(values).iloc[1:].to_csv(folder / "fewer.csv", index=False)
    texts = [" ".join(draws.choice(["one", "two", "three", "four"], 1 + row % 9)) for row in range(60)]
    (folder / "references.txt").write_text("".join(f"u{row} {text}\n" for row, text in enumerate(texts)))
    heard = [text.replace("two", "too", row % 2).removesuffix(" one") for row, text in enumerate(texts)]
    (folder / "hypotheses.txt").write_text("".join(f"u{row} {text}\n" for row, text in enumerate(heard)))


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """Return a project of settings alone, with the files that the guide names."""
    folder = tmp_path_factory.mktemp("evaluate")
    params = tiny_params()
    params["report"]["resamples"] = 100
    write_params(folder, params)
    draws = np.random.default_rng(11)
    for write in (write_trials, write_spoofs, write_others):
        write(folder, draws)
    return folder


@pytest.fixture
def run(files, tmp_path, monkeypatch) -> Callable[[str], Path]:
    """Return how a command line is run beside the files, its results in a folder of the test."""
    monkeypatch.chdir(files)

    def call(line: str) -> Path:
        words = shlex.split(line)
        place = words.index("--output") + 1
        words[place] = str(tmp_path / words[place])
        assert main(words) == 0
        return Path(words[place])

    return call


@pytest.fixture
def complaint(files, tmp_path, monkeypatch, capfd) -> Callable[[str], str]:
    """Return how a command line is run that must fail, writes nothing, and says why in one line."""
    monkeypatch.chdir(files)

    def call(line: str) -> str:
        capfd.readouterr()
        assert main(["evaluate", *shlex.split(line), "--output", str(tmp_path / "results")]) == 2
        assert not list((tmp_path / "results").glob("**/*"))
        *progress, said = capfd.readouterr().err.splitlines()
        assert all(line.startswith("evaluate ") for line in progress)
        assert said.startswith("voxbench evaluate: ")
        return said

    return call


def record(folder: Path) -> dict:
    return json.loads((folder / "results.json").read_text(encoding="utf-8"))


def test_the_guide_shows_a_command_for_every_kind() -> None:
    assert len(COMMANDS) >= 8
    shown = " ".join(COMMANDS)
    kinds = [f"--kind {kind}" for kind in ScoreKind]
    assert all(words in shown for words in (*kinds, "--task speaker_verification", "--task anti_spoofing"))


@pytest.mark.parametrize("line", COMMANDS)
def test_the_commands_of_the_guide_work(run, capfd, line) -> None:
    folder = run(line)
    assert {"index.html", "results.json", "results.md", "figures"} <= {path.name for path in folder.iterdir()}
    found, printed = record(folder), capfd.readouterr()
    assert all(each["value"] is not None or each["reason"] for each in found["metrics"])
    assert found["origin"]["trials_sha256"][:12] in printed.out.splitlines()[0]
    compared = found["compared"]
    assert (compared is not None) == ("--against" in line)
    more = 0 if compared is None else len(compared["metrics"]) + 3
    assert len(printed.out.splitlines()) == len(found["metrics"]) + 3 + more
    assert printed.out.splitlines()[-1] == f"written to {folder / 'index.html'}"
    assert ("evaluate 5/5" if compared is None else "evaluate 6/6") in printed.err


@pytest.mark.slow
def test_the_same_files_give_the_same_bytes(run) -> None:
    line = next(line for line in COMMANDS if "--asv-scores" in line)
    first = {path.name: path.read_bytes() for path in run(line).rglob("*") if path.is_file()}
    second = {path.name: path.read_bytes() for path in run(line).rglob("*") if path.is_file()}
    assert first == second
    assert {"det.csv", "groups.png"} <= set(first)


def test_a_verifier_and_development_rows_add_what_they_should(run) -> None:
    found = record(run(next(line for line in COMMANDS if "--asv-scores" in line)))
    names = [each["name"] for each in found["metrics"]]
    assert names[0] == "eer_asvspoof"
    assert {"min_tdcf(legacy)", "min_tdcf(revised)"} <= set(names)
    assert {each["name"] for each in found["calibrated"]["thresholds"]} == {"equal-error", "bayes", "far-10-percent"}
    assert {row["group"] for row in found["groups"]} == {"A02", "A03"}
    assert found["classes"] == ["spoof", "bonafide"]


def test_another_system_is_measured_as_if_alone_and_told_apart(run, capfd) -> None:
    line = next(line for line in COMMANDS if "--against" in line)
    found = record(run(line))
    said = capfd.readouterr().out.splitlines()[-2]
    alone = record(run(line.replace("eval.txt", "other.txt", 1).replace("--against other.txt", "")))
    compared = found["compared"]
    assert compared["origin"] == alone["origin"]
    names = [each["name"] for each in compared["metrics"]]
    assert names == [each["name"] for each in found["metrics"]]
    for each, this, other in zip(compared["metrics"], found["metrics"], alone["metrics"], strict=True):
        assert (each["this"], each["other"], each["clusters"]) == (this["value"], other["value"], 12), each["name"]
        assert each["difference"] == each["this"] - each["other"]
        assert each["p"] <= each["p_holm"]
    assert compared["metrics"][names.index("eer_asvspoof")]["p"] == 1 / 101
    assert said == compared["verdict"]
    assert said.startswith("Neither system is shown to be better")
    assert any("allow no Holm p below 0.099" in note for note in compared["notes"])


def test_how_the_file_is_written_holds_for_an_other_one_like_it(run, files) -> None:
    lines = ["label enroll test score", *(files / "plain.txt").read_text().splitlines()]
    (files / "headed.csv").write_text("".join(f"{line.replace(' ', ',')}\n" for line in lines))
    line = "evaluate --kind detection --scores plain.txt --columns label,enroll,test,score --output out --against"
    for other, labels in (("headed.csv", ""), ("plain.txt", " --against-labels trials.txt")):
        compared = record(run(f"{line} {other}{labels}"))["compared"]
        assert {each["difference"] for each in compared["metrics"]} == {0.0}
        assert compared["origin"]["labels"] == (labels.split()[-1] if labels else None)


@pytest.mark.slow
def test_development_rows_of_another_split_are_those_of_a_file_of_their_own(run, files) -> None:
    line = "evaluate --kind classes --scores classes.parquet --split test --output one --groups gender"
    table = pd.read_parquet(files / "classes.parquet")
    table[table["split"] == "valid"].to_parquet(files / "valid.parquet")
    one, other = (
        record(run(f"{line} --dev-split valid")),
        record(run(f"{line} --dev-scores valid.parquet --dev-split valid")),
    )
    assert one["calibrated"]["calibration"] == other["calibrated"]["calibration"]
    assert one["calibrated"]["thresholds"] == other["calibrated"]["thresholds"]
    assert {row["by"] for row in one["groups"]} == {"gender"}
    assert any(note.startswith("development rows: only rows of split 'valid'") for note in one["notes"])


@pytest.mark.slow
def test_the_task_says_the_kind(run) -> None:
    line = "--scores scores.npy --labels labels.npy --output results"
    of_task = record(run(f"evaluate --task anti_spoofing {line}"))
    both = record(run(f"evaluate --kind detection --task anti_spoofing {line}"))
    plain = record(run(f"evaluate --kind detection {line}"))
    assert of_task == both
    assert of_task["metrics"][0]["name"] == "eer_asvspoof"
    assert plain["metrics"][0]["name"] == "eer"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--scores scores.npy --labels labels.npy", "neither --kind nor --task says what the scores are"),
        ("--kind value --task anti_spoofing --scores ages.csv", "is of kind detection, not value"),
        ("--kind value --scores age.csv", "age.csv"),
        ("--kind classes --scores classes.parquet --split tset", "tset"),
        ("--kind value --scores ages.csv --groups gender", "no column 'gender' to group by"),
        ("--kind value --scores ages.csv --groups gender,,age", "'gender,,age' has an empty name"),
        ("--kind value --scores ages.csv --dev-labels ages.csv", "without --dev-scores"),
        ("--kind classes --scores classes.parquet --dev-split test", "test is what is evaluated"),
        ("--kind classes --scores classes.parquet --split valid --dev-split valid", "valid is what is evaluated"),
        ("--kind classes --scores classes.parquet --dev-scores classes.parquet", "are scored rows as well"),
        ("--kind value --scores ages.csv --against-labels ages.csv", "without --against"),
        ("--kind value --scores ages.csv --against nowhere.csv", "nowhere.csv does not exist"),
        ("--kind value --scores ages.csv --against fewer.csv", "1 rows are in the first alone and 0 in the second"),
        ("--kind value --scores ages.csv --against classes.parquet", "--against: "),
        (
            "--task anti_spoofing --scores scores.npy --labels labels.npy --asv-scores asv.txt --asv-rates x",
            "give one of them",
        ),
        (
            "--task anti_spoofing --scores scores.npy --labels labels.npy --asv-rates asvspoof2019-la-evla",
            "'asvspoof2019-la-evla' (did you mean 'asvspoof2019-la-eval'?)",
        ),
        (
            "--task anti_spoofing --scores scores.npy --labels labels.npy --asv-rates asvspoof2019-la-eval",
            "another set",
        ),
    ],
)
def test_what_does_not_fit_is_one_line(complaint, line, message) -> None:
    assert message in complaint(line)


def test_a_folder_of_other_things_is_refused_before_anything_is_read(files, tmp_path, monkeypatch, capfd) -> None:
    monkeypatch.chdir(files)
    (tmp_path / "notes.txt").write_text("mine")
    assert main(["evaluate", "--kind", "value", "--scores", "nowhere.csv", "--output", str(tmp_path)]) == 2
    assert "holds 'notes.txt'" in capfd.readouterr().err
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("option", ["--scores", "--against", "--against-labels"])
def test_an_input_among_the_outputs_is_not_overwritten(tmp_path, files, monkeypatch, capfd, option) -> None:
    monkeypatch.chdir(files)
    (tmp_path / "det.csv").write_text("id,score,label\na,1,1\nb,0,0\n")
    given = {"--scores": "plain.txt", "--against": "plain.txt", option: str(tmp_path / "det.csv")}
    words = [word for pair in given.items() for word in pair]
    assert main(["evaluate", "--kind", "detection", *words, "--output", str(tmp_path)]) == 2
    assert "is written anew: name another folder" in capfd.readouterr().err
    assert (tmp_path / "det.csv").read_text().startswith("id,score")


def test_wrong_words_are_wrong_usage(capsys) -> None:
    for words in (["--scores", "x"], ["--scores", "x", "--output", "y", "--kind", "classy"]):
        with pytest.raises(SystemExit) as left:
            main(["evaluate", *words])
        assert left.value.code == 2
    assert "invalid choice: 'classy'" in capsys.readouterr().err
