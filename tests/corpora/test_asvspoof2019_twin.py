"""The twin of ASVspoof 2019: read back, and without a shortcut from duration, level or silence to the class."""

from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy.stats import ks_2samp

from corpora.twin_trees import BASE, changed, tree_hashes, write_in_another_process
from voxbench.audio.attacks import attacks
from voxbench.audio.replay import ATTACKS
from voxbench.corpora.asv_scores import identify_asv_scores, read_asv_scores, require_same_set
from voxbench.corpora.asvspoof2019 import read
from voxbench.corpora.asvspoof2019_twin import SEEN, UNSEEN, loudspeaker, write_twin
from voxbench.corpora.registries import sheets, twins
from voxbench.schema import InputError, Split

LA = changed(
    BASE,
    **{"layout": "asvspoof2019", "edition": "LA", "speakers": 6, "test_fraction": 0.34, "clips_per_session": 1},
    **{"snr_db": (60.0, 60.0), "reverberation_seconds": (0.0, 0.0), "low_hz": (60.0, 60.0), "high_hz": (7_600.0,) * 2},
)
PA = changed(LA, edition="PA", sessions_per_speaker=1)
SPLITS = {"train": Split.TRAIN, "dev": Split.VALID, "eval": Split.TEST}
EDGE_SECONDS = 0.05


@pytest.fixture(scope="module")
def la(tmp_path_factory):
    root = tmp_path_factory.mktemp("twins") / "LA"
    write_twin(root, LA)
    return root


@pytest.fixture(scope="module")
def pa(tmp_path_factory):
    root = tmp_path_factory.mktemp("twins") / "PA"
    write_twin(root, PA)
    return root


@pytest.fixture(scope="module")
def heard(la):
    return [(each, soundfile.read(each.path)[0]) for each in read(la)]


@pytest.fixture(scope="module")
def replayed(pa):
    return [(each, soundfile.read(each.path)[0]) for each in read(pa)]


def test_registered_under_the_name_of_the_corpus():
    assert twins["asvspoof2019"] is write_twin


def test_attacks_of_train_and_dev_are_none_of_evals():
    assert not set(SEEN) & set(UNSEEN)
    assert not set(SEEN.values()) & set(UNSEEN.values())
    assert sorted([*SEEN.values(), *UNSEEN.values()]) == sorted(attacks)


def test_loudspeakers_of_eval_are_none_of_train_and_devs():
    devices = {
        part: [loudspeaker(quality, part, number, 1) for quality in "BC" for number in range(3)] for part in SPLITS
    }
    assert devices["train"] == devices["dev"]
    assert len({*devices["train"], *devices["eval"]}) == 12


def test_the_reader_reads_la(la):
    rows = list(read(la))
    made = {"train": SEEN, "dev": SEEN, "eval": UNSEEN}
    counted = Counter((each.split, each.attack) for each in rows)
    # Two speakers of each set, two sessions of one sentence.
    assert counted == {(SPLITS[part], attack): 4 for part in SPLITS for attack in ("bonafide", *made[part])}
    speakers = defaultdict(set)
    for each in rows:
        speakers[each.split].add(each.speaker)
        assert each.path.is_file()
    assert [len(speakers[split]) for split in SPLITS.values()] == [2, 2, 2]
    assert len(set.union(*speakers.values())) == 6
    parts = {part.name for part in sheets["asvspoof2019"].releases["LA"]}
    assert {sheets["asvspoof2019"].part_of(each) for each in rows} == parts


def test_the_reader_reads_pa(pa):
    rows = list(read(pa))
    made = ("bonafide", *ATTACKS)
    assert Counter((each.split, each.attack) for each in rows) == {(s, a): 2 for s in SPLITS.values() for a in made}
    rooms = defaultdict(set)
    for each in rows:
        rooms[each.speaker].add(each.extra["environment"])
    assert all(len(found) == 1 for found in rooms.values())
    assert len(set.union(*rooms.values())) > 3
    assert len(set(tree_hashes(pa / "ASVspoof2019_PA_eval").values())) == 20 + 4


def by_attack(heard, measure):
    found = defaultdict(list)
    for each, wave in heard:
        found[each.split, each.attack].append(measure(wave))
    return found


@pytest.mark.parametrize(("recordings", "sentences"), [("heard", 12), ("replayed", 6)])
def test_bona_fide_and_every_attack_have_the_same_durations(request, recordings, sentences):
    durations = by_attack(request.getfixturevalue(recordings), len)
    for (split, attack), found in durations.items():
        assert sorted(found) == sorted(durations[split, "bonafide"]), attack
    lengths = [each for found in durations.values() for each in found]
    assert len(set(lengths)) == sentences
    assert 2.5 * 16_000 - 1 <= min(lengths) <= max(lengths) <= 4.0 * 16_000 + 1


@pytest.mark.parametrize("recordings", ["heard", "replayed"])
def test_bona_fide_and_every_attack_have_the_same_peaks(request, recordings):
    peaks = by_attack(request.getfixturevalue(recordings), lambda wave: np.abs(wave).max())
    for (split, _), found in peaks.items():
        np.testing.assert_allclose(sorted(found), sorted(peaks[split, "bonafide"]), atol=2 / 32_768)


def edges(wave):
    """Return the seconds before and after what is louder than a twentieth of the peak."""
    loud = np.flatnonzero(np.abs(wave) > 0.05 * np.abs(wave).max())
    return loud[0] / 16_000, (wave.size - 1 - loud[-1]) / 16_000


def test_bona_fide_and_attacks_have_the_same_silence_before_and_after(heard):
    """The recordings are nearly free of noise here, so that the pauses can be measured."""
    found = defaultdict(list)
    for each, wave in heard:
        found["bonafide" if each.attack == "bonafide" else "spoof"].append(edges(wave))
    for side in (0, 1):
        bonafide, spoof = (np.array(found[key])[:, side] for key in ("bonafide", "spoof"))
        assert ks_2samp(bonafide, spoof).pvalue > 0.05
        assert abs(np.median(bonafide) - np.median(spoof)) < EDGE_SECONDS
        assert bonafide.min() > EDGE_SECONDS


def test_attacks_are_heard_in_the_spectrum(heard):
    """What should tell them apart does: the spectral flatness of spoofs is unlike that of their bona fide sources."""

    def flatness(wave):
        power = np.abs(np.fft.rfft(wave)) ** 2 + 1e-12
        return np.exp(np.mean(np.log(power))) / np.mean(power)

    found = by_attack(heard, flatness)
    changed_by = [
        abs(np.mean(np.log(found[key])) - np.mean(np.log(found[key[0], "bonafide"])))
        for key in found
        if key[1] != "bonafide"
    ]
    assert np.median(changed_by) > 0.1


def lines(path):
    return Path(path).read_text().splitlines()


def test_verification_lists_and_scores_agree(la, pa):
    for root, scenario, columns in ((la, "LA", 4), (pa, "PA", 5)):
        for part in ("dev", "eval"):
            above = root / f"ASVspoof2019_{scenario}_asv_protocols" / f"ASVspoof2019.{scenario}.asv.{part}"
            lists = {sex: lines(f"{above}.{sex}.trl.txt") for sex in ("male", "female", "gi")}
            assert lists["gi"] == lists["male"] + lists["female"]
            trials = [line.split() for line in lists["gi"]]
            assert {len(trial) for trial in trials} == {columns}
            scores = root / f"ASVspoof2019_{scenario}_asv_scores/ASVspoof2019.{scenario}.asv.{part}.gi.trl.scores.txt"
            table = read_asv_scores(scores)
            assert [trial[-2:] for trial in trials] == table[["source", "key"]].values.tolist()
            own = [each for each in read(root) if each.split is SPLITS[part]]
            spoofs = Counter(each.attack for each in own if each.attack != "bonafide")
            require_same_set(identify_asv_scores(scores), spoofs, "the protocol")
            bonafide = {each.path.stem for each in own if each.attack == "bonafide"}
            assert Counter(table["key"])["target"] == Counter(table["key"])["nontarget"] == len(bonafide)
            models = {}
            for sex in ("male", "female"):
                for line in lines(f"{above}.{sex}.trn.txt"):
                    model, names = line.split()
                    models[model] = names.split(",")
            place = slice(2, 3) if scenario == "PA" else slice(2, 2)
            assert {"_".join([trial[0], *trial[place]]) for trial in trials} == set(models)
            folder = root / f"ASVspoof2019_{scenario}_{part}" / "flac"
            enrolled = {name for names in models.values() for name in names}
            assert {path.stem for path in folder.iterdir()} == enrolled | {each.path.stem for each in own}


def test_drawn_scores_rank_target_over_spoof_over_nontarget(la):
    table = read_asv_scores(next(la.rglob("*eval.gi.trl.scores.txt")))
    means = table.groupby("key")["score"].mean()
    assert means["nontarget"] < means["spoof"] < means["target"]


@pytest.mark.slow
def test_same_seed_same_bytes_in_another_process_and_other_seed_other_bytes(la, pa, tmp_path):
    again = [tmp_path / "la", tmp_path / "pa"]
    for settings, root in zip((LA, PA), again, strict=True):
        write_in_another_process(settings, root)
    assert [tree_hashes(root) for root in again] == [tree_hashes(la), tree_hashes(pa)]
    write_twin(tmp_path / "other", changed(PA, seed=2))
    flac = [{value for name, value in tree_hashes(root).items() if "flac" in name} for root in (pa, tmp_path / "other")]
    assert not flac[0] & flac[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"edition": "DF"}, "edition 'DF' of ASVspoof 2019; expected LA or PA"),
        ({"edition": None}, "edition None of ASVspoof 2019"),
        ({"age_years": (20.0, 30.0)}, "has no ages and labels everything; set null and 0"),
        ({"unlabelled_fraction": 0.1}, "unlabelled_fraction 0.1: ASVspoof 2019 has no ages"),
        ({"language": "ru"}, "language 'ru': ASVspoof 2019 is in English; set en-US"),
        ({"clip_seconds": (0.5, 2.0)}, "expected at least 1"),
        ({"speakers": 7}, "expected an even count"),
        ({"speakers": 4, "test_fraction": 0.5}, "leaves no female speaker to train"),
    ],
)
def test_impossible_twins_are_refused(tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        write_twin(tmp_path / "twin", changed(LA, **change))
    assert not list(tmp_path.iterdir())


def test_a_twin_never_overwrites(la):
    with pytest.raises(InputError, match="not empty"):
        write_twin(la, LA)
