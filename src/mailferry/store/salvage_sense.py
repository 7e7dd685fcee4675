"""Making sense of the rows that came out of a damaged journal.

Settings and operations that are not understood go; an operation is carried out only when what it
brings is whole; what was made here and no operation will make at the server goes.  Mail that is here
only is written into files before its row goes.  Numbers that must never be given twice jump ahead.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

import apsw
import msgspec
import zstandard
from pydantic import ValidationError

from mailferry.store.account_settings import AccountSettings
from mailferry.store.account_state import MODSEQ_BLOCK
from mailferry.store.chunks import unpack
from mailferry.store.codec import decode_operation, decode_result, to_ms
from mailferry.store.database import rows

MODSEQ_UNKNOWN: Final = 1 << 40
"""Where MODSEQs go on when nobody knows how far they had come: a million blocks, of 2^33 there are."""
KEYS_JUMP: Final = 1 << 20  # Numbers left out, so that none is given twice.
_RESULTS_WANTED: Final = """
    SELECT result FROM operation WHERE state IN ('staged', 'committed', 'applying')
"""
_BLOBS_WANTED: Final = """
    SELECT blob FROM operation
    WHERE blob IS NOT NULL AND state IN ('staged', 'committed', 'applying')
"""
_REFUSE_WITHOUT_CONTENT: Final = """
    UPDATE operation SET state = 'refused', done_at = ?,
        reason = 'its content was damaged on this disk; what is left lies beside the journal'
    WHERE kind = 'Append' AND blob IS NULL AND state IN ('staged', 'committed', 'applying')
"""


@dataclass(slots=True)
class Sense:
    """What was left, and what had to go."""

    rows: Counter[str] = field(default_factory=Counter)
    """Rows that the file has now, by table."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Rows that made no sense, by table."""
    messages: list[Path] = field(default_factory=list)
    """Files with mail that is here only and that no operation will bring to the server."""


def make_sense(connection: apsw.Connection, folder: Path, now: datetime) -> Sense:
    """Bring a salvaged journal in order; mail that has to go is written into `folder`.

    Raises:
        StorageFull, OSError: no room.
    """
    sense = Sense()
    connection.pragma("foreign_keys", False)
    connection.execute("BEGIN IMMEDIATE")
    _drop_unknown_accounts(connection, sense)
    _drop_unknown_operations(connection, sense)
    _settle_contents(connection, folder, now, sense)
    _drop_births_without_operation(connection, sense)
    _drop_orphans(connection, sense)
    _jump_ahead(connection, now)
    for (table,) in rows(connection, "SELECT name FROM sqlite_schema WHERE type = 'table'"):
        [(sense.rows[table],)] = rows(connection, f"SELECT count(*) FROM {table}")  # noqa: S608 - ours
    connection.execute("COMMIT")
    return sense


def _drop_unknown_accounts(new: apsw.Connection, sense: Sense) -> None:
    for account, settings in rows(new, "SELECT id, settings FROM account"):
        try:
            AccountSettings.model_validate_json(settings)
        except ValidationError:
            new.execute("DELETE FROM account WHERE id = ?", (account,))
            sense.dropped["account"] += 1


def _drop_unknown_operations(new: apsw.Connection, sense: Sense) -> None:
    accounts = {account for (account,) in rows(new, "SELECT id FROM account")}
    every = rows(new, "SELECT sequence, account, kind, payload, result FROM operation")
    for sequence, account, kind, payload, result in every:
        try:
            decode_operation(kind, payload)
            decode_result(result)
        except (ValueError, KeyError, msgspec.MsgspecError):
            understood = False
        else:
            understood = account in accounts
        if not understood:
            new.execute("DELETE FROM operation WHERE sequence = ?", (sequence,))
            sense.dropped["operation"] += 1


def _settle_contents(new: apsw.Connection, folder: Path, now: datetime, sense: Sense) -> None:
    """Keep the contents that are whole and that an operation will bring to the server."""
    wanted = {blob for (blob,) in rows(new, _BLOBS_WANTED)}
    for blob, digest in rows(new, "SELECT id, hash FROM blob"):
        whole = _digest(new, blob) == digest
        if blob in wanted and whole:
            continue
        if digest is not None:  # Without a hash it had not come in whole.
            name = f"salvaged-{now:%Y%m%d-%H%M%S}-{blob}{'' if whole else '-damaged'}.eml"
            _write_private(folder / name, _chunks(new, blob))
            sense.messages.append(folder / name)
        _give_up(new, blob)
        sense.dropped["blob"] += 1
    new.execute(_REFUSE_WITHOUT_CONTENT, (to_ms(now),))


def _give_up(new: apsw.Connection, blob: int) -> None:
    """Drop a content, and the message made here that shows it."""
    new.execute("UPDATE operation SET blob = NULL WHERE blob = ?", (blob,))
    new.execute("DELETE FROM message WHERE blob = ? AND at_server = 0", (blob,))
    new.execute("UPDATE message SET blob = NULL WHERE blob = ?", (blob,))
    new.execute("DELETE FROM blob_chunk WHERE owner = ?", (blob,))
    new.execute("DELETE FROM blob WHERE id = ?", (blob,))


def _chunks(new: apsw.Connection, blob: int) -> Iterator[bytes]:
    """Yield what there is of a content."""
    for (key,) in rows(new, "SELECT id FROM blob_chunk WHERE owner = ? ORDER BY start", (blob,)):
        [(data,)] = rows(new, "SELECT data FROM blob_chunk WHERE id = ?", (key,))
        with suppress(zstandard.ZstdError):
            yield unpack(data)


def _digest(new: apsw.Connection, blob: int) -> str:
    found = hashlib.sha256()
    for chunk in _chunks(new, blob):
        found.update(chunk)
    return found.hexdigest()


def _drop_births_without_operation(new: apsw.Connection, sense: Sense) -> None:
    """Drop messages and mailboxes made here that no operation will make at the server."""
    kept: dict[str, set[int]] = {"message": set(), "mailbox": set()}
    for (result,) in rows(new, _RESULTS_WANTED):
        born = decode_result(result)
        kept["message"].update(birth.message for birth in born.births)
        kept["mailbox"].update(made.mailbox for made in born.mailboxes)
    for table, numbers in kept.items():
        for (number,) in rows(new, f"SELECT id FROM {table} WHERE at_server = 0"):  # noqa: S608 - ours
            if number not in numbers:
                new.execute(f"DELETE FROM {table} WHERE id = ?", (number,))  # noqa: S608 - ours
                sense.dropped[table] += 1


def _drop_orphans(new: apsw.Connection, sense: Sense) -> None:
    """Drop rows that refer to a lost one, and those that refer to them."""
    while orphans := rows(new, "PRAGMA foreign_key_check"):
        for table, row_id, _, _ in orphans:
            new.execute(f"DELETE FROM {table} WHERE rowid = ?", (row_id,))  # noqa: S608 - ours
            sense.dropped[table] += 1


def _jump_ahead(new: apsw.Connection, now: datetime) -> None:
    """Go on with numbers that were certainly never given before."""
    new.execute("UPDATE sqlite_sequence SET seq = seq + ?", (KEYS_JUMP,))
    new.execute(
        "INSERT INTO sqlite_sequence (name, seq) SELECT name, ?1 FROM sqlite_schema"
        " WHERE sql LIKE '%AUTOINCREMENT%' AND name NOT IN (SELECT name FROM sqlite_sequence)",
        (KEYS_JUMP,),
    )
    new.execute(
        "INSERT INTO account_state SELECT id, ?, 0, 1 FROM account"
        " WHERE id NOT IN (SELECT account FROM account_state)",
        (MODSEQ_UNKNOWN,),
    )
    new.execute(
        "UPDATE account_state SET replica_open = 1, modseq_reserved = modseq_reserved + ?,"
        " uid_validity_last = max(uid_validity_last, ?)",
        (MODSEQ_BLOCK, int(now.timestamp())),
    )


def _write_private(path: Path, chunks: Iterator[bytes]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.writelines(chunks)
        file.flush()
        os.fsync(file.fileno())
