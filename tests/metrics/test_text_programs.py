"""Error rates beside jiwer and rapidfuzz, on thousands of drawn pairs of texts of many kinds."""

import jiwer
import numpy as np
import pytest
from rapidfuzz.distance import Levenshtein

from voxbench.metrics.text import cer, character_counts, wer, word_counts

ENGLISH = ["the", "a", "of", "it's", "don't", "voice", "voices", "phrase", "phrases", "said", "sat", "cat", "hat"]
RUSSIAN = ["он", "она", "сказал", "сказала", "голос", "голоса", "слово", "слова", "ещё", "ёж", "и", "не", "на"]
SIGNS = ["\U0001f600", "e\u0301", "é", "ß", "日本", "日", "\U00020000", "\u0301", "ǆ", "A", "a"]
CHANGED = {"unlike": 1.0, "alike": 0.15, "much inserted": 0.9, "empty": 0.5, "repeated": 0.4, "unicode": 0.3}


def drawn_pairs(draws, kind, pairs):
    """References, and what a recogniser of some kind of manners makes of them."""
    vocabulary = {"repeated": ["a", "aa", "b"], "unicode": [*SIGNS, *RUSSIAN]}.get(kind, ENGLISH + RUSSIAN)
    references, hypotheses = [], []
    for words in draws.integers(0 if kind == "empty" else 1, 15, pairs):
        said = draws.choice(vocabulary, words).tolist()
        heard = []
        for word in said:
            chance = draws.random() / CHANGED[kind]
            most = 6 if kind == "much inserted" else 2
            heard += [word] if chance >= 1 else draws.choice(vocabulary, draws.integers(0, most)).tolist()
        references.append(" ".join(said))
        if kind == "empty" and draws.random() < 0.5:
            heard = [] if said else draws.choice(vocabulary, 2).tolist()
        hypotheses.append(" ".join(heard))
    return references, hypotheses


@pytest.mark.parametrize("kind", CHANGED)
def test_jiwer_and_rapidfuzz_agree(kind):
    references, hypotheses = drawn_pairs(np.random.default_rng(3), kind, 1000)
    for count, rate, split, peer in (
        (word_counts, wer, str.split, jiwer.process_words),
        (character_counts, cer, list, jiwer.process_characters),
    ):
        counts, theirs = count(references, hypotheses), peer(references, hypotheses)
        distances = [Levenshtein.distance(split(a), split(b)) for a, b in zip(references, hypotheses, strict=True)]
        assert counts.errors.tolist() == distances
        assert counts.errors.sum() == theirs.substitutions + theirs.deletions + theirs.insertions
        assert counts.reference.sum() == theirs.hits + theirs.substitutions + theirs.deletions
        assert rate(references, hypotheses) == pytest.approx(theirs.wer if rate is wer else theirs.cer, abs=1e-12)


def test_the_drawn_pairs_are_of_many_kinds():
    pairs = {kind: drawn_pairs(np.random.default_rng(3), kind, 1000) for kind in CHANGED}
    rates = {kind: wer(*sides) for kind, sides in pairs.items()}
    assert rates["alike"] < 0.2 < 0.9 < rates["unlike"]
    assert rates["much inserted"] > 1.5
    assert sum(not (a or b) for a, b in zip(*pairs["empty"], strict=True)) > 20
    assert sum(bool(a) and not b for a, b in zip(*pairs["empty"], strict=True)) > 300
    assert sum(bool(b) and not a for a, b in zip(*pairs["empty"], strict=True)) > 20
    assert max(map(ord, "".join(pairs["unicode"][0]))) > 0xFFFF
