"""What is said of operations whose answers do not come, and how they are found out afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

from mailferry.mail.errors import StorageDamaged
from mailferry.mail.mailbox import MailboxId
from mailferry.mail.message import DELETED, SEEN, BlobId, Flag, MessageId
from mailferry.mail.operation import (
    Append,
    Applied,
    Attempt,
    Copy,
    CreateMailbox,
    DeleteMailbox,
    Expunge,
    Move,
    Operation,
    Outcome,
    OutcomeUnknown,
    Probe,
    Refused,
    SetFlags,
    Untried,
)
from mailferry.sources.imap.names import message_id
from tests.contract.world import Blobs, operation_id
from tests.sources.imap.conftest import QUICK, OpenScripted
from tests.sources.imap.scripted import LOGIN, LOGOUT, scripted

BOX, TARGET = MailboxId("name:Box"), MailboxId("name:Target")
ONE, TWO = message_id(5, 1), message_id(5, 2)
SELECTED = "> SELECT Box\n< * 2 EXISTS\n< * OK [UIDVALIDITY 5] v\n< TAG OK selected\n"
TARGET_SELECTED = "> SELECT Target\n< * 2 EXISTS\n< * OK [UIDVALIDITY 6] v\n< TAG OK selected\n"
TRACED = "(UID RFC822.SIZE BODY.PEEK[HEADER.FIELDS (MESSAGE-ID DATE FROM SUBJECT)])"
MESSAGE = b"Message-ID: <a@b>\r\n\r\nhello\r\n"
CUT = "! close"


def login(capabilities: str = "UIDPLUS") -> str:
    return LOGIN.format(capabilities=capabilities)


def flags(*messages: MessageId, add: Flag = SEEN) -> SetFlags:
    return SetFlags(id=operation_id(), mailbox=BOX, messages=messages, add=frozenset({add}))


def expunge(*messages: MessageId) -> Expunge:
    return Expunge(id=operation_id(), mailbox=BOX, messages=messages)


def copy(*messages: MessageId) -> Copy:
    return Copy(id=operation_id(), mailbox=BOX, messages=messages, target=TARGET)


def move(*messages: MessageId) -> Move:
    return Move(id=operation_id(), mailbox=BOX, messages=messages, target=TARGET)


def append(blobs: Blobs, data: bytes = MESSAGE) -> Append:
    return Append(id=operation_id(), mailbox=BOX, blob=blobs.keep(data), size=len(data))


async def outcomes_of(
    opened_at: OpenScripted, script: str, *operations: Operation, blobs: Blobs | None = None
) -> list[Outcome]:
    async with scripted(script) as server:
        source = opened_at(server.port)
        attempts = [Attempt(operation=operation) for operation in operations]
        outcomes = await source.apply(attempts, blobs or Blobs())
        await source.aclose()
    return list(outcomes)


async def test_identical_flag_changes_are_one_command(opened_at: OpenScripted) -> None:
    script = (
        login()
        + SELECTED
        + """
        > UID STORE 1:2,7 +FLAGS.SILENT (\\Seen)
        > UID STORE 2 +FLAGS.SILENT (\\Deleted)
        < TAG OK done
        """
    )
    # The first STORE's answer is left out: its outcome is unknown, and the second is made again
    # behind it.
    outcomes = await outcomes_of(
        opened_at,
        script + CUT,
        flags(ONE),
        flags(TWO, message_id(5, 7)),
        flags(TWO, add=DELETED),
    )
    assert [type(each) for each in outcomes] == [OutcomeUnknown, OutcomeUnknown, Untried]


async def test_flags_that_the_server_does_not_keep(opened_at: OpenScripted) -> None:
    script = (
        login()
        + """
        > SELECT Box
        < * OK [UIDVALIDITY 5] v
        < * OK [PERMANENTFLAGS (\\Seen \\Deleted)] limited
        < TAG OK selected
        > UID STORE 1 +FLAGS.SILENT (\\Seen)
        < TAG OK done
        """
        + LOGOUT
    )
    keyword = Flag("$Junk")
    both = SetFlags(id=operation_id(), mailbox=BOX, messages=(ONE,), add=frozenset({SEEN, keyword}))
    outcomes = await outcomes_of(opened_at, script, both, flags(ONE, add=keyword))
    assert outcomes == [
        Applied(),
        Refused(reason="the server does not keep $Junk", code="CANNOT"),
    ]


async def test_a_flag_that_imap_cannot_write(opened_at: OpenScripted) -> None:
    outcomes = await outcomes_of(
        opened_at, login() + SELECTED + LOGOUT, flags(ONE, add=Flag("a b"))
    )
    assert [type(each) for each in outcomes] == [Refused]


async def test_refusals_have_the_servers_words(opened_at: OpenScripted) -> None:
    script = (
        login()
        + SELECTED
        + """
        > UID STORE 1 +FLAGS.SILENT (\\Seen)
        < TAG NO [NOPERM] You may only look.
        > UID COPY 1 Target
        < TAG NO [UNAVAILABLE] Disk is being changed.
        """
        + LOGOUT
    )
    assert await outcomes_of(opened_at, script, flags(ONE), copy(ONE)) == [
        Refused(reason="You may only look.", code="NOPERM"),
        Untried(reason="Disk is being changed."),
    ]


async def test_a_renumbered_mailbox_is_not_touched(opened_at: OpenScripted) -> None:
    one, two, three = (message_id(4, uid) for uid in (1, 2, 3))
    outcomes = await outcomes_of(
        opened_at, login() + SELECTED + LOGOUT, flags(one), expunge(two), copy(three)
    )
    assert {type(each) for each in outcomes} == {Untried}
    assert all("UIDVALIDITY" in each.reason for each in outcomes if isinstance(each, Untried))


async def test_a_refused_copy_does_not_lose_its_original(opened_at: OpenScripted) -> None:
    script = (
        login()
        + SELECTED
        + """
        > UID COPY 1 Target
        < TAG NO [OVERQUOTA] full
        > UID STORE 1 +FLAGS.SILENT (\\Deleted)
        < TAG OK done
        > UID STORE 2 +FLAGS.SILENT (\\Deleted)
        < TAG OK done
        > UID EXPUNGE 2
        < * 2 EXPUNGE
        < TAG OK done
        """
        + LOGOUT
    )
    outcomes = await outcomes_of(
        opened_at,
        script,
        copy(ONE),
        flags(ONE, add=DELETED),
        expunge(ONE),
        expunge(TWO),
        DeleteMailbox(id=operation_id(), mailbox=BOX),
    )
    assert [type(each) for each in outcomes] == [Refused, Applied, Untried, Applied, Untried]


async def test_what_was_not_sent_is_untried(opened_at: OpenScripted) -> None:
    outcomes = await outcomes_of(
        opened_at,
        login() + SELECTED + "> UID COPY 1 Target\n" + CUT,
        copy(ONE),
        copy(TWO),
        CreateMailbox(id=operation_id(), path=("New",)),
    )
    assert [type(each) for each in outcomes] == [OutcomeUnknown, Untried, Untried]


async def test_an_append_cut_before_its_end_is_untried(opened_at: OpenScripted) -> None:
    blobs = Blobs()
    script = login() + "> APPEND Box () {28}\n"
    [outcome] = await outcomes_of(opened_at, script + CUT, append(blobs), blobs=blobs)
    assert isinstance(outcome, Untried)


async def test_an_append_cut_behind_its_end_is_unknown(opened_at: OpenScripted) -> None:
    blobs = Blobs()
    script = (
        login("LITERAL+")
        + "> APPEND Box () {28+}\n> raw: Message-ID: <a@b>\n> raw:\n> raw: hello\n> raw:\n"
    )
    outcomes = await outcomes_of(opened_at, script + CUT, append(blobs), blobs=blobs)
    assert [type(each) for each in outcomes] == [OutcomeUnknown]


async def test_appends_that_follow_each_other_closely_are_told_apart(
    opened_at: OpenScripted,
) -> None:
    blobs = Blobs()
    message = "> raw: Message-ID: <a@b>\n> raw:\n> raw: hello\n> raw:\n< TAG OK done\n"
    script = login("LITERAL+") + 2 * ("> APPEND Box () {28+}\n" + message) + LOGOUT
    async with scripted(script) as server:
        source = opened_at(server.port)
        outcomes = await asyncio.gather(
            *(source.apply([Attempt(operation=append(blobs))], blobs) for _ in range(2))
        )
        await source.aclose()
    assert outcomes == [[Applied()], [Applied()]]


async def test_an_append_that_is_too_large_is_not_sent(opened_at: OpenScripted) -> None:
    blobs = Blobs()
    script = login("APPENDLIMIT=10") + LOGOUT
    [outcome] = await outcomes_of(opened_at, script, append(blobs), blobs=blobs)
    assert isinstance(outcome, Refused)
    assert outcome.code == "TOOBIG"


async def test_content_that_cannot_be_read_stops_an_append(opened_at: OpenScripted) -> None:
    class Damaged(Blobs):
        async def read_blob(self, blob: BlobId, offset: int = 0) -> AsyncIterator[bytes]:
            yield b"Message-ID"
            raise StorageDamaged("the file is damaged")

    blobs = Damaged()
    async with scripted(login("LITERAL+") + "! gone") as server:
        source = opened_at(server.port)
        [outcome] = await source.apply([Attempt(operation=append(blobs))], blobs)
        assert isinstance(outcome, Refused | Untried)
        assert "damaged" in outcome.reason


async def test_a_move_without_the_capability_is_copy_and_removal(
    opened_at: OpenScripted,
) -> None:
    script = (
        login()
        + SELECTED
        + """
        > UID COPY 1:2 Target
        < TAG OK [COPYUID 6 1:2 8,7] copied
        > UID STORE 1:2 +FLAGS.SILENT (\\Deleted)
        < TAG OK done
        > UID EXPUNGE 1:2
        < TAG OK done
        """
        + LOGOUT
    )
    [outcome] = await outcomes_of(opened_at, script, move(ONE, TWO))
    assert outcome == Applied(created=((ONE, message_id(6, 8)), (TWO, message_id(6, 7))))


async def test_a_move_that_stopped_half_way_is_finished(opened_at: OpenScripted) -> None:
    """Copied, then cut: the look afterwards finds the copies and removes the originals."""

    def fetched(sequence: int, uid: int, message: str) -> str:
        header = f"Message-ID: <{message}>\\r\\n\\r\\n"
        length = len(f"Message-ID: <{message}>\r\n\r\n")
        return (
            f"< * {sequence} FETCH (UID {uid} RFC822.SIZE 9"
            f" BODY[HEADER.FIELDS (MESSAGE-ID DATE FROM SUBJECT)] {{{length}}}\\r\\n{header})\n"
        )

    first = (
        login()
        + "> STATUS Target (UIDVALIDITY UIDNEXT)\n"
        + "< * STATUS Target (UIDVALIDITY 6 UIDNEXT 7)\n< TAG OK done\n"
        + SELECTED
        + f"> UID FETCH 1:2 {TRACED}\n"
        + fetched(1, 1, "one")
        + fetched(2, 2, "two")
        + "< TAG OK done\n"
        + "> UID COPY 1:2 Target\n"
        + "< TAG OK [COPYUID 6 1:2 7:8] copied\n"
        + "> UID STORE 1:2 +FLAGS.SILENT (\\Deleted)\n"
        + CUT
    )
    look = (
        TARGET_SELECTED
        + f"> UID FETCH 7:* {TRACED}\n"
        + fetched(8, 8, "two")
        + fetched(7, 7, "one")
        + "< TAG OK done\n"
        + SELECTED
        + "> UID SEARCH UID 1:2\n< * SEARCH 1 2\n< TAG OK found\n"
    )
    second = (
        login()
        + look
        + look
        + "> UID STORE 1:2 +FLAGS.SILENT (\\Deleted)\n< TAG OK done\n"
        + "> UID EXPUNGE 1:2\n< TAG OK done\n"
        + LOGOUT
    )
    async with scripted(first, second) as server:
        source = opened_at(server.port, replace(QUICK, settle_s=1000.0, backoff_max_s=0.0))
        operation = move(ONE, TWO)
        probe = await source.probe(operation, Blobs())
        assert probe is not None
        tried = Attempt(operation=operation, probe=probe)
        [outcome] = await source.apply([tried], Blobs())
        assert isinstance(outcome, OutcomeUnknown)
        # The server may still be working on what it was told last: nothing is done about it yet.
        waiting = await source.lookup(tried)
        assert isinstance(waiting, OutcomeUnknown)
        assert "may still be working" in waiting.reason
        source._account.connection.lost_at = -1000.0
        found = await source.lookup(tried)
        assert found == Applied(created=((ONE, message_id(6, 7)), (TWO, message_id(6, 8))))
        await source.aclose()


async def test_nothing_is_tried_again_while_nobody_can_look(opened_at: OpenScripted) -> None:
    async with scripted() as server:
        port = server.port
    source = opened_at(port)
    outcome = await source.lookup(Attempt(operation=copy(ONE), probe=Probe(b"{}")))
    assert isinstance(outcome, OutcomeUnknown)
    [outcome] = await source.apply([Attempt(operation=copy(ONE))], Blobs())
    assert isinstance(outcome, Untried)


async def test_a_move_whose_second_half_is_refused_ends(opened_at: OpenScripted) -> None:
    """No MOVE at the server, and no right to expunge (RFC 4314 §4): there are two then."""
    script = (
        login()
        + SELECTED
        + """
        > UID COPY 1 Target
        < TAG OK [COPYUID 6 1 8] copied
        > UID STORE 1 +FLAGS.SILENT (\\Deleted)
        < TAG NO [NOPERM] no
        > UID EXPUNGE 1
        < TAG NO [NOPERM] no
        """
        + LOGOUT
    )
    [outcome] = await outcomes_of(opened_at, script, move(ONE))
    assert outcome == Refused(reason="copied, and not removed: no")


async def test_a_move_does_not_wait_for_what_others_have_marked(opened_at: OpenScripted) -> None:
    """Without UIDPLUS its originals stay marked as deleted, where an EXPUNGE would take more."""
    script = (
        login("IMAP4rev1")
        + SELECTED
        + """
        > UID COPY 1 Target
        < TAG OK copied
        > UID STORE 1 +FLAGS.SILENT (\\Deleted)
        < TAG OK done
        > UID SEARCH DELETED
        < * SEARCH 1 2
        < TAG OK found
        """
        + LOGOUT
    )
    [outcome] = await outcomes_of(opened_at, script, move(ONE))
    assert outcome == Applied()


async def test_an_answer_to_a_search_that_cannot_be_is_no_fault_of_ours(
    opened_at: OpenScripted,
) -> None:
    script = (
        login("ESEARCH")
        + SELECTED
        + """
        > UID STORE 1 +FLAGS.SILENT (\\Deleted)
        < TAG OK done
        > UID SEARCH RETURN (ALL) DELETED
        < * ESEARCH (TAG "TAG") UID ALL 1:4294967295
        < TAG OK found
        """
        + LOGOUT
    )
    [outcome] = await outcomes_of(opened_at, script, expunge(ONE))
    assert isinstance(outcome, Untried)


async def test_a_move_does_not_overtake_flags_that_are_to_be_tried_again(
    opened_at: OpenScripted,
) -> None:
    script = (
        login("MOVE")
        + SELECTED
        + """
        > UID STORE 1 +FLAGS.SILENT (\\Seen)
        < TAG NO [INUSE] not now
        > UID MOVE 2 Target
        < TAG OK [COPYUID 6 2 8] moved
        """
        + LOGOUT
    )
    outcomes = await outcomes_of(
        opened_at,
        script,
        flags(ONE),
        move(ONE),
        copy(ONE),
        move(TWO),
        DeleteMailbox(id=operation_id(), mailbox=BOX),
    )
    assert [type(each) for each in outcomes] == [Untried, Untried, Untried, Applied, Untried]


async def test_nothing_is_done_in_a_mailbox_that_may_have_gone(opened_at: OpenScripted) -> None:
    script = login() + "> DELETE Box\n< TAG NO [INUSE] not now\n" + LOGOUT
    outcomes = await outcomes_of(
        opened_at,
        script,
        DeleteMailbox(id=operation_id(), mailbox=BOX),
        flags(ONE),
        CreateMailbox(id=operation_id(), path=("Box",)),
    )
    assert [type(each) for each in outcomes] == [Untried, Untried, Untried]
