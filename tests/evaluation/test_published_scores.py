"""Score files and lists as others published them: read as they are, with the numbers that stand beside them."""

import time

import numpy as np
import pytest

from evaluation.score_files import DETECTION, TEXT, read, refused, written
from voxbench.metrics.detection import eer_asvspoof
from voxbench.metrics.text import wer

SYSTEMS = {
    "air_softmax_asvspoof2019_la_eval": ("eval", 7_355, 63_882, 5.057773),
    "air2021_ecapa_ctsf_asvspoof2019_la_dev": ("dev", 2_548, 22_296, 0.236595),
    "air2021_ecapa_ctsf_asvspoof2019_la_eval": ("eval", 7_355, 63_882, 4.147556),
}


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("with_protocol", [True, False])
def test_countermeasures(shared, system, with_protocol):
    name, bonafide, spoof, percent = SYSTEMS[system]
    protocol = shared / "lists" / "asvspoof2019" / f"ASVspoof2019.LA.cm.{name}.trl.txt"
    rows = read(
        DETECTION, shared / "scores" / f"{system}.txt", protocol if with_protocol else None, task="anti_spoofing"
    )
    scores, labels = rows.columns
    assert np.bincount(labels).tolist() == [spoof, bonafide]
    assert 100 * eer_asvspoof(scores, labels) == pytest.approx(percent, abs=1e-6)
    assert len(rows.speakers) == int(with_protocol)
    if with_protocol:
        attacks = rows.rows["attack"].value_counts()
        assert attacks["bonafide"] == bonafide
        assert set(attacks.drop("bonafide")) == {4_914 if name == "eval" else 3_716}
        assert len(set(rows.speakers[0])) == {"eval": 67, "dev": 20}[name]
        assert "environment" not in rows.rows


def test_scores_of_one_set_with_the_protocol_of_another(shared):
    scores = shared / "scores" / "air2021_ecapa_ctsf_asvspoof2019_la_dev.txt"
    found = refused(DETECTION, scores, shared / "lists" / "asvspoof2019" / "ASVspoof2019.LA.cm.eval.trl.txt")
    assert "71,237 of 71,237 labels have no score (LA_E_2834763, LA_E_8877452, LA_E_6828287, ...)" in found
    assert "24,844 of 24,844 scores have no label (LA_D_1047731, LA_D_1105538, LA_D_1125976, ...)" in found


def test_scores_of_a_verifier_are_of_three_sides(shared):
    scores = shared / "lists" / "asvspoof2019" / "ASVspoof2019.LA.asv.dev.gi.trl.scores.txt"
    assert "labels are nontarget, spoof, target; expected the words of one pair" in refused(DETECTION, scores)


def test_transcripts(shared):
    folder = shared / "scores" / "asr"
    rows = read(
        TEXT,
        folder / "librispeech_test_clean_hypothesis_rnnt.tsv",
        folder / "librispeech_test_clean_reference.tsv",
    )
    assert len(rows.rows) == 2_620
    assert wer(*rows.columns) == 1_921 / 52_576


@pytest.mark.parametrize(
    ("file", "is_cleaned", "trials"), [("veri_test.txt", False, 37_720), ("veri_test2.txt", True, 37_611)]
)
def test_voxceleb(shared, tmp_path, file, is_cleaned, trials):
    path = shared / "lists" / "voxceleb" / file
    lines = path.read_text().splitlines()
    scores = written(tmp_path, "s.txt", "".join(f"{line[2:]} {place}.5\n" for place, line in enumerate(lines))[::1])
    beside = read(DETECTION, scores, path)
    among = read(DETECTION, written(tmp_path, "a.txt", "".join(f"{line} 1.5\n" for line in lines)))
    for rows in (beside, among):
        assert (rows.origin.trials, rows.origin.is_cleaned, len(rows.rows)) == ("Vox1-O", is_cleaned, trials)
        assert [len(set(side)) for side in rows.speakers] == [40, 40]
        assert rows.columns[1].tolist() == [int(line[0]) for line in lines]
    assert beside.origin.trials_sha256 == among.origin.trials_sha256
    assert beside.columns[0].tolist() == [place + 0.5 for place in range(trials)]


def test_hundreds_of_thousands_of_trials_are_read_in_seconds(tmp_path):
    draws = np.random.default_rng(0)
    enroll, test = (draws.integers(0, 1200, 100_000) for _ in range(2))
    trials = [
        f"id1{a:04d}/v{n}/00001.wav id1{b:04d}/v{n}/00002.wav"
        for n, (a, b) in enumerate(zip(enroll, test, strict=True))
    ]
    same = (enroll == test).astype(int)
    labels = "".join(f"{label} {trial}\n" for label, trial in zip(same, trials, strict=True))
    scores = "".join(f"{trial} {n}\n" for n, trial in enumerate(trials))
    files = written(tmp_path, "s.txt", scores), written(tmp_path, "l.txt", labels)
    start = time.process_time()
    rows = read(DETECTION, *files)
    assert time.process_time() - start < 3  # 0.3 s when nothing else runs
    assert rows.columns[1].tolist() == same.tolist()
