"""The operations that are not final, in memory: in order, and by what they concern.

A picture of the journal's open operations, changed only after the journal was.
"""

from __future__ import annotations

import asyncio
from bisect import insort
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace

from mailferry.mail.operation import (
    Append,
    Copy,
    Expunge,
    Move,
    Operation,
    OperationId,
    OperationState,
    Probe,
    SetFlags,
)
from mailferry.store.codec import Birth, mailbox_id, mailbox_key
from mailferry.store.operations import StoredOperation
from mailferry.store.shown import Effects
from mailferry.sync.fold import Effect, ListedMailbox, PendingChange, effect_on_messages


class Pending:
    """The open operations of an account."""

    def __init__(self, operations: Iterable[StoredOperation] = ()) -> None:
        self._operations: dict[int, StoredOperation] = {}
        self._by_id: dict[OperationId, int] = {}
        self._by_message: defaultdict[int, list[int]] = defaultdict(list)
        self._births: dict[int, int] = {}
        self.ended = asyncio.Event()
        """Set, and replaced, when an operation ends."""
        for stored in operations:
            self.add(stored)

    def __len__(self) -> int:
        return len(self._operations)

    def __iter__(self) -> Iterator[StoredOperation]:
        """Yield all in the order of staging."""
        return iter([self._operations[sequence] for sequence in sorted(self._operations)])

    def add(self, stored: StoredOperation) -> None:
        """Take in an operation that was staged."""
        self._operations[stored.sequence] = stored
        self._by_id[stored.operation.id] = stored.sequence
        for message in messages_of(stored.operation):
            insort(self._by_message[message], stored.sequence)
        for birth in stored.result.births:
            self._births[birth.message] = stored.sequence

    def remove(self, sequence: int) -> None:
        """Let go of an operation that is final."""
        stored = self._operations.pop(sequence, None)
        if stored is None:
            return
        self._by_id.pop(stored.operation.id, None)
        for message in messages_of(stored.operation):
            sequences = self._by_message[message]
            sequences.remove(sequence)
            if not sequences:
                del self._by_message[message]
        for birth in stored.result.births:
            if self._births.get(birth.message) == sequence:
                del self._births[birth.message]
        ended, self.ended = self.ended, asyncio.Event()
        ended.set()

    def rewrite(self, stored: StoredOperation) -> None:
        """Replace what an operation names; its state stays as it is here."""
        before = self._operations.get(stored.sequence)
        if before is not None:
            self.remove(stored.sequence)
            self.add(replace(stored, state=before.state, probe=before.probe))

    def set_state(self, sequence: int, state: OperationState) -> None:
        """Note the new state of an operation that stays open."""
        self._operations[sequence] = replace(self._operations[sequence], state=state)

    def set_probe(self, sequence: int, probe: Probe | None) -> None:
        """Note what to look for after an attempt."""
        self._operations[sequence] = replace(self._operations[sequence], probe=probe)

    def get(self, sequence: int) -> StoredOperation | None:
        """Return an open operation."""
        return self._operations.get(sequence)

    def find(self, key: OperationId) -> StoredOperation | None:
        """Return an open operation by its id."""
        sequence = self._by_id.get(key)
        return None if sequence is None else self._operations[sequence]

    def naming(self, messages: Iterable[int]) -> list[StoredOperation]:
        """Return the operations that name or made one of these messages, in order."""
        sequences: set[int] = set()
        for message in messages:
            sequences.update(self._by_message.get(message, ()))
            if message in self._births:
                sequences.add(self._births[message])
        return [self._operations[sequence] for sequence in sorted(sequences)]

    def removing(self, message: int) -> list[StoredOperation]:
        """Return the operations that take a message away."""
        return [
            stored
            for sequence in self._by_message.get(message, ())
            if isinstance((stored := self._operations[sequence]).operation, Expunge | Move)
        ]

    def birth_of(self, message: int) -> tuple[StoredOperation, Birth] | None:
        """Return the waiting operation that made a message."""
        sequence = self._births.get(message)
        if sequence is None:
            return None
        stored = self._operations[sequence]
        return stored, next(each for each in stored.result.births if each.message == message)

    def effects(self, messages: Iterable[int]) -> Effects:
        """Return what waits for these messages."""
        found: dict[int, list[Effect]] = {}
        for message in messages:
            for sequence in self._by_message.get(message, ()):
                effect = effect_on_messages(self._operations[sequence].operation)
                if effect is not None:
                    found.setdefault(message, []).append(effect)
        return found

    def list_changes(self) -> list[PendingChange]:
        """Return what waits for the list of mailboxes, in order."""
        return [
            PendingChange(
                stored.operation,
                tuple(
                    ListedMailbox(id=mailbox_id(made.mailbox), path=made.path)
                    for made in stored.result.mailboxes
                ),
            )
            for stored in self
            if not isinstance(stored.operation, SetFlags | Expunge | Copy | Move)
        ]


def messages_of(operation: Operation) -> tuple[int, ...]:
    """Return the messages that an operation names."""
    match operation:
        case SetFlags() | Expunge() | Copy() | Move():
            return operation.messages
        case _:
            return ()


def removed_by(operation: Operation) -> frozenset[int]:
    """Return the messages that an operation takes away."""
    return frozenset(operation.messages) if isinstance(operation, Expunge | Move) else frozenset()


def births_in(operation: Operation) -> int:
    """Return the mailbox in which an operation makes messages, 0 for none."""
    match operation:
        case Copy() | Move():
            return mailbox_key(operation.target)
        case Append():
            return mailbox_key(operation.mailbox)
        case _:
            return 0


def touched_by(operation: Operation) -> frozenset[int]:
    """Return the mailboxes in which an operation makes or moves messages."""
    source = mailbox_key(operation.mailbox) if isinstance(operation, Move) else 0
    return frozenset({births_in(operation), source} - {0})
