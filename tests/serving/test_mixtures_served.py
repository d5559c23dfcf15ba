"""Mixtures that were derived for training, and the same people in one file: the served score is the evaluated one."""

import numpy as np
import pandas as pd
import pytest
import soundfile

from serving.clips import encoded
from stages.mixtures import CORPUS, NUMBERS, SOURCE, row
from tiny import RATE_HZ, tiny_params, voice, write_params, write_table_corpus
from voxbench.audio.cleaning import low_pass, pre_emphasize
from voxbench.features.mixed import open_store
from voxbench.serving.predictor import Predictor
from voxbench.stages.features import features
from voxbench.stages.finetune import finetune
from voxbench.stages.mix import mix
from voxbench.stages.prepare import prepare
from voxbench.stages.select import select
from voxbench.stages.workspace import open_workspace
from voxbench.tracking.store import connect

pytestmark = pytest.mark.slow
COLUMNS = ["p_1", "p_2", "p_3"]
SAMPLES = int(0.9 * RATE_HZ)


def cut_to_one_length(root):
    """Cut every recording, so that whole ones can be mixed and no filter meets an end that the file has not."""
    for path in root.glob("*/*.wav"):
        wave, rate_hz = soundfile.read(path, dtype="float32")
        soundfile.write(path, wave[:SAMPLES], rate_hz, subtype="PCM_16")


def counting(seconds):
    """Return parameters of one network that counts mixtures of `seconds`, or of whole recordings."""
    params = tiny_params()
    params["corpora"][SOURCE]["splitting"] |= {"valid_fraction": 0.25, "test_fraction": 0.25}
    params["corpora"][SOURCE]["cleaning"] |= {"silence_q": 0.0}
    params["mixtures"] = {CORPUS: row(params["corpora"][SOURCE]["features"]) | {"seconds": seconds}}
    task = {"task": "speaker_count", "corpus": CORPUS, "metric": "accuracy"}
    one = {"models": ["m3"], "finalists": {"wave_cnn": 1}, "trials": {"wave_cnn": 1}}
    own = {"override": {"selection": {"train_per_class": None}}}
    params["studies"] = {CORPUS: task | one | own}
    params["benchmarks"] = {CORPUS: task | {"select_from": CORPUS, "variants": [], "override": {}}}
    params["training"] |= {"crop_seconds": 0.4, "learning_rate": 0.005, "dropout": 0.1}
    params["finetune"]["schedule"] |= {"max_epochs": 12}
    return params


@pytest.fixture(scope="module", params=[None, 0.6], ids=["whole recordings", "excerpts"])
def counted_mixtures(request, tmp_path_factory):
    """Return a workspace whose network counts derived mixtures."""
    root = tmp_path_factory.mktemp("counted mixtures")
    write_table_corpus(root / "raw", speakers=36)
    cut_to_one_length(root / "raw")
    workspace = open_workspace(write_params(root, counting(request.param)))
    connect(root)
    prepare(workspace, SOURCE)
    mix(workspace, CORPUS)
    features(workspace, CORPUS)
    select(workspace, CORPUS)
    finetune(workspace, CORPUS)
    return workspace


def together(workspace, parts, samples):
    """Return the people of a mixture in one file that nobody has cleaned, as loud as they were when they were mixed."""
    cleaning, voices = workspace.params.corpus(SOURCE).cleaning, []
    for row_id, start in zip(parts.sources, parts.starts, strict=True):
        wave, _ = soundfile.read(workspace.root / "raw" / row_id, dtype="float64")
        emphasized = pre_emphasize(wave, cleaning.pre_emphasis)
        passed = low_pass(emphasized, RATE_HZ, cleaning.low_pass_order, cleaning.low_pass_hz, cleaning.zero_phase)
        voices.append(wave[start:][:samples] / passed.std())
    mixture = np.mean(voices, axis=0)
    return encoded(0.5 * mixture / np.abs(mixture).max(), subtype="FLOAT")


def test_the_people_of_a_mixture_in_one_file_get_the_score_of_its_evaluation(counted_mixtures):
    """To the rounding of each voice to int16 where the file has the ends of the recordings.

    An excerpt is cut after the filters, which run on into what is cut off, but the file before them.
    """
    store = open_store(counted_mixtures.prepared(CORPUS))
    predictor = Predictor(counted_mixtures.models(CORPUS) / "m3")
    stored = pd.read_parquet(counted_mixtures.models(CORPUS) / "m3" / "scores.parquet").set_index("id")[COLUMNS]
    assert len(stored) == NUMBERS["valid"] + NUMBERS["test"]
    assert stored.std().max() > 0.01, "scores that are all the same show nothing"
    close = 3e-5 if store.origin.samples is None else 1e-2
    for row_id, scores in stored.iterrows():
        prediction = predictor(together(counted_mixtures, store.parts(store.position(row_id)), store.origin.samples))
        assert list(prediction.scores.values()) == pytest.approx(scores.tolist(), abs=close), row_id


def test_nothing_is_removed_from_a_recording_of_three_who_pause(counted_mixtures):
    """The gaps between people are part of what they sound like together; the answer says how much was kept."""
    draws = np.random.default_rng(5)
    voices = np.stack([voice(pitch, 1.5, draws) for pitch in (110.0, 160.0, 220.0)])
    voices[:, RATE_HZ // 2 : RATE_HZ] = 0.0
    prediction = Predictor(counted_mixtures.models(CORPUS) / "m3")(encoded(voices.mean(axis=0)))
    assert prediction.kept_seconds == prediction.source_seconds == 1.5
    assert prediction.counts["people"] == int(prediction.label)
    assert 1 <= prediction.counts["expected_people"] <= 3
    assert sum(prediction.scores.values()) == pytest.approx(1, abs=1e-6)
