# ruff: noqa: RUF001 - characters that look like others are meant.
"""One spelling for every text: cases of both languages, hostile Unicode, and what has no spelling."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxbench.schema import InputError
from voxbench.transcripts.alphabet import decode, encode
from voxbench.transcripts.normalising import normalise, writable

SPELT = {
    "Don't stop!": "don't stop",
    "don’t don‘t donʼt don`t don＇t": "don't don't don't don't don't",
    "rock 'n' roll": "rock 'n' roll",
    "rock ‘n’ roll": "rock 'n' roll",
    "the boys' 'em": "the boys' 'em",
    "a ' b ' ": "a b",
    "''quoted'' “quoted” «да»": "quoted quoted да",
    "don''t": "don t",
    "О'Генри": "о'генри",
    "café naïve Ça ÅNGSTRÖM": "cafe naive ca angstrom",
    "Straße STRASSE ẞ": "strasse strasse ss",
    "ﬁne ﬂow oﬃce": "fine flow office",
    "Ｆｕｌｌ　ｗｉｄｔｈ": "full width",
    "𝐁𝐨𝐥𝐝 ſ ŉ": "bold s 'n",
    "İstanbul": "istanbul",
    "Ёлка, ещё ёж": "елка еще еж",
    "Йод, йога, МОЙ": "йод йога мой",
    "за́мок, замо́к; Ѝ ѐ": "замок замок и е",
    "и\u0301\u0306 и\u0306\u0301 и\u200d\u0306": "й й й",
    "well-known—yes – no‑go, кто-то": "well known yes no go кто то",
    "wait... what?!": "wait what",
    "co\u00adoperate zero\u200bwidth \ufeffmark": "cooperate zerowidth mark",
    "a\tb\nc\u00a0d\u2028e \u3000 f": "a b c d e f",
    "fine 👍🏽 family 👨‍👩‍👧 ❤️ ok": "fine family ok",
    "one👍two♥three": "one two three",
    "a_b/c*d|e~f^g": "a b c d e f g",
    "hello мир": "hello мир",
    "": "",
    " \u0301 … - ' ": "",
}
REFUSED = {
    "Room 101": "'1' (U+0031 DIGIT ONE)",
    "½": "U+00BD",
    "x²": "U+00B2",
    "Ⅳ": "ROMAN NUMERAL FOUR",
    "٣": "ARABIC-INDIC DIGIT THREE",
    "①": "CIRCLED DIGIT ONE",
    "1\ufe0f\u20e3": "DIGIT ONE",
    "日本": "CJK",
    "שלום": "HEBREW",
    "ά": "GREEK",
    "क": "DEVANAGARI",
    "\u093e": "DEVANAGARI VOWEL SIGN AA",
    "a\u093e": "DEVANAGARI VOWEL SIGN AA",
    "ї": "CYRILLIC",
    "і": "CYRILLIC",
    "ў": "COMBINING BREVE",
    "ѓ": "COMBINING ACUTE",
    "ӥ": "COMBINING DIAERESIS",
    "й\u0308": "COMBINING DIAERESIS",
    "ё\u0306": "COMBINING BREVE",
    "ї ": "CYRILLIC",
    "ø": "U+00F8",
    "æ": "U+00E6",
    "ł": "U+0142",
    "ı": "DOTLESS",
    "þ": "THORN",
    "R&D": "AMPERSAND",
    "50 %": "'5'",
    "％": "PERCENT",
    "a@b": "COMMERCIAL AT",
    "$": "DOLLAR",
    "€": "EURO",
    "№": "NUMERO",
    "°C": "DEGREE",
    "℃": "DEGREE CELSIUS",
    "a™": "TRADE MARK",
    "a+b": "PLUS",
    "a=b": "EQUALS",
    "a\x00": "U+0000",
    "\ufffd": "REPLACEMENT",
    "\ue000": "U+E000",
}


@pytest.mark.parametrize(("text", "expected"), SPELT.items())
@pytest.mark.parametrize("form", ["as it is", "NFC", "NFD", "NFKC", "NFKD"])
def test_a_text_has_one_spelling(text, expected, form):
    shaped = text if form == "as it is" else unicodedata.normalize(form, text)
    assert normalise(shaped) == expected
    assert writable(shaped) == (expected != "")


def test_an_accent_that_stands_alone_is_an_apostrophe():
    # Unicode's compatibility forms make a blank and a mark of it.
    assert normalise("don´t") == normalise(unicodedata.normalize("NFC", "don´t")) == "don't"


def test_half_a_character_is_refused():
    with pytest.raises(InputError, match=r"U\+D800"):
        normalise("\ud800")


@pytest.mark.parametrize(("text", "named"), REFUSED.items())
def test_what_has_no_spelling_is_named(text, named):
    with pytest.raises(InputError, match="no unique spelling") as caught:
        normalise(text)
    assert named in str(caught.value)
    assert not writable(text)


@pytest.mark.parametrize("missing", [None, float("nan"), b"a", 1])
def test_a_missing_text_is_refused(missing):
    with pytest.raises(InputError, match="no transcript"):
        normalise(missing)
    assert not writable(missing)


def test_a_long_text_is_shown_in_part():
    with pytest.raises(InputError) as caught:
        normalise("1" + "a" * 5000)
    assert len(str(caught.value)) < 400


@given(st.text(st.characters() | st.sampled_from("aйЁ'’ -\u0306\u0301\u00ad\u200b"), max_size=20))
def test_normalising_again_changes_nothing_and_all_of_it_can_be_written(text):
    if writable(text):
        once = normalise(text)
        assert normalise(once) == once
        assert decode(encode([once])) == [once]
        assert once == " ".join(once.split())
        assert "''" not in once


@given(st.text("aZé'’ЙйЁяи\u0306е\u0308 -,", max_size=20))
def test_case_and_form_never_matter(text):
    forms = [unicodedata.normalize(form, text) for form in ("NFC", "NFD")]
    shaped = [*forms, text.upper(), text.lower(), f" {text}. "]
    assert {writable(each) for each in shaped} <= {writable(text)}
    if writable(text):
        assert {normalise(each) for each in shaped} == {normalise(text)}
