"""What servers do though they should not, each put up with by name."""

from __future__ import annotations

import pytest

from mailferry.mail.errors import MailboxNotFound, ProtocolFault, SectionNotFound, SourceUnavailable
from mailferry.mail.mailbox import INBOX, MailboxId
from mailferry.mail.message import LISTING, SEEN, Body, MessageId, Section, SummaryItem
from mailferry.mail.operation import Applied, Attempt, CreateMailbox, Refused, RenameMailbox
from mailferry.mail.query import HasFlag
from mailferry.sources.imap.names import message_id
from mailferry.sources.imap.quirks import ServerQuirk
from mailferry.wire.imap.quirks import Quirk
from tests.contract.world import Blobs, mailbox_of, octets_of, operation_id, summaries
from tests.sources.imap.conftest import OpenScripted
from tests.sources.imap.scripted import LOGIN, LOGOUT, scripted

INBOX_ID = MailboxId("name:INBOX")
SELECTED = """
> SELECT INBOX
< * 1 EXISTS
< * OK [UIDVALIDITY 5] v
< * OK [UIDNEXT 8] n
< TAG OK [READ-WRITE] selected
"""


def login(capabilities: str = "") -> str:
    return LOGIN.format(capabilities=capabilities)


async def take_all(body: Body, got: bytearray) -> None:
    async for chunk in body.chunks:
        got += chunk


async def test_an_empty_search_without_a_search_response(opened_at: OpenScripted) -> None:
    """iCloud."""
    script = login() + SELECTED + "> UID SEARCH SEEN\n< TAG OK nothing\n" + LOGOUT
    async with scripted(script) as server:
        source = opened_at(server.port)
        assert (await source.search(INBOX_ID, HasFlag(SEEN))).messages == ()
        assert source.quirks == {Quirk.MISSING_SEARCH_RESULT}
        await source.aclose()


async def test_highest_modseq_zero_means_none(opened_at: OpenScripted) -> None:
    script = (
        login("CONDSTORE")
        + """
        > SELECT INBOX (CONDSTORE)
        < * 1 EXISTS
        < * OK [UIDVALIDITY 5] v
        < * OK [UIDNEXT 8] n
        < * OK [HIGHESTMODSEQ 0] hm
        < TAG OK selected
        > UID SEARCH ALL
        < * SEARCH 7
        < TAG OK found
        """
        + LOGOUT
    )
    async with scripted(script) as server:
        source = opened_at(server.port)
        changes = await source.changes(INBOX_ID, None)
        assert changes.present == ((message_id(5, 7), message_id(5, 7)),)
        assert changes.new_state.startswith("f")
        assert source.quirks == {Quirk.MODSEQ_ZERO}
        await source.aclose()


async def test_a_size_that_is_too_small_is_found_out(opened_at: OpenScripted) -> None:
    whole = "x" * 100_000
    script = (
        login()
        + SELECTED
        + f"""
        > UID FETCH 7 (UID RFC822.SIZE BODY.PEEK[]<0.65536>)
        < * 1 FETCH (UID 7 RFC822.SIZE 90000 BODY[]<0> {{65536}}\\r\\n{whole[:65536]})
        < TAG OK done
        > UID FETCH 7 (UID RFC822.SIZE BODY.PEEK[]<65536.24465>)
        < * 1 FETCH (UID 7 RFC822.SIZE 90000 BODY[]<65536> {{24465}}\\r\\n{whole[:24465]})
        < TAG OK done
        > UID FETCH 7 (UID BODY.PEEK[]<90001.1> ...
        < * 1 FETCH (UID 7 BODY[]<90001> x BODY[]<92388> x BODY[]<99000> x BODY[]<100000> "")
        < TAG OK done
        """
    )
    async with scripted(script + "! close") as server:
        source = opened_at(server.port)
        body = await source.body(INBOX_ID, message_id(5, 7))
        assert body.size == 90_000
        got = bytearray()
        with pytest.raises(SourceUnavailable, match="server"):
            await take_all(body, got)
        assert len(got) == 90_000
        assert ServerQuirk.WRONG_SIZE not in source.quirks  # The end was not found before the cut.
        await source.aclose()


async def test_a_size_that_is_too_large_is_found_out_and_known_then(
    opened_at: OpenScripted,
) -> None:
    whole = "x" * 70_000
    first = f"""
        > UID FETCH 7 (UID RFC822.SIZE BODY.PEEK[]<0.65536>)
        < * 1 FETCH (UID 7 RFC822.SIZE 90000 BODY[]<0> {{65536}}\\r\\n{whole[:65536]})
        < TAG OK done
        """
    script = (
        login()
        + SELECTED
        + first
        + f"""
        > UID FETCH 7 (UID RFC822.SIZE BODY.PEEK[]<65536.24465>)
        < * 1 FETCH (UID 7 RFC822.SIZE 90000 BODY[]<65536> {{4464}}\\r\\n{whole[65536:]})
        < TAG OK done
        """
        + first
        + f"""
        > UID FETCH 7 (UID RFC822.SIZE BODY.PEEK[]<65536.4465>)
        < * 1 FETCH (UID 7 RFC822.SIZE 90000 BODY[]<65536> {{4464}}\\r\\n{whole[65536:]})
        < TAG OK done
        > UID FETCH 7 (UID RFC822.SIZE)
        < * 1 FETCH (UID 7 RFC822.SIZE 90000)
        < TAG OK done
        """
        + LOGOUT
    )
    async with scripted(script) as server:
        source = opened_at(server.port)
        with pytest.raises(ProtocolFault, match="90000 octets for what has 70000"):
            await octets_of(source, INBOX_ID, message_id(5, 7))
        assert source.quirks == {ServerQuirk.WRONG_SIZE}
        assert await octets_of(source, INBOX_ID, message_id(5, 7)) == whole.encode()
        what = frozenset({SummaryItem.SIZE})
        [summary] = await summaries(source, INBOX_ID, [message_id(5, 7)], what)
        assert summary.size == 70_000
        await source.aclose()


async def test_a_short_message_is_told_with_its_true_size(opened_at: OpenScripted) -> None:
    script = (
        login()
        + SELECTED
        + """
        > UID FETCH 7 (UID RFC822.SIZE BODY.PEEK[]<0.65536>)
        < * 1 FETCH (UID 7 RFC822.SIZE 9 BODY[] {5}\\r\\nhello)
        < TAG OK done
        """
        + LOGOUT
    )
    async with scripted(script) as server:
        source = opened_at(server.port)
        body = await source.body(INBOX_ID, message_id(5, 7))
        assert body.size == 5
        assert [chunk async for chunk in body.chunks] == [b"hello"]
        assert source.quirks == {ServerQuirk.WRONG_SIZE, ServerQuirk.MISSING_ORIGIN}
        await source.aclose()


async def test_more_than_was_asked_for_ends_the_session(opened_at: OpenScripted) -> None:
    huge = "x" * 70_000
    script = (
        login()
        + SELECTED
        + f"""
        > UID FETCH 7 (UID RFC822.SIZE BODY.PEEK[]<0.65536>)
        < * 1 FETCH (UID 7 RFC822.SIZE 70000 BODY[] {{70000}}\\r\\n{huge})
        """
    )
    async with scripted(script) as server:
        source = opened_at(server.port)
        with pytest.raises(SourceUnavailable, match="more of a message than was asked for"):
            await source.body(INBOX_ID, message_id(5, 7))


async def test_a_fetch_refused_in_part(opened_at: OpenScripted) -> None:
    """Exchange, for messages that it cannot convert."""
    script = (
        login()
        + SELECTED
        + """
        > UID FETCH 6:7 (UID FLAGS)
        < * 1 FETCH (FLAGS (\\Seen) UID 7)
        < TAG NO some of the requested messages no longer exist
        """
        + LOGOUT
    )
    async with scripted(script) as server:
        source = opened_at(server.port)
        ids = [message_id(5, 6), message_id(5, 7)]
        found = await summaries(source, INBOX_ID, ids, frozenset({SummaryItem.FLAGS}))
        assert [each.id for each in found] == ids[1:]
        assert source.quirks == {ServerQuirk.FETCH_REFUSED}
        await source.aclose()


async def test_two_responses_about_one_message_are_joined(opened_at: OpenScripted) -> None:
    script = (
        login()
        + SELECTED
        + """
        > UID FETCH 7 (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY.PEEK...
        < * 1 FETCH (UID 7 FLAGS () RFC822.SIZE 5 INTERNALDATE "nonsense")
        < * 1 FETCH (UID 7 FLAGS (\\Seen \\Recent) BODY[HEADER.FIELDS (X)] {2}\\r\\n\\r\\n)
        < TAG OK done
        """
        + LOGOUT
    )
    async with scripted(script) as server:
        source = opened_at(server.port)
        [found] = await summaries(source, INBOX_ID, [message_id(5, 7)], LISTING)
        assert (found.flags, found.size) == (frozenset({SEEN}), 5)
        assert found.header_fields == b"\r\n"
        assert found.internal_date is not None
        assert found.internal_date.year == 1970
        await source.aclose()


async def test_a_refused_select_without_a_code_means_there_is_none(
    opened_at: OpenScripted,
) -> None:
    script = (
        login()
        + "> SELECT INBOX\n< TAG NO Unable to open this mailbox.\n"
        + ("> UID SEARCH ALL\n< TAG BAD select first\n" + LOGOUT)
    )
    async with scripted(script) as server:
        source = opened_at(server.port)
        with pytest.raises(MailboxNotFound, match="Unable to open"):
            await source.changes(INBOX_ID, None)
        await source.aclose()


async def test_no_uid_next_and_no_code_of_uid_validity_in_capitals(
    opened_at: OpenScripted,
) -> None:
    script = (
        login()
        + """
        > SELECT INBOX
        < * 2 exists
        < * ok [uidvalidity 5] v
        < TAG ok selected
        > UID SEARCH ALL
        < * search 7 9
        < TAG ok found
        """
        + LOGOUT
    )
    async with scripted(script) as server:
        source = opened_at(server.port)
        changes = await source.changes(INBOX_ID, None)
        assert changes.new_state == "f5.10.2-3-"
        await source.aclose()


async def test_object_ids_name_mailboxes(opened_at: OpenScripted) -> None:
    listed = """
        > LIST "" "*" RETURN (STATUS (MESSAGES UIDNEXT UIDVALIDITY UNSEEN MAILBOXID))
        < * LIST (\\HasNoChildren \\drafts) "/" {name}
        < * STATUS {name} (MESSAGES 0 UIDNEXT 1 UIDVALIDITY 5 UNSEEN 0 MAILBOXID (F1))
        < * LIST (\\NoSelect) "/" broken&name
        < TAG OK done
        > LIST (SUBSCRIBED) "" "*"
        < * LIST (\\Subscribed) "/" {name}
        < TAG OK done
        """
    script = (
        login("OBJECTID LIST-EXTENDED LIST-STATUS")
        + listed.format(name="Old")
        + "> RENAME Old New\n< TAG OK renamed\n"
        + listed.format(name="New")
        + "> SELECT New\n< * 0 EXISTS\n< * OK [UIDVALIDITY 5] v\n< TAG OK selected\n"
        + "> UID SEARCH ALL\n< * SEARCH\n< TAG OK\n"
        + LOGOUT
    )
    async with scripted(script) as server:
        source = opened_at(server.port)
        found = await mailbox_of(source, ("Old",))
        assert found.id == MailboxId("id:F1")
        assert found.subscribed
        assert found.attributes == {"\\Drafts"}
        rename = RenameMailbox(id=operation_id(), mailbox=found.id, path=("New",))
        [outcome] = await source.apply([Attempt(operation=rename)], Blobs())
        assert outcome == Applied(mailbox=found.id)
        assert (await source.changes(found.id, None)).present == ()
        await source.aclose()


async def test_names_below_a_prefix(opened_at: OpenScripted) -> None:
    """Courier and Cyrus: everything is below INBOX."""
    script = """
        < * OK [CAPABILITY IMAP4rev1 NAMESPACE] ready
        > LOGIN u p
        < TAG OK [CAPABILITY IMAP4rev1 NAMESPACE] in
        > NAMESPACE
        < * NAMESPACE (("INBOX." ".")) NIL (("shared." "."))
        < TAG OK done
        > LIST "" "*"
        < * LIST () "." InBox
        < * LIST () "." INBOX.Sent
        < * LIST () "." INBOX.Sent.2026
        < * LIST (\\Noselect) "." shared.news
        < * LIST () "." INBOX.&ZeVnLIqe-
        < * LIST () "." 2026
        < TAG OK done
        > LSUB "" "*"
        < * LSUB () "." INBOX.Sent
        < TAG OK done
        """
    for name, number in (
        ("InBox", 1),
        ("INBOX.Sent", 2),
        ("INBOX.Sent.2026", 3),
        ("INBOX.&ZeVnLIqe-", 4),
        ("2026", 5),
    ):
        script += f"> STATUS {name} (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)\n"
        script += (
            f"< * STATUS {name} (MESSAGES {number} UIDNEXT 9 UIDVALIDITY 5 UNSEEN 0)\n< TAG OK\n"
        )
    async with scripted(script + "> CREATE INBOX.New.Box\n< TAG OK\n" + LOGOUT) as server:
        source = opened_at(server.port)
        found = {each.path: each for each in await source.mailboxes()}
        assert set(found) == {
            INBOX,
            ("Sent",),
            ("Sent", "2026"),
            ("shared", "news"),
            ("日本語",),
            ("2026",),
        }
        assert found["Sent",].subscribed
        assert not found["shared", "news"].selectable
        status = found[INBOX].status
        assert status is not None
        assert status.messages == 1
        outcomes = await source.apply(
            [
                Attempt(operation=CreateMailbox(id=operation_id(), path=("New", "Box"))),
                Attempt(operation=CreateMailbox(id=operation_id(), path=("a.b",))),
            ],
            Blobs(),
        )
        assert [type(outcome) for outcome in outcomes] == [Applied, Refused]
        await source.aclose()


async def test_sections_that_cannot_be(opened_at: OpenScripted) -> None:
    async with scripted(login() + LOGOUT) as server:
        source = opened_at(server.port)
        for section in ("1] BODY[", "MIME", "0", "HEADER.FIELDS (X)", "1..2"):
            with pytest.raises(SectionNotFound):
                await source.body(INBOX_ID, MessageId(1), Section(section))
        await source.aclose()
