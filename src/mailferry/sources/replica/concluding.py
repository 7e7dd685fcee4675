"""What follows from what the server did with an operation.

What it did becomes part of what it has (`sync.fold`), and the operation leaves the fold: so nothing
that shows changes, but for what turned out otherwise than it was predicted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from mailferry import observe
from mailferry.mail.errors import SourceUnavailable
from mailferry.mail.operation import (
    Append,
    Applied,
    Copy,
    CreateMailbox,
    DeleteMailbox,
    Move,
    OperationState,
    Outcome,
    OutcomeUnknown,
    Probe,
    Refused,
    Untried,
)
from mailferry.sources.replica.applied import Applying
from mailferry.sources.replica.core import RECOVERED, Core
from mailferry.sources.replica.kept_here import KeptHereOperations
from mailferry.sources.replica.mirror import WHOLE_ACCOUNT, Mirror
from mailferry.sources.replica.pending import births_in, messages_of
from mailferry.sources.replica.recovering import Recovering
from mailferry.sources.replica.translating import (
    Impossible,
    KeptHere,
    Moot,
    NotYet,
    Translated,
)
from mailferry.sources.replica.undoing import Undo, partly, undo, whole
from mailferry.store import operations
from mailferry.store.codec import mailbox_key
from mailferry.store.operations import StoredOperation
from mailferry.sync.journal import Event, next_state
from mailferry.sync.plan import Parcel, removed_by

TARGET_GONE_CODES: Final = frozenset({"NONEXISTENT", "TRYCREATE"})  # RFC 5530 §3, RFC 9051 §7.1.

_log = observe.logger(__name__)


@dataclass(frozen=True, slots=True)
class Sent:
    """A parcel that was sent, and how it was called there."""

    parcel: Parcel
    translated: Translated


class Concluding:
    """Ends operations, or puts them off."""

    def __init__(
        self,
        core: Core,
        mirror: Mirror,
        recovering: Recovering,
        adopt: Callable[[int, int], Awaitable[None]],
    ) -> None:
        self._core = core
        self._mirror = mirror
        self._recovering = recovering
        self._applying = Applying(core, mirror, adopt)
        self._kept_here = KeptHereOperations(core)
        self._due_at: dict[int, float] = {}
        self._put_off: dict[int, int] = {}
        self._returns_seen = 0
        self._apart: set[int] = set()
        self._target_doubted: set[int] = set()

    # When to try (again)

    def is_due(self, sequence: int) -> bool:
        """Whether an operation may be tried or looked up now."""
        return self._due_at.get(sequence, 0.0) <= asyncio.get_running_loop().time()

    def is_apart(self, sequence: int) -> bool:
        """Whether an operation must not be merged with others (again)."""
        return sequence in self._apart

    def next_due_s(self) -> float | None:
        """Return in how many seconds an operation that was put off is due; None: there is none."""
        if not self._due_at:
            return None
        return max(0.0, min(self._due_at.values()) - asyncio.get_running_loop().time())

    def put_off(self, sequences: Iterable[int]) -> None:
        """Let operations wait before they are tried again, longer each time."""
        settings = self._core.settings
        for sequence in sequences:
            count = self._put_off[sequence] = self._put_off.get(sequence, 0) + 1
            doubled_s = settings.retry_delay_s * 2 ** min(count - 1, 20)
            self._wait(sequence, min(doubled_s, settings.retry_delay_max_s))

    def _wait(self, sequence: int, delay_s: float) -> None:
        self._due_at[sequence] = asyncio.get_running_loop().time() + delay_s

    def due_now(self) -> None:
        """Forget what is due: those who are due are being tried.

        When the line has come back, that is all that was put off while it was away.
        """
        if self._returns_seen != self._core.line.returns:
            self._returns_seen = self._core.line.returns
            for sequence in self._put_off:
                self._due_at.pop(sequence, None)
            self._put_off.clear()
        now_s = asyncio.get_running_loop().time()
        self._due_at = {key: at_s for key, at_s in self._due_at.items() if at_s > now_s}

    def _let_go(self, sequences: Iterable[int]) -> None:
        for sequence in sequences:
            self._core.pending.remove(sequence)
            self._core.unknown_since.pop(sequence, None)
            self._due_at.pop(sequence, None)
            self._put_off.pop(sequence, None)
            self._apart.discard(sequence)
            self._target_doubted.discard(sequence)

    # Outcomes

    async def conclude(self, sent: Sent, outcome: Outcome, probe: Probe | None) -> None:
        """Follow up what became of an attempt."""
        covers = sent.parcel.covers
        match outcome:
            case Applied():
                await self._applied(sent.parcel, sent.translated, outcome)
            case Refused() if len(covers) > 1:
                self._apart.update(covers)
                await self._back(covers)
            case Refused():
                await self._refused(covers[0], outcome)
            case OutcomeUnknown() if probe is not None:
                self._core.line.failed(SourceUnavailable(outcome.reason))
                self._core.unknown_since[covers[0]] = asyncio.get_running_loop().time()
            case OutcomeUnknown():
                self._core.line.failed(SourceUnavailable(outcome.reason))
                await self._back(covers)
            case Untried():
                self.put_off(covers)
                await self._back(covers)
                self._look_at_mailbox_of(sent.parcel)  # Its messages may have other names now.

    def _look_at_mailbox_of(self, parcel: Parcel) -> None:
        mailbox = getattr(parcel.operation, "mailbox", None)
        if mailbox is not None:
            self._mirror.want(mailbox_key(mailbox))

    async def looked_up(self, sent: Sent, outcome: Outcome, probe: Probe | None) -> None:
        """Follow up what was found at the server after an unknown outcome."""
        [sequence] = sent.parcel.covers
        since_s = self._core.unknown_since.get(sequence, 0.0)
        quiet_s = asyncio.get_running_loop().time() - since_s
        settled_in_s = self._core.settings.server_settle_s - quiet_s
        if isinstance(outcome, Applied) and self._applying.is_somebody_elses(sent.parcel, outcome):
            outcome = Untried(reason="what is there is another message")
        match outcome:
            case Applied():
                await self._applied(sent.parcel, sent.translated, outcome)
            case Refused():
                await self._refused(sequence, outcome)
            case OutcomeUnknown():
                self.put_off([sequence])
            case Untried() if probe is not None and settled_in_s > 0:
                self._wait(sequence, settled_in_s)  # The server may still be at it.
            case Untried():
                self._core.unknown_since.pop(sequence, None)
                await self._back([sequence])

    async def in_doubt_without_names(
        self, parcel: Parcel, why: Moot | Impossible | KeptHere | NotYet
    ) -> None:
        """Follow up an operation that may have been done and cannot be looked up any more."""
        [sequence] = parcel.covers
        match why:
            case NotYet():
                self.put_off([sequence])
                self._mirror.want(WHOLE_ACCOUNT)
            case Moot():
                await self._end(parcel.covers, Event.APPLIED, why.reason)
            case Impossible(target_gone=False) if births_in(parcel.operation):
                # The originals have gone: the copies are looked for among what is at the target.
                await self._applied(parcel, Translated(parcel.operation, {}), Applied())
            case Impossible() | KeptHere():
                self._core.unknown_since.pop(sequence, None)
                await self._back([sequence])

    async def without_trying(self, parcel: Parcel, why: Moot | Impossible | KeptHere) -> None:
        """Follow up an operation of which there is nothing to be sent."""
        found = [stored for each in parcel.covers if (stored := self._core.pending.get(each))]
        match why:
            case Moot():
                await self._end(parcel.covers, Event.APPLIED, why.reason)
            case Impossible(target_gone=True) if self._is_for_recovered(parcel):
                for stored in found:
                    await self._refused_by_recovered(stored, why.reason)
            case Impossible(target_gone=True):
                await self._recovering.file(found, why.reason + ": filed in Recovered")
            case Impossible():
                for stored in found:
                    await self._undo_refused(stored, why.reason)
            case KeptHere() if len(found) > 1:
                self._apart.update(parcel.covers)
            case KeptHere(messages=messages):
                for stored in found:
                    if await self._kept_here.carry_out(stored, messages):
                        self._let_go([stored.sequence])

    async def _applied(self, parcel: Parcel, translated: Translated, outcome: Applied) -> None:
        found = [stored for each in parcel.covers if (stored := self._core.pending.get(each))]
        for stored in found:
            next_state(stored.state, Event.APPLIED, stored.operation.nature)
        self._let_go(await self._applying.note(parcel, translated, outcome, found))
        self._core.refold_list()

    async def _back(self, sequences: Sequence[int]) -> None:
        """Note that operations certainly had no effect: they wait to be tried again."""
        core = self._core
        applying = [
            each
            for each in sequences
            if (stored := core.pending.get(each)) and stored.state is OperationState.APPLYING
        ]
        now = core.clock()
        await core.journal.write(
            lambda connection: operations.move_on(
                connection, applying, OperationState.COMMITTED, now=now
            )
        )
        for sequence in applying:
            core.pending.set_state(sequence, OperationState.COMMITTED)

    async def _end(self, sequences: Sequence[int], event: Event, reason: str) -> None:
        """End operations that change nothing (any more)."""
        core = self._core
        for sequence in sequences:
            stored = core.pending.get(sequence)
            if stored is None:
                continue
            state = next_state(stored.state, event, stored.operation.nature)
            await self._write_end(sequence, state, reason)
            self._let_go([sequence])
            await self._refold(messages_of(stored.operation))
        core.refold_list()

    async def _write_end(self, sequence: int, state: OperationState, reason: str) -> None:
        now = self._core.clock()
        await self._core.journal.write(
            lambda connection: operations.move_on(
                connection, [sequence], state, now=now, reason=reason
            )
        )

    async def _refold(self, messages: Sequence[int]) -> None:
        await self._core.edit(lambda edit: edit.refold(messages), messages)

    # Refusals

    async def _refused(self, sequence: int, outcome: Refused) -> None:
        stored = self._core.pending.get(sequence)
        if stored is None:
            return
        reason = outcome.reason or outcome.code
        _log.info(
            "operation refused sequence=%d kind=%s code=%s",
            sequence, type(stored.operation).__name__, outcome.code,
        )  # fmt: skip
        match stored.operation:
            case CreateMailbox() if outcome.code == "ALREADYEXISTS":
                await self._applied(
                    Parcel(stored.operation, (sequence,)),
                    Translated(stored.operation, {}),
                    Applied(),
                )
            case DeleteMailbox() if outcome.code == "NONEXISTENT":
                await self._applied(
                    Parcel(stored.operation, (sequence,)),
                    Translated(stored.operation, {}),
                    Applied(),
                )
            case Append() | Copy() | Move() if (
                outcome.code in TARGET_GONE_CODES and sequence not in self._target_doubted
            ):
                # When the list says so too, what was on its way there is filed in Recovered.
                self._target_doubted.add(sequence)
                self._mirror.want(WHOLE_ACCOUNT)
                self.put_off([sequence])
                await self._back([sequence])
            case Append():
                await self._keep_refused_append(stored, reason)
            case CreateMailbox():
                await self._undo_refused_create(stored, reason)
            case _:
                await self._undo_refused(stored, reason)

    def _is_for_recovered(self, parcel: Parcel) -> bool:
        return self._recovering.is_recovered(births_in(parcel.operation))

    async def _refused_by_recovered(self, stored: StoredOperation, reason: str) -> None:
        """Leave mail where it is: there is no other place to file it in."""
        if isinstance(stored.operation, Append):
            await self._end([stored.sequence], Event.REFUSED, reason)
        else:
            await self._undo_refused(stored, reason)

    async def _keep_refused_append(self, stored: StoredOperation, reason: str) -> None:
        """Keep mail that is nowhere else until the user takes it."""
        if self._recovering.is_recovered(births_in(stored.operation)):
            await self._refused_by_recovered(stored, reason)
            return
        next_state(stored.state, Event.REFUSED, stored.operation.nature)
        await self._recovering.file([stored], reason, final=OperationState.REFUSED)
        self._let_go([stored.sequence])

    async def _undo_refused_create(self, stored: StoredOperation, reason: str) -> None:
        made = {each.mailbox for each in stored.result.mailboxes}
        if stored.result.mailboxes[-1].path == RECOVERED:
            await self._end([stored.sequence], Event.REFUSED, reason)
            return
        for mailbox in made:
            coming = [each for each in self._core.pending if births_in(each.operation) == mailbox]
            if coming:
                await self._recovering.file(coming, "its mailbox was refused: filed in Recovered")
        await self._undo_refused(stored, reason)

    async def _undo_refused(self, stored: StoredOperation, reason: str) -> None:
        undone = await undo(self._core, lambda: self._plan_refusal(stored.sequence, reason))
        self._let_go(each.stored.sequence for each in undone if each.state is not None)

    def _plan_refusal(self, sequence: int, reason: str) -> list[Undo]:
        stored = self._core.pending.get(sequence)
        if stored is None:
            return []
        next_state(stored.state, Event.REFUSED, stored.operation.nature)
        undos = [whole(stored, OperationState.REFUSED, reason)]
        if isinstance(stored.operation, Copy):
            undos += self._relying_on(stored)
        return undos

    def _relying_on(self, copy: StoredOperation) -> list[Undo]:
        """Return what must not be done when a copy was not made: removing the originals.

        A mail program that moves by copying and deleting has been told that the copy is there.
        """
        originals = frozenset(messages_of(copy.operation))
        undos: list[Undo] = []
        for stored in self._core.pending.naming(originals):
            named = originals.intersection(removed_by(stored.operation))
            if stored.sequence > copy.sequence and named:
                undos.append(partly(stored, named, "the copy made before was refused"))
        return undos
