"""The model of characters: by hand, as a distribution, and as KenLM reads it."""

import math

import numpy as np
import pytest
from flashlight.lib.text.decoder import kenlm
from flashlight.lib.text.dictionary import Dictionary

from voxbench.schema import InputError
from voxbench.transcripts.alphabet import BLANK, CLASSES
from voxbench.transcripts.language_model import END, START, CharacterModel, counted

TEXTS = ["the cat sat", "a cat", "the hat", "o'neil", "кот ушел", "кот"]


def estimated(texts, order):
    return CharacterModel(counted(texts, order), order)


def test_a_case_by_hand():
    # After "a": b twice and the end once, so (2 + 2 P(b)) / 5; without context 2 a, 2 b, 2 ends of 6, 3 kinds.
    model = estimated(["ab", "aba"], 2)
    empty = (2 + 3 / 61) / (7 + 3)
    logs = model.logs("a")
    assert math.exp(model.logs("")[CLASSES.index("b")]) == pytest.approx(empty)
    assert math.exp(logs[CLASSES.index("b")]) == pytest.approx((2 + 2 * empty) / 5)
    assert math.exp(logs[BLANK]) == pytest.approx((1 + 2 * empty) / 5)
    assert math.exp(logs[CLASSES.index("z")]) == pytest.approx(2 * (3 / 61 / 10) / 5)


@pytest.mark.parametrize("order", [1, 2, 3, 6])
def test_every_context_has_a_distribution(order):
    model = estimated(TEXTS, order)
    for context in ("", START, "a", "^t", "кот", "zzz", "the ca", "^the ca"):
        probabilities = np.exp(model.logs(model.context(context) if START not in context else context))
        assert probabilities.sum() == pytest.approx(1.0, abs=1e-12)
        assert (probabilities > 0).all()


def test_an_unseen_context_falls_back_on_what_was_seen():
    model = estimated(TEXTS, 4)
    assert model.logs("zcat"[-3:]) is model.logs("cat")
    assert model.logs("zat") is model.logs("at")
    assert model.logs("zzz") is model.logs("")


def test_contexts_are_as_long_as_the_order_lets_them():
    texts = ["", "a", "ab", "abc"]
    assert [estimated(TEXTS, 3).context(text) for text in texts] == ["^", "^a", "ab", "bc"]
    assert [estimated(TEXTS, 1).context(text) for text in texts] == [""] * 4


def test_the_order_of_texts_changes_nothing():
    one, two = estimated(TEXTS, 3), estimated(TEXTS[::-1], 3)
    assert one.logs("at").tolist() == two.logs("at").tolist()


def test_a_text_of_training_is_more_probable_than_its_letters_mixed():
    model = estimated(TEXTS, 4)
    assert model.log_probability("the cat") > model.log_probability("tac eht") + 5


@pytest.mark.parametrize(("texts", "order", "message"), [(["", ""], 2, "2 without"), ([], 2, "0 without")])
def test_no_text_makes_no_model(texts, order, message):
    with pytest.raises(InputError, match=message):
        estimated(texts, order)


def test_unsound_settings_are_refused():
    with pytest.raises(InputError, match="order 0"):
        estimated(["a"], 0)
    with pytest.raises(InputError, match="no class"):
        estimated(["A"], 2)


def arpa(model, counts):
    """The model as a backing-off model of the standard text format; START and END as KenLM spells them."""
    spelt = {START: "<s>", END: "</s>", " ": "_"}
    lines = {length: [] for length in range(1, model.order + 1)}
    grams = [
        START,
        *(c for c in (*CLASSES[1:], END)),
        *(h + CLASSES[n] if n else h + END for h in counts for n in counts[h][0] if h),
    ]
    for gram in grams:
        probability = (
            -99.0 if gram == START else model.logs(gram[:-1])[CLASSES.index(gram[-1]) if gram[-1] != END else 0]
        )
        followers, seen = counts.get(gram, ([], np.zeros(0)))
        backoff = math.log10(len(followers) / (len(followers) + seen.sum())) if len(followers) else 0.0
        words = " ".join(spelt.get(letter, letter) for letter in gram)
        tail = f"\t{backoff:.9f}" if len(gram) < model.order else ""
        lines[len(gram)].append(f"{probability / math.log(10) if gram != START else -99:.9f}\t{words}{tail}")
    lines[1].append("-9\t<unk>\t0")
    head = [f"ngram {length}={len(found)}" for length, found in lines.items()]
    body = [f"\n\\{length}-grams:\n" + "\n".join(found) for length, found in lines.items()]
    return "\\data\\\n" + "\n".join(head) + "\n" + "\n".join(body) + "\n\n\\end\\\n"


@pytest.mark.parametrize("order", [2, 4])
def test_kenlm_agrees(order, tmp_path, capfd):
    model = estimated(TEXTS, order)
    (tmp_path / "model.arpa").write_text(arpa(model, model._counts), encoding="utf-8")
    spelt = ["^", *("_" if letter == " " else letter for letter in CLASSES[1:])]
    theirs = kenlm.KenLM(str(tmp_path / "model.arpa"), Dictionary(spelt))
    for text in ("the cat", "cat hat", "zebra", "кот at", "sat o'neil ушел"):
        state, total = theirs.start(False), 0.0
        for letter in text:
            state, score = theirs.score(state, CLASSES.index(letter))
            total += score
        total += theirs.finish(state)[1]
        assert total * math.log(10) == pytest.approx(model.log_probability(text), rel=1e-5)
