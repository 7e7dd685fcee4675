"""Finding out what became of an attempt whose answer did not come (docs/rule.md, 3).

What is found half done is finished: of a copy in parts the missing messages are copied, of a move the
originals of those that have arrived are removed.  What is not found is said to be untried only when the
server cannot be working on it any more.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, assert_never

from mailferry.mail.errors import MailboxNotFound, MailError
from mailferry.mail.mailbox import NON_EXISTENT, NOT_SELECTABLE
from mailferry.mail.message import MessageId
from mailferry.mail.operation import (
    Append,
    Applied,
    Attempt,
    Copy,
    CreateMailbox,
    DeleteMailbox,
    Expunge,
    Move,
    Operation,
    Outcome,
    OutcomeUnknown,
    RenameMailbox,
    SetFlags,
    Subscribe,
    Unsubscribe,
    Untried,
)
from mailferry.sources.imap import apply_messages
from mailferry.sources.imap.account import Account
from mailferry.sources.imap.bodies import Bodies
from mailferry.sources.imap.content import Contents
from mailferry.sources.imap.names import message_id, uid_of, uid_validity_of
from mailferry.sources.imap.pairing import pair
from mailferry.sources.imap.refusals import error_of
from mailferry.sources.imap.search import submit_search
from mailferry.sources.imap.settings import UID_SET_LENGTH_MAX
from mailferry.sources.imap.traces import find_path, traces_from
from mailferry.wire.imap.sequence_set import compacted, format_in_pieces


class Lookup:
    """Looks for what attempts left behind; one for a source."""

    def __init__(self, account: Account, bodies: Bodies, settle_s: float) -> None:
        self._account = account
        self._bodies = bodies
        self._settle_s = settle_s

    async def lookup(self, attempt: Attempt, taken: Collection[MessageId]) -> Outcome:
        """See MailSource.lookup."""
        if attempt.probe is None:
            return Untried(reason="may be carried out again")
        try:
            noted = json.loads(attempt.probe)
            return await self._look(attempt.operation, noted, taken)
        except MailboxNotFound:
            return self._not_found("the mailbox has gone")
        except MailError as error:
            return OutcomeUnknown(reason=f"cannot look now: {error}")

    async def _look(
        self, operation: Operation, noted: Mapping[str, Any], taken: Collection[MessageId]
    ) -> Outcome:
        match operation:
            case Append():
                return await self._look_for_append(operation, noted, taken)
            case Copy() | Move():
                return await self._look_for_copies(operation, noted, taken)
            case CreateMailbox():
                made = await find_path(self._account, operation.path)
                if made is None or not made.selectable or noted["existed"]:
                    return self._not_found("it is not there")
                return Applied(mailbox=made.id)
            case DeleteMailbox():
                return await self._look_for_deletion(operation)
            case RenameMailbox():
                return await self._look_for_rename(operation)
            case SetFlags() | Expunge() | Subscribe() | Unsubscribe():
                return Untried(reason="may be carried out again")
            case _:
                assert_never(operation)

    def _not_found(self, reason: str) -> OutcomeUnknown | Untried:
        lost_at = self._account.connection.lost_at
        now = asyncio.get_running_loop().time()
        if lost_at is not None and now < lost_at + self._settle_s:
            return OutcomeUnknown(reason=f"{reason}, but the server may still be working on it")
        return Untried(reason=reason)

    # Appends

    async def _look_for_append(
        self, operation: Append, noted: Mapping[str, Any], taken: Collection[MessageId]
    ) -> Outcome:
        session, name = await self._account.located(operation.mailbox)
        came = await traces_from(session, name, noted["uid_validity"], noted["uid_next"])
        known_by = noted["message_id"]
        sizes = {operation.size, noted["size"]}
        alike = [
            message
            for message, trace in came.items()
            if message not in taken and trace.size in sizes and known_by in {None, trace.message_id}
        ]
        if len(alike) == 1 and known_by:
            return Applied(created=((MessageId(0), alike[0]),))
        contents = Contents(self._account, self._bodies)
        for message in alike:
            # Without a Message-ID nothing else tells two messages apart.
            if (await contents.of(name, message)).digest == noted["content"]:
                return Applied(created=((MessageId(0), message),))
        return self._not_found("the message is not there")

    # Copies and moves

    async def _look_for_copies(
        self, operation: Copy | Move, noted: Mapping[str, Any], taken: Collection[MessageId]
    ) -> Outcome:
        session, name = await self._account.located(operation.target)
        traces = await traces_from(session, name, noted["uid_validity"], noted["uid_next"])
        came = {message: trace for message, trace in traces.items() if message not in taken}
        validity = uid_validity_of(operation.messages[0]) if operation.messages else 0
        originals = {message_id(validity, uid): digest for uid, digest in noted["originals"]}
        left = await self._still_there(operation)
        source = (await self._account.located(operation.mailbox))[1]
        contents = Contents(self._account, self._bodies)
        pairs = await pair(originals, left, came, contents, source, name)
        found = pairs.found
        missing = [each for each in originals if each not in found and each in left]
        to_remove = [each for each in found if each in left] if isinstance(operation, Move) else []
        if not missing and not to_remove:
            # Of some copies alone it is not told: what is not told of would count as not made.
            return Applied() if pairs.unclear else Applied(created=tuple(found.items()))
        waiting = self._not_found("not all messages are there")
        if not found or isinstance(waiting, OutcomeUnknown):
            return waiting
        return await self._finish(operation, found, missing, to_remove)

    async def _still_there(self, operation: Copy | Move) -> set[MessageId]:
        """Return which of the messages are in their old mailbox."""
        if not operation.messages:
            return set()
        session, name = await self._account.located(operation.mailbox)
        validity = uid_validity_of(operation.messages[0])
        uids = sorted({uid_of(message) for message in operation.messages})
        left: set[MessageId] = set()
        for piece in format_in_pieces(compacted(uids), UID_SET_LENGTH_MAX):
            async with session.selecting(name) as selection:
                await selection.ready()
                exchange, uids_found = submit_search(session, [b"UID " + piece])
            status = await exchange.status()
            if not status.ok:
                raise error_of(status)
            if selection.uid_validity != validity:
                raise apply_messages.Renumbered("the mailbox was numbered anew (UIDVALIDITY)")
            left |= {message_id(validity, uid) for uid in uids_found.uids()}
        return left

    async def _finish(
        self,
        operation: Copy | Move,
        found: dict[MessageId, MessageId],
        missing: Sequence[MessageId],
        to_remove: Sequence[MessageId],
    ) -> Outcome:
        """Do what is left of an operation that was done in part."""
        if to_remove:
            removal = Expunge(id=operation.id, mailbox=operation.mailbox, messages=tuple(to_remove))
            removed = await apply_messages.expunge(self._account, removal)
            if (failure := apply_messages.after_removal(removed)) is not None:
                return failure
        if not missing:
            return Applied(created=tuple(found.items()))
        rest: Outcome
        if isinstance(operation, Move):
            rest = await apply_messages.move(
                self._account,
                Move(
                    id=operation.id,
                    mailbox=operation.mailbox,
                    messages=tuple(missing),
                    target=operation.target,
                ),
            )
        else:
            rest = await apply_messages.copy(
                self._account,
                Copy(
                    id=operation.id,
                    mailbox=operation.mailbox,
                    messages=tuple(missing),
                    target=operation.target,
                ),
            )
        if isinstance(rest, Applied):
            return Applied(created=(*found.items(), *rest.created))
        return apply_messages.in_part(rest)

    # Mailboxes

    async def _look_for_deletion(self, operation: DeleteMailbox) -> Outcome:
        session = await self._account.session()
        names = self._account.connection.names
        for mailbox in await self._account.directory.refresh(session, names):
            if mailbox.id == operation.mailbox and not mailbox.attributes & NOT_SELECTABLE:
                return self._not_found("it is still there")
        return Applied()

    async def _look_for_rename(self, operation: RenameMailbox) -> Outcome:
        made = await find_path(self._account, operation.path)
        if made is None:
            return self._not_found("it is not there")
        session = await self._account.session()
        names = self._account.connection.names
        listed = await self._account.directory.refresh(session, names)
        ids = {each.id for each in listed if NON_EXISTENT not in each.attributes}
        if made.id != operation.mailbox and operation.mailbox in ids:
            return self._not_found("both names are there")
        return Applied(mailbox=made.id)
