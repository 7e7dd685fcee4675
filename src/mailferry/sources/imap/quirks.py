"""What servers do though they say otherwise, above the syntax (for that see wire/imap/quirks.py)."""

from __future__ import annotations

from enum import Enum

from mailferry.observe import logger
from mailferry.wire.imap.quirks import Quirk

_log = logger(__name__)


class ServerQuirk(Enum):
    """A fault that was met and put up with."""

    WRONG_SIZE = "RFC822.SIZE is not the size of the message"
    """Dovecot's imapc has workarounds for it; also after a server converts messages on the way out."""
    FETCH_REFUSED = "FETCH answered with NO, some messages left out"
    """Exchange, for messages that it cannot convert."""
    MISSING_ORIGIN = "a part of a body without its origin"


class QuirkReport:
    """The faults of one server that were met, for `doctor`; each is logged once."""

    def __init__(self) -> None:
        self._met: set[ServerQuirk | Quirk] = set()

    def note(self, quirk: ServerQuirk | Quirk) -> None:
        """Remember that this one was met."""
        if quirk not in self._met:
            self._met.add(quirk)
            _log.info("server fault met quirk=%s", quirk.name)

    @property
    def met(self) -> frozenset[ServerQuirk | Quirk]:
        """All that were met."""
        return frozenset(self._met)
