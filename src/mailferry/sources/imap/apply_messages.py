"""Flags, removals, copies, moves and appends (RFC 9051 §6.4, RFC 4315, RFC 6851).

A message is only touched after the SELECT has shown that its UIDVALIDITY is still the one of its id.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from itertools import groupby
from typing import Final

from mailferry.mail.errors import MailError, SourceUnavailable
from mailferry.mail.mailbox import MailboxId
from mailferry.mail.message import DELETED, Flag, MessageId
from mailferry.mail.operation import (
    Append,
    Applied,
    Copy,
    Expunge,
    Move,
    Outcome,
    OutcomeUnknown,
    Refused,
    SetFlags,
    Untried,
)
from mailferry.mail.source import BlobReader
from mailferry.sources.imap.account import Account
from mailferry.sources.imap.exchange import Collector, Exchange
from mailferry.sources.imap.names import message_id, uid_validity_of, uids_of
from mailferry.sources.imap.refusals import code_of, interrupted, refused
from mailferry.sources.imap.search import submit_search
from mailferry.sources.imap.selection import Selection
from mailferry.sources.imap.session import Session
from mailferry.sources.imap.settings import SEARCHED_MAX, UID_SET_LENGTH_MAX
from mailferry.wire.errors import LocalProtocolError, RemoteProtocolError
from mailferry.wire.imap import client_commands as commands
from mailferry.wire.imap.responses import ResponseCode, Status, StatusKind, Untagged
from mailferry.wire.imap.sequence_set import (
    compacted,
    format_in_pieces,
    parse,
)

NOT_ALONE: Final = Untried(
    reason="other messages in the mailbox are marked as deleted, and the server cannot spare them"
)
"""A removal that has to wait: what was named is marked as deleted, and not expunged."""


class Renumbered(SourceUnavailable):
    """The mailbox has another UIDVALIDITY: its ids mean nothing until it was looked at anew."""


@asynccontextmanager
async def writing(
    account: Account, mailbox: MailboxId, messages: Iterable[MessageId]
) -> AsyncIterator[tuple[Session, Selection]]:
    """Have a mailbox selected in which these messages may be touched.

    Raises:
        Renumbered: they are of another UIDVALIDITY.
        MailError: the server refused, or cannot be reached.
    """
    session, name = await account.located(mailbox)
    async with session.selecting(name) as selection:
        await selection.ready()
        if any(uid_validity_of(each) != selection.uid_validity for each in messages):
            raise Renumbered("the server has numbered the mailbox anew (UIDVALIDITY)")
        yield session, selection


def pieces(messages: Iterable[MessageId], selection: Selection) -> list[bytes]:
    """Return the messages as UID sets that fit into a command."""
    uids = uids_of(messages, selection.uid_validity)
    return list(format_in_pieces(compacted(uids), UID_SET_LENGTH_MAX))


async def set_flags(account: Account, operations: Sequence[SetFlags]) -> list[Outcome]:
    """Change flags, all in one flight; identical neighbours as one command."""
    begun: list[tuple[int, list[Exchange] | Outcome]] = []
    for _, run in groupby(operations, lambda op: (op.mailbox, op.add, op.remove)):
        same = list(run)
        begun.append((len(same), await _begin_flags(account, same)))
    outcomes: list[Outcome] = []
    for count, exchanges in begun:
        outcome = await _ended(exchanges) if isinstance(exchanges, list) else exchanges
        outcomes += [outcome] * count
    return outcomes


async def _begin_flags(
    account: Account, operations: Sequence[SetFlags]
) -> list[Exchange] | Outcome:
    first = operations[0]
    messages = [message for operation in operations for message in operation.messages]
    try:
        async with writing(account, first.mailbox, messages) as (session, selection):
            add = _kept(first.add, selection)
            if first.add and not add and not first.remove:
                names = ", ".join(sorted(first.add))
                return Refused(reason=f"the server does not keep {names}", code="CANNOT")
            sets = pieces(messages, selection)
            stores = [commands.uid_store(each, add=add) for each in sets if add]
            stores += [
                commands.uid_store(each, remove=first.remove) for each in sets if first.remove
            ]
            return [session.submit(store) for store in stores]
    except (MailError, LocalProtocolError) as error:
        return outcome_of(error)


def _kept(flags: frozenset[Flag], selection: Selection) -> frozenset[Flag]:
    return frozenset(flag for flag in flags if selection.keeps(flag))


async def expunge(account: Account, operation: Expunge) -> Outcome:
    """Remove exactly these messages."""
    async with writing(account, operation.mailbox, operation.messages) as (session, selection):
        removal = Removal(session, selection, operation.messages)
    return await removal.finish(account, operation.mailbox)


class Removal:
    """Messages marked as deleted and expunged: with UIDPLUS in one flight, else with a look between.

    Made while their mailbox is selected, finished when it need not be any more.
    """

    def __init__(
        self, session: Session, selection: Selection, messages: Sequence[MessageId]
    ) -> None:
        sets = pieces(messages, selection)
        self._exact = session.has("UIDPLUS")
        self._messages = messages
        asked = [commands.uid_store(each, add=[DELETED]) for each in sets]
        asked += [commands.uid_expunge(each) for each in sets if self._exact]
        self._exchanges = [session.submit(command) for command in asked]

    async def finish(self, account: Account, mailbox: MailboxId) -> Outcome:
        """Wait for the end; where the server has no UIDPLUS, expunge if nothing else would go too."""
        outcome = await _ended(self._exchanges)
        if self._exact or not isinstance(outcome, Applied) or not self._messages:
            return outcome
        async with writing(account, mailbox, self._messages) as (session, selection):
            exchange, found = submit_search(session, [b"DELETED"])
            status = await exchange.status()  # Nobody else may select in between.
            if not status.ok:
                return refused(status)
            ours = set(uids_of(self._messages, selection.uid_validity))
            if not ours.issuperset(found.uids()):
                return NOT_ALONE
            exchange = session.submit(commands.EXPUNGE)
        return await _ended([exchange])


class CopiedUids(Collector):
    """COPYUID (RFC 4315 §3): tagged, or untagged before a MOVE's EXPUNGEs (RFC 6851 §4.3)."""

    def __init__(self, uid_validity: int) -> None:
        self.pairs: list[tuple[MessageId, MessageId]] = []
        self._uid_validity = uid_validity

    def take(self, response: Untagged) -> bool:
        """See Collector."""
        match response:
            case Status(kind=StatusKind.OK, code=ResponseCode(name="COPYUID")):
                self.take_code(response)
                return True
            case _:
                return False

    def take_code(self, status: Status) -> None:
        """Take what a status says; what cannot be read is left out: a later look finds the copies."""
        if status.code is None or status.code.name != "COPYUID" or len(status.code.values) != 3:
            return
        validity, *sets = status.code.values
        try:
            originals, copies = (_in_order(each) for each in sets)
        except RemoteProtocolError:
            return
        if isinstance(validity, int) and len(originals) == len(copies):
            self.pairs += [
                (message_id(self._uid_validity, original), message_id(validity, new))
                for original, new in zip(originals, copies, strict=True)
            ]


def _in_order(value: object) -> list[int]:
    """Expand a uid-set in the order in which it was written."""
    octets = b"%d" % value if isinstance(value, int) else value
    if not isinstance(octets, bytes):
        raise RemoteProtocolError("not a set of UIDs")
    parts = parse(octets).parts
    if sum(abs(last - first) for first, last in parts) > SEARCHED_MAX:
        raise RemoteProtocolError("too many UIDs")
    return [uid for first, last in parts for uid in range(min(first, last), max(first, last) + 1)]


async def copy(account: Account, operation: Copy) -> Outcome:
    """UID COPY."""
    target = (await account.located(operation.target))[1]
    return await _transfer(account, operation, target, move=False)


async def move(account: Account, operation: Move) -> Outcome:
    """UID MOVE; without that capability COPY, then removal: what stops half way, `lookup` finishes."""
    session, target = await account.located(operation.target)
    if session.has("MOVE"):
        return await _transfer(account, operation, target, move=True)
    copied = await _transfer(account, operation, target, move=False)
    if not isinstance(copied, Applied):
        return copied
    try:
        async with writing(account, operation.mailbox, operation.messages) as (session, selection):
            removal = Removal(session, selection, operation.messages)
        outcome = await removal.finish(account, operation.mailbox)
    except MailError as error:
        outcome = Untried(reason=str(error))
    return after_removal(outcome) or copied


def after_removal(outcome: Outcome) -> Outcome | None:
    """Return how a move ends by what became of its second half; None: well.

    What can never be removed ends the move: there are two then, and nobody waits for ever.  What has
    to wait for others stays marked as deleted, as a mail program without MOVE leaves it.
    """
    if isinstance(outcome, Applied) or outcome == NOT_ALONE:
        return None
    if isinstance(outcome, Refused):
        return Refused(reason=f"copied, and not removed: {outcome.reason}")
    return OutcomeUnknown(reason=f"copied, and not yet removed: {outcome.reason}")


async def _transfer(
    account: Account, operation: Copy | Move, target: bytes, *, move: bool
) -> Outcome:
    command = commands.uid_move if move else commands.uid_copy
    async with writing(account, operation.mailbox, operation.messages) as (session, selection):
        copied = CopiedUids(selection.uid_validity)
        exchanges = [
            session.submit(command(each, target), copied)
            for each in pieces(operation.messages, selection)
        ]
    outcome = await _ended(exchanges, copied)
    return Applied(created=tuple(copied.pairs)) if isinstance(outcome, Applied) else outcome


async def append(account: Account, operation: Append, blobs: BlobReader) -> Outcome:
    """APPEND, streamed."""
    session, name = await account.located(operation.mailbox)
    limit = append_limit(session)
    if limit is not None and operation.size > limit:
        words = f"the message has {operation.size} octets, the server takes {limit}"
        return Refused(reason=words, code="TOOBIG")
    command = commands.append(
        name, operation.size, flags=operation.flags, internal_date=operation.internal_date
    )
    exchange = session.submit(command)
    await session.send_message(exchange, blobs.read_blob(operation.blob))
    status = await exchange.status()
    if not status.ok:
        return refused(status)
    code = status.code
    if code is None or code.name != "APPENDUID":
        return Applied()
    validity, uid = code.number(0), code.number(1)
    if validity is None or uid is None:
        return Applied()
    return Applied(created=((MessageId(0), message_id(validity, uid)),))


def append_limit(session: Session) -> int | None:
    """Return the octets of the largest message the server takes, None: it does not say (RFC 7889)."""
    for capability in session.capabilities:
        name, _, value = capability.partition("=")
        if name == "APPENDLIMIT" and value.isdecimal():
            return int(value)
    return None


async def _ended(exchanges: Sequence[Exchange], copied: CopiedUids | None = None) -> Outcome:
    """Wait for all commands of one operation and say what became of it."""
    failure: Refused | Untried | OutcomeUnknown | None = None
    succeeded = 0
    for exchange in exchanges:
        try:
            status = await exchange.status()
        except SourceUnavailable as error:
            # Of two that failed, the one that may have been carried out counts.
            failure = failure if isinstance(failure, OutcomeUnknown) else interrupted(error)
            continue
        if status.ok:
            succeeded += 1
            if copied is not None:
                copied.take_code(status)
        elif failure is None:
            failure = refused(status)
    if failure is None:
        return Applied()
    if succeeded and copied is not None:
        return in_part(failure)
    return failure


def in_part(failure: Refused | Untried | OutcomeUnknown) -> Refused | OutcomeUnknown:
    """Return the outcome of an operation of which some was done before this came.

    Without the server's code: it would be about all of it.
    """
    reason = f"done in part: {failure.reason}"
    return Refused(reason=reason) if isinstance(failure, Refused) else OutcomeUnknown(reason=reason)


def outcome_of(error: MailError | LocalProtocolError) -> Outcome:
    """Return the outcome of an operation that could not be begun."""
    if isinstance(error, LocalProtocolError):
        return Refused(reason=f"IMAP cannot say this: {error}", code="CANNOT")
    if isinstance(error, SourceUnavailable):
        return interrupted(error)
    if error.temporary:
        return Untried(reason=str(error))
    return Refused(reason=str(error), code=code_of(error))
