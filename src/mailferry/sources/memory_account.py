"""A mail account as plain data in memory: mailboxes, messages, and what operations do to them.

The reference model of everything that docs/architecture.md says about identity: UIDs ascend and are
never given twice, every change takes a new and higher MODSEQ, what was removed leaves a tombstone.
Synchronous and deterministic; `mailferry.sources.memory` puts the interface of a source around it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from mailferry.mail.changes import Changes
from mailferry.mail.errors import (
    CannotCalculateChanges,
    MailboxExists,
    MailboxNameInvalid,
    MailboxNotFound,
    MessageNotFound,
    NotPermitted,
    OverQuota,
)
from mailferry.mail.mailbox import (
    INBOX,
    Mailbox,
    MailboxId,
    MailboxPath,
    MailboxStatus,
    State,
    checked_path,
)
from mailferry.mail.message import DELETED, SEEN, Flag, MessageId, MessageState
from mailferry.sources.matching import Content
from mailferry.sources.memory_content import StoredContent

TOMBSTONES_MAX: Final = 10_000  # A mailbox: some 1 MB; who comes back later than that starts anew.
_AFTER_ALL_IDS: Final = 1 << 64  # Sorts after every message id of the same MODSEQ.


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message in one mailbox; replaced, never changed."""

    id: MessageId
    uid: int
    flags: frozenset[Flag]
    modseq: int
    created_modseq: int
    stored: StoredContent
    internal_date: datetime

    @property
    def state(self) -> MessageState:
        """The part that changes."""
        return MessageState(self.id, self.uid, self.flags, self.modseq)

    # What a search reads (sources/matching.py).

    @property
    def size(self) -> int:
        """Octets."""
        return len(self.stored.data)

    async def listed_fields(self) -> bytes:
        """The fields that lists are drawn from."""
        return self.stored.listed_fields

    async def header(self) -> bytes:
        """The whole header."""
        return self.stored.header

    async def content(self) -> Content:
        """Everything."""
        return Content(self.stored.structure, self.stored.chunks(0, self.size))


@dataclass(slots=True, kw_only=True)
class Box:
    """A mailbox: its messages, its tombstones, and the order in which both last changed."""

    id: MailboxId
    path: MailboxPath
    uid_validity: int
    attributes: frozenset[str] = frozenset()
    uid_next: int = 1
    highest_modseq: int = (
        1  # Never 0, not even when empty: some mail programs drop their cache at 0.
    )
    forgotten_modseq: int = 0
    """Tombstones up to here have been dropped: no changes can be told from an older state."""
    messages: dict[MessageId, Message] = field(default_factory=dict)
    """In ascending order of UID."""
    tombstones: dict[MessageId, int] = field(default_factory=dict)
    """MODSEQ of the removal, oldest first."""
    log: list[tuple[int, MessageId]] = field(default_factory=list)
    """(MODSEQ, id) of every change, ascending; an entry that is no longer the last one is stale."""
    unseen: int = 0
    deleted: int = 0
    size: int = 0

    def copy(self) -> Box:
        """Return a box that can change without changing this one."""
        return replace(
            self, messages=dict(self.messages), tombstones=dict(self.tombstones), log=list(self.log)
        )

    def get(self, message: MessageId) -> Message:
        """Return a message.

        Raises:
            MessageNotFound: it has gone.
        """
        found = self.messages.get(message)
        if found is None:
            raise MessageNotFound(f"message {message} is not in {'/'.join(self.path)}")
        return found

    def put(self, message: Message) -> None:
        """Add a message, or put its new state in the place of the old one."""
        old = self.messages.get(message.id)
        if old is not None:
            self._count(old, -1)
        self.messages[message.id] = message
        self._count(message, 1)
        self._note(message.modseq, message.id)

    def remove(self, message: MessageId, modseq: int, tombstones_max: int) -> Message:
        """Take a message out and leave a tombstone; the oldest are dropped past the limit."""
        gone = self.messages.pop(message)
        self._count(gone, -1)
        self.tombstones[message] = modseq
        self._note(modseq, message)
        while len(self.tombstones) > tombstones_max:
            self.forgotten_modseq = self.tombstones.pop(next(iter(self.tombstones)))
        return gone

    def next_modseq(self) -> int:
        """Take a new, higher MODSEQ."""
        self.highest_modseq += 1
        return self.highest_modseq

    def _count(self, message: Message, sign: int) -> None:
        self.unseen += sign * (SEEN not in message.flags)
        self.deleted += sign * (DELETED in message.flags)
        self.size += sign * message.size

    def _note(self, modseq: int, message: MessageId) -> None:
        self.log.append((modseq, message))
        if len(self.log) > 2 * (len(self.messages) + len(self.tombstones)) + 64:
            self.log = [entry for entry in self.log if self.last_change(entry[1]) == entry[0]]

    def last_change(self, message: MessageId) -> int | None:
        """Return the MODSEQ of a message or tombstone."""
        found = self.messages.get(message)
        return found.modseq if found is not None else self.tombstones.get(message)

    @property
    def state(self) -> State:
        """The state in which everything up to now is known."""
        return State(f"{self.uid_validity}.{self.highest_modseq}")

    def status(self) -> MailboxStatus:
        """Return the counters."""
        return MailboxStatus(
            uid_validity=self.uid_validity,
            uid_next=self.uid_next,
            messages=len(self.messages),
            unseen=self.unseen,
            deleted=self.deleted,
            size=self.size,
            highest_modseq=self.highest_modseq,
            state=self.state,
        )

    def changes(self, since: State | None, limit: int) -> Changes:
        """Return what changed after `since` in the order of (MODSEQ, id), at most `limit` messages.

        A state is the position reached in that order.  While a caller that began with nothing is on
        its way, the state also carries the MODSEQ at its beginning: tombstones up to there name
        messages that it never heard of.
        """
        modseq, reached, beginning = self._position(since)
        created: list[MessageState] = []
        updated: list[MessageState] = []
        destroyed: list[MessageId] = []
        at = bisect_right(self.log, (modseq, reached))
        while at < len(self.log) and len(created) + len(updated) + len(destroyed) < limit:
            entry = self.log[at]
            at += 1
            if self.last_change(entry[1]) != entry[0]:
                continue
            message = self.messages.get(entry[1])
            if message is None:
                if entry[0] > beginning:
                    destroyed.append(entry[1])
            elif entry[0] <= beginning or (message.created_modseq, message.id) > (modseq, reached):
                created.append(message.state)
            else:
                updated.append(message.state)
        has_more = at < len(self.log)
        new_state = self.state
        if has_more:
            modseq, reached = self.log[at - 1]
            new_state = State(f"{self.uid_validity}.{modseq}.{reached}.{beginning}")
        return Changes(
            created=tuple(created),
            updated=tuple(updated),
            destroyed=tuple(destroyed),
            new_state=new_state,
            has_more=has_more,
        )

    def _position(self, since: State | None) -> tuple[int, int, int]:
        """Return the position of a state: MODSEQ, id, and the MODSEQ of its beginning."""
        if since is None:
            return 0, 0, self.highest_modseq
        try:
            numbers = [int(part) for part in since.split(".")]
        except ValueError:
            numbers = []
        match numbers:
            case [self.uid_validity, modseq]:
                position = modseq, _AFTER_ALL_IDS, 0
            case [self.uid_validity, modseq, reached, beginning]:
                position = modseq, reached, beginning
            case _:
                raise CannotCalculateChanges("the state is not of this mailbox")
        # A caller on its first way through must not miss a removal since its beginning either.
        if not self.forgotten_modseq <= max(position[0], position[2]) <= self.highest_modseq:
            raise CannotCalculateChanges("the state is too old")
        return position


class Account:
    """All mailboxes of an account, and the primitives that operations are made of.

    Every primitive checks before it changes anything, so that one which raises has done nothing.
    """

    def __init__(
        self, clock: Callable[[], datetime], *, tombstones_max: int, quota_octets: int | None
    ) -> None:
        self.clock = clock
        self._tombstones_max = tombstones_max
        self._quota_octets = quota_octets
        self._boxes: dict[MailboxId, Box] = {}
        self.subscriptions: set[MailboxPath] = set()
        self._last_message = 0
        self._last_mailbox = 0
        self._last_uid_validity = 0
        self.create(INBOX, None)

    def snapshot(self) -> Callable[[], None]:
        """Return what puts everything back as it is now; ids of messages are not given again."""
        boxes = {key: box.copy() for key, box in self._boxes.items()}
        subscriptions = set(self.subscriptions)

        def restore() -> None:
            self._boxes = boxes
            self.subscriptions = subscriptions

        return restore

    # Mailboxes

    def box(self, mailbox: MailboxId) -> Box:
        """Return a mailbox.

        Raises:
            MailboxNotFound: there is none of that id.
        """
        found = self._boxes.get(mailbox)
        if found is None:
            raise MailboxNotFound(f"no mailbox {mailbox}")
        return found

    def find(self, path: MailboxPath) -> Box | None:
        """Return the mailbox of a name."""
        return next((box for box in self._boxes.values() if box.path == path), None)

    def boxes(self) -> Iterable[Box]:
        """Return all mailboxes."""
        return self._boxes.values()

    def mailboxes(self) -> Iterator[Mailbox]:
        """Yield all mailboxes, and the subscribed names that have none."""
        paths = set()
        for box in self._boxes.values():
            paths.add(box.path)
            yield Mailbox(
                id=box.id,
                path=box.path,
                attributes=box.attributes,
                subscribed=box.path in self.subscriptions,
                status=box.status(),
            )
        for path in sorted(self.subscriptions - paths):
            yield Mailbox(
                id=MailboxId("name:" + "/".join(path)),
                path=path,
                attributes=frozenset({"\\NonExistent"}),
                subscribed=True,
            )

    def create(self, path: MailboxPath, special_use: str | None) -> list[Box]:
        """Create a mailbox and those above it that are missing; return them, the named one last."""
        path = self._valid(path)
        if self.find(path) is not None:
            raise MailboxExists("/".join(path))
        missing = [
            path[:depth] for depth in range(1, len(path) + 1) if self.find(path[:depth]) is None
        ]
        made = [self._new_box(each) for each in missing]
        if special_use is not None:
            made[-1].attributes = frozenset({special_use})
        return made

    def _new_box(self, path: MailboxPath) -> Box:
        self._last_mailbox += 1
        self._last_uid_validity = max(self._last_uid_validity + 1, int(self.clock().timestamp()))
        box = Box(
            id=MailboxId(f"mailbox-{self._last_mailbox}"),
            path=path,
            uid_validity=self._last_uid_validity,
        )
        self._boxes[box.id] = box
        return box

    def delete(self, mailbox: MailboxId) -> Box:
        """Remove a mailbox with its messages; those below it stay."""
        box = self.box(mailbox)
        if box.path == INBOX:
            raise NotPermitted("the INBOX cannot be deleted")
        return self._boxes.pop(mailbox)

    def bring_back(self, box: Box) -> None:
        """Put a deleted mailbox back, its messages under new UIDs."""
        if self.find(box.path) is not None:
            box.path = (*box.path[:-1], f"{box.path[-1]} {box.uid_validity}")
        self._boxes[box.id] = box
        for message in list(box.messages.values()):
            self.remove(box, [message.id])
            self.add(box, message.stored, message.flags, message.internal_date)

    def rename(self, mailbox: MailboxId, path: MailboxPath) -> list[Box]:
        """Rename a mailbox and those below it; return the mailboxes above that had to be created."""
        old = self.box(mailbox).path
        new = self._valid(path)
        if old == INBOX:
            raise NotPermitted("the INBOX cannot be renamed")
        if new[: len(old)] == old:
            raise MailboxNameInvalid("a mailbox cannot be moved below itself")
        moving = [box for box in self._boxes.values() if box.path[: len(old)] == old]
        for box in moving:
            if self.find(new + box.path[len(old) :]) is not None:
                raise MailboxExists("/".join(new + box.path[len(old) :]))
        made = [
            self._new_box(new[:depth])
            for depth in range(1, len(new))
            if self.find(new[:depth]) is None
        ]
        for box in moving:
            box.path = new + box.path[len(old) :]
        return made

    @staticmethod
    def _valid(path: MailboxPath) -> MailboxPath:
        try:
            return checked_path(path)
        except ValueError as exc:
            raise MailboxNameInvalid(str(exc)) from exc

    # Messages

    def add(
        self, box: Box, content: StoredContent, flags: frozenset[Flag], internal_date: datetime
    ) -> Message:
        """Put a new message into a mailbox."""
        self._last_message += 1
        modseq = box.next_modseq()
        message = Message(
            id=MessageId(self._last_message),
            uid=box.uid_next,
            flags=flags,
            modseq=modseq,
            created_modseq=modseq,
            stored=content,
            internal_date=internal_date,
        )
        box.uid_next += 1
        box.put(message)
        return message

    def check_room(self, octets: int) -> None:
        """Check that there is room for so much more.

        Raises:
            OverQuota: there is not.
        """
        used = sum(box.size for box in self._boxes.values())
        if self._quota_octets is not None and used + octets > self._quota_octets:
            raise OverQuota(f"the account is full at {self._quota_octets} octets")

    def remove(self, box: Box, messages: Iterable[MessageId]) -> list[Message]:
        """Remove messages that are there; all of them get one MODSEQ."""
        gone = [box.get(message) for message in messages]
        if gone:
            modseq = box.next_modseq()
            for message in sorted(gone, key=lambda each: each.id):
                box.remove(message.id, modseq, self._tombstones_max)
        return gone

    def set_flags(self, box: Box, flags: Iterable[tuple[MessageId, frozenset[Flag]]]) -> None:
        """Give messages that are there these flags; those that change get one MODSEQ."""
        changed = [(box.get(message), new) for message, new in flags]
        changed = [(message, new) for message, new in changed if message.flags != new]
        if changed:
            modseq = box.next_modseq()
            for message, new in sorted(changed, key=lambda each: each[0].id):
                box.put(replace(message, flags=new, modseq=modseq))
