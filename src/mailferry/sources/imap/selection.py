"""A selected mailbox: what SELECT told about it (RFC 9051 §6.3.2)."""

from __future__ import annotations

from mailferry.mail.errors import MailboxNotFound
from mailferry.sources.imap.exchange import Collector, Exchange, Sink
from mailferry.sources.imap.refusals import error_of
from mailferry.wire.imap.response_parser import flags_of
from mailferry.wire.imap.responses import (
    Exists,
    Fetch,
    Flags,
    Recent,
    ResponseCode,
    Status,
    StatusKind,
    Untagged,
)


class Selection(Collector):
    """One SELECT and its answer.

    While the server still works on older commands, which may be about the mailbox that was selected
    before, only what nothing but a SELECT brings is taken for its own.
    """

    exchange: Exchange

    def __init__(self, name: bytes, inner: Collector) -> None:
        self.name = name
        self.uid_validity = 0
        self.uid_next = 0
        """0: the server did not tell."""
        self.exists = 0
        self.highest_modseq = 0
        """0: the mailbox keeps no modification sequences."""
        self.permanent_flags: frozenset[str] | None = None
        """None: all may be stored (RFC 9051 §7.1)."""
        self.read_only = False
        self.begun = False
        """What comes from here on is about this mailbox."""
        self._inner = inner

    @property
    def lost(self) -> bool:
        """Whether the mailbox is not selected, or not any more."""
        if not self.exchange.ended:
            return False
        status = self.exchange.handle.status
        return status is None or not status.ok

    async def ready(self) -> None:
        """Return when the mailbox is selected.

        Raises:
            MailError: the server refused.
            Interrupted: the connection ended.
        """
        status = await self.exchange.status()
        if not status.ok:
            raise error_of(status, MailboxNotFound)  # Old servers have no code for it.
        self._take_code(status.code)

    def take(self, response: Untagged) -> bool:
        """See Collector."""
        match response:
            case Status(kind=StatusKind.OK):
                self._take_code(response.code)
                return True
            case Exists():
                self.exists = response.count  # Should it be the old mailbox's, ours is yet to come.
            case Recent() | Flags():
                pass
            case _:
                return self.begun and self._inner.take(response)
        return self.begun

    def begin_section(self, fetch: Fetch, length: int) -> Sink | None:
        """See Collector."""
        return self._inner.begin_section(fetch, length)

    def _take_code(self, code: ResponseCode | None) -> None:
        number = code.number() if code else None
        match code.name if code else "":
            case "CLOSED":  # RFC 7162 §3.2.11
                self.begun = True
            case "UIDVALIDITY":
                self.begun = True
                self.uid_validity = number or 0
            case "UIDNEXT":
                self.uid_next = number or 0
            case "HIGHESTMODSEQ":
                self.highest_modseq = number or 0
            case "NOMODSEQ":
                self.highest_modseq = 0
            case "READ-ONLY":
                self.read_only = True
            case "PERMANENTFLAGS" if code is not None and code.values:
                self.permanent_flags = flags_of(code.values[0])
            case _:
                pass

    def keeps(self, flag: str) -> bool:
        """Whether the server keeps a flag beyond this session."""
        if self.permanent_flags is None or "\\*" in self.permanent_flags:
            return True
        return flag.lower() in {each.lower() for each in self.permanent_flags}
