# ruff: noqa: RUF001, RUF002 - Cyrillic letters and apostrophes that look like others are meant.
"""One spelling for every text: what the characters of `alphabet` can write, or a refusal.

Not language-dependent: English and Russian are written by one rule, and a text may hold both. Forms are Unicode's
(standard annex 15, "Unicode normalization forms"; chapter 3.13 of the standard on case folding).

- Case, compatibility forms (full width, ligatures, ß) and Latin accents vanish: `Ça ﬁne Straße` is `ca fine strasse`.
- Cyrillic letters keep what makes another letter of them: `й` stays, composed or not, `ё` becomes `е`. Marks of
  stress on Russian vowels vanish.
- Apostrophes of all shapes are one. It stays inside a word and at its ends (`don't`, `'em`, `boys'`), where it
  cannot be told from a single quotation mark; one that touches no letter, and two in a row, are punctuation.
- Punctuation, hyphens, dashes, and symbols that nobody reads aloud (emoji) are a blank. Soft hyphens and characters
  of no width vanish: a word stays whole.
- What has no unique spelling is refused, because a reference that says something else than the speaker would teach
  and measure wrongly: digits and other numbers, signs that are read as words (`&`, `%`, `@`, `№`, `°`, currencies, `+`,
  `=`), letters of other alphabets, and Latin letters that are more than an accent away from a to z (`ø`, `æ`, `ł`).
  Writing numbers out depends on language and grammar, and is not done here.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from voxbench.schema import InputError
from voxbench.transcripts.alphabet import CYRILLIC, LATIN

APOSTROPHES = frozenset("'`´‘’‛′ʹʻʼʽˈꞌ")
READ_ALOUD = frozenset("%&+=@§°‰‱")
STRESS = frozenset("\u0300\u0301")
VOWELS = frozenset("аеиоуыэюя")
# A letter of the alphabet that Unicode writes as another one and a mark.
MARKED = {("и", "\u0306"): "й", ("е", "\u0308"): "е"}
BROKEN = "\ufffd"

_LETTER = f"[{LATIN}{CYRILLIC}]"
_PUNCTUATION = re.compile(f"''+|(?<!{_LETTER})'(?!{_LETTER})")


def normalise(text: str) -> str:
    """Return a text as the characters of `alphabet` write it: words of letters and apostrophes, single blanks between.

    A text without words becomes empty. One that has no unique spelling raises `InputError`, which names the
    character. Normalising again changes nothing.

    >>> normalise("“Don’t stop—Ёжик!”")
    "don't stop ежик"
    """
    if not isinstance(text, str):
        raise InputError(f"expected a text, found {text!r}; a missing transcript is no transcript")
    written = "".join(_known(_written(cluster), cluster, text) for cluster in _clusters(text))
    return " ".join(_PUNCTUATION.sub(" ", written).split())


def writable(text: str) -> bool:
    """Say whether a text has a unique spelling and at least one word.

    >>> writable("Room 101"), writable("..."), writable("Room")
    (False, False, True)
    """
    try:
        return normalise(text) != ""
    except InputError:
        return False


def _clusters(text: str) -> list[str]:
    """Return the characters of a text, decomposed and without case, each with the marks that stand on it."""
    clusters: list[str] = []
    for character in text:
        for part in _known(_opened(character), character, text):
            if clusters and unicodedata.category(part).startswith("M"):
                clusters[-1] += part
            else:
                clusters.append(part)
    return clusters


def _known(spelling: str | None, character: str, text: str) -> str:
    """Return the spelling of a character of `text`; a character without one is refused."""
    if spelling is None:
        named = " + ".join(f"U+{ord(part):04X} {unicodedata.name(part, 'without a name')}" for part in character)
        shown = text if len(text) <= 80 else text[:79] + "…"
        raise InputError(
            f"{character!r} ({named}) in {shown!r} has no unique spelling in a to z, а to я and apostrophes; write it "
            "out as it is spoken, or leave the recording out"
        )
    return spelling


@lru_cache(maxsize=4096)
def _opened(character: str) -> str | None:
    """Return a character without its case and in parts, None for what is no text."""
    if character in APOSTROPHES:
        return "'"
    kind = unicodedata.category(character)
    if kind == "Cf":
        return ""
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", character).casefold())
    if kind.startswith("N") or character in {BROKEN, *READ_ALOUD}:
        return None
    if kind == "So":
        # Signs that stand for letters (℃, ™, ⓐ) are spelt by none of them, pictures by nothing.
        return None if any(part.isalnum() for part in folded) else " "
    return "".join("'" if part in APOSTROPHES else part for part in folded)


@lru_cache(maxsize=4096)
def _written(cluster: str) -> str | None:
    """Return what a character with its marks is written as, None for what cannot be written."""
    base, marks = cluster[0], cluster[1:]
    kind = unicodedata.category(base)
    if any(not _is_general(mark) for mark in (marks if kind[0] != "M" else cluster)):
        return None
    if base in LATIN or base == "'":
        return base
    if base in CYRILLIC:
        return _cyrillic(base, frozenset(marks))
    if base.isspace() or kind[0] in "MPZ" or kind in {"Sm", "Sk"}:
        return None if base in READ_ALOUD else " "
    return None


def _cyrillic(base: str, marks: frozenset[str]) -> str | None:
    """Return the letter that a Russian letter and its marks make, None for a letter of another language."""
    if base in VOWELS:
        marks -= STRESS
    return MARKED.get((base, "".join(sorted(marks)))) if marks else base


def _is_general(mark: str) -> bool:
    """Say whether a mark belongs to no script of its own (an accent, an overlay, a choice of a picture's form)."""
    return unicodedata.name(mark, "").startswith(("COMBINING ", "VARIATION SELECTOR"))
