"""Subscriptions outlive their mailboxes (RFC 9051 §6.3.5), at servers of every kind."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mailferry.mail.mailbox import NON_EXISTENT
from mailferry.mail.operation import (
    Applied,
    Attempt,
    DeleteMailbox,
    RenameMailbox,
    Subscribe,
    Unsubscribe,
)
from tests.contract.world import Party, mailbox_of, operation_id
from tests.lab.dovecot import Dovecot
from tests.sources.imap.conftest import PROFILES, ImapWorld, Open

pytestmark = pytest.mark.system


@pytest.fixture(params=["", *PROFILES])
def server(request: pytest.FixtureRequest, dovecots: Callable[..., Dovecot]) -> Dovecot:
    return dovecots(profile=request.param) if request.param else dovecots()


@pytest.fixture
def world(server: Dovecot, opened: Open) -> ImapWorld:
    user = server.new_user()
    return ImapWorld(opened(server, user), opened(server, user))


async def test_a_subscription_outlives_its_mailbox(world: ImapWorld, party: Party) -> None:
    mailbox = await party.create("Gone")
    await party.done(
        Subscribe(id=operation_id(), path=("Gone",)),
        DeleteMailbox(id=operation_id(), mailbox=mailbox),
    )
    left = await mailbox_of(world.source, ("Gone",))
    assert left.subscribed
    assert left.attributes == {NON_EXISTENT}
    await party.done(Unsubscribe(id=operation_id(), path=("Gone",)))
    assert ("Gone",) not in [each.path for each in await world.source.mailboxes()]


async def test_a_rename_that_leaves_its_subscription_is_recognised(
    world: ImapWorld, party: Party
) -> None:
    mailbox = await party.create("Old")
    await party.done(Subscribe(id=operation_id(), path=("Old",)))
    rename = RenameMailbox(id=operation_id(), mailbox=mailbox, path=("New",))
    tried = Attempt(operation=rename, probe=await world.source.probe(rename, party.blobs))
    await party.done(rename)
    assert isinstance(await world.source.lookup(tried), Applied)
