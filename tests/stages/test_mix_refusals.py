"""What the mix stage refuses, and how it accounts for recordings that it leaves out."""

import csv

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.mixtures import CORPUS, NUMBERS, SOURCE, build_source, copy_of, manifest_of, rewrite_manifest
from tiny import tiny_params
from voxbench.artifacts import read_json
from voxbench.audio.traces import TRACES
from voxbench.config import Features, Mixture
from voxbench.config.corpora import MixtureNumbers
from voxbench.corpora.integrity import certify
from voxbench.corpora.mixture_plan import plan_mixtures
from voxbench.features.store import RaggedStore, read_notes, write_shard
from voxbench.schema import InputError
from voxbench.stages.mix import Made, describe, mix, mixing


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Return a workspace with a prepared corpus and a row of mixtures; read it only."""
    return build_source(tmp_path_factory.getbasetemp())


@pytest.fixture
def copied(source, tmp_path):
    return copy_of(source, tmp_path / "copy")


def rewrite_audio(workspace, change):
    """Replace the prepared samples of each recording by `change(place, samples)`, under unchanged notes."""
    folder = workspace.prepared(SOURCE)
    place = 0
    for path in sorted(folder.glob("shard-*.arrow")):
        store, arrays = RaggedStore(folder, path.name), []
        for samples in store:
            arrays.append(change(place, samples.copy()))
            place += 1
        write_shard(path.with_suffix(".new"), store.ids, arrays, store.scales.tolist(), read_notes(path))
        path.with_suffix(".new").replace(path)


def left_out(workspace):
    with (workspace.prepared(CORPUS) / "excluded-sources.csv").open(encoding="utf-8", newline="") as stream:
        return [(row["id"], row["reason"]) for row in csv.DictReader(stream)]


def test_recordings_that_cannot_be_mixed_are_listed_with_the_reason(copied):
    known = manifest_of(copied, SOURCE)
    gender = known["gender"].mask(known.index.isin([3, 4]), None)
    rewrite_manifest(copied, gender=gender)
    rewrite_audio(copied, lambda place, samples: samples[:7999] if place in (4, 9) else samples)
    mix(copied, CORPUS)
    ids = known["id"].tolist()
    assert left_out(copied) == [(ids[3], "sex_unknown"), (ids[4], "sex_unknown"), (ids[9], "too_short")]
    used = {one for own in manifest_of(copied)["recordings"] for one in own}
    assert not used & {ids[3], ids[4], ids[9]}
    sources = read_json(copied.prepared(CORPUS) / "funnel.json")["sources"]
    assert (sources["found"], sources["used"]) == (72, 69)
    assert sources["excluded"] == {"sex_unknown": 2, "too_short": 1}


def test_too_many_of_them_stop_the_stage(copied):
    rewrite_audio(copied, lambda place, samples: samples[:7999] if place % 8 == 0 else samples)
    with pytest.raises(InputError, match=r"9 of 72 recordings are unusable .*first: s00/0.wav: 0.500 s prepared"):
        mix(copied, CORPUS)
    assert len(left_out(copied)) == 9
    assert not (copied.prepared(CORPUS) / "manifest.parquet").exists()


def test_a_corpus_that_is_not_prepared(source, tmp_path):
    (copy := copy_of(source, tmp_path / "copy")).prepared(SOURCE).rename(tmp_path / "away")
    with pytest.raises(
        InputError, match=rf"no data/prepared/{SOURCE}/manifest.parquet: run `dvc repro prepare@{SOURCE}`"
    ):
        mix(copy, CORPUS)


def test_a_row_that_is_not_there(source):
    with pytest.raises(InputError, match=rf"no row 'count-tinny' under 'mixtures' .*did you mean '{CORPUS}'"):
        mix(source, "count-tinny")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"gender": None}, "corpus 'tiny' does not say the sex of any speaker; mix one that does"),
        ({"speakers": [["a", "b"]] * 72}, "'tiny' holds recordings of several people; mix one of single speakers"),
        (
            {"split": "test"},
            r"31 train mixtures are wanted, but corpus 'tiny' has no train recordings .* mixtures\.train",
        ),
        ({"split": ["train", "valid"] * 36}, r"12 test mixtures are wanted"),
        ({"split": ["train", "valid", "test"] * 24}, "has two genders or splits"),
    ],
)
def test_a_corpus_that_cannot_be_mixed(copied, columns, message):
    rewrite_manifest(copied, **columns)
    with pytest.raises(InputError, match=message):
        mix(copied, CORPUS)
    assert not (copied.prepared(CORPUS) / "manifest.parquet").exists()


def test_too_few_of_one_sex(source, tmp_path):
    copy = copy_of(source, tmp_path / "copy", lambda params: params["mixtures"][CORPUS].update(people=6))
    with pytest.raises(InputError, match=r"\d female speaker\(s\) in (valid|test|train); mixtures of up to 6 people"):
        mix(copy, CORPUS)


def test_a_recording_without_a_sound_stops_the_stage_and_names_the_mixture(copied):
    rewrite_audio(copied, lambda place, samples: np.zeros_like(samples))
    with pytest.raises(
        InputError, match=r"mixture 'train/000000' of corpus 'tiny' cannot be made: silent: .*nothing but"
    ):
        mix(copied, CORPUS)


def test_an_old_manifest_does_not_vouch_for_mixtures_that_failed(source, tmp_path):
    copy = copy_of(source, tmp_path / "copy")
    mix(copy, CORPUS)
    rewrite_audio(copy, lambda place, samples: np.zeros_like(samples))
    for path in copy.prepared(CORPUS).glob("shard-*"):
        path.unlink()
    with pytest.raises(InputError, match="silent"):
        mix(copy, CORPUS)
    assert not (copy.prepared(CORPUS) / "manifest.parquet").exists()


SPLITS = list(NUMBERS)
FEATURES = Features(**tiny_params()["corpora"]["tiny"]["features"])


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**40), st.integers(1, 5), st.integers(5, 9), st.integers(1, 60))
def test_no_person_is_heard_in_two_splits_whatever_is_drawn(seed, people, each, numbers):
    """The manifest of any plan is certified, with as many people as are heard."""
    sources = pd.DataFrame(
        [
            (f"{split}/{sex}{k}/{n}", f"{split}-{sex}{k}", sex, split, 2.0)
            for split in SPLITS
            for sex in ("female", "male")
            for k in range(each)
            for n in range(2)
        ],
        columns=["id", "speaker", "gender", "split", "seconds"],
    )
    settings_of = Mixture(
        corpus=SOURCE,
        people=people,
        mixtures=MixtureNumbers(train=numbers, valid=numbers, test=numbers),
        seconds=1.0,
        snr_db=None,
        overlap=(1.0, 1.0),
        reverberation_seconds=None,
        max_excluded_fraction=0.0,
        seed=seed,
        features=FEATURES,
    )
    plan = plan_mixtures(sources, mixing(settings_of))
    rows = describe(
        plan, [Made(f"{place:x}", 1.0, 16_000, np.zeros(len(TRACES))) for place in range(len(plan))], 16_000
    )
    certificate = certify(rows, "speaker")
    assert certificate["clean"]
    for split in SPLITS:
        heard = {name for names in rows.loc[rows["split"] == split, "speakers"] for name in names}
        assert certificate["splits"][split] == {"rows": numbers, "speakers": len(heard)}
        assert {name.partition("-")[0] for name in heard} == {split}
