"""SEARCH and UID SEARCH, in the old form and as ESEARCH (RFC 9051 §6.4.4, RFC 4731)."""

from __future__ import annotations

from typing import Final, assert_never

from mailferry.faces.imap.replies import Answer, Bad
from mailferry.faces.imap.state import SessionState
from mailferry.faces.imap.view import View
from mailferry.mail import query
from mailferry.mail.message import flag
from mailferry.mail.query import Query
from mailferry.wire.imap.commands.search import (
    AllMessages,
    AllOf,
    BodyKey,
    DateKey,
    EitherOf,
    Field,
    FlagKey,
    HeaderKey,
    LargerKey,
    ModseqKey,
    NotKey,
    NumbersKey,
    Search,
    SearchKey,
    SearchReturn,
    SmallerKey,
    TextKey,
    UidKey,
)
from mailferry.wire.imap.sequence_set import compacted, format_in_pieces
from mailferry.wire.imap.serialize import quoted

NUMBERS_STEP: Final = 2_000  # Numbers written at a time: 14 kB.


async def search(state: SessionState, tag: str, command: Search) -> Answer:
    """Answer SEARCH or UID SEARCH."""
    view = state.selected
    wanted = _query(state, command.key)
    if isinstance(wanted, query.Everything):
        positions, complete = list(range(view.count)), True
    else:
        result = await state.source.search(view.mailbox, wanted)
        positions, complete = view.find(result.messages), result.complete
    numbers = [view.uid(at) if command.by_uid else at + 1 for at in positions]
    if command.returns is None:
        await _tell_search(state, numbers)
    else:
        await _tell_esearch(state, tag, command, numbers)
    if complete:
        return Answer(b"SEARCH completed")
    # RFC 9051 §7.1.2: an untagged NO is a warning.
    state.out.untagged(
        b"NO [UNAVAILABLE] The mail server cannot be reached: only what is here was searched"
    )
    return Answer(b"SEARCH completed, for the messages that are here")


def _query(state: SessionState, key: SearchKey) -> Query:
    """Say a search key as a query: numbers of this session become UIDs."""
    view = state.selected
    match key:
        case AllMessages():
            return query.Everything()
        case AllOf(keys):
            return query.And(tuple(_query(state, each) for each in keys))
        case EitherOf(left, right):
            return query.Or(_query(state, left), _query(state, right))
        case NotKey(inner):
            return query.Not(_query(state, inner))
        case FlagKey(name):
            return _flag_query(view, name)
        case NumbersKey(messages):
            positions = state.positions(messages, by_uid=False)
            return query.UidIn(view.uid_ranges(positions))
        case UidKey(uids):
            return query.UidIn(view.uid_ranges(state.positions(uids, by_uid=True)))
        case HeaderKey(field, text):
            return query.HeaderContains(field, text)
        case BodyKey(text):
            return query.BodyContains(text)
        case TextKey(text):
            return query.TextContains(text)
        case DateKey(field, relation, day):
            kind = query.InternalDate if field is Field.INTERNAL_DATE else query.SentDate
            return kind(query.Relation[relation.name], day)
        case LargerKey(octets):
            return query.LargerThan(octets)
        case SmallerKey(octets):
            return query.SmallerThan(octets)
        case ModseqKey():
            raise Bad(b"CONDSTORE is not offered")
        case _:
            assert_never(key)


def _flag_query(view: View, name: str) -> Query:
    if name.lower() == "\\recent":
        return query.UidIn(view.recent)
    return query.HasFlag(view.spelled(flag(name)))


async def _tell_search(state: SessionState, numbers: list[int]) -> None:
    #   mailbox-data = "SEARCH" *(SP nz-number)
    state.out.put(b"* SEARCH")
    for first in range(0, len(numbers), NUMBERS_STEP):
        state.out.put(b"".join(b" %d" % n for n in numbers[first : first + NUMBERS_STEP]))
        await state.out.room()
    state.out.put(b"\r\n")


async def _tell_esearch(state: SessionState, tag: str, command: Search, numbers: list[int]) -> None:
    #   esearch-response = "ESEARCH" [search-correlator] [SP "UID"] *(SP search-return-data)
    returns = command.returns or frozenset()
    state.out.put(b"* ESEARCH (TAG %b)" % quoted(tag.encode()))
    if command.by_uid:
        state.out.put(b" UID")
    if numbers and SearchReturn.MIN in returns:
        state.out.put(b" MIN %d" % numbers[0])
    if numbers and SearchReturn.MAX in returns:
        state.out.put(b" MAX %d" % numbers[-1])
    if numbers and SearchReturn.ALL in returns:
        lead = b" ALL "
        for piece in format_in_pieces(compacted(numbers), 16 * 1024):
            state.out.put(lead + piece)
            await state.out.room()
            lead = b","
    if SearchReturn.COUNT in returns:
        state.out.put(b" COUNT %d" % len(numbers))
    state.out.put(b"\r\n")
