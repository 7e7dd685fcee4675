"""Operations in the journal: their life on disk, and the history that remains.

Functions on a connection to the journal.  What may follow what is decided in `sync.journal`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import apsw

from mailferry.mail.mailbox import MailboxPath
from mailferry.mail.operation import HistoryEntry, Operation, OperationId, OperationState, Probe
from mailferry.store.codec import (
    Result,
    decode_operation,
    decode_path,
    decode_result,
    encode_names,
    encode_operation,
    encode_result,
    from_ms,
    to_ms,
)
from mailferry.sync.journal import FINAL

HISTORY_LENGTH_MAX: Final = 10_000  # Final operations kept for an account: about 3 MB.

_COLUMNS: Final = "sequence, kind, payload, result, state, probe, login"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredOperation:
    """An operation in the journal."""

    sequence: int
    operation: Operation
    result: Result
    state: OperationState
    probe: Probe | None
    login: str


def add(
    connection: apsw.Connection,
    account: int,
    operation: Operation,
    *,
    result: Result,
    login: str,
    blob: int | None = None,
    paths: tuple[MailboxPath, MailboxPath | None],
    now: datetime,
) -> StoredOperation:
    """Stage an operation.

    `blob` is the key of the content that it brings, `paths` are the names of its mailboxes, for
    people.
    """
    kind, payload = encode_operation(operation)
    path, target = paths
    connection.execute(
        """
        INSERT INTO operation (id, account, login, kind, payload, result, state, blob,
                               mailbox_path, target_path, staged_at)
        VALUES (?, ?, ?, ?, ?, ?, 'staged', ?, ?, ?, ?)
        """,
        (
            operation.id,
            account,
            login,
            kind,
            payload,
            encode_result(result),
            blob,
            encode_names(path),
            None if target is None else encode_names(target),
            to_ms(now),
        ),
    )
    return StoredOperation(
        sequence=connection.last_insert_rowid(),
        operation=operation,
        result=result,
        state=OperationState.STAGED,
        probe=None,
        login=login,
    )


def move_on(
    connection: apsw.Connection,
    sequences: Iterable[int],
    state: OperationState,
    *,
    now: datetime,
    reason: str = "",
) -> None:
    """Put operations into a state, with the time where it is shown."""
    settled = state in {OperationState.COMMITTED, OperationState.WITHDRAWN}
    done = state in {OperationState.APPLIED, OperationState.REFUSED}
    connection.executemany(
        """
        UPDATE operation SET state = ?1, reason = ?2,
            settled_at = iif(?3, ifnull(settled_at, ?5), settled_at),
            done_at = iif(?4, ?5, done_at), blob = iif(?7, NULL, blob)
        WHERE sequence = ?6
        """,
        (
            (state.value, reason, settled, done, to_ms(now), sequence, state in FINAL)
            for sequence in sequences
        ),
    )


def keep_probe(connection: apsw.Connection, sequence: int, probe: Probe | None) -> None:
    """Note what to look for after the attempt that is about to begin."""
    connection.execute("UPDATE operation SET probe = ? WHERE sequence = ?", (probe, sequence))


def rewrite(connection: apsw.Connection, stored: StoredOperation) -> None:
    """Replace what an open operation names: messages that came back have other ids."""
    kind, payload = encode_operation(stored.operation)
    connection.execute(
        "UPDATE operation SET kind = ?, payload = ?, result = ? WHERE sequence = ?",
        (kind, payload, encode_result(stored.result), stored.sequence),
    )


def open_operations(connection: apsw.Connection, account: int) -> list[StoredOperation]:
    """Return the operations that are not final, in the order of staging."""
    rows = connection.execute(
        f"""
        SELECT {_COLUMNS} FROM operation
        WHERE account = ? AND state IN ('staged', 'committed', 'applying') ORDER BY sequence
        """,  # noqa: S608 - our own column names
        (account,),
    )
    return [_stored(row) for row in rows]


def find(connection: apsw.Connection, account: int, key: OperationId) -> StoredOperation | None:
    """Return the operation of an id, final or not."""
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM operation WHERE account = ? AND id = ?",  # noqa: S608 - our own
        (account, key),
    ).fetchone()
    return None if row is None else _stored(row)


def _stored(row: Sequence[Any]) -> StoredOperation:
    sequence, kind, payload, result, state, probe, login = row
    return StoredOperation(
        sequence=sequence,
        operation=decode_operation(kind, payload),
        result=decode_result(result),
        state=OperationState(state),
        probe=None if probe is None else Probe(probe),
        login=login,
    )


def history(
    connection: apsw.Connection, account: int, *, since: int, limit: int
) -> list[HistoryEntry]:
    """Return operations after a sequence number, in the order of staging."""
    rows = connection.execute(
        """
        SELECT sequence, kind, payload, state, login, mailbox_path, target_path,
               staged_at, settled_at, done_at, reason
        FROM operation WHERE account = ? AND sequence > ? ORDER BY sequence LIMIT ?
        """,
        (account, since, limit),
    )
    return [_entry(row) for row in rows]


def _entry(row: Sequence[Any]) -> HistoryEntry:
    sequence, kind, payload, state, login, path, target, staged, settled, done, reason = row
    staged_at = from_ms(staged)
    assert staged_at is not None  # noqa: S101 - the column is NOT NULL
    return HistoryEntry(
        sequence=sequence,
        operation=decode_operation(kind, payload),
        state=OperationState(state),
        login=login,
        mailbox=decode_path(path),
        target=None if target is None else decode_path(target),
        staged_at=staged_at,
        settled_at=from_ms(settled),
        done_at=from_ms(done),
        reason=reason,
    )


def trim_history(connection: apsw.Connection, account: int) -> None:
    """Forget the oldest final operations past HISTORY_LENGTH_MAX."""
    connection.execute(
        """
        DELETE FROM operation
        WHERE account = ?1 AND state IN ('applied', 'refused', 'withdrawn') AND sequence < (
            SELECT min(sequence) FROM (
                SELECT sequence FROM operation
                WHERE account = ?1 AND state IN ('applied', 'refused', 'withdrawn')
                ORDER BY sequence DESC LIMIT ?2))
        """,
        (account, HISTORY_LENGTH_MAX),
    )


def with_state(stored: StoredOperation, state: OperationState) -> StoredOperation:
    """Return the same operation in another state."""
    return replace(stored, state=state)


def reason(connection: apsw.Connection, sequence: int) -> str:
    """Return why an operation was refused or withdrawn."""
    [(text,)] = connection.execute("SELECT reason FROM operation WHERE sequence = ?", (sequence,))
    return str(text)
