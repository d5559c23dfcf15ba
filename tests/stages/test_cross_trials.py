"""Networks on lists of trials, of their own corpus and of another: scores, metrics, who is known, and what is lost."""

import csv
import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import soundfile
from ruamel.yaml import YAML

from stages.verification import BROKEN, OTHER_LIST, PEOPLE, VERIFY, copy_of_people, write_list, write_people
from tiny import write_params
from voxbench.artifacts import read_json
from voxbench.metrics import UndefinedError
from voxbench.metrics.bayes import min_cllr
from voxbench.metrics.trial_scores import BackEnd
from voxbench.schema import InputError
from voxbench.serving.verifier import Speech
from voxbench.stages import hearing
from voxbench.stages.cross import cross
from voxbench.stages.cross_trials import _scored
from voxbench.stages.hearing import embed
from voxbench.stages.prepare import prepare
from voxbench.stages.workspace import Workspace, open_workspace

GUESTS, TESTED = "guests", "lists/tested.txt"
FILES = ("trials.parquet", "trials.csv")


def stored_scores(workspace):
    """Return the network that is best on validation, and the test trials that it was evaluated on."""
    network = workspace.models(VERIFY) / read_json(workspace.models(VERIFY) / "ranking.json")[0]["model"]
    table = pd.read_parquet(network / "scores.parquet")
    return network, table[table["split"] == "test"].reset_index(drop=True)


def tables_of(workspace):
    """Return the rows of `trials.csv` by corpus, list and metric, and `trials.parquet`."""
    folder = workspace.results("cross", "")
    measures = pd.read_csv(folder / FILES[1]).set_index(["corpus", "list", "metric"])
    return measures.sort_index(), pd.read_parquet(folder / FILES[0])


def add_guests(root):
    """Write other people with the names of those that are known: quieter, and in sessions of their own."""
    write_people(root)
    for path in root.rglob("*.wav"):
        wave, rate = soundfile.read(path)
        soundfile.write(path, 0.6 * wave, rate, subtype="PCM_16")
    change_rows(root, lambda row: row | {"session": f"guest-{row['session']}"})


def change_rows(root, change):
    """Change each row of a table corpus."""
    path = root / "metadata.csv"
    with path.open(encoding="utf-8", newline="") as stream:
        rows = [change(row) for row in csv.DictReader(stream)]
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def changed_params(workspace, change) -> Workspace:
    """Return the workspace with its parameters changed in place by `change`."""
    params = YAML(typ="safe").load((workspace.root / "params.yaml").read_text(encoding="utf-8"))
    change(params)
    return open_workspace(write_params(workspace.root, params))


def add_lists(params):
    params["corpora"][PEOPLE]["trials"] = [TESTED, OTHER_LIST]
    params["corpora"][GUESTS] = params["corpora"][PEOPLE] | {"root": "guests", "trials": [OTHER_LIST]}
    params["evaluation"]["costs"] = [{"p_target": 0.05, "c_miss": 1.0, "c_fa": 1.0}]


@pytest.fixture(scope="module")
def crossed(verified, tmp_path_factory):
    """Return a copy with a list of strangers, one of everybody, and a corpus of other people with the same names."""
    copy = copy_of_people(verified, tmp_path_factory.mktemp("crossed") / "copy")
    _, stored = stored_scores(copy)
    write_list(copy.root / "raw" / TESTED, list(stored[["enroll", "test"]].itertuples(index=False)))
    add_guests(copy.root / "guests")
    copy = changed_params(copy, add_lists)
    for corpus in (PEOPLE, GUESTS):
        prepare(copy, corpus)
    cross(copy)
    return copy


@pytest.fixture
def changed(crossed, tmp_path):
    """Return a copy of it that a test may change and cross again."""
    shutil.copytree(crossed.root, tmp_path / "copy", ignore=shutil.ignore_patterns("cross", "repeat", "select"))
    return Workspace(tmp_path / "copy", crossed.params)


def test_scores_are_those_that_the_network_was_evaluated_with(crossed):
    # The raw file through the same cleaning is what was prepared; only the size of batches rounds otherwise.
    _, stored = stored_scores(crossed)
    _, trials = tables_of(crossed)
    ours = trials[(trials["corpus"] == PEOPLE) & (trials["list"] == TESTED)]
    for column in ("enroll", "test", "enroll_speaker", "test_speaker", "truth"):
        assert ours[column].tolist() == stored[column].tolist()
    assert ours["score"].to_numpy() == pytest.approx(stored["score"].to_numpy(), abs=1e-6)
    assert ours["score"].std() > 0.1


def rates(scores, truth, threshold):
    accepted = scores >= threshold
    return np.mean(~accepted[truth == 1]), np.mean(accepted[truth == 0])


def by_hand(rows, p_target):
    """Return every metric over all thresholds, or from the formula."""
    scores, llrs, truth = (rows[name].to_numpy() for name in ("score", "llr", "truth"))
    points = np.array([rates(scores, truth, each) for each in [*np.unique(scores), np.inf]])
    costs = (points @ [p_target, 1 - p_target]) / p_target
    bayes = np.log((1 - p_target) / p_target)
    bits = [np.logaddexp(0, -llrs[truth == 1]).mean(), np.logaddexp(0, llrs[truth == 0]).mean()]
    return {
        "min_dcf(p_target=0.05)": costs.min(),
        "act_dcf(p_target=0.05)": np.dot(rates(llrs, truth, bayes), [p_target, 1 - p_target]) / p_target,
        "cllr": np.mean(bits) / np.log(2),
        "min_cllr": min_cllr(scores, truth),
    }, points


def test_each_value_is_that_of_the_trials(crossed):
    measures, trials = tables_of(crossed)
    for place in ((PEOPLE, TESTED), (GUESTS, OTHER_LIST)):
        rows = trials[(trials["corpus"] == place[0]) & (trials["list"] == place[1])].dropna(subset="score")
        expected, points = by_hand(rows, 0.05)
        own = measures.loc[place]
        assert set(own.index) == {"eer", *expected}
        for name, value in expected.items():
            assert own.loc[name, "value"] == pytest.approx(value, abs=1e-9), name
        nearest = points[np.abs(points[:, 0] - points[:, 1]).argmin()]
        assert min(nearest) - 1e-9 <= own.loc["eer", "value"] <= max(nearest) + 1e-9
        assert (own["low"] <= own["value"]).all()
        assert (own["value"] <= own["high"]).all()
        assert own.loc["eer", "low"] < own.loc["eer", "high"]
        assert (own["trials"] == len(rows)).all()
        assert (own["targets"] == rows["truth"].sum()).all()
        assert (own["speakers"] == len({*rows["enroll_speaker"], *rows["test_speaker"]})).all()
        assert rows["sha256"].unique().tolist() == own["sha256"].unique().tolist()


def test_a_list_with_people_of_the_training_has_a_note_and_no_value(crossed):
    measures, trials = tables_of(crossed)
    manifest = pd.read_parquet(crossed.prepared(PEOPLE) / "manifest.parquet")
    known = manifest.loc[manifest["split"] != "test", "speaker"].nunique()
    own = measures.loc[(PEOPLE, OTHER_LIST)]
    assert own.index.tolist() == ["eer"]
    assert own[["value", "low", "high"]].isna().all(axis=None)
    assert own["trials"].item() == 0
    assert f"{known} of {manifest['speaker'].nunique()} speakers of the list are people of people" in own["note"].item()
    assert trials[(trials["corpus"] == PEOPLE) & (trials["list"] == OTHER_LIST)].empty


def test_equal_names_of_two_corpora_that_share_nothing_are_told(crossed):
    measures, _ = tables_of(crossed)
    [note] = measures.loc[(GUESTS, OTHER_LIST), "note"].unique()
    assert "18 of 24 speakers have names that training data of people has too" in note
    assert "taken for other people" in note
    assert measures.loc[(PEOPLE, TESTED), "note"].isna().all()


@pytest.mark.parametrize("shared", ["session", "recording under another name", "folder"])
def test_the_same_people_in_another_corpus_are_found_out(changed, shared):
    root, rows = changed.root / "guests", pd.read_parquet(changed.prepared(PEOPLE) / "manifest.parquet")
    known = rows[rows["split"] == "train"].iloc[0]
    if shared == "session":
        path = changed.prepared(GUESTS) / "manifest.parquet"
        guests = pd.read_parquet(path)
        guests.loc[guests["id"] == known["id"], "session"] = known["session"]
        guests.to_parquet(path, index=False)
    elif shared == "folder":
        root.rename(changed.root / "aside")
        root.symlink_to(changed.root / "raw", target_is_directory=True)
    else:
        path = changed.prepared(GUESTS) / "manifest.parquet"
        guests = pd.read_parquet(path)
        guests["speaker"] = "guest-" + guests["speaker"]
        guests.loc[guests["id"] == known["id"], "audio_sha256"] = known["audio_sha256"]
        guests.to_parquet(path, index=False)
    cross(changed)
    row = tables_of(changed)[0].loc[(GUESTS, OTHER_LIST)].iloc[0]
    assert pd.isna(row["value"])
    assert row["note"].startswith("1 of 24" if shared.startswith("recording") else "18 of 24")


def test_lost_recordings_are_counted_with_their_reasons(crossed, changed):
    before, _ = tables_of(crossed)
    stored = pd.read_parquet(crossed.prepared(GUESTS) / "trials.parquet")
    [unprepared] = {before.loc[(GUESTS, OTHER_LIST, "eer"), "lost"]}
    assert unprepared == stored["lost"].notna().sum() > 0
    assert ((stored["enroll"] == BROKEN) | (stored["test"] == BROKEN)).sum() == unprepared
    sound = stored[stored["lost"].isna()]
    gone = min({*sound["enroll"]} & {*sound["test"]})
    (changed.root / "guests" / gone).write_text("no audio")
    cross(changed)
    measures, trials = tables_of(changed)
    own = trials[trials["corpus"] == GUESTS]
    involved = (own["enroll"] == gone) | (own["test"] == gone)
    lost = involved & (own["enroll"] != BROKEN) & (own["test"] != BROKEN)
    assert (own.loc[lost, "lost"] == "unreadable").all()
    assert own.loc[own["lost"].notna(), ["score", "llr"]].isna().all(axis=None)
    assert own.loc[own["lost"].isna(), ["score", "llr"]].notna().all(axis=None)
    assert len(own) == len(stored)
    row = measures.loc[(GUESTS, OTHER_LIST, "eer")]
    assert row["lost"] == unprepared + lost.sum() == own["lost"].notna().sum()
    assert row["trials"] == len(stored) - row["lost"]
    assert f"{row['lost']} of {len(stored)} trials are lost with their recordings" in row["note"]
    assert f"{lost.sum()} unreadable" in row["note"]
    assert "max_excluded_fraction" not in row["note"]


def test_a_corpus_that_cannot_be_heard_has_a_reason_and_no_value(changed):
    for path in (changed.root / "guests").rglob("*.wav"):
        path.unlink()
    cross(changed)
    row = tables_of(changed)[0].loc[(GUESTS, OTHER_LIST, "eer")]
    assert pd.isna(row["value"])
    assert row["note"].startswith("no trial can be scored; ")
    assert row["note"].endswith("more than corpora.guests.max_excluded_fraction 0.3")


def test_a_second_run_in_other_shards_writes_the_same_bytes(crossed, changed):
    other = changed_params(changed, lambda params: params["parallel"].update(rows_per_shard=7))
    cross(other)
    for name in FILES:
        paths = [each.results("cross", "") / name for each in (crossed, other)]
        assert paths[0].read_bytes() == paths[1].read_bytes()


def test_each_recording_is_heard_once_for_all_lists(changed, monkeypatch):
    asked = []

    def listen(network, root, recordings):
        asked.extend((root.name, name) for name in recordings)
        return embed(network, root, recordings)

    monkeypatch.setattr(hearing, "embed", listen)
    cross(changed)
    _, trials = tables_of(changed)
    usable = trials[trials["lost"].isna()]
    assert len(asked) == len(set(asked))
    wanted = {(row.corpus, name) for row in usable.itertuples() for name in (row.enroll, row.test)}
    assert {({"raw": PEOPLE}.get(root, root), name) for root, name in asked} == wanted


def test_without_lists_there_is_nothing_to_cross_and_nothing_old_stays(changed):
    cross(changed)
    bare = changed_params(changed, lambda params: [row.update(trials=[]) for row in params["corpora"].values()])
    with pytest.raises(InputError, match="no benchmark can be crossed"):
        cross(bare)
    assert not any((bare.results("cross", "") / name).exists() for name in FILES)


def test_lists_that_were_not_prepared_are_refused(changed):
    (changed.prepared(GUESTS) / "trials.parquet").unlink()
    with pytest.raises(InputError, match=r"has no trials of lists/all\.txt: run `dvc repro prepare@guests` first"):
        cross(changed)


TRIALS = pd.DataFrame(
    {"enroll": ["a", "a", "b"], "test": ["b", "c", "x"], "truth": [0, 1, 0], "lost": [None, None, "gone"]}
).astype({"lost": "string"})
SPEECHES = {
    name: Speech(np.array(vector), 9.0, seconds, 0.0)
    for name, vector, seconds in (("c", [1.0, 1.0], 4.0), ("b", [0.0, 2.0], 3.0), ("a", [1.0, 0.0], 5.0))
} | {"x": "gone"}


def asked_of(llrs):
    back_end = BackEnd(mean_D=None, plda=None, cohort_KD=None, top=None)
    return SimpleNamespace(back_end=back_end, decision=SimpleNamespace(llrs=llrs))


def test_a_trial_is_a_cosine_and_lasts_as_long_as_its_shorter_side():
    scored, undecided, missing = _scored(asked_of(lambda scores, seconds: 10 * scores + seconds), TRIALS, SPEECHES)
    assert (undecided, missing) == ("", "")
    assert scored["score"].tolist() == pytest.approx([0.0, np.sqrt(0.5), np.nan], nan_ok=True)
    assert scored["llr"].tolist() == pytest.approx([3.0, 10 * np.sqrt(0.5) + 4, np.nan], nan_ok=True)


def test_without_a_decision_there_are_scores_and_a_reason():
    def undefined(scores, seconds):
        raise UndefinedError("one class")

    scored, undecided, missing = _scored(asked_of(undefined), TRIALS, SPEECHES)
    assert (undecided, missing) == ("one class", "")
    assert scored["score"].notna().tolist() == [True, True, False]
    assert scored["llr"].isna().all()
