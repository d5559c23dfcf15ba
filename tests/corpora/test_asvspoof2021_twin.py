"""The twin of ASVspoof 2021: LA, DF and PA read back; codecs and conditions shared by both classes."""

from collections import Counter, defaultdict

import numpy as np
import pytest
import soundfile
from scipy.signal import chirp

from corpora.twin_trees import BASE, changed, tree_hashes
from voxbench.corpora.asv_scores import count_spoofs, read_asv_scores_2021
from voxbench.corpora.asvspoof2019_twin import SEEN, UNSEEN
from voxbench.corpora.asvspoof2021 import COLUMNS, read
from voxbench.corpora.asvspoof2021_twin import CODECS, REPLAYS, code, write_twin
from voxbench.corpora.registries import twins
from voxbench.schema import InputError, Split

SETTINGS = changed(
    BASE,
    **{"layout": "asvspoof2021", "edition": "LA", "speakers": 4, "test_fraction": 0.5, "sessions_per_speaker": 1},
    **{"clips_per_session": 2, "clip_seconds": (1.0, 1.2), "snr_db": (60.0, 60.0), "reverberation_seconds": (0.0, 0.0)},
)
ATTACKS = {"LA": tuple(UNSEEN), "DF": tuple(UNSEEN), "PA": REPLAYS}


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    made = {}
    for edition in ("LA", "DF", "PA"):
        made[edition] = tmp_path_factory.mktemp("twins") / edition
        write_twin(made[edition], changed(SETTINGS, edition=edition))
    return made


def test_registered_under_the_name_of_the_corpus():
    assert twins["asvspoof2021"] is write_twin


@pytest.mark.parametrize("edition", ["LA", "DF", "PA"])
def test_the_reader_reads_the_twin(trees, edition):
    rows = list(read(trees[edition]))
    made = 1 + len(ATTACKS[edition])
    # Four speakers with two sentences, the first of them once more without pauses.
    assert Counter(each.extra["subset"].rstrip("12") for each in rows) == {
        **dict.fromkeys(("eval", "progress"), 2 * 2 * made),
        "hidden": 4 * made,
    }
    assert {each.split for each in rows} == {Split.TEST}
    assert Counter(each.attack == "bonafide" for each in rows) == {True: 12, False: 12 * (made - 1)}
    subsets = defaultdict(set)
    for each in rows:
        subsets[each.extra["subset"]].add(each.speaker)
        assert each.path.is_file()
        assert (each.extra["trim"] == "trim") == each.extra["subset"].startswith("hidden")
    assert not subsets["eval"] & subsets["progress"]
    listed = (
        (trees[edition] / f"ASVspoof2021_{edition}_eval/ASVspoof2021.{edition}.cm.eval.trl.txt").read_text().split()
    )
    assert listed == [each.path.stem for each in rows]
    key = (trees[edition] / f"keys/{edition}/CM/trial_metadata.txt").read_text().splitlines()
    assert {len(line.split()) for line in key} == {len(COLUMNS[edition])}


def test_attacks_are_unseen_and_named_as_in_the_original(trees):
    assert {each.attack for each in read(trees["LA"])} == {"bonafide", *UNSEEN}
    assert not set(UNSEEN) & set(SEEN)
    df = list(read(trees["DF"]))
    assert {each.attack for each in df if each.extra["source"] == "asvspoof"} == {"bonafide", *UNSEEN}
    vcc = [each for each in df if each.extra["source"] == "vcc2020"]
    assert {each.attack for each in vcc} == {"bonafide", *(f"Task1-team{attack[1:]}" for attack in UNSEEN)}
    assert {(each.extra.get("task"), each.extra.get("gender_pair")) for each in vcc} in (
        {(None, None), ("Task1", "FF")},
        {(None, None), ("Task1", "MM")},
    )
    assert {each.extra["vocoder"] for each in df} == {"bonafide", "traditional_vocoder", "unknown"}
    assert {each.attack for each in read(trees["PA"])} == {"bonafide", *REPLAYS}


def groups(rows, column):
    """Return what each condition holds: how often every attack."""
    found = defaultdict(Counter)
    for each in rows:
        found[each.extra[column]][each.attack.removeprefix("Task1-team").removeprefix("A")] += 1
    return found


@pytest.mark.parametrize(("edition", "column"), [("LA", "codec"), ("LA", "transmission"), ("DF", "compression")])
def test_both_classes_go_through_the_same_codecs_and_lines(trees, edition, column):
    """Every condition has every attack as often as bona fide speech."""
    found = groups(read(trees[edition]), column)
    assert all(len(set(attacks.values())) == 1 for attacks in found.values())
    assert all(len(attacks) == 1 + len(UNSEEN) for attacks in found.values())
    if column != "transmission":
        assert set(found) <= set(CODECS[edition])
        assert len(found) >= 7


@pytest.mark.parametrize("column", ["asv_room", "asv_microphone"])
def test_both_classes_are_heard_in_the_same_rooms(trees, column):
    assert all(len(set(attacks.values())) == 1 for attacks in groups(read(trees["PA"]), column).values())


@pytest.mark.parametrize("edition", ["LA", "DF", "PA"])
def test_both_classes_have_the_same_durations_and_peaks(trees, edition):
    durations, peaks = defaultdict(list), defaultdict(list)
    for each in read(trees[edition]):
        wave, rate_hz = soundfile.read(each.path)
        assert rate_hz == 16_000
        assert np.isfinite(wave).all()
        attack = each.attack.removeprefix("Task1-team").removeprefix("A")
        durations[attack].append(wave.size)
        peaks[attack].append(np.abs(wave).max())
    assert all(sorted(found) == sorted(durations["bonafide"]) for found in durations.values())
    for found in peaks.values():
        np.testing.assert_allclose(sorted(found), sorted(peaks["bonafide"]), atol=2 / 32_768)


@pytest.mark.parametrize("name", ["g722", "low_m4a", "high_m4a", "mp3m4a", "oggm4a"])
def test_codecs_of_ffmpeg_change_the_wave_and_leave_it_recognisable(name):
    seconds = np.arange(16_000) / 16_000
    wave = (0.4 * chirp(seconds, 100, 1.0, 7_000, method="logarithmic")).astype(np.float32)
    coded = code(wave, name)
    assert (coded.shape, coded.dtype) == (wave.shape, np.float32)
    np.testing.assert_array_equal(code(wave, name), coded)
    delay = 22 if name == "g722" else 1024
    assert 0.85 < np.corrcoef(wave[:-delay], coded[delay:])[0, 1] < 0.99999


@pytest.mark.parametrize("edition", ["LA", "DF", "PA"])
def test_every_attack_is_in_the_recordings(trees, edition):
    """The noise is 60 dB down here: what differs from the bona fide recording of the sentence is the attack."""
    sentences = defaultdict(dict)
    for each in read(trees[edition]):
        attack = each.attack.removeprefix("Task1-team").removeprefix("A")
        wave, _ = soundfile.read(each.path)
        sentences[each.speaker, wave.size][attack] = wave
    likeness = defaultdict(list)
    for made in sentences.values():
        for attack in made.keys() - {"bonafide"}:
            likeness[attack].append(np.corrcoef(made["bonafide"], made[attack])[0, 1])
    assert len(likeness) == len(ATTACKS[edition])
    assert {attack for attack, found in likeness.items() if np.median(found) > 0.995} == set()


def test_narrow_codecs_are_narrow(trees):
    shares = defaultdict(list)
    for each in read(trees["LA"]):
        wave, _ = soundfile.read(each.path)
        power = np.abs(np.fft.rfft(wave)) ** 2
        above = power[np.fft.rfftfreq(wave.size, 1 / 16_000) > 4_200].sum() / power.sum()
        shares[each.extra["codec"]].append(above)
    narrow = [max(shares[codec]) for codec in ("alaw", "pstn", "ulaw", "gsm") if codec in shares]
    assert narrow
    assert max(narrow) < 1e-3


def test_verification_keys_and_scores(trees):
    for edition, columns in (("LA", "A07"), ("PA", "c2-s2")):
        folder = trees[edition] / "keys" / edition / "ASV"
        table = read_asv_scores_2021(folder / "ASVTorch_Kaldi/score.txt", folder / "trial_metadata.txt", edition)
        spoofs = Counter(each.attack for each in read(trees[edition]) if each.attack != "bonafide")
        assert count_spoofs(table) == dict(spoofs)
        assert columns in spoofs
        assert Counter(table["key"])["target"] == Counter(table["key"])["nontarget"] == 12
        means = table.groupby("key")["score"].mean()
        assert means["nontarget"] < means["spoof"] < means["target"]
    assert not (trees["DF"] / "keys/DF/ASV").exists()


@pytest.mark.slow
def test_equal_settings_give_equal_bytes(trees, tmp_path):
    for edition, root in trees.items():
        write_twin(tmp_path / edition, changed(SETTINGS, edition=edition))
        assert tree_hashes(tmp_path / edition) == tree_hashes(root)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"edition": "KA"}, "edition 'KA' .*of ASVspoof 2021; expected LA or DF or PA"),
        ({"age_years": (20.0, 30.0)}, "has no ages and labels everything"),
        ({"language": "ru"}, "ASVspoof 2021 is in English"),
        ({"test_fraction": 0.01}, "at least one speaker of each sex"),
    ],
)
def test_impossible_twins_are_refused(tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        write_twin(tmp_path / "twin", changed(SETTINGS, **change))
    assert not list(tmp_path.iterdir())
