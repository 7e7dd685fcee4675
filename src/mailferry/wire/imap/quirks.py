"""What IMAP servers do though the RFCs do not allow it, and we put up with: each by its name.

Every leniency of the client side is one of these, has a test of its own, and is noted when it was
needed, so that `doctor` can say what is wrong with a server.  Where no server is named, the fault is
known from the lists of leniencies that other clients keep.
"""

from __future__ import annotations

from enum import Enum


class Quirk(Enum):
    """A fault that was met."""

    MISSING_TEXT = "a status response has no text"
    """`a1 OK`, or nothing behind the code."""
    EMPTY_CONTINUATION = "a continuation request is a bare plus sign"
    """`+` without the space that RFC 9051 §7.6 wants."""
    STRAY_CONTINUATION = "a continuation request that nobody waited for"
    SUPERFLUOUS_SPACE = "superfluous spaces"
    """`* SEARCH 1 2 `, `* STATUS x (MESSAGES 1 )`, `((...) (...))` between addresses."""
    WRONG_ENVELOPE = "an envelope with a wrong address"
    WRONG_BODY_STRUCTURE = "a body structure that cannot be read"
    NIL_ENCODING = "a body structure without a transfer encoding"
    """NIL where the grammar wants a string."""
    NOT_A_NUMBER = "a number is missing, negative or NIL"
    """`RFC822.SIZE -1`, a text part without lines."""
    UNKNOWN_TAG = "a tagged response that belongs to no command"
    UNREADABLE_RESPONSE = "an untagged response that cannot be read"
    """It is left out; the commands that wait for it do without."""
    MODSEQ_ZERO = "HIGHESTMODSEQ 0"
    """The mailbox does not keep any (RFC 7162 §3.1.2.2 has NOMODSEQ for it)."""
    MISSING_SEARCH_RESULT = "no SEARCH response where nothing was found"
    """iCloud."""


class QuirkLog:
    """The quirks that were met, each once."""

    __slots__ = ("_met",)

    def __init__(self) -> None:
        self._met: set[Quirk] = set()

    def note(self, quirk: Quirk) -> None:
        """Remember that this one was met."""
        self._met.add(quirk)

    @property
    def met(self) -> frozenset[Quirk]:
        """All that were met so far."""
        return frozenset(self._met)
