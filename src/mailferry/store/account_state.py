"""What the journal knows of an account's replica, so that a lost one does no harm.

Functions on a connection to the journal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import apsw

MODSEQ_BLOCK: Final = 1 << 20
"""MODSEQs reserved at a time.  After every start the numbering goes on behind the last block, as the
end of a replica may have been lost with the power: no MODSEQ is ever given twice.  At ten starts a
day the 2^53 that JavaScript counts exactly last for two million years."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What was found when an account was opened."""

    modseq_floor: int
    """Above everything that was ever given."""
    was_open: bool
    """The replica was not closed in order: it may be behind the journal."""


def open_account(connection: apsw.Connection, account: int) -> Opening:
    """Reserve a block of MODSEQs and note that the replica is open."""
    connection.execute(
        "INSERT INTO account_state VALUES (?, 1, 0, 0) ON CONFLICT DO NOTHING", (account,)
    )
    [(floor, was_open)] = connection.execute(
        "SELECT modseq_reserved, replica_open FROM account_state WHERE account = ?", (account,)
    )
    connection.execute(
        "UPDATE account_state SET modseq_reserved = ?, replica_open = 1 WHERE account = ?",
        (floor + MODSEQ_BLOCK, account),
    )
    return Opening(floor, bool(was_open))


def reserve_modseqs(connection: apsw.Connection, account: int, reached: int) -> None:
    """Reserve more, so that a whole block lies ahead of what was `reached`."""
    connection.execute(
        "UPDATE account_state SET modseq_reserved = max(modseq_reserved, ?) WHERE account = ?",
        (reached + MODSEQ_BLOCK, account),
    )


def close_account(connection: apsw.Connection, account: int) -> None:
    """Note that the replica was closed in order, all of it on the disk."""
    connection.execute("UPDATE account_state SET replica_open = 0 WHERE account = ?", (account,))
