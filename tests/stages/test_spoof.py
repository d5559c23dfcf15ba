"""`voxbench spoof`: a corpus of both kinds whose files tell nothing, with attacks of the test that training has not."""

import csv
import shutil

import numpy as np
import pandas as pd
import pytest
import soundfile

from corpora.twin_trees import tree_hashes
from serving.clips import bad_clips
from tiny import RATE_HZ, tiny_params, voice, write_params
from voxbench.cli import main
from voxbench.corpora import read_corpus
from voxbench.corpora.asvspoof2019_twin import SEEN, UNSEEN
from voxbench.schema import BONAFIDE, Split
from voxbench.stages.prepare import prepare
from voxbench.stages.workspace import open_workspace

CORPUS, SPEAKERS, CLIPS = "tiny", 6, 2
# The quickest of each side.
QUICK = ["--seen", "lpc_vocoder,pitch_shift", "--unseen", "robot_phase,channel_vocoder"]
LOUD, BROKEN = "s00/1.wav", "s01/0.wav"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Return a prepared corpus: of every rate and split, one recording near full scale, one that broke afterwards."""
    root = tmp_path_factory.mktemp("spoof")
    params = tiny_params()
    params["corpora"][CORPUS]["splitting"]["by"] = "official"
    draws, rows = np.random.default_rng(2), [("path", "speaker", "gender", "split")]
    for speaker in range(SPEAKERS):
        for take in range(CLIPS):
            path = root / "raw" / f"s{speaker:02d}" / f"{take}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            wave = voice(100.0 + 20 * speaker, draws.uniform(0.8, 1.1), draws)
            loud = str(path).endswith(LOUD)
            wave = wave * (0.999 / np.abs(wave).max()) if loud else wave
            soundfile.write(path, wave, RATE_HZ if take else 22_050, subtype="PCM_16")
            who = path.relative_to(root / "raw").as_posix()
            rows.append((who, f"s{speaker:02d}", ("female", "")[speaker % 2], ("train", "valid", "test")[speaker % 3]))
    with (root / "raw" / "metadata.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows(rows)
    workspace = open_workspace(write_params(root, params))
    prepare(workspace, CORPUS)
    (root / "raw" / BROKEN).write_bytes(bad_clips()["truncated wav"][0])
    return workspace


@pytest.fixture(scope="module")
def made(project):
    folder = project.root / "made"
    assert run(project, folder) == 0
    return folder


def run(project, folder, *words, attacks="2", seed="1"):
    about = ["--output", str(folder), "--attacks", attacks, "--seed", seed, *(words or QUICK)]
    return main(["--params", str(project.root / "params.yaml"), "spoof", CORPUS, *about])


def complaint(project, capfd, folder, *words, **changes):
    capfd.readouterr()
    assert run(project, folder, *words, **changes) == 2
    (line,) = [each for each in capfd.readouterr().err.splitlines() if each.startswith("voxbench spoof: ")]
    return line


def table_of(folder):
    table = pd.read_csv(folder / "metadata.csv", dtype=str, keep_default_na=False)
    return table.assign(of=table["path"].str.replace(r"\.[a-z_]+\.flac$", "", regex=True))


def test_the_table_reader_reads_back_speakers_splits_and_attacks(made):
    rows = list(read_corpus("table", made))
    assert len(rows) == (SPEAKERS * CLIPS - 1) * 3
    for row in rows:
        number = int(row.speaker[1:])
        assert row.split == (Split.TRAIN, Split.VALID, Split.TEST)[number % 3]
        assert row.gender == ("female", None)[number % 2]
        assert row.id.startswith(f"{row.split}/{row.speaker}_")
        assert row.id.endswith(f".{row.attack}.flac")
        assert row.path.is_file()
        assert row.extra == {}
    assert {path.relative_to(made).as_posix() for path in made.rglob("*.flac")} == {row.id for row in rows}


def test_every_recording_is_there_as_it_is_and_by_each_of_its_attacks(made):
    for _, group in table_of(made).groupby("of"):
        attacks = group["attack"].tolist()
        assert attacks[0] == BONAFIDE
        assert sorted(attacks[1:]) == sorted(QUICK[3 if group["split"].iloc[0] == "test" else 1].split(","))


def test_the_attacks_of_the_test_are_no_others(made):
    table = table_of(made)
    table = table[table["attack"] != BONAFIDE]
    of = {split: set(rows["attack"]) for split, rows in table.groupby("split")}
    assert of["train"] == of["valid"] == {"lpc_vocoder", "pitch_shift"}
    assert of["test"] == {"robot_phase", "channel_vocoder"}


def test_length_level_and_form_tell_nothing(made):
    for _, group in table_of(made).groupby("of"):
        files = [made / path for path in group["path"]]
        facts = {(each.samplerate, each.format, each.subtype, each.frames) for each in map(soundfile.info, files)}
        assert len(facts) == 1
        assert next(iter(facts))[:3] == (RATE_HZ, "FLAC", "PCM_16")
        waves = [soundfile.read(path)[0] for path in files]
        powers = [np.mean(wave**2) for wave in waves]
        # Sixteen bits round.
        assert powers == pytest.approx([powers[0]] * len(powers), rel=1e-3)
        assert max(np.abs(wave).max() for wave in waves) < 1
        for wave in waves[1:]:
            assert not np.allclose(wave, waves[0], atol=0.01)


def test_the_bona_fide_recording_is_the_source_but_for_one_gain(project, made):
    for name in ("s02/1.wav", LOUD):
        source, _ = soundfile.read(project.root / "raw" / name)
        ours = {path.name.split(".")[-2]: soundfile.read(path)[0] for path in made.rglob(f"{name.replace('/', '_')}.*")}
        gain = np.abs(ours[BONAFIDE]).max() / np.abs(source).max()
        assert ours[BONAFIDE] == pytest.approx(source * gain, abs=2**-15)
        loudest = max(np.abs(wave).max() for wave in ours.values())
        if name == LOUD:
            assert gain < 1
            assert loudest == pytest.approx(1 - 2**-15, abs=2**-14)
        else:
            assert gain == 1


def test_a_recording_that_fails_is_left_out_whole_and_named(project, tmp_path, capsys):
    assert run(project, tmp_path / "again") == 0
    lines = capsys.readouterr().out.splitlines()
    kept = SPEAKERS * CLIPS - 1
    assert lines[0] == f"{kept} bona fide recordings and {2 * kept} spoofed recordings in {tmp_path / 'again'}"
    (lost,) = [line for line in lines if line.startswith("left out: ")]
    assert lost.startswith("left out: valid/s01_0.wav: truncated")
    assert not list((tmp_path / "again").rglob("s01_0*"))
    assert not table_of(tmp_path / "again")["path"].str.contains("s01_0").any()


def test_equal_seeds_give_equal_bytes_and_others_do_not(project, made, tmp_path):
    run(project, tmp_path / "same")
    assert tree_hashes(tmp_path / "same") == tree_hashes(made)
    ones = [tmp_path / f"seed{seed}" for seed in (1, 2)]
    for seed, folder in enumerate(ones, start=1):
        run(project, folder, seed=str(seed), attacks="1")
    assert len({tuple(table_of(folder)["attack"]) for folder in ones}) == 2


def test_without_names_the_attacks_are_those_of_the_twin(project, tmp_path, monkeypatch):
    """Which is all that is asked here: one attack of each side stands for all, which take long."""
    seen, unseen = {"A01": "lpc_vocoder"}, {"A07": "robot_phase"}
    monkeypatch.setattr("voxbench.stages.spoof.SEEN", seen)
    monkeypatch.setattr("voxbench.stages.spoof.UNSEEN", unseen)
    folder = tmp_path / "twin"
    about = ["--output", str(folder), "--attacks", "1", "--seed", "1"]
    assert main(["--params", str(project.root / "params.yaml"), "spoof", CORPUS, *about]) == 0
    assert set(table_of(folder)["attack"]) == {BONAFIDE, "lpc_vocoder", "robot_phase"}
    assert not set(SEEN.values()) & set(UNSEEN.values())


@pytest.mark.parametrize(
    ("words", "attacks", "message"),
    [
        (["--seen", "lpc_vocder"], "1", "unknown attack 'lpc_vocder' (did you mean 'lpc_vocoder'?)"),
        (["--unseen", "sinusoids,pitch_shift"], "1", "pitch_shift would be seen and unseen"),
        (["--seen", "lpc_vocoder", "--unseen", "sinusoids,robot_phase"], "2", "--attacks is 2, expected 1 to 1"),
        (["--seen", "lpc_vocoder,lpc_vocoder"], "2", "--attacks is 2, expected 1 to 1"),
        (QUICK, "0", "--attacks is 0, expected 1 to 2"),
        (QUICK, "3", "--attacks is 3, expected 1 to 2"),
    ],
)
def test_attacks_that_cannot_be_are_one_line_and_no_folder(project, tmp_path, capfd, words, attacks, message):
    assert message in complaint(project, capfd, tmp_path / "none", *words, attacks=attacks)
    assert list(tmp_path.iterdir()) == []


def test_what_exists_is_not_written_over(project, made, tmp_path, capfd):
    before = tree_hashes(made)
    assert f"{made} exists and is not empty" in complaint(project, capfd, made)
    assert tree_hashes(made) == before
    (tmp_path / "file").write_text("mine")
    assert f"--output {tmp_path / 'file'} is a file, expected a new folder" in complaint(
        project, capfd, tmp_path / "file"
    )
    assert (tmp_path / "file").read_text() == "mine"


@pytest.fixture
def changed(project, tmp_path):
    """Return a copy of the project that a test may change."""
    shutil.copytree(project.root, tmp_path / "copy", ignore=shutil.ignore_patterns("made"))
    return type(project)(tmp_path / "copy", project.params)


def change(workspace, update):
    path = workspace.prepared(CORPUS) / "manifest.parquet"
    update(pd.read_parquet(path)).to_parquet(path, index=False)


def test_a_spoofed_corpus_is_not_attacked_again(changed, tmp_path, capfd):
    change(changed, lambda rows: rows.assign(attack=[None] * (len(rows) - 1) + ["lpc_vocoder"]))
    line = complaint(changed, capfd, tmp_path / "none")
    assert "tiny has spoofed recordings already: attack a corpus of bona fide speech" in line
    change(changed, lambda rows: rows.assign(attack=BONAFIDE)[:2])
    assert run(changed, tmp_path / "both") == 0


def test_two_recordings_of_one_name_are_refused(changed, tmp_path, capfd):
    change(changed, lambda rows: pd.concat([rows, rows[:1].assign(id="s00_0.wav")]))
    line = complaint(changed, capfd, tmp_path / "none")
    assert "2 recordings would share a name, train/s00_0.wav among them: rename their files first" in line


def test_where_nothing_can_be_attacked_nothing_is_written(changed, tmp_path, capfd):
    for path in (changed.root / "raw").rglob("*.wav"):
        path.write_text("no audio")
    line = complaint(changed, capfd, tmp_path / "none")
    assert "no recording of tiny could be attacked: train/s00_0.wav: unreadable" in line
    assert not (tmp_path / "none").exists()


def test_what_is_not_prepared_names_the_stage(changed, tmp_path, capfd):
    shutil.rmtree(changed.prepared(CORPUS))
    assert "run `dvc repro prepare@tiny` first" in complaint(changed, capfd, tmp_path / "none")
