"""Changes of a mailbox: in pages, in bulk, and where the past is lost."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mailferry.mail.changes import Changes
from mailferry.mail.errors import CannotCalculateChanges, NotSupported
from mailferry.mail.mailbox import MailboxId, State
from mailferry.mail.message import SEEN
from mailferry.mail.operation import Expunge, SetFlags
from mailferry.sources.imap.names import message_id
from mailferry.sources.imap.source import ImapSource
from mailferry.wire.imap.client_commands import LSUB
from tests.contract.letters import note
from tests.contract.world import Follower, Party, everything, inbox_of, operation_id
from tests.lab.dovecot import Dovecot
from tests.sources.imap.conftest import Open, OpenScripted
from tests.sources.imap.scripted import LOGIN, LOGOUT, scripted

INBOX_ID = MailboxId("name:INBOX")
QRESYNC = "CONDSTORE QRESYNC ENABLE"


def login(capabilities: str = QRESYNC) -> str:
    enabling = (
        "> ENABLE QRESYNC\n< * ENABLED QRESYNC\n< TAG OK done\n> LIST"
        if "ENABLE" in capabilities
        else "> LIST"
    )
    return LOGIN.format(capabilities=capabilities).replace("> LIST", enabling)


def selected(
    parameters: str, *data: str, uid_next: int = 10, modseq: int = 90, exists: int = 3
) -> str:
    return "\n".join(
        [
            f"> SELECT INBOX{parameters}",
            f"< * {exists} EXISTS",
            "< * OK [UIDVALIDITY 5] v",
            f"< * OK [UIDNEXT {uid_next}] n",
            f"< * OK [HIGHESTMODSEQ {modseq}] h",
            *(f"< {each}" for each in data),
            "< TAG OK selected\n",
        ]
    )


async def changes_by_script(
    opened_at: OpenScripted, script: str, since: str, *, limit: int = 1000
) -> Changes:
    async with scripted(login() + script + LOGOUT) as server:
        source = opened_at(server.port)
        try:
            return await source.changes(INBOX_ID, State(since), limit=limit)
        finally:
            await source.aclose()


async def test_qresync_tells_all_in_one_answer(opened_at: OpenScripted) -> None:
    script = selected(
        " (QRESYNC (5 40))",
        "* VANISHED (EARLIER) 1:2,4,8",
        "* 1 FETCH (UID 3 FLAGS (\\Seen) MODSEQ (50))",
        "* 3 FETCH (UID 9 FLAGS (\\Recent) MODSEQ (90))",
    )
    changes = await changes_by_script(opened_at, script, "m5.8.40.5")
    assert [state.uid for state in changes.updated] == [3]
    assert changes.updated[0].flags == {SEEN}
    assert [(state.uid, state.flags, state.modseq) for state in changes.created] == [
        (9, frozenset(), 90)
    ]
    # Those that were never known (8) are nobody's concern.
    assert changes.destroyed == tuple(message_id(5, uid) for uid in (1, 2, 4))
    assert changes.present is None
    assert changes.new_state == "m5.10.90.3"


async def test_more_vanished_than_may_be_named_is_told_as_ranges(opened_at: OpenScripted) -> None:
    script = (
        selected(" (QRESYNC (5 40))", "* VANISHED (EARLIER) 1:4000000000", uid_next=4_100_000_000)
        + "> UID SEARCH ALL\n< * SEARCH 4000000001 4000000002 4000000005\n< TAG OK found\n"
    )
    changes = await changes_by_script(opened_at, script, "m5.4100000000.40.9")
    assert changes.destroyed == ()
    assert changes.present == (
        (message_id(5, 4_000_000_001), message_id(5, 4_000_000_002)),
        (message_id(5, 4_000_000_005), message_id(5, 4_000_000_005)),
    )


async def test_vanished_that_does_not_fit_the_numbers_is_checked(opened_at: OpenScripted) -> None:
    """A server that forgot to tell a removal."""
    script = (
        selected(" (QRESYNC (5 40))", "* VANISHED (EARLIER) 1")
        + "> UID SEARCH ALL\n< * SEARCH 3 5 7\n< TAG OK found\n"
    )
    changes = await changes_by_script(opened_at, script, "m5.10.40.6")
    assert changes.present is not None
    assert len(changes.present) == 3


@pytest.mark.parametrize(
    ("since", "words"),
    [
        ("m4.10.40.3", "numbered the mailbox anew"),
        ("m5.10.91.3", "older state"),
        ("m5.11.90.3", "older state"),
    ],
)
async def test_a_state_that_is_not_in_the_past(
    opened_at: OpenScripted, since: str, words: str
) -> None:
    validity, _, modseq, _ = since[1:].split(".")
    script = selected(f" (QRESYNC ({validity} {modseq}))")
    with pytest.raises(CannotCalculateChanges, match=words):
        await changes_by_script(opened_at, script, since)


async def test_a_mailbox_without_uid_validity(opened_at: OpenScripted) -> None:
    script = login("") + "> SELECT INBOX\n< * 0 EXISTS\n< TAG OK\n> UID SEARCH ALL\n< TAG OK\n"
    async with scripted(script + LOGOUT) as server:
        source = opened_at(server.port)
        with pytest.raises(NotSupported, match="UIDVALIDITY"):
            await source.changes(INBOX_ID, None)
        await source.aclose()


async def test_what_belongs_to_the_mailbox_before_is_not_taken(opened_at: OpenScripted) -> None:
    """A LIST that takes its time: what comes before CLOSED is about the other mailbox."""
    script = (
        login()
        + selected("")
        + "> UID SEARCH ALL\n< * SEARCH 1 2 3\n< TAG OK found\n"
        + '> LSUB "" "*"\n'
        + "> SELECT Other (QRESYNC (5 40))\n"
        + """
        < * 7 EXISTS
        < * 1 FETCH (UID 1 FLAGS (\\Deleted) MODSEQ (91))
        < * OK [CLOSED] closed
        < * 1 EXISTS
        < * OK [UIDVALIDITY 5] v
        < * OK [UIDNEXT 4] n
        < * OK [HIGHESTMODSEQ 41] h
        < * 1 FETCH (UID 2 FLAGS (\\Seen) MODSEQ (41))
        < TAG OK selected
        """
    )
    async with scripted(script + LOGOUT) as server:
        source = opened_at(server.port)
        await source.changes(INBOX_ID, None)
        session = await source._account.session()
        session.submit(LSUB)  # The server answers it behind the SELECT.
        changes = await source.changes(MailboxId("name:Other"), State("m5.4.40.1"))
        assert [state.uid for state in changes.updated] == [2]
        assert changes.new_state == "m5.4.41.1"
        await source.aclose()


# Over Dovecot


@pytest.fixture(params=["full", "no-qresync"])
async def followed(
    request: pytest.FixtureRequest, dovecots: Callable[..., Dovecot], opened: Open
) -> tuple[ImapSource, ImapSource, Follower]:
    """A mailbox of ten that is followed to its present state, and two ways to it."""
    server = dovecots(profile=request.param)
    user = server.new_user()
    source, other = opened(server, user), opened(server, user)
    inbox = await inbox_of(source)
    await Party(source).deliver(inbox, *[note(n) for n in range(10)])
    follower = Follower(source, inbox)
    await follower.follow()
    return source, other, follower


async def change_much(other: ImapSource, inbox: MailboxId) -> None:
    party = Party(other)
    ids = await everything(other, inbox)
    await party.done(
        SetFlags(
            id=operation_id(), mailbox=inbox, messages=tuple(ids[1::2]), add=frozenset({SEEN})
        ),
        Expunge(id=operation_id(), mailbox=inbox, messages=tuple(ids[::2])),
        *[party.append(inbox, note(n)) for n in range(20, 24)],
    )


@pytest.mark.system
async def test_pages_go_on_over_another_connection(
    followed: tuple[ImapSource, ImapSource, Follower],
) -> None:
    """What one connection began to tell in pages, another one that knows nothing finishes."""
    source, other, follower = followed
    await change_much(other, follower.mailbox)
    changes = await source.changes(follower.mailbox, follower.state, limit=3)
    assert changes.has_more
    await follower._take(changes)
    # More happens in between; it must not be lost either.
    first = min(follower.flags)
    await Party(other).done(
        SetFlags(
            id=operation_id(), mailbox=follower.mailbox, messages=(first,), remove=frozenset({SEEN})
        ),
        Expunge(id=operation_id(), mailbox=follower.mailbox, messages=(max(follower.flags),)),
    )
    follower.source = other
    await follower.follow(limit=3)
    await follower.follow(limit=3)
    fresh = Follower(other, follower.mailbox)
    await fresh.follow()
    assert follower.flags == fresh.flags


@pytest.mark.system
async def test_many_mailboxes_followed_in_pages_at_once(
    followed: tuple[ImapSource, ImapSource, Follower],
) -> None:
    """More answers are half told than are kept: those that were dropped are asked for anew."""
    source, other, first = followed
    boxes = [await Party(source).create(f"Box {n}") for n in range(6)]
    followers = [Follower(source, box) for box in boxes]
    for follower in followers:
        await Party(source).deliver(follower.mailbox, *[note(n) for n in range(4)])
        await follower.follow()
        await change_much(other, follower.mailbox)
    followers.append(first)
    states = [await source.changes(each.mailbox, each.state, limit=1) for each in followers]
    for follower, changes in zip(followers, states, strict=True):
        await follower._take(changes)
        await follower.follow(limit=1)
        fresh = Follower(other, follower.mailbox)
        await fresh.follow()
        assert follower.flags == fresh.flags
