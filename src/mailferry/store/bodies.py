"""Content in a replica: which is here, whole or in part; adding to it, and making room.

Functions on a connection to the replica file.  A body is named by its hash once it is whole; until
then by the section of the message that it is the content of.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import apsw

from mailferry.mail.message import BlobId, Section
from mailferry.store import chunks
from mailferry.store.codec import encode_ids
from mailferry.store.database import rows


@dataclass(frozen=True, slots=True)
class StoredBody:
    """Content in a replica."""

    key: int
    hash: BlobId | None
    """None: it is not whole."""
    size: int
    arrived: int

    @property
    def whole(self) -> bool:
        """Whether all of it is here."""
        return self.hash is not None


def find(connection: apsw.Connection, message: int, section: Section) -> StoredBody | None:
    """Return what is here of a section of a message."""
    row = connection.execute(
        """
        SELECT body.id, hash, size, arrived FROM section JOIN body ON body.id = section.body
        WHERE message = ? AND name = ?
        """,
        (message, section),
    ).fetchone()
    return None if row is None else StoredBody(*row)


def find_content(connection: apsw.Connection, blob: BlobId) -> StoredBody | None:
    """Return the content with this hash."""
    row = connection.execute(
        "SELECT id, hash, size, arrived FROM body WHERE hash = ?", (blob,)
    ).fetchone()
    return None if row is None else StoredBody(*row)


def begin(connection: apsw.Connection, message: int, section: Section, size: int) -> int:
    """Make room for a section that is about to arrive; what was there of it is dropped."""
    connection.execute(
        """
        INSERT INTO body (size, arrived, stored, used)
        VALUES (?, 0, 0, (SELECT value FROM setting WHERE name = 'use'))
        """,
        (size,),
    )
    body = connection.last_insert_rowid()
    attach(connection, message, section, body)
    return body


def attach(connection: apsw.Connection, message: int, section: Section, body: int) -> None:
    """Make a body the content of a section."""
    connection.execute(
        """
        INSERT INTO section (message, name, body)
        SELECT ?1, ?2, ?3 WHERE EXISTS (SELECT 1 FROM message WHERE id = ?1)
        ON CONFLICT (message, name) DO UPDATE SET body = excluded.body
        """,
        (message, section, body),
    )


def add_chunk(
    connection: apsw.Connection, body: int, start: int, packed: bytes, length: int
) -> None:
    """Keep the next chunk of a body: `length` octets from `start`."""
    connection.execute(
        "UPDATE body SET arrived = ?, stored = stored + ? WHERE id = ?",
        (start + length, len(packed), body),
    )
    if connection.changes():  # It may have been dropped meanwhile.
        chunks.write(connection, chunks.BODY_CHUNKS, body, start, packed)


def add_packed(
    connection: apsw.Connection, body: int, packed: Sequence[tuple[int, bytes]], size: int
) -> int:
    """Keep the next chunks of a body of `size` as they were kept elsewhere; return where they end."""
    ends = [*(start for start, _ in packed[1:]), None]
    end = 0
    for (start, data), after in zip(packed, ends, strict=True):
        length = len(chunks.unpack(data)) if after is None else after - start
        end = start + length
        add_chunk(connection, body, start, data, length)
    return min(size, end)


def drop(connection: apsw.Connection, body: int) -> None:
    """Forget a body: what came of it is of no use."""
    connection.execute("DELETE FROM section WHERE body = ?", (body,))
    connection.execute("DELETE FROM body WHERE id = ?", (body,))


def finish(connection: apsw.Connection, body: int, blob: BlobId, tree: bytes | None) -> int:
    """Name a body that is whole; return the key under which its content now is.

    The same content that was here before takes its place in all sections.
    """
    before = find_content(connection, blob)
    if before is not None:
        connection.execute("UPDATE section SET body = ? WHERE body = ?", (before.key, body))
        return before.key
    connection.execute(
        "UPDATE body SET hash = ?, size = arrived, tree = ? WHERE id = ?", (blob, tree, body)
    )
    return body


def tree(connection: apsw.Connection, body: int) -> bytes | None:
    """Return our parse of a body that is whole."""
    row = connection.execute("SELECT tree FROM body WHERE id = ?", (body,)).fetchone()
    return None if row is None else row[0]


def structure(connection: apsw.Connection, message: int) -> bytes | None:
    """Return the structure that a message was listed with."""
    row = connection.execute(
        "SELECT body_structure FROM summary WHERE message = ?", (message,)
    ).fetchone()
    return None if row is None else row[0]


def set_parse(connection: apsw.Connection, message: int, *, agrees: bool) -> None:
    """Note whether our parse of a message agrees with the server's structure of it."""
    connection.execute("UPDATE message SET parse = ? WHERE id = ?", (1 if agrees else 2, message))


def parse_agrees(connection: apsw.Connection, message: int) -> bool | None:
    """Whether our parse agrees with the server's; None: not known yet."""
    row = connection.execute("SELECT parse FROM message WHERE id = ?", (message,)).fetchone()
    return None if row is None or row[0] == 0 else bool(row[0] == 1)


def unwant(connection: apsw.Connection, messages: Iterable[int]) -> None:
    """Note that bodies need not be fetched ahead of time (any more)."""
    connection.execute(
        "UPDATE message SET wanted = 0 WHERE id IN (SELECT value FROM json_each(?))",
        (encode_ids(messages),),
    )


def want_all(connection: apsw.Connection) -> None:
    """Want the bodies of all messages that have none."""
    connection.execute(
        """
        UPDATE message SET wanted = 1 WHERE wanted = 0 AND NOT EXISTS (
            SELECT 1 FROM section JOIN body ON body.id = section.body
            WHERE section.message = message.id AND name = '' AND hash IS NOT NULL)
        """
    )


def want_none(connection: apsw.Connection) -> None:
    """Want no bodies."""
    connection.execute("UPDATE message SET wanted = 0 WHERE wanted = 1")


# Room


def stored_octets(connection: apsw.Connection) -> int:
    """Return how much all bodies take on the disk."""
    [(octets,)] = rows(connection, "SELECT value FROM setting WHERE name = 'stored'")
    return int(octets)


def note_use(connection: apsw.Connection, used: Iterable[int]) -> None:
    """Note that bodies were used, in this order, after all others."""
    for body in used:
        connection.execute("UPDATE setting SET value = value + 1 WHERE name = 'use'")
        connection.execute(
            """
            UPDATE body SET used = (SELECT value FROM setting WHERE name = 'use') WHERE id = ?
            """,
            (body,),
        )


def drop_orphans(connection: apsw.Connection, pinned: Collection[int]) -> None:
    """Forget bodies that are no section of any message, but for `pinned`."""
    connection.execute(
        """
        DELETE FROM body WHERE id NOT IN (SELECT value FROM json_each(?))
            AND NOT EXISTS (SELECT 1 FROM section WHERE section.body = body.id)
        """,
        (encode_ids(pinned),),
    )


def evict(connection: apsw.Connection, octets_max: int, pinned: Collection[int]) -> int:
    """Forget the bodies that were not used for longest until the rest fits; return how many."""
    dropped = 0
    excess = stored_octets(connection) - octets_max
    for body, stored in rows(connection, "SELECT id, stored FROM body ORDER BY used"):
        if excess <= 0:
            break
        if body in pinned:
            continue
        drop(connection, body)
        excess -= stored
        dropped += 1
    return dropped
