"""Changing what a replica shows.

An `Edit` is one change, run as a unit of the replica's writer: everything in it that shows gets one
and the same new MODSEQ, so a reader sees all of it or nothing.  It knows the effects of the
operations that wait (`sync.fold`), so that whatever the server says is put underneath them.

Effects are as they were when the unit was submitted.  When they change, whoever changed them
submits a refold of the messages concerned: units run in order, so the last word is right.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import apsw

from mailferry.mail.mailbox import MailboxPath
from mailferry.mail.message import Flag, MessageId, MessageState, Summary
from mailferry.store.blobs import Description
from mailferry.store.codec import decode_flags, encode_flags, encode_ids, encode_names
from mailferry.store.database import rows
from mailferry.sync.fold import Effect, fold_message

TOMBSTONES_MAX: Final = 50_000  # A mailbox: 2 MB; who comes back later than that starts anew.

Effects = Mapping[int, Sequence[Effect]]
"""Message id -> effects of the operations that wait, in their order."""

NO_FLAGS: Final[frozenset[Flag]] = frozenset()


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message that the server has, and that is new here."""

    id: int
    uid: int
    flags: frozenset[Flag] | None
    """None: the server has not said yet."""


class Edit:
    """One change of what is shown."""

    def __init__(self, connection: apsw.Connection, effects: Effects) -> None:
        self._connection = connection
        self._effects = effects
        self._modseq = 0
        self._flag_keys: dict[frozenset[Flag], int] = {}
        self.touched: set[int] = set()
        """Mailboxes in which something that shows has changed."""

    # Mailboxes

    def put_mailbox(
        self,
        mailbox: int,
        path: MailboxPath,
        attributes: Iterable[str],
        *,
        listed: bool,
        uid_next: int,
    ) -> None:
        """Note a mailbox as the server lists it, or as it was born here."""
        modseq = self._next_modseq()
        self._connection.execute(
            """
            INSERT INTO mailbox (id, path, attributes, listed, uid_next, modseq, horizon)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)
            ON CONFLICT DO UPDATE SET path = excluded.path, attributes = excluded.attributes,
                listed = excluded.listed, uid_next = max(uid_next, excluded.uid_next)
            """,
            (
                mailbox,
                encode_names(path),
                encode_names(sorted(attributes)),
                listed,
                uid_next,
                modseq,
            ),
        )

    def drop_mailbox(self, mailbox: int) -> None:
        """Forget a mailbox with all that is in it."""
        self._connection.execute("DELETE FROM mailbox WHERE id = ?", (mailbox,))

    def set_token(self, mailbox: int, token: str | None) -> None:
        """Note up to where the server's changes have been taken in."""
        self._connection.execute("UPDATE mailbox SET token = ? WHERE id = ?", (token, mailbox))

    def set_subscriptions(self, paths: Iterable[MailboxPath]) -> None:
        """Note the server's whole list of subscribed names."""
        self._connection.execute("DELETE FROM subscription")
        self._connection.executemany(
            "INSERT INTO subscription VALUES (?)", ((encode_names(path),) for path in paths)
        )

    # What the server says

    def arrive(self, mailbox: int, arrivals: Sequence[Arrival], *, wanted: bool) -> None:
        """Show messages that are new; those that are here already stay as they are."""
        modseq = self._show_in(mailbox, arrivals[-1].uid if arrivals else 0)
        self._connection.executemany(
            """
            INSERT INTO message
                (id, mailbox, uid, said_flags, flags, hidden, modseq, created_modseq, wanted)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
            """,
            (self._arrival_row(mailbox, arrival, modseq, wanted) for arrival in arrivals),
        )

    def _arrival_row(
        self, mailbox: int, arrival: Arrival, modseq: int, wanted: bool
    ) -> tuple[int | None, ...]:
        shown = fold_message(arrival.flags or NO_FLAGS, self._effects.get(arrival.id, ()))
        return (
            arrival.id,
            mailbox,
            arrival.uid,
            None if arrival.flags is None else self._flag_key(arrival.flags),
            self._flag_key(shown or NO_FLAGS),
            shown is None,
            modseq,
            modseq,
            wanted,
        )

    def say_flags(self, said: Mapping[int, frozenset[Flag]]) -> None:
        """Take in the flags that the server has."""
        self._connection.executemany(
            "UPDATE message SET said_flags = ? WHERE id = ?",
            ((self._flag_key(flags), key) for key, flags in said.items()),
        )
        self.refold(said)

    def add_to_said(
        self, ids: Iterable[int], add: frozenset[Flag], remove: frozenset[Flag]
    ) -> None:
        """Note a flag change that was carried out, where the server's flags are known."""
        self.say_flags(
            {
                key: (decode_flags(flags) - remove) | add
                for key, flags in rows(
                    self._connection,
                    """
                    SELECT message.id, flag_set.flags FROM message
                    JOIN flag_set ON flag_set.id = said_flags
                    WHERE message.id IN (SELECT value FROM json_each(?))
                    """,
                    (encode_ids(ids),),
                )
            }
        )

    def inherit_said(self, pairs: Mapping[int, int]) -> None:
        """Let messages have the server's flags of others that turned out to be the same.

        `pairs` is {the other one: the message that stays}.
        """
        self._connection.executemany(
            """
            UPDATE message SET said_flags = other.said_flags FROM message AS other
            WHERE other.id = ? AND other.said_flags IS NOT NULL AND message.id = ?
            """,
            pairs.items(),
        )
        self.refold(pairs.values())

    def list_messages(self, summaries: Iterable[Summary]) -> None:
        """Keep what the server says of messages (by our ids).

        What was told before stays: a size or a structure never changes under one UID.
        """
        said: dict[int, frozenset[Flag]] = {}
        for summary in summaries:
            row = self._connection.execute(
                "SELECT said_flags FROM message WHERE id = ?", (summary.id,)
            ).fetchone()
            if row is None:
                continue
            if row[0] is None and summary.flags is not None:
                said[summary.id] = summary.flags
            self._list(summary)
        self.say_flags(said)

    def _list(self, summary: Summary) -> None:
        date = summary.internal_date
        self._connection.execute(
            """
            UPDATE message SET internal_date = ifnull(internal_date, ?),
                zone_min = ifnull(zone_min, ?), size = ifnull(size, ?),
                email_id = ifnull(email_id, ?), thread_id = ifnull(thread_id, ?),
                listed = listed OR ?
            WHERE id = ?
            """,
            (
                None if date is None else int(date.timestamp()),
                _zone_min(date),
                summary.size,
                summary.email_id,
                summary.thread_id,
                summary.envelope is not None or summary.header_fields is not None,
                summary.id,
            ),
        )
        self._connection.execute(
            """
            INSERT INTO summary VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
                envelope = ifnull(envelope, excluded.envelope),
                body_structure = ifnull(body_structure, excluded.body_structure),
                header_fields = ifnull(header_fields, excluded.header_fields),
                header = ifnull(header, excluded.header)
            """,
            (
                summary.id,
                summary.envelope,
                summary.body_structure,
                summary.header_fields,
                summary.header,
            ),
        )

    # What operations do

    def refold(self, ids: Iterable[int]) -> list[MessageState]:
        """Show messages as they are under the operations that wait; return those still shown."""
        states: list[MessageState] = []
        hiding: list[tuple[int, int, int]] = []
        changing: defaultdict[tuple[int, frozenset[Flag]], list[int]] = defaultdict(list)
        for key, mailbox, uid, said, shown, hidden, modseq, created in self._fold_rows(ids):
            flags = fold_message(
                NO_FLAGS if said is None else decode_flags(said), self._effects.get(key, ())
            )
            if flags is None:
                if not hidden:
                    hiding.append((key, mailbox, created))
            elif hidden or flags != decode_flags(shown):
                changing[mailbox, flags].append(key)
                states.append(MessageState(MessageId(key), uid, flags, self._touch(mailbox)))
            else:
                states.append(MessageState(MessageId(key), uid, flags, modseq))
        for (_, flags), group in changing.items():
            self._show(group, flags)
        self._hide(hiding)
        return states

    def _fold_rows(self, ids: Iterable[int]) -> list[tuple[Any, ...]]:
        return rows(
            self._connection,
            """
            SELECT message.id, mailbox, uid, said.flags, shown.flags, hidden, modseq, created_modseq
            FROM message
            LEFT JOIN flag_set AS said ON said.id = said_flags
            JOIN flag_set AS shown ON shown.id = message.flags
            WHERE message.id IN (SELECT value FROM json_each(?))
            """,
            (encode_ids(ids),),
        )

    def _hide(self, hiding: Sequence[tuple[int, int, int]]) -> None:
        self._connection.execute(
            "UPDATE message SET hidden = 1 WHERE id IN (SELECT value FROM json_each(?))",
            (encode_ids(key for key, _, _ in hiding),),
        )
        for message, mailbox, created_modseq in hiding:
            self._bury(message, mailbox, created_modseq)

    def _show(self, ids: Sequence[int], flags: frozenset[Flag]) -> None:
        bindings = (self._flag_key(flags), self._next_modseq(), encode_ids(ids))
        self._connection.execute(
            """
            UPDATE message SET flags = ?1, hidden = 0, modseq = ?2,
                created_modseq = iif(hidden, ?2, created_modseq)
            WHERE id IN (SELECT value FROM json_each(?3))
            """,
            bindings,
        )
        self._connection.execute(
            "DELETE FROM tombstone WHERE message IN (SELECT value FROM json_each(?))", bindings[2:]
        )

    def remove(self, ids: Iterable[int]) -> None:
        """Forget messages; those that were shown leave tombstones."""
        removed = rows(
            self._connection,
            """
            DELETE FROM message WHERE id IN (SELECT value FROM json_each(?))
            RETURNING id, mailbox, hidden, created_modseq
            """,
            (encode_ids(ids),),
        )
        for message, mailbox, hidden, created_modseq in removed:
            if not hidden:
                self._bury(message, mailbox, created_modseq)

    def bear_copy(self, mailbox: int, message: int, uid: int, original: int) -> None:
        """Show a copy that was made here, with all that is known of its original."""
        modseq = self._show_in(mailbox, uid)
        self._connection.execute(
            """
            INSERT INTO message
                (id, mailbox, uid, said_flags, flags, modseq, created_modseq, listed, parse,
                 internal_date, zone_min, size, email_id, thread_id)
            SELECT ?, ?, ?, iif(said_flags IS NULL, NULL, flags), flags, ?, ?, listed, parse,
                 internal_date, zone_min, size, email_id, thread_id
            FROM message WHERE id = ?
            ON CONFLICT DO NOTHING
            """,
            (message, mailbox, uid, modseq, modseq, original),
        )
        if self._connection.changes() == 0:  # The original was lost with a damaged file.
            self.arrive(mailbox, [Arrival(message, uid, None)], wanted=False)
            return
        self._connection.execute(
            """
            INSERT INTO summary
            SELECT ?, envelope, body_structure, header_fields, header FROM summary WHERE message = ?
            ON CONFLICT DO NOTHING
            """,
            (message, original),
        )
        self._connection.execute(
            """
            INSERT INTO section (message, name, body) SELECT ?, name, body FROM section
            WHERE message = ? ON CONFLICT DO NOTHING
            """,
            (message, original),
        )

    def bear_append(
        self,
        mailbox: int,
        message: int,
        uid: int,
        *,
        flags: frozenset[Flag],
        internal_date: datetime,
        size: int,
        description: Description,
    ) -> None:
        """Show a message that was appended here."""
        self.arrive(mailbox, [Arrival(message, uid, flags)], wanted=False)
        self._list(
            Summary(
                id=MessageId(message),
                uid=uid,
                internal_date=internal_date,
                size=size,
                envelope=description.envelope,
                body_structure=description.body_structure,
                header_fields=description.header_fields,
                header=description.header,
            )
        )
        self._connection.execute("UPDATE message SET parse = 1 WHERE id = ?", (message,))

    def bear_again(self, mailbox: int, made: Mapping[int, tuple[int, int]]) -> None:
        """Show messages that come back under the new ids and UIDs that they were given."""
        for old, (new, uid) in made.items():
            self.bear_copy(mailbox, new, uid, old)
            self._connection.execute(
                """
                UPDATE message SET (said_flags, wanted)
                    = (SELECT said_flags, wanted FROM message WHERE id = ?)
                WHERE id = ?
                """,
                (old, new),
            )
        self.remove(made)
        self.refold([new for new, _ in made.values()])

    # Numbers

    def _show_in(self, mailbox: int, uid: int) -> int:
        """Note that a UID is shown in a mailbox, so that its UIDNEXT is above."""
        self._connection.execute(
            "UPDATE mailbox SET uid_next = max(uid_next, ?) WHERE id = ?", (uid + 1, mailbox)
        )
        return self._touch(mailbox)

    def _bury(self, message: int, mailbox: int, created_modseq: int) -> None:
        self._connection.execute(
            "INSERT OR REPLACE INTO tombstone VALUES (?, ?, ?, ?)",
            (message, mailbox, self._touch(mailbox), created_modseq),
        )

    def _touch(self, mailbox: int) -> int:
        modseq = self._next_modseq()
        if mailbox not in self.touched:
            self.touched.add(mailbox)
            self._connection.execute(
                "UPDATE mailbox SET modseq = ? WHERE id = ?", (modseq, mailbox)
            )
        return modseq

    def _next_modseq(self) -> int:
        if not self._modseq:
            [(self._modseq,)] = self._connection.execute(
                "UPDATE setting SET value = value + 1 WHERE name = 'modseq' RETURNING value"
            )
        return self._modseq

    def _flag_key(self, flags: frozenset[Flag]) -> int:
        key = self._flag_keys.get(flags)
        if key is None:
            text = encode_flags(flags)
            self._connection.execute(
                "INSERT INTO flag_set (flags) VALUES (?) ON CONFLICT DO NOTHING", (text,)
            )
            [(key,)] = self._connection.execute("SELECT id FROM flag_set WHERE flags = ?", (text,))
            self._flag_keys[flags] = key
        return key


def _zone_min(date: datetime | None) -> int | None:
    offset = None if date is None else date.utcoffset()
    return None if offset is None else int(offset.total_seconds()) // 60


def forget_tombstones(connection: apsw.Connection, mailboxes: Collection[int]) -> None:
    """Forget the oldest tombstones past TOMBSTONES_MAX of these mailboxes."""
    for mailbox in mailboxes:
        row = connection.execute(
            """
            SELECT modseq FROM tombstone WHERE mailbox = ? ORDER BY modseq DESC LIMIT 1 OFFSET ?
            """,
            (mailbox, TOMBSTONES_MAX),
        ).fetchone()
        if row is not None:
            connection.execute(
                "DELETE FROM tombstone WHERE mailbox = ? AND modseq <= ?", (mailbox, row[0])
            )
            connection.execute(
                "UPDATE mailbox SET horizon = max(horizon, ?) WHERE id = ?", (row[0], mailbox)
            )
