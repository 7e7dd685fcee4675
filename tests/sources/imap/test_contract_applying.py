"""The contract of MailSource (applying) over Dovecot as modern and as old servers are."""

from __future__ import annotations

import pytest

from mailferry.mail.mailbox import MailboxId
from mailferry.mail.message import DELETED
from mailferry.mail.operation import Expunge, SetFlags, Untried
from mailferry.mail.source import MailSource
from tests.contract import test_applying
from tests.contract.letters import note
from tests.contract.test_applying import *  # noqa: F403
from tests.contract.world import Party, everything, flags_of, operation_id
from tests.sources.imap.conftest import ImapWorld

pytestmark = pytest.mark.system


async def test_expunge_takes_exactly_what_was_named(  # type: ignore[no-redef]
    world: ImapWorld, source: MailSource, party: Party, inbox: MailboxId
) -> None:
    """Without UIDPLUS it waits until nothing else would go with it (docs/rule.md, 3)."""
    await world.origin.check_login()
    if "UIDPLUS" in world.origin.capabilities:
        await test_applying.test_expunge_takes_exactly_what_was_named(source, party, inbox)
        return
    marked, named = await party.deliver(inbox, note(1), note(2))
    mark = SetFlags(id=operation_id(), mailbox=inbox, messages=(marked,), add=frozenset({DELETED}))
    await party.done(mark)
    expunge = Expunge(id=operation_id(), mailbox=inbox, messages=(named,))
    [outcome] = await party.apply(expunge)
    assert isinstance(outcome, Untried)
    assert await everything(source, inbox) == [marked, named]
    assert await flags_of(source, inbox, named) == {DELETED}
    await party.done(
        SetFlags(id=operation_id(), mailbox=inbox, messages=(marked,), remove=frozenset({DELETED})),
        expunge,
    )
    assert await everything(source, inbox) == [marked]
