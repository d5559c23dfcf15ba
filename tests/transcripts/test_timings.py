"""Word timings: by hand, against every path and against torchaudio's alignment."""

import numpy as np
import pytest
import torch
from torchaudio.functional import forced_align

from transcripts.paths import all_paths, collapse, outputs, padded
from voxbench.schema import InputError
from voxbench.transcripts.alphabet import CLASSES, encode
from voxbench.transcripts.timings import WordTiming, aligned, word_timings


def test_a_case_by_hand():
    path = [0, 3, 3, 0, 4, 1, 1, 5, 0]
    found = (torch.nn.functional.one_hot(torch.tensor(path), len(CLASSES)) * 5.0).log_softmax(dim=1).double()
    sure = float(found[0, 0].exp())
    assert word_timings(found, "ab c", 0.04) == [
        WordTiming("ab", pytest.approx(0.04), pytest.approx(0.2), pytest.approx(sure)),
        WordTiming("c", pytest.approx(0.28), pytest.approx(0.32), pytest.approx(sure)),
    ]
    assert aligned(found.numpy(), encode(["ab c"])[0]).tolist() == [-1, 0, 0, -1, 1, 2, 2, 3, -1]


def test_the_probability_is_the_mean_over_the_words_frames():
    found = torch.full((3, len(CLASSES)), -30.0, dtype=torch.float64)
    for frame, (number, probability) in enumerate([(3, 0.9), (0, 0.2), (4, 0.5)]):
        found[frame, number] = np.log(probability)
    (timing,) = word_timings(found, "ab", 1.0)
    assert timing.probability == pytest.approx(0.7)


def test_the_path_is_the_best_of_all_that_spell_the_text():
    draws = np.random.default_rng(1)
    for text in ("a", "ab", "aa", "a b", "bab", "abba"):
        for _ in range(6):
            found = outputs(draws, 6)
            best = max((p, path) for path, p in all_paths(found) if collapse(path) == text)[1]
            places = aligned(found.numpy(), encode([text])[0])
            assert [0 if place < 0 else CLASSES.index(text[place]) for place in places] == list(best)


def test_torchaudio_agrees():
    draws = np.random.default_rng(2)
    for text in ("we met a fool", "all aboard now", "ooo"):
        logits = torch.from_numpy(draws.standard_normal((40, len(CLASSES))) * 2)
        found, numbers = logits.log_softmax(dim=1), torch.from_numpy(encode([text]))
        path, _ = forced_align(found[None], numbers)
        places = aligned(found.numpy(), encode([text])[0])
        assert [0 if place < 0 else CLASSES.index(text[place]) for place in places] == path[0].tolist()


def test_frames_at_the_end_carry_no_word():
    found = outputs(np.random.default_rng(3), 8)
    assert word_timings(padded(found, 20), "ab a b", 0.02) == word_timings(found, "ab a b", 0.02)
    # Not even a word that no frame of the recording can have said, and that would cost no more in one behind it.
    assert word_timings(padded(found, 20), "ab z", 0.02) == word_timings(found, "ab z", 0.02)
    with pytest.raises(InputError, match="needs at least 9 frames, the recording has 8"):
        word_timings(padded(found, 20), "abababa b", 0.02)


def test_a_text_may_fill_all_frames():
    found = outputs(np.random.default_rng(4), 5)
    assert [each.word for each in word_timings(found, "a b a", 1.0)] == ["a", "b", "a"]
    assert [(each.start_seconds, each.end_seconds) for each in word_timings(found, "a b a", 1.0)] == [
        (0, 1),
        (2, 3),
        (4, 5),
    ]
    with pytest.raises(InputError, match="needs at least 6 frames"):
        word_timings(found, "aab b", 1.0)


@pytest.mark.parametrize("text", ["", " a", "A", "a  b"])
def test_texts_that_are_not_normal_are_refused(text):
    with pytest.raises(InputError, match="normalised text"):
        word_timings(outputs(np.random.default_rng(5), 9), text, 1.0)


def test_other_input_is_refused():
    found = outputs(np.random.default_rng(6), 9)
    with pytest.raises(InputError, match="shape"):
        word_timings(found[None], "a", 1.0)
    for seconds in (0.0, -1.0, float("nan")):
        with pytest.raises(InputError, match="positive duration"):
            word_timings(found, "a", seconds)
