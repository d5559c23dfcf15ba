"""Prefix beam search against every path, against flashlight's decoder, and with a language model."""

import math

import numpy as np
import pytest
import torch
from flashlight.lib.text import decoder

from transcripts.paths import all_texts, collapse, outputs, padded
from voxbench.config import Beam, LanguageModel
from voxbench.schema import InputError
from voxbench.transcripts.alphabet import CLASSES, NEVER
from voxbench.transcripts.beam import Decoder, Fusion, grams_of, prefix_search
from voxbench.transcripts.greedy import greedy
from voxbench.transcripts.language_model import CharacterModel, counted
from voxbench.transcripts.normalising import normalise

ALL = {"width": 100_000, "threshold": 5000.0}
TEXTS = ["ab ab", "ba b", "abab"]


def decoder_of(settings, texts):
    return Decoder(settings, grams_of(settings, texts))


def estimated(texts, order):
    return CharacterModel(counted(texts, order), order)


def beam(width=20, threshold=50.0, language_model=None):
    return Beam(width=width, threshold=threshold, language_model=language_model)


@pytest.mark.parametrize("fusion", [None, (0.7, 0.4), (2.0, -1.5)])
def test_a_wide_search_finds_every_text_and_its_probability(fusion):
    model = estimated(TEXTS, 3)
    fused = fusion and Fusion(model, weight=fusion[0], insertion=fusion[1])
    draws = np.random.default_rng(1)
    for frames in (1, 2, 5):
        found = outputs(draws, frames)
        expected = {
            text: math.log(p)
            + (fused.weight * model.log_probability(text) + fused.insertion * len(text) if fused else 0)
            for text, p in all_texts(found).items()
            if p > 0
        }
        ranks = prefix_search(found.numpy(), **ALL, fusion=fused)
        assert dict(ranks) == pytest.approx(expected, rel=1e-10)
        assert [rank for _, rank in ranks] == sorted(expected.values(), reverse=True) or len(ranks) == len(expected)
        assert ranks[0][0] == max(expected, key=expected.get)
        assert [rank for _, rank in ranks] == sorted((rank for _, rank in ranks), reverse=True)


def test_the_best_text_need_not_be_that_of_the_best_path():
    # Blank 0.6 and a 0.4, twice: the best path says nothing (0.36), but 0.64 of all paths say a.
    found = torch.full((2, len(CLASSES)), NEVER, dtype=torch.float64)
    found[:, [0, 3]] = torch.tensor([0.6, 0.4], dtype=torch.float64).log()
    assert greedy(found[None]) == [""]
    assert decoder_of(beam(), [])(found[None]) == ["a"]
    assert prefix_search(found.numpy(), **ALL, fusion=None)[0][1] == pytest.approx(math.log(0.64))


def test_a_narrow_search_keeps_no_more_than_its_width():
    found = outputs(np.random.default_rng(2), 8).numpy()
    ranks = {width: prefix_search(found, width=width, threshold=5000.0, fusion=None) for width in (1, 3, 20)}
    assert [len(found) for found in ranks.values()] == [1, 3, 20]
    assert ranks[1][0][1] < ranks[20][0][1]


def test_nothing_is_followed_that_falls_behind():
    found = torch.full((1, len(CLASSES)), NEVER, dtype=torch.float64)
    found[0, [0, 3, 4]] = torch.tensor([0.7, 0.2, 0.1], dtype=torch.float64).log()
    kept = [prefix_search(found.numpy(), width=9, threshold=gap, fusion=None) for gap in (1.0, 1.5, 2.0)]
    assert [[text for text, _ in each] for each in kept] == [[""], ["", "a"], ["", "a", "b"]]


def test_of_equal_ranks_the_first_class_counts():
    found = torch.full((1, len(CLASSES)), NEVER, dtype=torch.float64)
    found[0, [0, 3, 4, 5]] = torch.tensor([0.1, 0.3, 0.3, 0.3], dtype=torch.float64).log()
    for width in (1, 2, 3):
        kept = prefix_search(found.numpy(), width=width, threshold=50.0, fusion=None)
        assert [text for text, _ in kept] == ["a", "b", "c"][:width]


def test_a_language_model_settles_what_sounds_alike():
    found = torch.full((2, len(CLASSES)), NEVER, dtype=torch.float64)
    found[0, 3] = 0.0
    found[1, [4, 5]] = torch.tensor([0.45, 0.55], dtype=torch.float64).log()
    language = LanguageModel(order=2, weight=1.0, insertion=0.0)
    assert decoder_of(beam(), TEXTS)(found[None]) == ["ac"]
    assert decoder_of(beam(language_model=language), TEXTS)(found[None]) == ["ab"]


def test_the_language_model_counts_when_hypotheses_are_dropped():
    # Of a 0.4, b 0.35, c 0.25 a beam of two would keep a and b; the model has seen c alone, so c is kept and wins.
    found = torch.full((2, len(CLASSES)), NEVER, dtype=torch.float64)
    found[0, [3, 4, 5]] = torch.tensor([0.4, 0.35, 0.25], dtype=torch.float64).log()
    found[1, 0] = 0.0
    fusion = Fusion(estimated(["c"], 2), weight=1.0, insertion=0.0)
    kept = prefix_search(found.numpy(), width=2, threshold=5000.0, fusion=fusion)
    assert [text for text, _ in kept] == ["c", "a"]
    wide = prefix_search(found.numpy(), **ALL, fusion=fusion)[:2]
    assert dict(kept) == pytest.approx(dict(wide), rel=1e-12)


@pytest.mark.parametrize(("insertion", "longer"), [(3.0, True), (-3.0, False)])
def test_insertion_moves_the_length(insertion, longer):
    found = outputs(np.random.default_rng(4), 30)[None]
    lengths = [
        len(decoder_of(beam(language_model=LanguageModel(order=2, weight=0.1, insertion=each)), TEXTS)(found)[0])
        for each in (insertion, 0.0)
    ]
    assert (lengths[0] > lengths[1]) is longer


@pytest.mark.parametrize("language", [None, LanguageModel(order=4, weight=0.5, insertion=0.5)])
def test_frames_at_the_end_change_nothing(language):
    draws = np.random.default_rng(5)
    found = [outputs(draws, frames).float() for frames in (30, 11)]
    decoder = decoder_of(beam(language_model=language), TEXTS)
    together = decoder(torch.stack([padded(each, 40 - len(each)) for each in found]))
    assert together == [decoder(each[None])[0] for each in found]


def test_texts_are_normal():
    draws = np.random.default_rng(6)
    texts = decoder_of(beam(), [])(torch.stack([outputs(draws, 12, " 'a", 3.0) for _ in range(30)]))
    assert [normalise(text) for text in texts] == texts
    raw = [prefix_search(outputs(draws, 12, " 'a", 3.0).numpy(), **ALL | {"width": 9}, fusion=None) for _ in range(30)]
    assert any(normalise(each[0][0]) != each[0][0] for each in raw)


def test_without_settings_it_is_the_best_path():
    found = outputs(np.random.default_rng(7), 30)[None]
    assert decoder_of(None, [])(found) == greedy(found)


def test_no_frames_say_nothing():
    assert decoder_of(beam(), [])(torch.zeros(1, 0, len(CLASSES))) == [""]
    assert decoder_of(beam(), [])(torch.zeros(0, 5, len(CLASSES))) == []


@pytest.mark.parametrize(("width", "threshold"), [(0, 1.0), (1, 0.0), (1, float("nan"))])
def test_unsound_settings_are_refused(width, threshold):
    with pytest.raises(InputError, match="expected at least 1"):
        prefix_search(np.zeros((1, 61)), width=width, threshold=threshold, fusion=None)


def test_a_language_model_needs_texts():
    with pytest.raises(InputError, match="needs texts"):
        decoder_of(beam(language_model=LanguageModel(order=2, weight=1.0, insertion=0.0)), [])


def flashlight_best(log_probs_TC, width):
    """The best path and rank of flashlight's decoder; it begins with silence, here a class that never occurs."""
    options = decoder.LexiconFreeDecoderOptions(
        beam_size=width,
        beam_size_token=len(CLASSES),
        beam_threshold=5000.0,
        lm_weight=0.0,
        sil_score=0.0,
        log_add=True,
        criterion_type=decoder.CriterionType.CTC,
    )
    silence_T = np.full((len(log_probs_TC), 1), NEVER, dtype=np.float32)
    emissions = np.ascontiguousarray(np.hstack([log_probs_TC, silence_T]), dtype=np.float32)
    search = decoder.LexiconFreeDecoder(options, decoder.ZeroLM(), len(CLASSES), 0, [])
    best = search.decode(emissions.ctypes.data, *emissions.shape)[0]
    return best.tokens[1:-1], best.score


def test_flashlight_agrees():
    draws = np.random.default_rng(8)
    for _ in range(6):
        found = outputs(draws, 7).numpy()
        ours, rank = prefix_search(found, **ALL, fusion=None)[0]
        path, score = flashlight_best(found, width=5000)
        assert (collapse(path), rank) == (ours, pytest.approx(score, abs=1e-5))


def test_flashlight_finds_nothing_better_of_as_many_hypotheses():
    draws = np.random.default_rng(9)
    for _ in range(6):
        found = torch.from_numpy(draws.standard_normal((25, len(CLASSES))) * 3).log_softmax(dim=1).numpy()
        _, score = flashlight_best(found, width=100)
        assert prefix_search(found, width=100, threshold=200.0, fusion=None)[0][1] > score - 1e-4
