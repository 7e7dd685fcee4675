"""UID SEARCH: finding messages, and listing all of them (RFC 9051 §6.4.4, RFC 4731)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, assert_never

from mailferry.mail.errors import NotSupported, ProtocolFault
from mailferry.mail.message import ANSWERED, DELETED, DRAFT, FLAGGED, SEEN, Flag
from mailferry.mail.query import (
    And,
    BodyContains,
    Everything,
    HasFlag,
    HeaderContains,
    InternalDate,
    LargerThan,
    ModseqAtLeast,
    Not,
    Or,
    Query,
    Relation,
    SearchResult,
    SentDate,
    SmallerThan,
    TextContains,
    UidIn,
)
from mailferry.sources.imap.exchange import Collector, Exchange
from mailferry.sources.imap.mailboxes import keeps_modseq
from mailferry.sources.imap.names import message_id
from mailferry.sources.imap.refusals import error_of
from mailferry.sources.imap.session import Session
from mailferry.sources.imap.settings import SEARCHED_MAX
from mailferry.wire.errors import LocalProtocolError, RemoteProtocolError
from mailferry.wire.imap import client_commands as commands
from mailferry.wire.imap.client_commands import AString, Part
from mailferry.wire.imap.dates import format_date
from mailferry.wire.imap.quirks import Quirk
from mailferry.wire.imap.responses import ExtendedSearch, Search, Untagged
from mailferry.wire.imap.sequence_set import Ranges, compacted, expanded, format_ranges, merged
from mailferry.wire.imap.serialize import flag as flag_octets

NESTING_MAX: Final = 100  # Of a query: deeper ones are nobody's question.

_SYSTEM_KEYS: Final = {
    SEEN: b"SEEN",
    ANSWERED: b"ANSWERED",
    FLAGGED: b"FLAGGED",
    DELETED: b"DELETED",
    DRAFT: b"DRAFT",
}
_DATE_KEYS: Final = {Relation.BEFORE: b"BEFORE", Relation.ON: b"ON", Relation.SINCE: b"SINCE"}


class FoundUids(Collector):
    """The answer of one search; without one, nothing was found."""

    def __init__(self) -> None:
        self.ranges: Ranges = ()
        self.answered = False

    def take(self, response: Untagged) -> bool:
        """See Collector."""
        match response:
            case Search():
                self.ranges = compacted(sorted(set(response.numbers)))
            case ExtendedSearch():
                self.ranges = merged(response.all)
            case _:
                return False
        self.answered = True
        return True

    def uids(self) -> list[int]:
        """Return the UIDs, ascending.

        Raises:
            ProtocolFault: more than there can be.
        """
        try:
            return expanded(self.ranges, SEARCHED_MAX)
        except RemoteProtocolError as error:
            raise ProtocolFault(f"the server's answer to a search: {error}") from error


def submit_search(
    session: Session, keys: Sequence[Part], charset: str = ""
) -> tuple[Exchange, FoundUids]:
    """Search the selected mailbox; the second value has the answer when the first is completed."""
    found = FoundUids()
    command = commands.uid_search(keys, charset=charset, extended=session.has("ESEARCH"))
    exchange = session.submit(command, found)

    def note_silence() -> None:
        status = exchange.handle.status
        if status is not None and status.ok and not found.answered:
            session.flow.quirks.note(Quirk.MISSING_SEARCH_RESULT)

    exchange.call_when_ended(note_silence)
    return exchange, found


def search_all(session: Session) -> tuple[Exchange, FoundUids]:
    """Ask for the UIDs of all messages in the selected mailbox."""
    return submit_search(session, [b"ALL"])


async def search(session: Session, name: bytes, query: Query) -> SearchResult:
    """See MailSource.search.

    Raises:
        MailError: as MailSource.search, or the connection ended.
    """
    keys = _Keys(with_modseq=keeps_modseq(session))
    try:
        keys.add(query, 0)
    except LocalProtocolError as error:
        raise NotSupported(f"IMAP cannot ask this: {error}") from error
    async with session.selecting(name) as selection:
        exchange, found = submit_search(session, keys.parts, keys.charset)
    await selection.ready()
    status = await exchange.status()
    if not status.ok:
        raise error_of(status, NotSupported)
    validity = selection.uid_validity
    return SearchResult(tuple(message_id(validity, uid) for uid in found.uids()))


class _Keys:
    """A query as search keys."""

    def __init__(self, *, with_modseq: bool) -> None:
        self.charset = ""
        self._with_modseq = with_modseq
        self._parts: list[Part] = []

    @property
    def parts(self) -> list[Part]:
        """What goes behind UID SEARCH."""
        return self._parts

    def add(self, query: Query, depth: int) -> None:
        """Add a query as exactly one key."""
        if depth > NESTING_MAX:
            raise NotSupported("a search that nests too deep")
        match query:
            case Everything():
                self._parts.append(b"ALL")
            case And():
                self._add_all(query.terms, depth)
            case Or():
                self._parts.append(b"OR ")
                self.add(query.left, depth + 1)
                self._parts.append(b" ")
                self.add(query.right, depth + 1)
            case Not():
                self._parts.append(b"NOT ")
                self.add(query.term, depth + 1)
            case HasFlag():
                self._parts.append(_flag_key(query.flag))
            case UidIn():
                ranges = [(max(1, low), high) for low, high in query.ranges if high >= 1]
                self._parts.append(b"UID " + format_ranges(ranges) if ranges else b"NOT ALL")
            case HeaderContains():
                self._add_text(b"HEADER ", query.name, query.text)
            case BodyContains():
                self._add_text(b"BODY ", query.text)
            case TextContains():
                self._add_text(b"TEXT ", query.text)
            case InternalDate():
                self._parts.append(_DATE_KEYS[query.relation] + b" " + format_date(query.day))
            case SentDate():
                key = b"SENT" + _DATE_KEYS[query.relation]
                self._parts.append(key + b" " + format_date(query.day))
            case LargerThan():
                self._parts.append(b"LARGER %d" % query.octets)
            case SmallerThan():
                self._parts.append(b"SMALLER %d" % query.octets)
            case ModseqAtLeast():
                if not self._with_modseq:
                    raise NotSupported("the server keeps no modification sequences")
                self._parts.append(b"MODSEQ %d" % query.modseq)
            case _:
                assert_never(query)

    def _add_all(self, terms: Sequence[Query], depth: int) -> None:
        if not terms:
            self._parts.append(b"ALL")
            return
        self._parts.append(b"(")
        for place, term in enumerate(terms):
            self._parts += [b" "] if place else []
            self.add(term, depth + 1)
        self._parts.append(b")")

    def _add_text(self, key: bytes, *texts: str) -> None:
        self._parts.append(key)
        for place, text in enumerate(texts):
            if not text.isascii():
                self.charset = "UTF-8"
            self._parts += [b" "] if place else []
            self._parts.append(AString(text.encode()))


def _flag_key(flag: Flag) -> bytes:
    known = _SYSTEM_KEYS.get(flag)
    return known if known is not None else b"KEYWORD " + flag_octets(flag)
