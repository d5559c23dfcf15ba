"""The score of a phrase against every path, at its bounds, and with frames that are no one's."""

import math
import time

import numpy as np
import pytest
import torch

from transcripts.paths import all_paths, all_texts, outputs, padded
from voxbench.schema import InputError
from voxbench.transcripts.alphabet import CLASSES, NEVER, encode
from voxbench.transcripts.greedy import greedy
from voxbench.transcripts.phrases import needed_frames, phrase_scores


def test_a_case_by_hand():
    # Two frames: blank 1/4, a 3/4, then blank 1/2, a 1/2. "a" is said by aa, a_, _a: 3/8 + 3/8 + 1/8.
    found = torch.full((1, 2, len(CLASSES)), NEVER, dtype=torch.float64)
    found[0, 0, [0, 3]] = torch.tensor([0.25, 0.75], dtype=torch.float64).log()
    found[0, 1, [0, 3]] = torch.tensor([0.5, 0.5], dtype=torch.float64).log()
    assert phrase_scores(found, ["a"])[0] == pytest.approx((7 / 8) / (3 / 8), rel=1e-14)


def test_scores_are_those_of_all_paths():
    draws = np.random.default_rng(1)
    for frames in (1, 2, 3, 5, 6):
        found = outputs(draws, frames)
        best = max(probability for _, probability in all_paths(found))
        texts = {text: p for text, p in all_texts(found).items() if text and " ".join(text.split()) == text}
        scores = phrase_scores(found.expand(len(texts), -1, -1), list(texts))
        expected = [(p / best) ** (1 / len(text)) for text, p in texts.items()]
        assert scores == pytest.approx(expected, rel=1e-11)
        assert scores.dtype == np.float64


def test_frames_at_the_end_change_no_bit():
    draws = np.random.default_rng(2)
    found = [outputs(draws, frames, scale=3.0).float() for frames in (40, 23, 7, 2)]
    phrases = ["ab ba", "a b a", "bab", "aaa"]
    alone = [phrase_scores(each[None], [phrase])[0] for each, phrase in zip(found, phrases, strict=True)]
    together = phrase_scores(torch.stack([padded(each, 60 - len(each)) for each in found]), phrases)
    assert together.tolist() == alone


def test_longer_neighbours_change_no_bit_of_long_sums():
    # numpy adds more than 128 values in pairs of parts, and zeros at the end would move where it parts.
    draws = np.random.default_rng(7)
    found = [outputs(draws, frames, "".join(CLASSES), 3.0) for frames in (129, 150, 203, 300, 700)]
    together = torch.stack([padded(each, 750 - len(each)) for each in found])
    for phrases in (["ab ba"] * 5, ["a" * len(each) for each in found], greedy(together)):
        alone = [phrase_scores(each[None], [phrase])[0] for each, phrase in zip(found, phrases, strict=True)]
        assert phrase_scores(together, phrases).tolist() == alone


def test_parts_change_no_bit(monkeypatch):
    draws = np.random.default_rng(3)
    found = torch.stack([padded(outputs(draws, 9), 3) for _ in range(7)])
    phrases = ["a", "ab", "b a", "abab", "ba", "bb", "aaaaaaa"]
    whole = phrase_scores(found, phrases)
    monkeypatch.setattr("voxbench.transcripts.phrases.AT_ONCE", found[0].numel() * 2)
    assert phrase_scores(found, phrases).tolist() == whole.tolist()


def test_a_phrase_that_does_not_fit_is_below_all_that_do():
    draws = np.random.default_rng(4)
    for frames in (1, 3):
        logits = torch.from_numpy(draws.standard_normal((frames, len(CLASSES))) * 2)
        found = logits.log_softmax(dim=1)
        fits = [text for text in ("a", "я", "ab", "abc", "a b", "aa") if needed_frames(encode([text]))[0] <= frames]
        lowest = phrase_scores(found.expand(len(fits), -1, -1), fits).min()
        for pad in (0, 9):
            scores = phrase_scores(padded(found, pad).expand(2, -1, -1), ["aba c", "aaa"])
            assert scores.tolist() == [0.0, 0.0]
            assert scores.max() < lowest


def test_even_the_least_probable_path_is_above_what_does_not_fit():
    found = torch.full((1, 1, len(CLASSES)), -math.log(len(CLASSES)), dtype=torch.float64)
    assert phrase_scores(found, ["a"])[0] == pytest.approx(1.0, abs=1e-12)
    assert phrase_scores(found, ["ab"])[0] == 0.0


def test_a_recording_without_frames_says_nothing():
    assert phrase_scores(padded(torch.zeros(0, len(CLASSES)), 3)[None], ["a"]).tolist() == [0.0]
    assert phrase_scores(torch.zeros(1, 0, len(CLASSES)), ["a"]).tolist() == [0.0]
    assert phrase_scores(torch.zeros(0, 5, len(CLASSES)), []).tolist() == []


def test_equal_neighbours_need_a_frame_more():
    assert needed_frames(encode(["all", "a", "aaa", "abc", "a  b"])).tolist() == [4, 1, 5, 3, 5]
    found = outputs(np.random.default_rng(5), 4)
    assert phrase_scores(found[None], ["abb"])[0] > phrase_scores(found[None], ["aaa"])[0]


def test_what_was_said_scores_above_what_was_not():
    text = "the boy's cat"
    numbers = [number for place in encode([text])[0] for number in (place, place, 0)]
    found = (torch.nn.functional.one_hot(torch.tensor(numbers), len(CLASSES)) * 9.0).log_softmax(dim=1)
    scores = phrase_scores(found.expand(3, -1, -1), [text, "the boy's hat", "кошка мальчика"])
    assert scores[0] > scores[1] > scores[2]
    assert scores[0] == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("phrase", ["", "A", " a", "a  b", "ё", "a-b"])
def test_phrases_that_are_not_normal_are_refused(phrase):
    with pytest.raises(InputError):
        phrase_scores(outputs(np.random.default_rng(1), 4)[None], [phrase])


@pytest.mark.parametrize("phrases", [["a"], "ab", []])
def test_there_is_one_phrase_for_each_recording(phrases):
    with pytest.raises(InputError, match="expected 2 phrases"):
        phrase_scores(torch.full((2, 3, 61), -5.0), phrases)


def test_a_thousand_trials_take_about_a_second():
    draws = np.random.default_rng(6)
    found = torch.from_numpy(draws.standard_normal((1000, 100, 61)).astype(np.float32)).log_softmax(dim=2)
    start = time.process_time()
    phrase_scores(found, ["the quick brown fox jumps over a lazy dog"] * 1000)
    assert time.process_time() - start < 8.0
