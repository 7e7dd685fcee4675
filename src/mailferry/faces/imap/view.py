"""View: a selected mailbox as one client knows it (RFC 9051 §2.3.1.2, §7.5.1).

Theory of operation
===================

Sequence numbers exist only between a client and its session: they are positions in the list of
messages that the client was told of.  That list is here, as columns in ascending order of UID, and
changes only when the client is told so.  Everything else in mailferry speaks of messages by id.

`sync` asks the source what changed since it was last asked, and tells the client:

    flags changed   at once; that is allowed while any command is in progress
    created         at once, all together: `* n EXISTS`
    destroyed       only at a safe point (`Expunges.TELL`): not while the client may be using sequence
                    numbers, that is not in answers to FETCH, STORE and SEARCH (RFC 9051 §7.5.1).
                    Until then the message keeps its number and `is_gone` says that it has gone.

`told` notes what the client learned from the answer to its own command, so that it is not told the
same once more.  When the source has forgotten the state that we know (CannotCalculateChanges) the
whole list is taken anew and compared with the one that the client knows.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from typing import Final

from mailferry.faces.imap.output import Output
from mailferry.faces.imap.replies import LineUnusable
from mailferry.mail.changes import Changes
from mailferry.mail.errors import CannotCalculateChanges
from mailferry.mail.mailbox import Mailbox, MailboxId, State
from mailferry.mail.message import SEEN, SYSTEM_FLAGS, Flag, MessageId, MessageState
from mailferry.mail.source import StagingSource
from mailferry.wire.imap.sequence_set import Ranges, SequenceSet, compacted, merged
from mailferry.wire.imap.serialize import flag_list

CHANGES_STEP: Final = 2_000  # Messages asked for at a time: a few hundred kB, and some ms of work.
KEYWORDS_MAX: Final = 1_000  # Shown in FLAGS; a hostile mailbox could have one in every message.

ClaimRecent = Callable[[MailboxId, int], int]
"""Says from which UID on messages are \\Recent for who asks, and that they are seen up to a UIDNEXT."""


class Expunges(Enum):
    """Whether this is a point at which sequence numbers may change."""

    TELL = "tell"
    HOLD_BACK = "hold back"


class View:
    """The messages of a selected mailbox; about 20 octets each."""

    def __init__(self, mailbox: Mailbox, *, read_only: bool, claim_recent: ClaimRecent) -> None:
        self.mailbox: Final = mailbox.id
        self.read_only: Final = read_only
        self._claim_recent = claim_recent
        self._uids = array("I")
        self._ids = array("q")
        self._modseqs = array("Q")
        self._gone: set[int] = set()
        """UIDs of messages that have gone and whose number the client still knows."""
        self._created: dict[int, MessageState] = {}
        """By UID, messages that the client was not told of yet: within a sync, or one that was cancelled."""
        self._recent: list[tuple[int, int]] = []
        """UIDs from .. to that are \\Recent in this session."""
        self._state: State | None = None
        self.keywords: set[Flag] = set()
        self.first_unseen_uid = 0
        self.uid_next = 1

    async def load(self, source: StagingSource, uid_next: int) -> None:
        """Take in the whole mailbox; nothing is told.

        Raises:
            MailboxNotFound: it has gone.
        """
        states = await self._take_all(source)
        for message in states.values():
            self._note_keywords(message.flags)
        self._append(states.values())
        unseen = (uid for uid, message in states.items() if SEEN not in message.flags)
        self.first_unseen_uid = min(unseen, default=0)
        self.uid_next = max(uid_next, self._last_uid + 1)
        self._claim(self.uid_next)

    # Numbers

    @property
    def count(self) -> int:
        """How many messages the client knows of."""
        return len(self._uids)

    @property
    def _last_uid(self) -> int:
        return self._uids[-1] if self._uids else 0

    def uid(self, position: int) -> int:
        """Return the UID of the message at a position: its sequence number less one."""
        return self._uids[position]

    def id(self, position: int) -> MessageId:
        """Return the id of the message at a position."""
        return MessageId(self._ids[position])

    def position(self, uid: int) -> int | None:
        """Return where the message with this UID is."""
        at = bisect_left(self._uids, uid)
        return at if at < len(self._uids) and self._uids[at] == uid else None

    def is_gone(self, position: int) -> bool:
        """Whether the message has gone, though the client does not know it yet."""
        return bool(self._gone) and self._uids[position] in self._gone

    def is_recent(self, uid: int) -> bool:
        r"""Whether the message is \Recent in this session."""
        return any(first <= uid <= last for first, last in self._recent)

    @property
    def recent(self) -> Ranges:
        r"""The UIDs that are \Recent."""
        return tuple(self._recent)

    @property
    def recent_count(self) -> int:
        r"""How many messages are \Recent."""
        return sum(
            bisect_right(self._uids, last) - bisect_left(self._uids, first)
            for first, last in self._recent
        )

    def positions(self, messages: SequenceSet, *, by_uid: bool) -> list[range]:
        """Return where the messages of a set are; UIDs that are not there are passed over.

        Raises:
            ValueError: a sequence number is beyond the last message.
        """
        if by_uid:
            return [
                range(bisect_left(self._uids, low), bisect_right(self._uids, high))
                for low, high in messages.resolve(self._last_uid)
            ]
        count = len(self._uids)
        for first, last in messages.parts:
            # "n:*" with n beyond the last message means the last message.
            if max(first, last) > count and 0 not in (first, last):
                raise ValueError("there is no such message")
            if count == 0 and first == last == 0:
                raise ValueError("there is no message")
        return [range(low - 1, min(high, count)) for low, high in messages.resolve(count)]

    def ids(self, positions: Sequence[range]) -> list[MessageId]:
        """Return the ids at these positions, without those that have gone."""
        return [
            MessageId(self._ids[at]) for span in positions for at in span if not self.is_gone(at)
        ]

    def find(self, messages: Iterable[MessageId]) -> list[int]:
        """Return the positions of those messages that the client knows, ascending."""
        wanted = set(messages)
        if not wanted:
            return []
        return [at for at, each in enumerate(self._ids) if each in wanted]

    def uid_ranges(self, positions: Sequence[range]) -> Ranges:
        """Return the UIDs at these positions."""
        return compacted(self._uids[at] for span in positions for at in span)

    def spelled(self, name: Flag) -> Flag:
        """Return a flag as it is spelled in this mailbox: keywords are the same in any case."""
        if name in self.keywords or name in SYSTEM_FLAGS:
            return name
        same = (keyword for keyword in self.keywords if keyword.lower() == name.lower())
        return next(same, name)

    # Changes

    async def sync(self, source: StagingSource, out: Output, expunges: Expunges) -> None:
        """Take in what changed and tell the client what may be told now.

        Raises:
            MailboxNotFound: the mailbox has gone.
            LineUnusable: numbers do not ascend any more; the client has to begin anew.
        """
        has_more = True
        while has_more:
            try:
                changes = await source.changes(self.mailbox, self._state, limit=CHANGES_STEP)
            except CannotCalculateChanges:
                await self._compare_anew(source, out)
                break
            self._take_destroyed(changes)
            for message in (*changes.created, *changes.updated):
                self._take_changed(message, out)
                await out.room()
            self._state = changes.new_state
            has_more = changes.has_more
        if expunges is Expunges.TELL:
            self._tell_expunges(out)
        self._tell_created(out)
        await out.room()

    def told(self, messages: Iterable[MessageState]) -> None:
        """Note that the client knows this state of these messages."""
        for message in messages:
            position = self.position(message.uid)
            if position is not None:
                self._modseqs[position] = message.modseq

    def _take_destroyed(self, changes: Changes) -> None:
        if not changes.destroyed:
            return
        destroyed = set(changes.destroyed)
        self._gone.update(self._uids[at] for at in self.find(destroyed))
        for uid in [uid for uid, message in self._created.items() if message.id in destroyed]:
            del self._created[uid]

    def _take_changed(self, message: MessageState, out: Output) -> None:
        position = self.position(message.uid)
        if position is None:
            self._created[message.uid] = message
        elif message.modseq > self._modseqs[position]:
            self._modseqs[position] = message.modseq
            if not self.is_gone(position):
                self.tell_keywords(message.flags, out)
                out.put(self.flags_response(position, message.flags))

    async def _compare_anew(self, source: StagingSource, out: Output) -> None:
        """Do what changes() could not: find out what differs from what the client knows."""
        states = await self._take_all(source)
        self._created.clear()
        for message in states.values():
            self._take_changed(message, out)
            await out.room()
        self._gone.update(uid for uid in self._uids if uid not in states)

    def _tell_expunges(self, out: Output) -> None:
        if not self._gone:
            return
        recent = self.recent_count
        positions = [at for at in map(self.position, sorted(self._gone)) if at is not None]
        # From the end, so that the numbers before it stay as they are.
        for at in reversed(positions):
            out.untagged(b"%d EXPUNGE" % (at + 1))
        if len(positions) < 32:  # Cheaper one by one than making the columns anew.
            for at in reversed(positions):
                del self._uids[at], self._ids[at], self._modseqs[at]
        else:
            gone = set(positions)
            kept = [at for at in range(len(self._uids)) if at not in gone]
            self._uids = array("I", [self._uids[at] for at in kept])
            self._ids = array("q", [self._ids[at] for at in kept])
            self._modseqs = array("Q", [self._modseqs[at] for at in kept])
        self._gone.clear()
        if self.recent_count != recent:
            out.untagged(b"%d RECENT" % self.recent_count)

    def _tell_created(self, out: Output) -> None:
        if not self._created:
            return
        created, self._created = self._created, {}
        for message in created.values():
            self.tell_keywords(message.flags, out)
        if min(created) <= self._last_uid:
            raise LineUnusable("the source gave a new message an old UID")
        self._append(created.values())
        self._claim(self._last_uid + 1)
        out.untagged(b"%d EXISTS" % self.count)
        out.untagged(b"%d RECENT" % self.recent_count)

    def flags_response(self, position: int, flags: frozenset[Flag]) -> bytes:
        """Return an untagged FETCH with a message's UID and flags."""
        uid = self._uids[position]
        return b"* %d FETCH (UID %d FLAGS %b)\r\n" % (position + 1, uid, self.flags(uid, flags))

    def flags(self, uid: int, flags: frozenset[Flag]) -> bytes:
        """Return a message's flags as the client sees them, in a steady order."""
        shown: list[str] = sorted(flags)
        if self.is_recent(uid):
            shown.append("\\Recent")
        return flag_list(shown)

    def flags_in_use(self) -> bytes:
        """Return what FLAGS lists: the system flags and all keywords in use."""
        return flag_list([*sorted(SYSTEM_FLAGS), *sorted(self.keywords)])

    def tell_keywords(self, flags: frozenset[Flag], out: Output) -> None:
        """Tell the client of keywords that it has not seen in FLAGS yet."""
        if self._note_keywords(flags):
            out.untagged(b"FLAGS " + self.flags_in_use())

    def _note_keywords(self, flags: frozenset[Flag]) -> bool:
        """Remember keywords; return whether there was a new one."""
        new = flags - SYSTEM_FLAGS - self.keywords
        if not new or len(self.keywords) + len(new) > KEYWORDS_MAX:
            return False
        self.keywords |= new
        return True

    async def _take_all(self, source: StagingSource) -> dict[int, MessageState]:
        """Return the state of all messages by UID; from now on we know the state of the mailbox."""
        states: dict[MessageId, MessageState] = {}
        self._state = None
        has_more = True
        while has_more:
            changes = await source.changes(self.mailbox, self._state, limit=CHANGES_STEP)
            for message in (*changes.created, *changes.updated):
                states[message.id] = message
            for gone in changes.destroyed:
                states.pop(gone, None)
            self._state = changes.new_state
            has_more = changes.has_more
        return {message.uid: message for message in states.values()}

    def _append(self, messages: Iterable[MessageState]) -> None:
        for message in sorted(messages, key=lambda each: each.uid):
            self._uids.append(message.uid)
            self._ids.append(message.id)
            self._modseqs.append(message.modseq)

    def _claim(self, uid_next: int) -> None:
        first = self._claim_recent(self.mailbox, uid_next)
        if first < uid_next:
            self._recent = list(merged([*self._recent, (first, uid_next - 1)]))
