"""Error rates and alignments against the shared vectors, a published score file and an exhaustive search."""

import json
import os
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxbench.metrics import METRICS, UndefinedError
from voxbench.metrics.alignment import alignment_steps, edit_counts
from voxbench.metrics.text import (
    align_characters,
    align_words,
    cer,
    character_counts,
    error_rate,
    wer,
    word_counts,
)
from voxbench.schema import InputError, ScoreKind

SHARED = Path(os.environ.get("VOXBENCH_SHARED", "nowhere"))
VECTORS, ASR = SHARED / "vectors" / "metric_vectors.json", SHARED / "scores" / "asr"
TEXTS = st.lists(st.text("ab ", max_size=8), min_size=1, max_size=6)
PAIRS = st.lists(st.tuples(st.text("abc ", max_size=9), st.text("abc ", max_size=9)), min_size=1, max_size=6)
BOTH = pytest.mark.parametrize("rate", [wer, cer])


def vectors(name):
    if not VECTORS.is_file():
        pytest.skip("VOXBENCH_SHARED names no folder with vectors/metric_vectors.json")
    return [v for v in json.loads(VECTORS.read_text(encoding="utf-8"))["vectors"] if v["metric"] == name]


def searched(reference, hypothesis):
    """The least (errors, substitutions), by trying every alignment."""

    @cache
    def best(i, j):
        if i == len(reference) or j == len(hypothesis):
            return (len(reference) - i + len(hypothesis) - j, 0)
        wrong = reference[i] != hypothesis[j]
        (paired, changed), deleted, inserted = best(i + 1, j + 1), best(i + 1, j), best(i, j + 1)
        gaps = [(errors + 1, substitutions) for errors, substitutions in (deleted, inserted)]
        return min((paired + wrong, changed + wrong), *gaps)

    return best(0, 0)


def kinds(counts):
    return np.stack([counts.substitutions, counts.deletions, counts.insertions]).T.tolist()


def test_the_shared_vectors():
    for vector in vectors("wer_cer"):
        sides, expected = (vector["inputs"]["reference"], vector["inputs"]["hypothesis"]), vector["expected"]
        words, characters = word_counts(*sides), character_counts(*sides)
        assert [wer(*sides), cer(*sides)] == pytest.approx([expected["wer"], expected["cer"]], abs=2e-6)
        assert [words.errors.tolist(), characters.errors.tolist()] == [
            [expected["word_errors"]],
            [expected["char_errors"]],
        ]
        assert words.reference.tolist() == [expected["ref_words"]]
        assert characters.reference.tolist() == [expected["ref_chars"]]


def test_the_shared_corpus_vector():
    (vector,) = vectors("wer_cer_corpus")
    sides = vector["inputs"]["references"], vector["inputs"]["hypotheses"]
    counts = word_counts(*sides)
    assert wer(*sides) == pytest.approx(vector["expected"]["wer"], abs=2e-6)
    assert cer(*sides) == pytest.approx(vector["expected"]["cer"], abs=2e-6)
    assert np.mean(counts.errors / counts.reference) == pytest.approx(vector["expected"]["mean_of_utterance_wers"])


def test_the_published_rates_of_a_recogniser():
    if not ASR.is_dir():
        pytest.skip("VOXBENCH_SHARED names no folder with scores/asr")
    texts = []
    for name in ("reference", "hypothesis_rnnt"):
        lines = (ASR / f"librispeech_test_clean_{name}.tsv").read_text(encoding="utf-8").splitlines()
        texts.append(dict(line.split("\t") for line in lines))
    sides = [[side[utterance] for utterance in texts[0]] for side in texts]
    counts = word_counts(*sides)
    assert (counts.errors.sum(), counts.reference.sum()) == (1921, 52576)
    assert error_rate(counts.errors, counts.reference) == pytest.approx(0.03653758, abs=5e-9)
    assert cer(*sides) == pytest.approx(0.01325258, abs=5e-9)


def test_counts_are_those_of_an_exhaustive_search():
    draws = np.random.default_rng(1)
    for letters in (1, 2, 3, 6):
        sides = [
            [draws.integers(0, letters, draws.integers(0, 10)).astype(np.int32) for _ in range(800)] for _ in range(2)
        ]
        counts = edit_counts(*sides)
        expected = [searched(tuple(a.tolist()), tuple(b.tolist())) for a, b in zip(*sides, strict=True)]
        assert np.stack([counts.errors, counts.substitutions]).T.tolist() == [list(pair) for pair in expected]
        lengths = np.array([[len(text) for text in side] for side in sides])
        assert (counts.deletions - counts.insertions == lengths[0] - lengths[1]).all()
        assert (counts.correct == lengths[0] - counts.substitutions - counts.deletions).all()


@pytest.mark.parametrize("length", [1, 126, 127, 128, 129, 300])
def test_long_gains_fit_their_integers(length):
    tokens = np.arange(length, dtype=np.int32)
    other = tokens.copy()
    other[length // 2] = length + 1
    sides = [tokens, tokens, tokens[:0], tokens], [other, tokens[:-1], tokens, tokens[::-1]]
    counts = edit_counts(*sides)
    reversal_errors = 2 * (length // 2)
    assert counts.errors.tolist() == [1, 1, length, reversal_errors]
    assert counts.substitutions.tolist()[:3] == [1, 0, 0]
    for reference, hypothesis, errors in zip(*sides, counts.errors, strict=True):
        steps = alignment_steps(reference, hypothesis)
        assert sum(i is None or j is None or reference[i] != hypothesis[j] for i, j in steps) == errors


def test_a_batch_of_many_lengths_is_each_pair_alone():
    draws = np.random.default_rng(2)
    sides = [
        [draws.integers(0, 5, draws.choice([0, 1, 3, 40, 200, 900])).astype(np.int32) for _ in range(90)]
        for _ in range(2)
    ]
    alone = [kinds(edit_counts([a], [b]))[0] for a, b in zip(*sides, strict=True)]
    assert kinds(edit_counts(*sides)) == alone


def test_the_alignment_with_most_correct_tokens_counts():
    counts = word_counts(["a b"], ["b c"])
    assert kinds(counts) == [[0, 1, 1]]
    assert align_words("a b", "b c")[0].pairs == (("a", None), ("b", "b"), (None, "c"))


def test_gaps_stand_as_early_as_possible():
    assert align_words("one one two", "one two")[0].operations == "DCC"
    assert align_words("one two", "one one two")[0].operations == "ICC"
    assert align_words("a b", "b a")[0].operations == "ICD"
    assert align_words("", "")[0].pairs == ()


@given(PAIRS)
def test_alignments_hold_both_texts_and_the_counts(pairs):
    references, hypotheses = map(list, zip(*pairs, strict=True))
    for align, count, join in ((align_words, word_counts, " "), (align_characters, character_counts, "")):
        found = align(references, hypotheses)
        for side, texts in enumerate((references, hypotheses)):
            rebuilt = [join.join(pair[side] for pair in each.pairs if pair[side] is not None) for each in found]
            assert rebuilt == [join.join(text.split()) if join else text for text in texts]
        letters = [[each.operations.count(letter) for letter in "SDI"] for each in found]
        assert letters == kinds(count(references, hypotheses))


@given(PAIRS)
def test_swapping_the_sides_turns_deletions_into_insertions(pairs):
    references, hypotheses = map(list, zip(*pairs, strict=True))
    there, back = character_counts(references, hypotheses), character_counts(hypotheses, references)
    assert [[s, i, d] for s, d, i in kinds(there)] == kinds(back)


@given(PAIRS)
def test_reversed_or_renamed_tokens_and_shared_ends_change_no_count(pairs):
    references, hypotheses = map(list, zip(*pairs, strict=True))
    expected = kinds(character_counts(references, hypotheses))
    renamed = str.maketrans("abc ", "zñ\U0001f600\ud800")
    for change in (lambda t: t[::-1], lambda t: t.translate(renamed), lambda t: "ab" + t, lambda t: t + " ca"):
        assert kinds(character_counts(list(map(change, references)), list(map(change, hypotheses)))) == expected


@settings(max_examples=50)
@given(PAIRS, st.randoms(use_true_random=False))
def test_order_and_repetition_of_utterances_change_no_rate(pairs, order):
    shuffled = order.sample(pairs, len(pairs))
    for rate in (wer, cer):
        values = []
        for rows in (pairs, shuffled, pairs * 3):
            try:
                values.append(rate([a for a, _ in rows], [b for _, b in rows]))
            except UndefinedError:
                values.append(None)
        assert values[0] == values[1] == values[2]


@given(TEXTS)
def test_a_text_is_no_error_away_from_itself(texts):
    assert wer(texts, texts) == cer(texts, texts) == 0.0


def test_errors_lie_between_the_difference_and_the_longer_length():
    draws = np.random.default_rng(5)
    sides = [["".join(draws.choice(list("abc"), draws.integers(0, 30))) for _ in range(200)] for _ in range(2)]
    ours, theirs = (np.array([len(text) for text in side]) for side in sides)
    errors = character_counts(*sides).errors
    assert (errors >= np.abs(ours - theirs)).all()
    assert (errors <= np.maximum(ours, theirs)).all()


def test_words_are_parted_by_any_white_space_and_characters_are_code_points():
    assert wer(" one\t two\u3000three\n", "one two three") == 0.0
    assert cer(" a", "a") == 0.5
    assert cer("n\u0303", "\u00f1") == 1.0
    assert cer("\ud800", "?") == 1.0
    assert character_counts("\U0001f600", "").deletions.tolist() == [1]
    assert wer("Hello", "hello") == 1.0


@BOTH
def test_empty_references_add_their_insertions(rate):
    assert rate(["a", ""], ["a", "a"]) == 1.0
    assert rate(["", ""], ["", ""]) == 0.0
    assert rate("", "") == 0.0
    assert rate(["aa"], [""]) == 1.0
    with pytest.raises(UndefinedError, match=r"all are empty, and 3 tokens were inserted"):
        rate(["", ""], ["a", "b c"] if rate is wer else ["a", "bc"])


@BOTH
def test_any_list_of_strings_is_taken(rate):
    ours, theirs = ["a b", "c", ""], ["a", "c d", "e"]
    expected = rate(ours, theirs)
    assert type(expected) is float
    for kind in (tuple, np.array, pd.Series, lambda side: np.array(side, dtype=object)):
        assert rate(kind(ours), kind(theirs)) == expected
    assert rate("a b", "a") == rate(["a b"], ["a"])


REFUSED = {
    "one string, one list": ("a", ["a"], "one of each"),
    "lengths differ": (["a", "b"], ["a"], "2 utterances but hypotheses has 1"),
    "nothing": ([], [], "at least one"),
    "missing": (["a", "b"], ["a", None], "found None in row 1"),
    "NaN": ([float("nan")], ["a"], "references must be strings, found nan in row 0"),
    "split already": ([["a", "b"]], [["a"]], "found \\['a', 'b'\\] in row 0"),
    "mapping": ({"u1": "a"}, {"u1": "a"}, "list of strings, found dict"),
    "set": ({"a"}, {"a"}, "found set"),
    "bytes": (b"a", b"a", "found bytes"),
    "number": (1, 1, "found int"),
}


@BOTH
@pytest.mark.parametrize(("references", "hypotheses", "reason"), REFUSED.values(), ids=REFUSED)
def test_other_input_is_refused_with_the_reason(rate, references, hypotheses, reason):
    with pytest.raises(InputError, match=reason):
        rate(references, hypotheses)


def test_rates_are_registered_as_errors_of_texts():
    for name in ("wer", "cer"):
        assert METRICS[name].kind is ScoreKind.TEXT
        assert not METRICS[name].greater_is_better
    with pytest.raises(InputError, match=r"shape \(2,\) like errors, found \(1,\)"):
        error_rate([1, 2], [3])
    with pytest.raises(InputError, match="1 references but 0 hypotheses"):
        edit_counts([np.zeros(1, np.int32)], [])
