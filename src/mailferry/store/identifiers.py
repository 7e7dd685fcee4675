"""The map of ids: permanent ids and UIDs here, and what the server calls the same.

Functions on a connection to the journal, to be run as units of its writer (those that write) or on a
reader.  Ids and UIDs ascend and are never given twice, also when the transaction that took them is
rolled back or the message has long gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import apsw

from mailferry.mail.mailbox import MailboxId, MailboxPath
from mailferry.mail.message import MessageId
from mailferry.store.codec import (
    decode_path,
    encode_ids,
    encode_names,
    from_signed,
    to_signed,
)
from mailferry.store.database import rows
from mailferry.sync.identity import Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class MappedMailbox:
    """A mailbox in the map."""

    id: int
    path: MailboxPath
    uid_validity: int
    uid_next: int
    at_server: bool
    """Certainly there, though `remote` may have to be found by the path."""
    remote: MailboxId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MappedMessage:
    """A message in the map."""

    id: int
    mailbox: int
    uid: int
    at_server: bool
    """Certainly there, though `remote` may not be known yet."""
    born: bool
    """Made here by an operation, not found at the server."""
    remote: MessageId | None
    blob: int | None


# Mailboxes


def mailboxes(connection: apsw.Connection, account: int) -> list[MappedMailbox]:
    """Return all mailboxes of an account."""
    found = connection.execute(
        """
        SELECT id, path, uid_validity, uid_next, at_server, remote FROM mailbox
        WHERE account = ? ORDER BY id
        """,
        (account,),
    )
    return [
        MappedMailbox(
            id=key,
            path=decode_path(path),
            uid_validity=uid_validity,
            uid_next=uid_next,
            at_server=bool(at_server),
            remote=None if remote is None else MailboxId(remote),
        )
        for key, path, uid_validity, uid_next, at_server, remote in found
    ]


def add_mailbox(
    connection: apsw.Connection,
    account: int,
    path: MailboxPath,
    remote: MailboxId | None,
    *,
    now_s: int,
) -> MappedMailbox:
    """Give a mailbox an id and a UIDVALIDITY; `remote` is None for one that is born here."""
    uid_validity = next_uid_validity(connection, account, now_s=now_s)
    connection.execute(
        """
        INSERT INTO mailbox (account, path, uid_validity, at_server, remote)
        VALUES (?, ?, ?, ?, ?)
        """,
        (account, encode_names(path), uid_validity, remote is not None, remote),
    )
    return MappedMailbox(
        id=connection.last_insert_rowid(),
        path=path,
        uid_validity=uid_validity,
        uid_next=1,
        at_server=remote is not None,
        remote=remote,
    )


def next_uid_validity(connection: apsw.Connection, account: int, *, now_s: int) -> int:
    """Take a new UIDVALIDITY: the seconds, or one more than the last where the clock went back."""
    [(uid_validity,)] = connection.execute(
        """
        UPDATE account_state SET uid_validity_last = max(uid_validity_last + 1, ?)
        WHERE account = ? RETURNING uid_validity_last
        """,
        (now_s, account),
    )
    return int(uid_validity)


def uid_validity(connection: apsw.Connection, mailbox: int) -> int:
    """Return the UIDVALIDITY of a mailbox."""
    [(found,)] = connection.execute("SELECT uid_validity FROM mailbox WHERE id = ?", (mailbox,))
    return int(found)


def renew_uid_validity(
    connection: apsw.Connection, account: int, mailbox: int, *, now_s: int
) -> int:
    """Give a mailbox that comes back a new UIDVALIDITY."""
    uid_validity = next_uid_validity(connection, account, now_s=now_s)
    connection.execute("UPDATE mailbox SET uid_validity = ? WHERE id = ?", (uid_validity, mailbox))
    return uid_validity


def place_mailbox(
    connection: apsw.Connection, mailbox: int, path: MailboxPath, remote: MailboxId | None
) -> None:
    """Note that the mailbox is at the server under this name; `remote` None: its id comes later."""
    connection.execute(
        "UPDATE mailbox SET path = ?, remote = ?, at_server = 1 WHERE id = ?",
        (encode_names(path), remote, mailbox),
    )


def displace_mailbox(connection: apsw.Connection, mailbox: int) -> list[int]:
    """Note that the mailbox is not at the server any more; forget and return what was only there.

    What is pinned here by its content stays.
    """
    connection.execute("UPDATE mailbox SET remote = NULL, at_server = 0 WHERE id = ?", (mailbox,))
    gone = connection.execute(
        "DELETE FROM message WHERE mailbox = ? AND blob IS NULL RETURNING id", (mailbox,)
    )
    return [row[0] for row in gone]


def forget_mailbox(connection: apsw.Connection, mailbox: int) -> None:
    """Take a mailbox with its messages out of the map."""
    connection.execute("DELETE FROM mailbox WHERE id = ?", (mailbox,))


# Messages


def add_messages(
    connection: apsw.Connection,
    mailbox: int,
    remotes: Sequence[MessageId | None],
    *,
    blob: int | None = None,
) -> list[tuple[int, int]]:
    """Give messages ids and UIDs in the order of `remotes` (None: born here); return (id, UID).

    Those who allocate UIDs of one mailbox must show them in the same order: see the replica.
    """
    count = len(remotes)
    row = connection.execute(
        "UPDATE mailbox SET uid_next = uid_next + ? WHERE id = ? RETURNING uid_next - ?",
        (count, mailbox, count),
    ).fetchone()
    if row is None:
        raise LookupError(f"mailbox {mailbox} is not in the map")
    first_uid = int(row[0])
    last = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'message'").fetchone()
    first_id = int(last[0]) + 1 if last else 1
    made = [(first_id + each, first_uid + each) for each in range(count)]
    connection.executemany(
        """
        INSERT INTO message (id, mailbox, uid, at_server, born, remote, blob)
        VALUES (?, ?, ?, ?, ?, ?, ?)
        """,
        (
            (
                key,
                mailbox,
                uid,
                remote is not None,
                remote is None,
                None if remote is None else to_signed(remote),
                blob,
            )
            for (key, uid), remote in zip(made, remotes, strict=True)
        ),
    )
    return made


def messages(connection: apsw.Connection, ids: Iterable[int]) -> dict[int, MappedMessage]:
    """Return the messages of these ids that are in the map."""
    found = connection.execute(
        """
        SELECT id, mailbox, uid, at_server, born, remote, blob FROM message
        WHERE id IN (SELECT value FROM json_each(?))
        """,
        (encode_ids(ids),),
    )
    return {row[0]: _mapped(row) for row in found}


def all_messages(
    connection: apsw.Connection, mailbox: int, *, after: int, limit: int
) -> list[MappedMessage]:
    """Return messages of a mailbox in ascending order of id, `limit` at most."""
    found = connection.execute(
        """
        SELECT id, mailbox, uid, at_server, born, remote, blob FROM message
        WHERE mailbox = ? AND id > ? ORDER BY id LIMIT ?
        """,
        (mailbox, after, limit),
    )
    return [_mapped(row) for row in found]


def _mapped(row: Sequence[int | None]) -> MappedMessage:
    key, mailbox, uid, at_server, born, remote, blob = row
    assert key is not None and mailbox is not None and uid is not None  # noqa: PT018, S101
    return MappedMessage(
        id=key,
        mailbox=mailbox,
        uid=uid,
        at_server=bool(at_server),
        born=bool(born),
        remote=None if remote is None else from_signed(remote),
        blob=blob,
    )


def by_remote(
    connection: apsw.Connection, mailbox: int, remotes: Iterable[MessageId]
) -> dict[MessageId, tuple[int, int]]:
    """Return {remote: (id, UID)} of those that are known."""
    found = connection.execute(
        """
        SELECT remote, id, uid FROM message
        WHERE mailbox = ? AND remote IN (SELECT value FROM json_each(?))
        """,
        (mailbox, encode_ids(map(to_signed, remotes))),
    )
    return {from_signed(remote): (key, uid) for remote, key, uid in found}


def made_here(connection: apsw.Connection, mailbox: int) -> dict[MessageId, int]:
    """Return {remote: id} of the messages that operations made, as far as they have names there."""
    found = connection.execute(
        "SELECT remote, id FROM message WHERE mailbox = ? AND born = 1 AND remote IS NOT NULL",
        (mailbox,),
    )
    return {from_signed(remote): key for remote, key in found}


def all_remotes(connection: apsw.Connection, mailbox: int) -> dict[MessageId, int]:
    """Return {remote: id} of all messages that the server has a name for."""
    found = connection.execute(
        "SELECT remote, id FROM message WHERE mailbox = ? AND remote IS NOT NULL", (mailbox,)
    )
    return {from_signed(remote): key for remote, key in found}


def awaiting_remote(connection: apsw.Connection, mailbox: int) -> dict[int, Identity]:
    """Return messages that certainly are at the server, but whose name there is not known yet."""
    found = connection.execute(
        """
        SELECT id, email_id, content_id FROM message
        WHERE mailbox = ? AND remote IS NULL AND at_server = 1
        """,
        (mailbox,),
    )
    return {key: Identity(email_id, content_id) for key, email_id, content_id in found}


def mailboxes_awaiting(connection: apsw.Connection, mailboxes: Iterable[int]) -> set[int]:
    """Return those of the mailboxes in which messages wait for their names at the server."""
    found = rows(
        connection,
        """
        SELECT DISTINCT mailbox FROM message WHERE remote IS NULL AND at_server = 1
            AND mailbox IN (SELECT value FROM json_each(?))
        """,
        (encode_ids(mailboxes),),
    )
    return {mailbox for (mailbox,) in found}


def identities(connection: apsw.Connection, ids: Iterable[int]) -> dict[int, Identity]:
    """Return what these messages are known by."""
    found = connection.execute(
        """
        SELECT id, email_id, content_id FROM message
        WHERE id IN (SELECT value FROM json_each(?))
        """,
        (encode_ids(ids),),
    )
    return {key: Identity(email_id, content_id) for key, email_id, content_id in found}


def set_identities(connection: apsw.Connection, known: Mapping[int, Identity]) -> None:
    """Note what messages are known by."""
    connection.executemany(
        "UPDATE message SET email_id = ?, content_id = ? WHERE id = ?",
        ((each.email_id, each.content, key) for key, each in known.items()),
    )


def name_messages(connection: apsw.Connection, names: Mapping[int, MessageId | None]) -> None:
    """Note that messages are at the server under these names (None: not known yet)."""
    # Two names may change hands, so none must be held twice on the way.
    connection.executemany(
        "UPDATE message SET remote = NULL, at_server = 1 WHERE id = ?", ((key,) for key in names)
    )
    connection.executemany(
        "UPDATE message SET remote = ? WHERE id = ?",
        ((to_signed(remote), key) for key, remote in names.items() if remote is not None),
    )


def lose_names(connection: apsw.Connection, mailbox: int) -> None:
    """Forget what the server calls the messages of a mailbox: it calls them by new names now."""
    connection.execute("UPDATE message SET remote = NULL WHERE mailbox = ?", (mailbox,))


def forget_messages(connection: apsw.Connection, ids: Iterable[int]) -> None:
    """Take messages out of the map."""
    connection.execute(
        "DELETE FROM message WHERE id IN (SELECT value FROM json_each(?))", (encode_ids(ids),)
    )


def bear_again(
    connection: apsw.Connection, mailbox: int, ids: Iterable[int], *, into: int
) -> dict[int, tuple[int, int]]:
    """Give messages of a mailbox new ids and UIDs in another or the same; {old id: (new id, UID)}.

    All else about them stays: to the server they are the same messages.  Those that have gone with
    their mailbox meanwhile are left out.
    """
    old = [
        row[0]
        for row in rows(
            connection,
            """
            SELECT id FROM message
            WHERE mailbox = ? AND id IN (SELECT value FROM json_each(?)) ORDER BY uid
            """,
            (mailbox, encode_ids(ids)),
        )
    ]
    if not old:
        return {}
    made = dict(zip(old, add_messages(connection, into, [None] * len(old)), strict=True))
    for key, (new, _) in made.items():
        [columns] = rows(
            connection,
            """
            DELETE FROM message WHERE id = ?
            RETURNING at_server, born, remote, email_id, content_id, blob
            """,
            (key,),
        )
        connection.execute(
            """
            UPDATE message SET (at_server, born, remote, email_id, content_id, blob)
                = (?, ?, ?, ?, ?, ?)
            WHERE id = ?
            """,
            (*columns, new),
        )
    return made


def inherit_identity(connection: apsw.Connection, message: int, original: int) -> None:
    """Note that a copy is known by the same as its original."""
    connection.execute(
        """
        UPDATE message SET (email_id, content_id)
            = (SELECT email_id, content_id FROM message WHERE id = ?)
        WHERE id = ?
        """,
        (original, message),
    )


def pin(connection: apsw.Connection, message: int, blob: int) -> None:
    """Note that a message needs the content of a blob."""
    connection.execute("UPDATE message SET blob = ? WHERE id = ?", (blob, message))
