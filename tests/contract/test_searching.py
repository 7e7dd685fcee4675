"""The contract of MailSource.search."""

from __future__ import annotations

from datetime import date

import pytest

from mailferry.mail.errors import MailboxNotFound
from mailferry.mail.mailbox import MailboxId
from mailferry.mail.message import DELETED, FLAGGED, SEEN, flag
from mailferry.mail.query import (
    And,
    BodyContains,
    Everything,
    HasFlag,
    HeaderContains,
    InternalDate,
    LargerThan,
    Not,
    Or,
    Query,
    Relation,
    SentDate,
    SmallerThan,
    TextContains,
    UidIn,
)
from tests.contract.letters import JAPANESE, PARTS, note
from tests.contract.world import Party, World, everything, inbox_of, summaries

NOTE, PARTS_, MINATO = range(3)

QUERIES: list[tuple[Query, set[int]]] = [
    (Everything(), {NOTE, PARTS_, MINATO}),
    (HasFlag(SEEN), {PARTS_}),
    (HasFlag(flag("project-x")), {PARTS_}),
    (HasFlag(DELETED), set()),
    (Not(HasFlag(SEEN)), {NOTE, MINATO}),
    (And((HasFlag(SEEN), HasFlag(FLAGGED))), {PARTS_}),
    (And(()), {NOTE, PARTS_, MINATO}),
    (Or(HasFlag(SEEN), HeaderContains("Subject", "note")), {NOTE, PARTS_}),
    (HeaderContains("subject", "NOTE"), {NOTE}),
    (HeaderContains("From", "example.org"), {NOTE}),
    (HeaderContains("Message-ID", "<parts@example.com>"), {PARTS_}),
    (HeaderContains("X-Not-Listed", ""), {NOTE}),
    (HeaderContains("X-Not-Listed", "somebody"), set()),
    (HeaderContains("To", "bob"), {NOTE, PARTS_, MINATO}),
    (HeaderContains("Subject", "入港"), {MINATO}),
    (HeaderContains("From", "船長"), {MINATO}),
    (BodyContains("天気"), {MINATO}),
    (BodyContains("大雨"), set()),
    (BodyContains("hello, PARTS"), {PARTS_}),
    (BodyContains("inner text"), {PARTS_}),
    (BodyContains("Subject: Parts"), set()),
    (TextContains("Subject: Parts"), {PARTS_}),
    (TextContains("横浜"), {MINATO}),
    (TextContains("時刻"), {MINATO}),
    (InternalDate(Relation.ON, date(2026, 3, 1)), {NOTE, PARTS_, MINATO}),
    (InternalDate(Relation.BEFORE, date(2026, 3, 1)), set()),
    (InternalDate(Relation.SINCE, date(2026, 3, 1)), {NOTE, PARTS_, MINATO}),
    (SentDate(Relation.ON, date(2026, 3, 2)), {PARTS_}),
    (SentDate(Relation.BEFORE, date(2026, 3, 2)), {NOTE}),
    (SentDate(Relation.SINCE, date(2026, 3, 2)), {PARTS_, MINATO}),
    (LargerThan(1000), {PARTS_}),
    (SmallerThan(1000), {NOTE, MINATO}),
    (LargerThan(len(note(1))), {PARTS_, MINATO}),
]


async def test_search(world: World, party: Party) -> None:
    far = await inbox_of(world.origin)
    await party.deliver(far, note(1))
    await party.deliver(far, PARTS, flags=[SEEN, FLAGGED, flag("project-x")])
    await party.deliver(far, JAPANESE)
    await world.catch_up()
    inbox = await inbox_of(world.source)
    ids = await everything(world.source, inbox)
    for query, wanted in QUERIES:
        result = await world.source.search(inbox, query)
        assert result.messages == tuple(ids[each] for each in sorted(wanted)), query
        assert result.complete


async def test_search_by_uid(world: World, party: Party) -> None:
    await party.deliver(await inbox_of(world.origin), *[note(n) for n in range(5)])
    await world.catch_up()
    inbox = await inbox_of(world.source)
    ids = await everything(world.source, inbox)
    uids = [summary.uid for summary in await summaries(world.source, inbox, ids)]
    query = UidIn(((uids[0], uids[1]), (uids[3], uids[3]), (uids[4] + 5, uids[4] + 9)))
    assert (await world.source.search(inbox, query)).messages == (ids[0], ids[1], ids[3])


async def test_search_nowhere(world: World) -> None:
    with pytest.raises(MailboxNotFound):
        await world.source.search(MailboxId("no such mailbox"), Everything())
    inbox = await inbox_of(world.source)
    assert (await world.source.search(inbox, HasFlag(SEEN))).messages == ()
