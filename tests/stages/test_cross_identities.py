"""Who of the enrolled speaks: places by hand, strangers alone, and what cannot be heard."""

import numpy as np
import pandas as pd
import pytest

from stages.test_cross_trials import changed_params
from stages.verification import BROKEN, PEOPLE, VERIFY, copy_of_people
from voxbench.metrics.trial_scores import score_trials
from voxbench.serving.verifier import Verifier
from voxbench.stages.cross import cross
from voxbench.stages.cross_identities import MEASURES, PLACES, RANKED, SET
from voxbench.stages.finalists import best_on_validation


def deal(workspace, test_clip="1-1.wav"):
    """Deal recordings as an identification list would: one of each speaker is asked for, the others enroll."""
    path = workspace.prepared(PEOPLE) / "manifest.parquet"
    manifest = pd.read_parquet(path)
    manifest[SET] = np.where(manifest["id"].str.endswith(test_clip), "test", "train")
    manifest.loc[manifest["id"].str.endswith("0-1.wav"), SET] = "valid"
    manifest.to_parquet(path, index=False)
    return manifest


@pytest.fixture(scope="module")
def identified(verified, tmp_path_factory):
    copy = copy_of_people(verified, tmp_path_factory.mktemp("identified") / "copy")
    manifest = deal(copy)
    cross(copy)
    return copy, manifest


def found(workspace):
    folder = workspace.results("cross", "")
    return pd.read_csv(folder / MEASURES).set_index("metric"), pd.read_parquet(folder / RANKED)


def places_by_hand(workspace, people):
    """Return the place of each test recording's speaker, from trials of one recording with one template."""
    verifier, root = Verifier(best_on_validation(workspace, VERIFY)), workspace.root / "raw"
    embeddings = {name: verifier.embed((root / name).read_bytes()).embedding_D for name in people["id"]}
    names = sorted(people["speaker"].unique())
    clips = {name: people.query(f"speaker == @name and {SET} == 'train'")["id"] for name in names}
    for test in people.query(f"{SET} == 'test'").itertuples():
        scores = {}
        for name in names:
            rows = np.stack([*(embeddings[each] for each in clips[name]), embeddings[test.id]])
            last = len(rows) - 1
            scores[name] = score_trials(verifier.back_end, rows, [0], [last], enrolments=[range(last)])[0]
        yield test.id, 1 + sum(score > scores[test.speaker] for score in scores.values())


def test_the_place_of_a_speaker_is_that_of_single_trials(identified):
    workspace, manifest = identified
    strangers = manifest[(manifest["split"] == "test") & (manifest[SET] != "valid")]
    _, ranked = found(workspace)
    assert dict(zip(ranked["id"], ranked["place"], strict=True)) == dict(places_by_hand(workspace, strangers))


def test_accuracies_are_shares_of_the_places_with_intervals_over_speakers(identified):
    measures, ranked = found(identified[0])
    assert measures.index.tolist() == [f"rank_accuracy(k={places})" for places in PLACES]
    for places in PLACES:
        row = measures.loc[f"rank_accuracy(k={places})"]
        assert row["value"] == pytest.approx((ranked["place"] <= places).mean())
        assert row["low"] <= row["value"] <= row["high"]
    assert measures["value"].is_monotonic_increasing
    assert measures["low"].iloc[0] < measures["high"].iloc[0]


def test_nobody_whom_the_network_knows_is_enrolled_or_asked_for(identified):
    workspace, manifest = identified
    measures, ranked = found(workspace)
    strangers = set(manifest.loc[manifest["split"] == "test", "speaker"])
    assert set(ranked["speaker"]) == strangers
    assert measures["enrolled"].tolist() == [len(strangers)] * len(PLACES)
    known = manifest["speaker"].nunique() - len(strangers)
    assert measures["note"].str.contains(f"{known} speakers whom the network was trained or validated on").all()


def test_recordings_that_cannot_be_heard_are_lost_and_counted(identified, tmp_path):
    workspace = copy_of_people(identified[0], tmp_path / "copy")
    manifest = deal(workspace)
    strangers = manifest[(manifest["split"] == "test") & (manifest[SET] != "valid")]
    mute = strangers["speaker"].iloc[0]
    broken = (workspace.root / "raw" / BROKEN).read_bytes()
    for name in strangers.query("speaker == @mute and " + f"{SET} == 'train'")["id"]:
        (workspace.root / "raw" / name).write_bytes(broken)
    cross(workspace)
    measures, ranked = found(workspace)
    # Who cannot be enrolled cannot be named: recordings of that speaker are lost, too.
    assert mute not in set(ranked["speaker"])
    assert measures["lost"].tolist() == [int((strangers["speaker"] == mute).sum())] * len(PLACES)


def test_without_an_identification_list_nothing_is_written(identified, tmp_path):
    workspace = copy_of_people(identified[0], tmp_path / "copy")
    path = workspace.prepared(PEOPLE) / "manifest.parquet"
    pd.read_parquet(path).drop(columns=SET).to_parquet(path, index=False)
    cross(workspace)
    assert not (workspace.results("cross", "") / MEASURES).exists()
    assert (workspace.results("cross", "") / "trials.csv").exists()


def test_a_second_run_in_other_shards_writes_the_same_bytes(identified, tmp_path):
    workspace = copy_of_people(identified[0], tmp_path / "copy")
    deal(workspace)
    other = changed_params(workspace, lambda params: params["parallel"].update(rows_per_shard=5))
    cross(other)
    for name in (RANKED, MEASURES):
        paths = [each.results("cross", "") / name for each in (identified[0], other)]
        assert paths[0].read_bytes() == paths[1].read_bytes()
