"""The contract of MailSource: what everybody may rely on who reads from a source."""

from __future__ import annotations

import pytest

from mailferry.mail.errors import (
    CannotCalculateChanges,
    MailboxNotFound,
    MessageNotFound,
    SectionNotFound,
)
from mailferry.mail.mailbox import INBOX, MailboxId, State
from mailferry.mail.message import (
    DELETED,
    FLAGGED,
    LISTED_FIELDS,
    SEEN,
    MessageId,
    Section,
    SummaryItem,
    flag,
)
from mailferry.mail.operation import Expunge, SetFlags
from tests.contract.letters import ARRIVED, JAPANESE, PARTS, SECTIONS, large, note
from tests.contract.world import (
    Follower,
    Party,
    World,
    close,
    everything,
    flags_of,
    inbox_of,
    mailbox_of,
    octets_of,
    operation_id,
    summaries,
)

NOWHERE = MailboxId("no such mailbox")


class Inbox:
    """The INBOX of a world, as the source under test and as its origin know it."""

    def __init__(self, world: World, here: MailboxId, there: MailboxId, party: Party) -> None:
        self.world, self.here, self.there, self.party = world, here, there, party

    async def deliver(
        self, *letters: bytes, flags: frozenset[str] = frozenset()
    ) -> list[MessageId]:
        """Bring letters; return their ids at the source under test."""
        before = set(await everything(self.world.source, self.here))
        await self.party.deliver(self.there, *letters, flags=[flag(each) for each in flags])
        await self.world.catch_up()
        return sorted(set(await everything(self.world.source, self.here)) - before)


@pytest.fixture
async def inbox(world: World, party: Party) -> Inbox:
    await world.catch_up()
    return Inbox(world, await inbox_of(world.source), await inbox_of(world.origin), party)


# Mailboxes


async def test_the_inbox_is_always_there(world: World) -> None:
    found = await mailbox_of(world.source, INBOX)
    assert found.selectable
    assert found.status is not None
    assert found.status.messages == 0
    assert found.status.uid_validity > 0


async def test_names_are_paths_in_unicode(world: World, party: Party) -> None:
    paths = [("Archive", "2026", "März"), ("日本語", "受信"), ("R&D",), ("A b",), ('q"\\',)]
    for path in paths:
        await party.create(*path)
    await world.catch_up()
    shown = {mailbox.path for mailbox in await world.source.mailboxes()}
    assert shown >= set(paths)


async def test_status_counts(world: World, party: Party, inbox: Inbox) -> None:
    before = (await mailbox_of(world.source, INBOX)).status
    await inbox.deliver(note(1), flags=frozenset({SEEN}))
    await inbox.deliver(note(2), flags=frozenset({DELETED}))
    after = (await mailbox_of(world.source, INBOX)).status
    assert before is not None
    assert after is not None
    assert after.messages == 2
    assert after.unseen in {1, None}
    assert after.deleted in {1, None}
    assert after.size in {len(note(1)) + len(note(2)), None}
    assert after.uid_next >= before.uid_next + 2
    assert after.uid_validity == before.uid_validity
    assert before.state is None or before.state != after.state


async def test_state_of_status_is_that_of_changes(world: World, inbox: Inbox) -> None:
    await inbox.deliver(note(1), note(2))
    follower = Follower(world.source, inbox.here)
    await follower.follow()
    status = (await mailbox_of(world.source, INBOX)).status
    assert status is not None
    assert status.state in {follower.state, None}


# Changes


async def test_nothing_in_an_empty_mailbox(world: World, inbox: Inbox) -> None:
    changes = await world.source.changes(inbox.here, None)
    assert not changes.created
    assert not changes.present
    assert not changes.has_more


async def test_everything_is_named_to_who_knows_nothing(world: World, inbox: Inbox) -> None:
    ids = await inbox.deliver(*[note(n) for n in range(5)])
    follower = Follower(world.source, inbox.here)
    await follower.follow(limit=2)
    assert set(follower.flags) == set(ids)


async def test_nothing_changed(world: World, inbox: Inbox) -> None:
    await inbox.deliver(note(1), note(2))
    follower = Follower(world.source, inbox.here)
    await follower.follow()
    known = dict(follower.flags)
    await follower.follow()
    [step] = follower.steps
    assert not step.created
    assert not step.destroyed
    assert follower.flags == known


async def test_changes_are_followed(world: World, party: Party, inbox: Inbox) -> None:
    await inbox.deliver(note(1), note(2), note(3))
    follower = Follower(world.source, inbox.here)
    await follower.follow()
    first, second, third = sorted(follower.flags)
    far = await everything(world.origin, inbox.there)
    await party.done(
        SetFlags(
            id=operation_id(),
            mailbox=inbox.there,
            messages=(far[0],),
            add=frozenset({SEEN, flag("urgent")}),
        ),
        Expunge(id=operation_id(), mailbox=inbox.there, messages=(far[1],)),
        party.append(inbox.there, note(4), [FLAGGED]),
    )
    await world.catch_up()
    await follower.follow()
    [new] = set(follower.flags) - {first, second, third}
    assert follower.flags == {
        first: {SEEN, flag("urgent")},
        third: frozenset(),
        new: {FLAGGED},
    }


async def test_changes_are_followed_in_small_steps(
    world: World, party: Party, inbox: Inbox
) -> None:
    await inbox.deliver(*[note(n) for n in range(6)])
    follower = Follower(world.source, inbox.here)
    await follower.follow(limit=2)
    far = await everything(world.origin, inbox.there)
    await party.done(
        Expunge(id=operation_id(), mailbox=inbox.there, messages=tuple(far[::2])),
        SetFlags(
            id=operation_id(),
            mailbox=inbox.there,
            messages=tuple(far[1::2]),
            add=frozenset({SEEN}),
        ),
        *[party.append(inbox.there, note(n)) for n in range(10, 15)],
    )
    await world.catch_up()
    await follower.follow(limit=2)
    assert sorted(follower.flags) == await everything(world.source, inbox.here)
    assert sum(SEEN in flags for flags in follower.flags.values()) == 3


async def test_modseq_rises_with_every_change(world: World, party: Party, inbox: Inbox) -> None:
    await inbox.deliver(note(1))
    follower = Follower(world.source, inbox.here)
    await follower.follow()
    [modseq] = follower.modseqs.values() or [0]
    far = await everything(world.origin, inbox.there)
    await party.done(
        SetFlags(id=operation_id(), mailbox=inbox.there, messages=tuple(far), add=frozenset({SEEN}))
    )
    await world.catch_up()
    await follower.follow()
    [later] = follower.modseqs.values()
    assert later > modseq or later == 0


@pytest.mark.parametrize("state", ["", "nonsense", "1.2.3.4.5.6", "99999999.99999999"])
async def test_an_unknown_state_is_refused(world: World, inbox: Inbox, state: str) -> None:
    with pytest.raises(CannotCalculateChanges):
        await world.source.changes(inbox.here, State(state))
    await world.source.changes(inbox.here, None)


# Summaries


async def test_summaries_have_what_was_asked(world: World, inbox: Inbox) -> None:
    [message] = await inbox.deliver(PARTS, flags=frozenset({SEEN, "project-x"}))
    [summary] = await summaries(world.source, inbox.here, [message], frozenset(SummaryItem))
    assert summary.id == message
    assert summary.flags == frozenset({SEEN, flag("project-x")})
    assert summary.internal_date == ARRIVED
    assert summary.size == len(PARTS)
    assert summary.header == SECTIONS["HEADER"]
    assert summary.envelope is not None
    assert summary.envelope.startswith(b'("Mon, 2 Mar 2026 08:00:00 +0000" "Parts" (("Carol" NIL ')
    assert summary.body_structure is not None
    assert summary.body_structure.lower().startswith(b'(("text" "plain" ("charset" "utf-8") ')
    assert b'"application"' in summary.body_structure.lower()


async def test_summaries_have_only_what_was_asked(world: World, inbox: Inbox) -> None:
    [message] = await inbox.deliver(note(1))
    [summary] = await summaries(world.source, inbox.here, [message], frozenset({SummaryItem.SIZE}))
    assert summary.size == len(note(1))
    assert summary.envelope is None
    assert summary.body_structure is None
    assert summary.header is None
    assert summary.header_fields is None
    assert summary.internal_date is None


async def test_listed_fields(world: World, inbox: Inbox) -> None:
    [message] = await inbox.deliver(note(7))
    [summary] = await summaries(
        world.source, inbox.here, [message], frozenset({SummaryItem.HEADER_FIELDS})
    )
    header = note(7).partition(b"\r\n\r\n")[0].split(b"\r\n")
    listed = {name.lower() for name in LISTED_FIELDS}
    kept = [line for line in header if line.partition(b":")[0].decode().lower() in listed]
    assert len(kept) == len(header) - 1
    assert summary.header_fields == b"\r\n".join(kept) + b"\r\n\r\n"


async def test_summaries_of_many_in_their_order(world: World, inbox: Inbox) -> None:
    ids = await inbox.deliver(*[note(n) for n in range(60)])
    found = await summaries(world.source, inbox.here, ids)
    assert [summary.id for summary in found] == ids
    assert len({summary.envelope for summary in found}) == 60


async def test_summaries_leave_out_what_has_gone(world: World, party: Party, inbox: Inbox) -> None:
    ids = await inbox.deliver(note(1), note(2))
    far = await everything(world.origin, inbox.there)
    await party.done(Expunge(id=operation_id(), mailbox=inbox.there, messages=(far[0],)))
    await world.catch_up()
    found = await summaries(world.source, inbox.here, ids)
    assert [summary.id for summary in found] == ids[1:]


async def test_summaries_of_nothing(world: World, inbox: Inbox) -> None:
    assert await summaries(world.source, inbox.here, []) == []


# Bodies


async def test_a_body_is_octet_for_octet(world: World, inbox: Inbox) -> None:
    for letter in (note(1), JAPANESE, PARTS, b"Subject: no body\r\n\r\n"):
        [message] = await inbox.deliver(letter)
        assert await octets_of(world.source, inbox.here, message) == letter


@pytest.mark.parametrize("section", sorted(SECTIONS))
async def test_sections(world: World, inbox: Inbox, section: str) -> None:
    [message] = await inbox.deliver(PARTS)
    wanted = SECTIONS[section]
    assert await octets_of(world.source, inbox.here, message, Section(section)) == wanted
    half = len(wanted) // 2
    rest = await octets_of(world.source, inbox.here, message, Section(section), half)
    assert rest == wanted[half:]


async def test_a_body_goes_on_from_an_offset(world: World, inbox: Inbox) -> None:
    letter = large(300_000)
    [message] = await inbox.deliver(letter)
    body = await world.source.body(inbox.here, message)
    got = bytearray()
    async for chunk in body.chunks:
        got += chunk
        if len(got) > 100_000:
            break
    await close(body.chunks)
    assert body.size == len(letter)
    rest = await octets_of(world.source, inbox.here, message, offset=len(got))
    assert bytes(got) + rest == letter


async def test_a_body_from_its_end_is_empty(world: World, inbox: Inbox) -> None:
    [message] = await inbox.deliver(note(1))
    assert await octets_of(world.source, inbox.here, message, offset=len(note(1))) == b""
    assert await octets_of(world.source, inbox.here, message, offset=10**6) == b""


async def test_two_bodies_at_once(world: World, inbox: Inbox) -> None:
    letters = [large(200_000), large(250_000)]
    ids = [(await inbox.deliver(letter))[0] for letter in letters]
    bodies = [await world.source.body(inbox.here, each) for each in ids]
    got = [bytearray(), bytearray()]
    for body, data in zip(bodies, got, strict=True):
        async for chunk in body.chunks:
            data += chunk
    assert [bytes(data) for data in got] == letters


async def test_reading_does_not_mark_as_read(world: World, party: Party, inbox: Inbox) -> None:
    [message] = await inbox.deliver(PARTS)
    await octets_of(world.source, inbox.here, message)
    await octets_of(world.source, inbox.here, message, Section("1"))
    await summaries(world.source, inbox.here, [message], frozenset(SummaryItem))
    assert await flags_of(world.source, inbox.here, message) == frozenset()
    [far] = await everything(world.origin, inbox.there)
    assert await flags_of(world.origin, inbox.there, far) == frozenset()


@pytest.mark.parametrize("section", ["9", "1.HEADER", "2.1", "3.2", "4.MIME"])
async def test_no_such_section(world: World, inbox: Inbox, section: str) -> None:
    [message] = await inbox.deliver(PARTS)
    with pytest.raises(SectionNotFound):
        await octets_of(world.source, inbox.here, message, Section(section))


async def test_no_such_message(world: World, party: Party, inbox: Inbox) -> None:
    [message] = await inbox.deliver(note(1))
    [far] = await everything(world.origin, inbox.there)
    await party.done(Expunge(id=operation_id(), mailbox=inbox.there, messages=(far,)))
    await world.catch_up()
    with pytest.raises(MessageNotFound):
        await octets_of(world.source, inbox.here, message)


async def test_no_such_mailbox(world: World, inbox: Inbox) -> None:
    [message] = await inbox.deliver(note(1))
    with pytest.raises(MailboxNotFound):
        await world.source.changes(NOWHERE, None)
    with pytest.raises(MailboxNotFound):
        await summaries(world.source, NOWHERE, [message])
    with pytest.raises(MailboxNotFound):
        await octets_of(world.source, NOWHERE, message)


async def test_closing_is_quiet(world: World) -> None:
    await world.source.mailboxes()
    await world.source.aclose()
    await world.source.aclose()
