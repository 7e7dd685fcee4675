"""Text compared without case, width or line breaks: what SEARCH means by "contains".

Two texts are the same when they are after this:

1. Unicode compatibility composition (NFKC): full-width Latin becomes ASCII, half-width katakana
   full-width, a letter and its accent one character, a ligature its letters, the ideographic and
   the no-break space a space.
2. Full case folding: "STRASSE" finds "Straße".
3. Every run of white space, line ends included, is one space: words are found across a wrapped line.

Nothing is removed otherwise: hiragana and katakana stay different, and so do "é" and "e".
"""

from __future__ import annotations

import unicodedata
from typing import Final

_HELD_LENGTH_MAX: Final = 64  # Characters: no cluster of a language is longer; bounds hostile text.
_HANGUL_JOINING: Final = range(
    0x1160, 0x1200
)  # Vowels and finals, which compose with what is before.

BREAK: Final = "\0"
"""Stands between texts in which nothing is to be found across the border; in no pattern."""


def fold(text: str) -> str:
    """Return `text` as it is compared."""
    folder = Folder()
    return folder.feed(text) + folder.close()


class Folder:
    """Folds a text that comes in pieces; any cutting gives the same."""

    def __init__(self) -> None:
        self._held = ""
        self._after_space = False

    def feed(self, text: str) -> str:
        """Return what is certain so far: the end is held back, as what follows may change it."""
        text = self._held + text
        cut = _last_cluster(text)
        self._held = text[cut:]
        return self._folded(text[:cut])

    def close(self) -> str:
        """Return the rest."""
        held, self._held = self._held, ""
        return self._folded(held)

    def _folded(self, text: str) -> str:
        if not text:
            return ""
        if text.isascii():
            folded = text.lower()
        else:
            folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
        folded = _collapsed(folded)
        if self._after_space:
            folded = folded.removeprefix(" ")
        self._after_space = folded.endswith(" ") or (self._after_space and not folded)
        return folded


class Finder:
    """Looks for several patterns at once in a folded text that comes in pieces."""

    def __init__(self, patterns: frozenset[str]) -> None:
        """Take patterns that are folded already."""
        self.found: set[str] = {pattern for pattern in patterns if not pattern}
        self.missing: set[str] = set(patterns - self.found)
        self._overlap = max(map(len, patterns), default=1) - 1
        self._tail = ""

    def feed(self, folded: str) -> None:
        """Look at the next piece."""
        text = self._tail + folded
        hits = {pattern for pattern in self.missing if pattern in text}
        self.found |= hits
        self.missing -= hits
        self._tail = text[len(text) - self._overlap :] if 0 < self._overlap < len(text) else ""
        if self._overlap >= len(text):
            self._tail = text


def _collapsed(text: str) -> str:
    """Return `text` with a space for every run of white space."""
    words = " ".join(text.split())
    if not words:
        return " " if text else ""
    return f"{' ' if text[0].isspace() else ''}{words}{' ' if text[-1].isspace() else ''}"


def _last_cluster(text: str) -> int:
    """Return where the last character begins with everything that may compose with it."""
    for index in range(len(text) - 1, max(-1, len(text) - _HELD_LENGTH_MAX), -1):
        if _begins_cluster(text[index]):
            return index
    return max(0, len(text) - _HELD_LENGTH_MAX)


def _begins_cluster(character: str) -> bool:
    """Whether nothing in this character composes with what stands before it."""
    if character.isascii():
        return True
    first = unicodedata.normalize("NFKC", character)[0]
    return not unicodedata.category(first).startswith("M") and ord(first) not in _HANGUL_JOINING
