"""What attempts left behind is told from what others did meanwhile: at Dovecot, before and after."""

from __future__ import annotations

import pytest

from mailferry.mail.mailbox import MailboxId
from mailferry.mail.message import MessageId
from mailferry.mail.operation import Append, Applied, Attempt, Copy, Move, Operation, Untried
from tests.contract.letters import note
from tests.contract.world import Party, all_octets, everything, inbox_of, operation_id
from tests.lab.dovecot import Dovecot
from tests.sources.imap.conftest import ImapWorld, Open

pytestmark = pytest.mark.system

# Without a Message-ID, of the same size, and with the same header.
DOOR_ONE = b"From: alarm@house.example\r\nSubject: Alarm\r\n\r\nDoor one opened.\r\n"
DOOR_TWO = b"From: alarm@house.example\r\nSubject: Alarm\r\n\r\nDoor two opened.\r\n"


@pytest.fixture
def world(dovecot: Dovecot, opened: Open) -> ImapWorld:
    user = dovecot.new_user()
    return ImapWorld(opened(dovecot, user), opened(dovecot, user))


@pytest.fixture
async def inbox(world: ImapWorld) -> MailboxId:
    return await inbox_of(world.origin)


async def attempt(world: ImapWorld, party: Party, operation: Operation) -> Attempt:
    return Attempt(operation=operation, probe=await world.source.probe(operation, party.blobs))


async def test_a_move_in_doubt_never_takes_another_message_for_its_copy(
    world: ImapWorld, party: Party, inbox: MailboxId
) -> None:
    target = await party.create("Alarms")
    [message] = await party.deliver(inbox, DOOR_ONE)
    move = Move(id=operation_id(), mailbox=inbox, messages=(message,), target=target)
    tried = await attempt(world, party, move)
    await party.deliver(target, DOOR_TWO)
    assert isinstance(await world.source.lookup(tried), Untried)
    assert await all_octets(world.origin, inbox) == [DOOR_ONE]
    assert await all_octets(world.origin, target) == [DOOR_TWO]


async def test_a_copy_in_doubt_never_takes_another_message_for_its_copy(
    world: ImapWorld, party: Party, inbox: MailboxId
) -> None:
    target = await party.create("Alarms")
    [message] = await party.deliver(inbox, DOOR_ONE)
    copy = Copy(id=operation_id(), mailbox=inbox, messages=(message,), target=target)
    tried = await attempt(world, party, copy)
    await party.deliver(target, DOOR_TWO)
    assert isinstance(await world.source.lookup(tried), Untried)


async def test_of_two_that_look_the_same_the_one_that_arrived_is_removed(
    world: ImapWorld, party: Party, inbox: MailboxId
) -> None:
    """A move that ended between copying the second and removing it."""
    target = await party.create("Alarms")
    one, two = await party.deliver(inbox, DOOR_ONE, DOOR_TWO)
    move = Move(id=operation_id(), mailbox=inbox, messages=(one, two), target=target)
    tried = await attempt(world, party, move)
    await party.done(Copy(id=operation_id(), mailbox=inbox, messages=(two,), target=target))
    assert isinstance(await world.source.lookup(tried), Applied)
    assert await everything(world.origin, inbox) == []
    assert await all_octets(world.origin, target) == sorted([DOOR_ONE, DOOR_TWO])


async def test_a_message_with_bare_line_feeds_is_found_again(
    world: ImapWorld, party: Party, inbox: MailboxId
) -> None:
    with_id = note(1).replace(b"\r\n", b"\n")
    for data in (with_id, DOOR_ONE.replace(b"\r\n", b"\n")):
        tried = await attempt(world, party, party.append(inbox, data))
        await world.source.apply([tried], party.blobs)
        assert isinstance(await world.source.lookup(tried), Applied)


async def test_a_message_id_behind_a_long_header_is_not_missed(
    world: ImapWorld, party: Party, inbox: MailboxId
) -> None:
    trail = b"".join(b"Received: by hop %d; %s\r\n" % (n, b"x" * 900) for n in range(80))
    tried = await attempt(world, party, party.append(inbox, trail + note(1)))
    await world.source.apply([tried], party.blobs)
    assert isinstance(await world.source.lookup(tried), Applied)


async def test_what_another_operation_made_is_not_found_again(
    world: ImapWorld, party: Party, inbox: MailboxId
) -> None:
    """Two identical appends; their outcomes were lost together."""
    appends: list[Append] = [party.append(inbox, note(1)) for _ in range(2)]
    tried = [await attempt(world, party, append) for append in appends]
    await world.source.apply(tried, party.blobs)
    found: list[MessageId] = []
    for each in tried:
        outcome = await world.source.lookup(each, taken=found)
        assert isinstance(outcome, Applied)
        found += [new for _, new in outcome.created]
    assert found == await everything(world.origin, inbox)
    assert isinstance(await world.source.lookup(tried[0], taken=found), Untried)
