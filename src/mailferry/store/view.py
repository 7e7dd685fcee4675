"""Reading what a replica shows: mailboxes, counters, changes, summaries.

Functions on a reading connection of the replica file.  Each costs what it returns, not what the
mailbox holds; those for the event loop take well under a millisecond a page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

import apsw

from mailferry.mail.changes import Changes
from mailferry.mail.errors import CannotCalculateChanges
from mailferry.mail.mailbox import MailboxPath, MailboxStatus, State
from mailferry.mail.message import (
    DELETED,
    SEEN,
    Flag,
    MessageId,
    MessageState,
    Summary,
    SummaryItem,
)
from mailferry.store.codec import decode_attributes, decode_path, encode_ids
from mailferry.store.database import rows

FlagsOf = Callable[[int], frozenset[Flag]]

_AFTER_ALL_IDS: Final = (1 << 63) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class MailboxRow:
    """A mailbox as the server last listed it, or as it was born here."""

    id: int
    path: MailboxPath
    attributes: frozenset[str]
    listed: bool
    token: State | None


def mailboxes(connection: apsw.Connection) -> list[MailboxRow]:
    """Return all mailboxes."""
    return [
        MailboxRow(
            id=key,
            path=decode_path(path),
            attributes=decode_attributes(attributes),
            listed=bool(listed),
            token=None if token is None else State(token),
        )
        for key, path, attributes, listed, token in rows(
            connection, "SELECT id, path, attributes, listed, token FROM mailbox ORDER BY id"
        )
    ]


def subscriptions(connection: apsw.Connection) -> frozenset[MailboxPath]:
    """Return the server's list of subscribed names."""
    return frozenset(
        decode_path(path) for (path,) in rows(connection, "SELECT path FROM subscription")
    )


def token(connection: apsw.Connection, mailbox: int) -> State | None:
    """Return up to where the server's changes of a mailbox have been taken in."""
    row = connection.execute("SELECT token FROM mailbox WHERE id = ?", (mailbox,)).fetchone()
    return None if row is None or row[0] is None else State(row[0])


def status(
    connection: apsw.Connection, mailbox: int, uid_validity: int, flags_of: FlagsOf
) -> MailboxStatus | None:
    """Return the counters of a mailbox; None when there is none."""
    found = rows(connection, "SELECT uid_next, modseq FROM mailbox WHERE id = ?", (mailbox,))
    if not found:
        return None
    [(uid_next, modseq)] = found
    messages = unseen = deleted = size = 0
    for key, count, octets in rows(
        connection, "SELECT flags, messages, octets FROM tally WHERE mailbox = ?", (mailbox,)
    ):
        if not count:
            continue
        flags = flags_of(key)
        messages += count
        size += octets
        unseen += count * (SEEN not in flags)
        deleted += count * (DELETED in flags)
    return MailboxStatus(
        uid_validity=uid_validity,
        uid_next=uid_next,
        messages=messages,
        unseen=unseen,
        deleted=deleted,
        size=size,
        highest_modseq=modseq,
        state=_state(uid_validity, modseq),
    )


# Changes.  A state is the position reached in the order of (MODSEQ, id).  While a caller that began
# with nothing is on its way, the state also carries the MODSEQ at its beginning: tombstones up to
# there name messages that it never heard of.


def _state(uid_validity: int, modseq: int) -> State:
    return State(f"{uid_validity}.{modseq}")


def changes(
    connection: apsw.Connection,
    mailbox: int,
    uid_validity: int,
    since: State | None,
    *,
    limit: int,
    flags_of: FlagsOf,
) -> Changes:
    """Return what changed in a mailbox after `since`, `limit` messages at most.

    Raises:
        CannotCalculateChanges: `since` is not of this mailbox, or too old.
    """
    connection.execute("BEGIN")  # All of it from one snapshot.
    try:
        return _changes(connection, mailbox, uid_validity, since, limit, flags_of)
    finally:
        connection.execute("COMMIT")


def _changes(
    connection: apsw.Connection,
    mailbox: int,
    uid_validity: int,
    since: State | None,
    limit: int,
    flags_of: FlagsOf,
) -> Changes:
    [(highest, horizon)] = rows(
        connection, "SELECT modseq, horizon FROM mailbox WHERE id = ?", (mailbox,)
    )
    modseq, reached, beginning = _position(uid_validity, since, highest, horizon)
    created: list[MessageState] = []
    updated: list[MessageState] = []
    destroyed: list[MessageId] = []
    found = rows(connection, _CHANGES, (mailbox, modseq, reached, limit + 1))
    for last, message, uid, flags, created_modseq in found[:limit]:
        known = (created_modseq, message) <= (modseq, reached)
        if uid is None:
            if last > beginning if beginning else known:
                destroyed.append(message)
            continue
        state = MessageState(message, uid, flags_of(flags), last)
        (created if last <= beginning or not known else updated).append(state)
    has_more = len(found) > limit
    new_state = _state(uid_validity, highest)
    if has_more:
        new_state = State(f"{uid_validity}.{found[limit - 1][0]}.{found[limit - 1][1]}.{beginning}")
    return Changes(
        created=tuple(created),
        updated=tuple(updated),
        destroyed=tuple(destroyed),
        new_state=new_state,
        has_more=has_more,
    )


# Each half stops at the limit on its own index, so a page costs a page.
_CHANGES: Final = """
    SELECT * FROM (
        SELECT modseq, id, uid, flags, created_modseq FROM message
        WHERE mailbox = ?1 AND hidden = 0 AND (modseq, id) > (?2, ?3)
        ORDER BY modseq, id LIMIT ?4)
    UNION ALL
    SELECT * FROM (
        SELECT modseq, message, NULL, NULL, created_modseq FROM tombstone
        WHERE mailbox = ?1 AND (modseq, message) > (?2, ?3)
        ORDER BY modseq, message LIMIT ?4)
    ORDER BY 1, 2 LIMIT ?4
"""


def _position(
    uid_validity: int, since: State | None, highest: int, horizon: int
) -> tuple[int, int, int]:
    """Return the position of a state: MODSEQ, id, and the MODSEQ of its beginning."""
    if since is None:
        return 0, 0, highest
    try:
        numbers = [int(part) for part in since.split(".")]
    except ValueError:
        numbers = []
    match numbers:
        case [validity, modseq] if validity == uid_validity:
            position = modseq, _AFTER_ALL_IDS, 0
        case [validity, modseq, reached, beginning] if validity == uid_validity:
            position = modseq, min(reached, _AFTER_ALL_IDS), beginning
        case _:
            raise CannotCalculateChanges("the state is not of this mailbox")
    # Who is on the first way through must not miss a removal since its beginning either.
    if not horizon <= max(position[0], position[2]) <= highest:
        raise CannotCalculateChanges("the state is too old")
    return position


# Messages


def shown_uids(connection: apsw.Connection, mailbox: int, ids: Iterable[int]) -> dict[int, int]:
    """Return {id: UID} of those messages that are shown in the mailbox."""
    return dict(
        rows(
            connection,
            """
            SELECT id, uid FROM message
            WHERE mailbox = ? AND hidden = 0 AND id IN (SELECT value FROM json_each(?))
            """,
            (mailbox, encode_ids(ids)),
        )
    )


def is_shown(connection: apsw.Connection, mailbox: int, message: int) -> bool:
    """Whether a message is shown in the mailbox."""
    row = connection.execute(
        "SELECT 1 FROM message WHERE id = ? AND mailbox = ? AND hidden = 0", (message, mailbox)
    ).fetchone()
    return row is not None


_SUMMARY_COLUMNS: Final = """
    SELECT message.id, uid, flags, modseq, listed, internal_date, zone_min, size, email_id, thread_id,
           envelope, body_structure, header_fields, header
    FROM message LEFT JOIN summary ON summary.message = message.id
    WHERE mailbox = ? AND hidden = 0 AND id IN (SELECT value FROM json_each(?))
"""
_PLAIN_COLUMNS: Final = """
    SELECT message.id, uid, flags, modseq, listed, internal_date, zone_min, size, email_id, thread_id,
           NULL, NULL, NULL, NULL
    FROM message WHERE mailbox = ? AND hidden = 0 AND id IN (SELECT value FROM json_each(?))
"""
_WIDE: Final = frozenset(
    {
        SummaryItem.ENVELOPE,
        SummaryItem.BODY_STRUCTURE,
        SummaryItem.HEADER_FIELDS,
        SummaryItem.HEADER,
    }
)
_NEEDED: Final = (
    (SummaryItem.INTERNAL_DATE, "internal_date"),
    (SummaryItem.SIZE, "size"),
    (SummaryItem.ENVELOPE, "envelope"),
    (SummaryItem.BODY_STRUCTURE, "body_structure"),
    (SummaryItem.HEADER_FIELDS, "header_fields"),
    (SummaryItem.HEADER, "header"),
)


def summaries(
    connection: apsw.Connection,
    mailbox: int,
    ids: Sequence[int],
    what: frozenset[SummaryItem],
    flags_of: FlagsOf,
) -> dict[int, Summary]:
    """Return {id: what is here} of those messages that are shown; what is missing is None."""
    sql = _SUMMARY_COLUMNS if what & _WIDE else _PLAIN_COLUMNS
    found = rows(connection, sql, (mailbox, encode_ids(ids)))
    return {row[0]: _summary(row, what, flags_of) for row in found}


def _summary(row: Sequence[Any], what: frozenset[SummaryItem], flags_of: FlagsOf) -> Summary:
    key, uid, flags, modseq, _, seconds, zone_min, size, email_id, thread_id = row[:10]
    envelope, body_structure, header_fields, header = row[10:]
    return Summary(
        id=key,
        uid=uid,
        flags=flags_of(flags) if SummaryItem.FLAGS in what else None,
        modseq=modseq,
        internal_date=_date(seconds, zone_min) if SummaryItem.INTERNAL_DATE in what else None,
        size=size if SummaryItem.SIZE in what else None,
        envelope=envelope if SummaryItem.ENVELOPE in what else None,
        body_structure=body_structure if SummaryItem.BODY_STRUCTURE in what else None,
        header_fields=header_fields if SummaryItem.HEADER_FIELDS in what else None,
        header=header if SummaryItem.HEADER in what else None,
        email_id=email_id if SummaryItem.EMAIL_ID in what else None,
        thread_id=thread_id if SummaryItem.THREAD_ID in what else None,
    )


def _date(seconds: int | None, zone_min: int | None) -> datetime | None:
    if seconds is None:
        return None
    zone = timezone(timedelta(minutes=zone_min)) if zone_min else UTC
    return datetime.fromtimestamp(seconds, zone)


def lacks(summary: Summary, what: frozenset[SummaryItem]) -> bool:
    """Whether something that was asked for is not here (EMAILID and THREADID may never come)."""
    return any(item in what and getattr(summary, name) is None for item, name in _NEEDED)


def unlisted(
    connection: apsw.Connection, mailbox: int, *, before_uid: int | None, limit: int
) -> list[tuple[int, int]]:
    """Return (id, UID) of messages below `before_uid` whose summaries are not here, newest first."""
    return [
        (message, uid)
        for message, uid in rows(
            connection,
            """
            SELECT id, uid FROM message WHERE mailbox = ? AND listed = 0 AND uid < ?
            ORDER BY uid DESC LIMIT ?
            """,
            (mailbox, _AFTER_ALL_IDS if before_uid is None else before_uid, limit),
        )
    ]


def wanted_bodies(connection: apsw.Connection, *, limit: int) -> list[tuple[int, int, int]]:
    """Return (mailbox, message, size) of bodies to be fetched ahead of time, newest first."""
    return [
        (mailbox, message, size)
        for mailbox, message, size in rows(
            connection,
            """
            SELECT mailbox, id, size FROM message
            WHERE wanted = 1 AND listed = 1 AND hidden = 0 ORDER BY id DESC LIMIT ?
            """,
            (limit,),
        )
    ]


def born_with(
    connection: apsw.Connection, message: int, flags_of: FlagsOf
) -> tuple[frozenset[Flag], datetime | None]:
    """Return the flags and the date that a message made here began with."""
    found = rows(
        connection,
        "SELECT said_flags, internal_date, zone_min FROM message WHERE id = ?",
        (message,),
    )
    for flags, seconds, zone_min in found:
        return frozenset() if flags is None else flags_of(flags), _date(seconds, zone_min)
    return frozenset(), None


def ids_after(
    connection: apsw.Connection, mailbox: int, after_uid: int, *, limit: int
) -> list[int]:
    """Return messages shown above a UID, by ascending UID."""
    return [
        row[0]
        for row in rows(
            connection,
            """
            SELECT id FROM message WHERE mailbox = ? AND uid > ? AND hidden = 0
            ORDER BY uid LIMIT ?
            """,
            (mailbox, after_uid, limit),
        )
    ]


def all_ids(connection: apsw.Connection, mailbox: int) -> set[int]:
    """Return the ids of all messages of a mailbox, hidden ones too."""
    return {
        row[0] for row in rows(connection, "SELECT id FROM message WHERE mailbox = ?", (mailbox,))
    }


def modseq(connection: apsw.Connection) -> int:
    """Return the highest MODSEQ that was given."""
    [(reached,)] = rows(connection, "SELECT value FROM setting WHERE name = 'modseq'")
    return int(reached)
