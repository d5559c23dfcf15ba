"""Voices by name: enrolled, verified, identified, deleted; what is refused; what is stored and what is not."""

import json
import stat

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save

from serving.clips import clip, encoded
from serving.pairs import BENCHMARK, MODEL, NETWORK, OTHER, PITCHES_HZ, project, recording, write_model
from voxbench.metrics.trial_scores import BackEnd, score_trials
from voxbench.schema import InputError
from voxbench.serving.bundle import BACK_END
from voxbench.serving.predictor import Predictor
from voxbench.serving.verifier import Verifier, template_of, unique
from voxbench.serving.voice_files import voice_names
from voxbench.serving.voices import Voices

NAMES = [f"voice{place}" for place in range(len(PITCHES_HZ))]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """Return a project with two models; read it only."""
    return project(tmp_path_factory.mktemp("verifying"))


@pytest.fixture(scope="module")
def verifier(workspace):
    return Verifier(workspace.models(BENCHMARK) / NETWORK)


@pytest.fixture
def voices(verifier, tmp_path):
    """Return an empty folder's voices."""
    return Voices(tmp_path / "voices", verifier, MODEL)


@pytest.fixture(scope="module")
def crowd(verifier, tmp_path_factory):
    """Return five voices of two clips each; read them only."""
    crowd = Voices(tmp_path_factory.mktemp("crowd"), verifier, MODEL)
    for name, pitch_hz in zip(NAMES, PITCHES_HZ, strict=True):
        crowd.enroll(name, [recording(pitch_hz, take) for take in (1, 2)], replace=False)
    return crowd


def everything(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}


def test_a_voice_scores_as_a_template_of_its_clips_is_evaluated(crowd, verifier, workspace):
    clips = [verifier.embed(recording(PITCHES_HZ[1], take)) for take in (1, 2, 9)]
    back_end = BackEnd.of_arrays(load_file(workspace.models(BENCHMARK) / NETWORK / BACK_END))
    embeddings = np.stack([each.embedding_D for each in clips])
    expected = score_trials(back_end, embeddings, [0], [2], enrolments=[[0, 1]])[0]
    match = crowd.verify("voice1", clips[2])
    assert match.score == pytest.approx(expected, abs=1e-12)
    assert match.verdict == verifier.decision.verdict(match.score, clips[2].kept_seconds)


def test_one_clip_scores_as_a_pair_of_recordings(verifier):
    heard = [verifier.embed(recording(PITCHES_HZ[0], take)) for take in (1, 2)]
    expected = score_trials(verifier.back_end, np.stack([each.embedding_D for each in heard]), [0], [1])[0]
    assert verifier.compare([template_of(heard[:1])], heard[1])[0].score == pytest.approx(expected, abs=1e-12)


def test_identification_gives_the_scores_of_verification_best_first(crowd):
    heard = crowd.hear(recording(PITCHES_HZ[3], 7))
    found = crowd.identify(heard, top=5)
    assert {match.name: match.score for match in found.matches} == {
        name: pytest.approx(crowd.verify(name, heard).score, abs=1e-12) for name in NAMES
    }
    scores = [match.score for match in found.matches]
    assert scores == sorted(scores, reverse=True)
    assert found.voices == 5
    assert [match.name for match in crowd.identify(heard, top=2).matches] == [each.name for each in found.matches[:2]]


def test_who_is_below_the_threshold_is_unknown(crowd, verifier, monkeypatch):
    heard = crowd.hear(recording(PITCHES_HZ[3], 7))
    best = crowd.identify(heard, top=1).matches[0]
    for value, name in ((best.verdict.llr - 0.01, best.name), (best.verdict.llr + 0.01, None)):
        policy = verifier.decision.settings.policy
        threshold = verifier.decision.thresholds[policy].model_copy(update={"value": value})
        thresholds = verifier.decision.thresholds | {policy: threshold}
        monkeypatch.setattr(verifier, "decision", verifier.decision.model_copy(update={"thresholds": thresholds}))
        found = crowd.identify(heard, top=1)
        assert found.name == name
        assert found.matches[0].accepted is (name is not None)


def test_another_stored_policy_can_be_asked_for(workspace):
    folder = workspace.models(BENCHMARK) / NETWORK
    heard = Verifier(folder).embed(recording(90.0))
    for policy in ("bayes", "equal-error", "far-10-percent"):
        verifier = Verifier(folder, policy)
        verdict = verifier.compare([template_of([heard])], heard)[0].verdict
        assert (verdict.policy, verdict.threshold) == (policy, verifier.decision.thresholds[policy].value)
    with pytest.raises(InputError, match=r"no policy 'bays' is stored with the model \(did you mean 'bayes'\?\)"):
        Verifier(folder, "bays")


def test_a_model_that_could_not_fit_a_decision_says_why_and_accepts_nobody(workspace, tmp_path):
    other = project(tmp_path)
    folder = write_model(other, NETWORK, seed=1, one_class=True)
    voices = Voices(tmp_path / "voices", Verifier(folder), MODEL)
    voices.enroll("ann", [recording(90.0)], replace=False)
    match = voices.verify("ann", voices.hear(recording(90.0, 1)))
    assert (match.accepted, match.verdict.decision, match.verdict.llr) == (None, None, None)
    assert "on validation rows" in match.verdict.undecided
    found = voices.identify(voices.hear(recording(90.0, 1)), top=1)
    assert (found.name, found.undecided) == (None, match.verdict.undecided)


def test_clips_of_one_audio_count_once_whatever_the_container(voices, verifier):
    wave = np.round(clip() * 2**15) / 2**15
    done = voices.enroll("ann", [encoded(wave), encoded(wave, container="FLAC"), recording(90.0)], replace=False)
    assert (len(done.record.kept_seconds), done.repeated) == (2, 1)
    heard = [verifier.embed(encoded(wave)), verifier.embed(recording(90.0)), verifier.embed(encoded(wave))]
    assert unique(heard) == heard[:2]


@pytest.mark.parametrize(
    ("clips", "words"),
    [
        ([], "no clips to enrol 'ann' with"),
        ([recording(90.0), b"this is no audio"], r"unreadable: .* \(clip 2 of 2\)"),
        ([encoded(clip(0.2))], r"too_short: .* \(clip 1 of 1\)"),
        ([encoded(np.zeros(16000)), recording(90.0)], r"silent: .* \(clip 1 of 2\)"),
    ],
)
def test_clips_that_cannot_be_used_are_named_and_nothing_is_stored(voices, clips, words):
    with pytest.raises(InputError, match=words):
        voices.enroll("ann", clips, replace=False)
    assert not voices.folder.exists()


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../ann", "a/b", "/etc/passwd", ".hidden", "a b", "ann\n", "a\0b", "-rf", "zoë", "a" * 65]
)
def test_a_name_is_no_path(voices, name):
    for does in (
        lambda: voices.enroll(name, [recording(90.0)], replace=False),
        lambda: voices.verify(name, voices.hear(recording(90.0))),
        lambda: voices.delete(name),
    ):
        with pytest.raises(InputError, match="cannot name a voice: expected 1 to 64 letters and digits"):
            does()
    assert not voices.folder.exists()


def test_a_name_in_use_is_refused_unless_it_is_to_be_replaced(voices):
    voices.enroll("Ann", [recording(90.0)], replace=False)
    before = everything(voices.folder)
    with pytest.raises(InputError, match=r"a voice 'Ann' is enrolled in .*: enrol it with --replace, or forget it"):
        voices.enroll("Ann", [recording(120.0)], replace=False)
    with pytest.raises(InputError, match=r"a voice 'Ann' is enrolled in .*: choose another name"):
        voices.enroll("ann", [recording(120.0)], replace=True)
    assert everything(voices.folder) == before
    voices.enroll("Ann", [recording(120.0)], replace=True)
    assert everything(voices.folder).keys() == before.keys()
    assert everything(voices.folder)["Ann.safetensors"] != before["Ann.safetensors"]


def test_templates_of_another_network_are_refused_with_the_fix(crowd, workspace):
    other = Voices(crowd.folder, Verifier(workspace.models(BENCHMARK) / OTHER), f"{BENCHMARK}/{OTHER}")
    heard = other.hear(recording(90.0))
    words = rf"voice 'voice0' was enrolled by {MODEL} as \w+ \(--model {MODEL}\), but .* --replace"
    for does in (lambda: other.verify("voice0", heard), lambda: other.identify(heard, 1)):
        with pytest.raises(InputError, match=words):
            does()


def test_other_weights_are_another_network_and_another_decision_is_not(verifier, workspace, tmp_path):
    other = project(tmp_path)
    same = Verifier(other.models(BENCHMARK) / NETWORK)
    assert (same.encoder, same.version) == (verifier.encoder, verifier.version)
    undecided = Verifier(write_model(other, NETWORK, seed=1, one_class=True))
    assert undecided.encoder == verifier.encoder
    assert undecided.version != verifier.version
    assert Verifier(write_model(other, NETWORK, seed=2)).encoder != verifier.encoder


def test_equal_clips_give_equal_bytes_and_hold_no_audio(voices, verifier, tmp_path):
    clips = [recording(90.0, 1, seconds=3.0), recording(90.0, 2, seconds=3.0)]
    voices.enroll("ann", clips, replace=False)
    again = Voices(tmp_path / "again", verifier, MODEL)
    again.enroll("ann", clips, replace=False)
    assert everything(again.folder) == everything(voices.folder)
    content = (voices.folder / "ann.safetensors").read_bytes()
    assert len(content) < 8000, "two embeddings, six seconds of audio have 192 kB"
    for data in clips:
        samples = data[44:]
        assert not any(samples[at : at + 8] in content for at in range(0, len(samples) - 8, 8))
    tensors = load_file(voices.folder / "ann.safetensors")
    assert {name: tensor.shape for name, tensor in tensors.items()} == {"clips_KD": (2, 256)}


def test_only_the_owner_may_read_and_git_leaves_it_alone(voices):
    voices.enroll("ann", [recording(90.0)], replace=False)
    assert stat.S_IMODE((voices.folder / "ann.safetensors").stat().st_mode) == 0o600
    assert stat.S_IMODE(voices.folder.stat().st_mode) == 0o700
    assert (voices.folder / ".gitignore").read_text() == "*\n"


def test_a_deleted_voice_is_gone_with_what_an_interruption_left(voices):
    voices.enroll("ann", [recording(90.0)], replace=False)
    (voices.folder / ".ann.safetensors.partial").write_bytes(b"half")
    assert voices.delete("ann") == voices.folder / "ann.safetensors"
    assert not [path for path in voices.folder.iterdir() if "ann" in path.name]
    assert voices.list() == ()
    with pytest.raises(InputError, match=r"no voice 'ann' in .*: 0 enrolled"):
        voices.delete("ann")


def test_an_interrupted_enrolment_leaves_no_voice_and_does_not_stand_in_the_way(voices):
    voices.enroll("ann", [recording(90.0)], replace=False)
    (voices.folder / ".bob.safetensors.partial").write_bytes(b"half")
    assert [record.name for record in voices.list()] == ["ann"]
    voices.enroll("bob", [recording(120.0)], replace=False)
    assert voice_names(voices.folder) == ["ann", "bob"]
    assert not list(voices.folder.glob(".*.partial"))


def test_an_absent_voice_is_named_with_the_closest(crowd):
    heard = crowd.hear(recording(90.0))
    with pytest.raises(InputError, match=r"no voice 'voise1' in .* \(did you mean 'voice1'\?\): 5 enrolled"):
        crowd.verify("voise1", heard)


def test_nobody_and_no_match_cannot_be_asked_for(voices, crowd):
    heard = voices.hear(recording(90.0))
    with pytest.raises(InputError, match=r"no voices in .*: enrol some"):
        voices.identify(heard, 1)
    with pytest.raises(InputError, match="top is 0"):
        crowd.identify(heard, 0)


@pytest.mark.parametrize(
    "change",
    [
        lambda clips_KD: clips_KD[:, :5].copy(),
        lambda clips_KD: clips_KD[:0].copy(),
        lambda clips_KD: clips_KD[0].copy(),
        lambda clips_KD: clips_KD * np.nan,
        lambda clips_KD: clips_KD * [[1.0], [0.0]],
        lambda clips_KD: clips_KD.astype(np.int64),
    ],
)
def test_embeddings_that_no_network_makes_are_refused(voices, change):
    voices.enroll("ann", [recording(90.0), recording(90.0, 2)], replace=False)
    path = voices.folder / "ann.safetensors"
    with safe_open(path, "numpy") as stored:
        header, clips_KD = stored.metadata(), change(stored.get_tensor("clips_KD"))
    if len(clips_KD) == 0:
        header["voice"] = json.dumps(json.loads(header["voice"]) | {"kept_seconds": []})
    path.write_bytes(save({"clips_KD": clips_KD}, header))
    with pytest.raises(InputError, match=r"forget ann and enrol it anew"):
        voices.verify("ann", voices.hear(recording(90.0)))


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[: len(content) // 2],
        lambda content: b"\xff" * 64,
        lambda content: save({"clips_KD": np.ones((1, 4))}),
        lambda content: save({"other": np.ones((1, 4))}, {"voice": "{}"}),
        lambda content: content.replace(b"ann", b"bob"),
    ],
)
def test_a_damaged_file_is_refused(voices, damage):
    voices.enroll("ann", [recording(90.0)], replace=False)
    path = voices.folder / "ann.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    for does in (voices.list, lambda: voices.identify(voices.hear(recording(90.0)), 1)):
        with pytest.raises(InputError, match=r"forget ann and enrol it anew"):
            does()
    voices.delete("ann")


def test_a_model_of_pairs_judges_no_single_recording(workspace):
    with pytest.raises(InputError, match="compares two recordings, one alone has no score"):
        Predictor(workspace.models(BENCHMARK) / NETWORK)


def test_records_say_who_and_by_what(crowd, verifier):
    records = crowd.list()
    assert [record.name for record in records] == NAMES
    assert {(record.network, record.model, record.encoder) for record in records} == {(MODEL, MODEL, verifier.encoder)}
    assert json.loads(records[0].model_dump_json())["kept_seconds"] == list(records[0].kept_seconds)
    assert [len(record.kept_seconds) for record in records] == [2] * 5
