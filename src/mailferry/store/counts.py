"""How far an account is: counted in its files, for `status`.

Every count is an index or a table of few rows, but that of the bodies, which takes about 15 ms for
100,000 messages: in a thread, with connections of its own.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import apsw

from mailferry.mail.errors import StorageDamaged
from mailferry.store.database import JOURNAL, REPLICA, open_reader, translated

_OF_REPLICA: Final = """
    SELECT
        (SELECT count(*) FROM mailbox),
        (SELECT count(*) FROM mailbox
         WHERE listed = 1 AND token IS NULL
           AND NOT EXISTS (SELECT 1 FROM json_each(attributes)
                           WHERE value IN ('\\Noselect', '\\NonExistent'))),
        (SELECT ifnull(sum(messages), 0) FROM tally),
        (SELECT count(*) FROM message WHERE listed = 0),
        (SELECT count(*) FROM message WHERE wanted = 1),
        (SELECT count(*) FROM section JOIN body ON body.id = section.body
         WHERE section.name = '' AND body.hash IS NOT NULL)
"""
_OF_JOURNAL: Final = """
    SELECT
        (SELECT count(*) FROM operation
         WHERE account = ?1 AND state IN ('staged', 'committed', 'applying')),
        (SELECT count(*) FROM operation WHERE account = ?1 AND state = 'refused'),
        (SELECT count(*) FROM message JOIN mailbox ON mailbox.id = message.mailbox
         WHERE mailbox.account = ?1 AND message.blob IS NOT NULL)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Numbers of one account."""

    mailboxes: int = 0
    mailboxes_unknown: int = 0
    """Of those, how many have not been looked into yet."""
    messages: int = 0
    messages_unlisted: int = 0
    bodies_wanted: int = 0
    """Bodies that will be fetched ahead of time and are not here yet."""
    bodies: int = 0
    """Messages that are here with their body."""
    pending: int = 0
    refused: int = 0


def count(journal: Path, replica: Path, account: int) -> Counts:
    """Count.  Blocks: not for the event loop.

    Raises:
        StorageDamaged: a file is damaged, or is not there (yet, or any more).
    """
    with translated(replica, REPLICA), closing(open_reader(replica, REPLICA)) as connection:
        try:
            [row] = connection.execute(_OF_REPLICA)
        except apsw.SQLError as exc:  # Its tables are being made at this moment.
            raise StorageDamaged(f"{replica} is not there yet") from exc
        mailboxes, unknown, messages, unlisted, wanted, bodies = row
    with translated(journal, JOURNAL), closing(open_reader(journal, JOURNAL)) as connection:
        [(pending, refused, pinned)] = connection.execute(_OF_JOURNAL, (account,))
    return Counts(
        mailboxes=mailboxes,
        mailboxes_unknown=unknown,
        messages=messages,
        messages_unlisted=unlisted,
        bodies_wanted=wanted,
        bodies=min(messages, bodies + pinned),  # A copied message has its content in both.
        pending=pending,
        refused=refused,
    )
