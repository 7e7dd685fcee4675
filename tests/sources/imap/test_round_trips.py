"""How often we wait for the server: counted, not timed."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from mailferry.mail.mailbox import INBOX
from mailferry.mail.message import LISTING, MessageId
from mailferry.mail.operation import Copy, CreateMailbox
from mailferry.sources.imap.settings import Security
from tests.contract.letters import note
from tests.contract.world import Party, everything, inbox_of, mailbox_of, operation_id, summaries
from tests.lab.dovecot import Dovecot
from tests.sources.imap.conftest import QUICK, Open

pytestmark = pytest.mark.system

FIRST_SYNC_MAX = 12
NOTHING_CHANGED_MAX = 3
TOGETHER_MAX = 20  # One after the other they would take more than fifty.


async def fill_with_a_thousand(party: Party) -> None:
    """Deliver a few letters, then copy them onto themselves."""
    inbox = await inbox_of(party.source)
    ids = await party.deliver(inbox, *[note(n) for n in range(125)])
    while len(ids) < 1000:
        copy = Copy(id=operation_id(), mailbox=inbox, messages=tuple(ids), target=inbox)
        await party.done(copy)
        ids = await everything(party.source, inbox)


@pytest.mark.parametrize("security", [Security.TLS, Security.STARTTLS])
async def test_first_sync_of_a_thousand(dovecot: Dovecot, opened: Open, security: Security) -> None:
    user = dovecot.new_user()
    await fill_with_a_thousand(Party(opened(dovecot, user)))
    source = opened(dovecot, user, replace(QUICK, security=security))
    inbox = (await mailbox_of(source, INBOX)).id
    changes = await source.changes(inbox, None)
    assert changes.present is not None
    ids = [MessageId(each) for low, high in changes.present for each in range(low, high + 1)]
    assert len(await summaries(source, inbox, ids, LISTING)) == 1000
    assert source.round_trips <= FIRST_SYNC_MAX


async def test_fifty_mailboxes_asked_at_once_go_out_together(
    dovecot: Dovecot, opened: Open
) -> None:
    source = opened(dovecot, dovecot.new_user())
    made = [CreateMailbox(id=operation_id(), path=("Many", f"{n:02}")) for n in range(50)]
    await Party(source).done(*made)
    known = [each.id for each in await source.mailboxes() if each.selectable]
    before = source.round_trips
    answers = await asyncio.gather(*[source.changes(each, None) for each in known])
    assert all(answer.present == () for answer in answers)
    assert source.round_trips - before <= TOGETHER_MAX


async def test_nothing_changed_in_fifty_mailboxes(dovecot: Dovecot, opened: Open) -> None:
    source = opened(dovecot, dovecot.new_user())
    made = [CreateMailbox(id=operation_id(), path=("Many", f"{n:02}")) for n in range(50)]
    await Party(source).done(*made)
    known = {each.id: each for each in await source.mailboxes() if each.selectable}
    states = {each: (await source.changes(each, None)).new_state for each in known}
    before = source.round_trips
    now = {each.id: each.status for each in await source.mailboxes() if each.selectable}
    assert source.round_trips - before <= NOTHING_CHANGED_MAX
    assert len(now) > 50
    assert {each: status.state for each, status in now.items() if status} == states
