"""Two processes at one voice: one wins, the other is told, and nobody ever sees half a file."""

import multiprocessing

import numpy as np
import pytest

from voxbench.schema import InputError
from voxbench.serving.voice_files import Voice, VoiceRecord, forget_voice, read_voice, store_voice, voice_names

ROUNDS = 20


def voice(writer, name="ann"):
    record = VoiceRecord(name=name, model="b/m", network="b/m", encoder="0" * 16, kept_seconds=(1.0,) * 500)
    return Voice(record, np.full((500, 256), float(writer)))


def enroll(folder, writer, replace, start, results):
    start.wait()
    try:
        store_voice(folder, voice(writer), replace)
        results.put(("stored", writer))
    except InputError as error:
        results.put((str(error), writer))


def race(folder, replace):
    context = multiprocessing.get_context("fork")
    start, results = context.Barrier(2), context.Queue()
    writers = [context.Process(target=enroll, args=(folder, each, replace, start, results)) for each in (1, 2)]
    for each in writers:
        each.start()
    said = [results.get(timeout=120) for _ in writers]
    for each in writers:
        each.join(120)
    return said


def test_one_of_two_that_enrol_a_name_wins_and_the_other_is_told(tmp_path):
    for place in range(ROUNDS):
        folder = tmp_path / str(place)
        said = race(folder, replace=False)
        (winner,) = [writer for word, writer in said if word == "stored"]
        (refused,) = [word for word, _ in said if word != "stored"]
        assert "a voice 'ann' is enrolled" in refused
        assert np.unique(read_voice(folder, "ann").clips_KD).tolist() == [winner]
        assert not list(folder.glob(".*.partial"))


def test_two_that_replace_leave_one_whole_voice(tmp_path):
    for _ in range(ROUNDS):
        assert [word for word, _ in race(tmp_path, replace=True)] == ["stored", "stored"]
        assert len(np.unique(read_voice(tmp_path, "ann").clips_KD)) == 1
    assert voice_names(tmp_path) == ["ann"]


def test_a_write_that_fails_leaves_the_former_voice(tmp_path, monkeypatch):
    store_voice(tmp_path, voice(1), replace=False)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        store_voice(tmp_path, voice(2), replace=True)
    assert np.unique(read_voice(tmp_path, "ann").clips_KD).tolist() == [1.0]
    monkeypatch.undo()
    forget_voice(tmp_path, "ann")
    assert voice_names(tmp_path) == []
    assert not list(tmp_path.glob("*ann*")) + list(tmp_path.glob(".*.partial"))
