"""Content that operations bring, in the journal until the server has it.

Functions on a connection to the journal.  A blob is pinned by the operation that brings it, and by
the messages that were made of it until their content is elsewhere (`message.blob`); one that nothing
pins is dropped after a while, and at a restart.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import apsw
import msgspec

from mailferry.mail.message import BlobId
from mailferry.store.codec import encode_ids


class Description(msgspec.Struct, frozen=True):
    """What was found in a message while it came in: with it a message born here is listed."""

    envelope: bytes
    body_structure: bytes
    header_fields: bytes
    header: bytes
    tree: bytes
    """Our parse, as `sources.replica.tree` packs it."""


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """A blob that is whole."""

    key: int
    id: BlobId
    size: int


def begin(connection: apsw.Connection, account: int) -> int:
    """Make room for a blob that is coming in."""
    connection.execute("INSERT INTO blob (account, size) VALUES (?, 0)", (account,))
    return connection.last_insert_rowid()


def finish(
    connection: apsw.Connection,
    account: int,
    key: int,
    *,
    blob: BlobId,
    size: int,
    description: Description,
) -> StoredBlob:
    """Name a blob that is whole; the same content that was here before takes its place."""
    before = find(connection, account, blob)
    if before is not None:
        connection.execute("DELETE FROM blob WHERE id = ?", (key,))
        return before
    connection.execute(
        "UPDATE blob SET hash = ?, size = ?, description = ? WHERE id = ?",
        (blob, size, msgspec.msgpack.encode(description), key),
    )
    return StoredBlob(key, blob, size)


def find(connection: apsw.Connection, account: int, blob: BlobId) -> StoredBlob | None:
    """Return a blob that is whole."""
    row = connection.execute(
        "SELECT id, size FROM blob WHERE account = ? AND hash = ?", (account, blob)
    ).fetchone()
    return None if row is None else StoredBlob(row[0], blob, row[1])


def get(connection: apsw.Connection, key: int) -> StoredBlob:
    """Return a blob that is pinned."""
    [(blob, size)] = connection.execute("SELECT hash, size FROM blob WHERE id = ?", (key,))
    return StoredBlob(key, BlobId(blob), size)


def description(connection: apsw.Connection, key: int) -> Description:
    """Return what was found in a blob."""
    [(data,)] = connection.execute("SELECT description FROM blob WHERE id = ?", (key,))
    return msgspec.msgpack.decode(data, type=Description)


def drop(connection: apsw.Connection, key: int) -> None:
    """Forget a blob that did not come in whole."""
    connection.execute("DELETE FROM blob WHERE id = ?", (key,))


def drop_unpinned(connection: apsw.Connection, account: int, keep: Collection[int] = ()) -> int:
    """Forget the blobs that nothing pins, but for `keep`; return how many."""
    connection.execute(
        """
        DELETE FROM blob WHERE account = ? AND id NOT IN (SELECT value FROM json_each(?))
            AND NOT EXISTS (SELECT 1 FROM message WHERE message.blob = blob.id)
            AND NOT EXISTS (SELECT 1 FROM operation WHERE operation.blob = blob.id)
        """,
        (account, encode_ids(keep)),
    )
    return connection.changes()


def unpin(connection: apsw.Connection, message: int) -> None:
    """Note that a message no longer needs its blob here; it goes when no other does."""
    connection.execute("UPDATE message SET blob = NULL WHERE id = ?", (message,))
