"""Carrying committed operations out at the server, each exactly once (docs/rule.md, 3).

Theory of operation.  `sync.plan` says which operations may go now, and together.  Each such lane has
the mailboxes it touches for itself and goes through these steps; what is written to the journal
before the next step begins is in brackets:

    translate into the server's names
    probe: what will tell afterwards whether it was carried out    [probe, applying]
    apply, all operations of the lane in one call
    conclude each outcome                                          [applied / refused / committed]

When the line dies, or we do, between the second bracket and the third, nobody knows what the server
did.  The operation stays *applying* and keeps those behind it waiting; when the line is back, the
server is looked at.  "Not there" is believed only when the server had time to finish what it might
still have been doing; then the operation is tried again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from mailferry import observe
from mailferry.mail.errors import MailError
from mailferry.mail.mailbox import MailboxId
from mailferry.mail.message import MessageId
from mailferry.mail.operation import (
    Attempt,
    Copy,
    CreateMailbox,
    DeleteMailbox,
    Move,
    OperationState,
    Outcome,
    OutcomeUnknown,
    Probe,
    RenameMailbox,
    Subscribe,
    Unsubscribe,
    Untried,
)
from mailferry.mail.source import BlobReader
from mailferry.sources.replica.concluding import Concluding, Sent
from mailferry.sources.replica.core import Core
from mailferry.sources.replica.mirror import WHOLE_ACCOUNT, Mirror
from mailferry.sources.replica.pending import births_in
from mailferry.sources.replica.translating import (
    Impossible,
    KeptHere,
    Moot,
    NotYet,
    Translated,
    translate,
)
from mailferry.store import identifiers, operations
from mailferry.store.codec import mailbox_id, mailbox_key
from mailferry.store.database import Connection
from mailferry.store.operations import StoredOperation
from mailferry.sync.fold import below
from mailferry.sync.journal import Event, next_state
from mailferry.sync.plan import Key, Lane, Parcel, Waiting, keys_of, lanes, parcels

_ON_THE_LIST: Final = (CreateMailbox, DeleteMailbox, RenameMailbox, Subscribe, Unsubscribe)

_log = observe.logger(__name__)


class Outbox:
    """Carries out the operations of an account."""

    def __init__(
        self, core: Core, concluding: Concluding, mirror: Mirror, blobs: BlobReader
    ) -> None:
        self._core = core
        self._concluding = concluding
        self._mirror = mirror
        self._blobs = blobs
        self._under_way: set[int] = set()
        self._lanes = 0

    async def run(self) -> None:
        """Carry out whatever is committed, as soon as the line allows."""
        core = self._core
        self._begin_in_doubt()
        async with asyncio.TaskGroup() as tasks:
            while True:
                core.committed.clear()
                if self._has_work():
                    await core.line.ready()
                    self._dispatch(tasks)
                await self._wait_for_work()

    def _begin_in_doubt(self) -> None:
        """What was being tried when we stopped may have been carried out."""
        now_s = asyncio.get_running_loop().time()
        for stored in self._core.pending:
            if stored.state is OperationState.APPLYING:
                self._core.unknown_since[stored.sequence] = now_s

    def _has_work(self) -> bool:
        return any(
            stored.state is not OperationState.STAGED and stored.sequence not in self._under_way
            for stored in self._core.pending
        )

    async def _wait_for_work(self) -> None:
        """Return when something was committed or ended, or is due to be looked up again."""
        due_s = self._concluding.next_due_s()
        try:
            async with asyncio.timeout(due_s):
                await self._core.committed.wait()
        except TimeoutError:
            return

    def _dispatch(self, tasks: asyncio.TaskGroup) -> None:
        self._concluding.due_now()
        for stored in self._core.pending:
            if (
                stored.state is OperationState.APPLYING
                and stored.sequence not in self._under_way
                and self._concluding.is_due(stored.sequence)
            ):
                self._under_way.add(stored.sequence)
                tasks.create_task(self._look_up(stored.sequence))
        for lane in lanes([self._waiting(stored) for stored in self._core.pending], self._lanes):
            self._under_way.update(one.sequence for one in lane)
            self._lanes += 1
            tasks.create_task(self._carry(lane))

    def _waiting(self, stored: StoredOperation) -> Waiting:
        ready = (
            stored.state is OperationState.COMMITTED
            and stored.sequence not in self._under_way
            and self._concluding.is_due(stored.sequence)
        )
        return Waiting(
            sequence=stored.sequence,
            operation=stored.operation,
            keys=self._keys(stored),
            ready=ready,
            apart=self._concluding.is_apart(stored.sequence),
        )

    def _keys(self, stored: StoredOperation) -> frozenset[Key]:
        core = self._core
        inner = []
        if isinstance(stored.operation, RenameMailbox):
            box = core.boxes.get(mailbox_key(stored.operation.mailbox))
            if box is not None:
                depth = len(box.path)
                inner = [
                    mailbox_id(each.id)
                    for each in core.boxes.values()
                    if len(each.path) > depth and each.path[:depth] == box.path
                ]
                inner += [each.id for each in below(core.shown, stored.operation.path)]
        made = [mailbox_id(each.mailbox) for each in stored.result.mailboxes]
        return keys_of(stored.operation, made, inner)

    # One lane

    async def _carry(self, lane: Lane) -> None:
        sequences = [one.sequence for one in lane]
        try:
            async with self._core.exchanging(_mailboxes(lane)):
                await self._carry_alone(lane)
        except MailError as exc:
            _log.info("operations interrupted count=%d reason=%s", len(sequences), exc)
            self._concluding.put_off(sequences)
            if exc.temporary:
                self._core.line.failed(exc)
        except Exception:  # noqa: BLE001 - one operation that we cannot handle must not stop the account
            _log.exception("operations failed, a fault of ours sequences=%s", sequences)
            self._concluding.put_off(sequences)
        finally:
            self._lanes -= 1
            self._under_way.difference_update(sequences)
            self._core.committed.set()

    async def _carry_alone(self, lane: Lane) -> None:
        parcels_to_send = parcels(lane)
        sent: list[Sent] = []
        for parcel in parcels_to_send:
            translation = translate(self._core, parcel.operation)
            match translation:
                case Translated():
                    sent.append(Sent(parcel=parcel, translated=translation))
                case NotYet.UNBORN if sent:
                    break  # It can go when those before it have been sent.
                case NotYet():
                    await self._send(sent)
                    self._ask_for_names(parcel, translation)
                    return
                case Moot() | Impossible() | KeptHere():
                    await self._send(sent)
                    sent = []
                    await self._core.finish(self._concluding.without_trying(parcel, translation))
        await self._send(sent)

    def _ask_for_names(self, parcel: Parcel, why: NotYet) -> None:
        self._concluding.put_off(parcel.covers)
        if why is NotYet.MAILBOX_UNNAMED:
            self._mirror.want(WHOLE_ACCOUNT)
        elif why is NotYet.MESSAGE_UNNAMED:
            stored = self._core.pending.get(parcel.covers[0])
            mailbox = getattr(stored.operation, "mailbox", None) if stored else None
            self._mirror.want(mailbox_key(mailbox) if mailbox else WHOLE_ACCOUNT)

    async def _send(self, sent: Sequence[Sent]) -> None:
        if not sent:
            return
        core = self._core
        attempts = [
            Attempt(
                operation=each.translated.operation,
                probe=await core.upstream.probe(each.translated.operation, self._blobs),
            )
            for each in sent
        ]
        await self._note_attempts(sent, attempts)
        try:
            outcomes: Sequence[Outcome] = await core.upstream.apply(attempts, self._blobs)
        except MailError as exc:  # The contract has none, but nothing may be believed untried.
            outcomes = [OutcomeUnknown(reason=str(exc))] * len(attempts)
        # To the end, even if we are being closed: what the server did must not be half noted.
        await core.finish(self._conclude(sent, attempts, outcomes))
        self._report(outcomes)

    async def _conclude(
        self, sent: Sequence[Sent], attempts: Sequence[Attempt], outcomes: Sequence[Outcome]
    ) -> None:
        for each, attempt, outcome in zip(sent, attempts, outcomes, strict=True):
            await self._concluding.conclude(each, outcome, attempt.probe)

    def _report(self, outcomes: Sequence[Outcome]) -> None:
        """Tell the line how it went, and the mirror to look where names may have changed."""
        failed = [each for each in outcomes if isinstance(each, OutcomeUnknown | Untried)]
        if not failed:
            self._core.line.succeeded()

    async def _note_attempts(self, sent: Sequence[Sent], attempts: Sequence[Attempt]) -> None:
        core = self._core
        probes: dict[int, Probe | None] = {
            sequence: attempt.probe
            for each, attempt in zip(sent, attempts, strict=True)
            for sequence in each.parcel.covers
        }
        now = core.clock()

        def unit(connection: Connection) -> None:
            for sequence, probe in probes.items():
                operations.keep_probe(connection, sequence, probe)
            operations.move_on(connection, probes, OperationState.APPLYING, now=now)

        for sequence in probes:
            stored = core.pending.get(sequence)
            if stored is not None:
                next_state(stored.state, Event.ATTEMPT_BEGUN, stored.operation.nature)
        await core.journal.write(unit)
        for sequence, probe in probes.items():
            core.pending.set_state(sequence, OperationState.APPLYING)
            core.pending.set_probe(sequence, probe)

    # Unknown outcomes

    async def _look_up(self, sequence: int) -> None:
        core = self._core
        try:
            stored = core.pending.get(sequence)
            if stored is None:
                return
            parcel = Parcel(stored.operation, (sequence,))
            async with core.exchanging(_mailboxes_of(stored)):
                translation = translate(core, stored.operation)
                if not isinstance(translation, Translated):
                    await core.finish(self._concluding.in_doubt_without_names(parcel, translation))
                    return
                attempt = Attempt(operation=translation.operation, probe=stored.probe)
                outcome: Outcome = Untried(reason="bears repeating")
                if stored.probe is not None:
                    outcome = await core.upstream.lookup(attempt, self._taken(stored))
                    core.line.succeeded()
                found = Sent(parcel, translation)
                await core.finish(self._concluding.looked_up(found, outcome, stored.probe))
        except MailError as exc:
            _log.info("lookup interrupted sequence=%d reason=%s", sequence, exc)
            self._concluding.put_off([sequence])
            if exc.temporary:
                core.line.failed(exc)
        except Exception:  # noqa: BLE001 - see _carry
            _log.exception("lookup failed, a fault of ours sequence=%d", sequence)
            self._concluding.put_off([sequence])
        finally:
            self._under_way.discard(sequence)
            core.committed.set()

    def _taken(self, stored: StoredOperation) -> list[MessageId]:
        """Return what other operations made where this one would have made something."""
        ours = {birth.message for birth in stored.result.births}
        made = identifiers.made_here(self._core.journal.reader, births_in(stored.operation))
        return [name for name, message in made.items() if message not in ours]


def _mailboxes(lane: Lane) -> set[int]:
    found: set[int] = set()
    for one in lane:
        found |= {mailbox_key(MailboxId(key)) for key in one.keys if isinstance(key, str)} - {0}
        if isinstance(one.operation, _ON_THE_LIST):
            found.add(WHOLE_ACCOUNT)
    return found


def _mailboxes_of(stored: StoredOperation) -> set[int]:
    found = {births_in(stored.operation)} - {0}
    operation = stored.operation
    if isinstance(operation, _ON_THE_LIST):
        found.add(WHOLE_ACCOUNT)
    elif isinstance(operation, Copy | Move):
        found.add(mailbox_key(operation.mailbox))
    return found
