"""What real mail programs stumble over, one test each."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from mailferry.mail.mailbox import MailboxId
from mailferry.mail.query import Query, SearchResult
from mailferry.sources.memory import MemorySource
from tests.contract.letters import note
from tests.contract.world import Party, inbox_of
from tests.faces.imap.house import QUICK, House, clock


async def test_done_and_the_next_command_in_one_packet() -> None:
    """Seen with iOS 18 and mutt."""
    async with House().logged_in() as client:
        await client.ok("SELECT INBOX")
        await client.send(b"i IDLE\r\n")
        assert await client.line() == b"+ idling"
        await client.send(b"DONE\r\nn NOOP\r\n")
        assert await client.answer(b"i") == ([], b"OK IDLE completed")
        assert await client.answer(b"n") == ([], b"OK NOOP completed")


async def test_idle_with_everything_in_one_packet() -> None:
    async with House().logged_in() as client:
        await client.send(b"s SELECT INBOX\r\ni IDLE\r\nDONE\r\nn NOOP\r\n")
        for tag in (b"s", b"i", b"n"):
            _, tagged = await client.answer(tag)
            assert tagged.startswith(b"OK")


async def test_pipelined_commands_are_answered_in_order() -> None:
    async with House().logged_in() as client:
        await client.send(b"".join(b"p%d NOOP\r\n" % number for number in range(100)))
        for number in range(100):
            assert await client.line() == b"p%d OK NOOP completed" % number


async def test_an_append_between_other_commands() -> None:
    async with House().logged_in() as client:
        letter = note(1)
        await client.send(
            b"a SELECT INBOX\r\nb APPEND INBOX {%d+}\r\n%b\r\nc UID FETCH 1:* (FLAGS)\r\n"
            % (len(letter), letter)
        )
        await client.answer(b"a")
        lines, _ = await client.answer(b"b")
        assert lines[0] == b"* 1 EXISTS"
        lines, _ = await client.answer(b"c")
        assert lines == [b"* 1 FETCH (UID 1 FLAGS (\\Recent))"]


async def test_a_slash_in_a_name_is_no_level() -> None:
    """Servers with another delimiter have such names; it is shown as another sign."""
    house = House()
    party = Party(house.source)
    mailbox = await party.create("a/b", "c")
    await party.deliver(mailbox, note(1))
    async with house.logged_in() as client:
        shown = '"a&IhU-b/c"'
        lines = await client.ok('LIST "" "*"')
        assert b'LIST (\\HasNoChildren) "/" a&IhU-b/c' in lines
        assert await client.ok(f"STATUS {shown} (MESSAGES)") == [b"STATUS a&IhU-b/c (MESSAGES 1)"]
        await client.ok(f"SUBSCRIBE {shown}")
        await client.ok('CREATE "a&IhU-b/d"')
        await client.ok(f"RENAME {shown} a&IhU-b/e")
    paths = {mailbox.path for mailbox in await house.source.mailboxes() if mailbox.selectable}
    assert paths == {("INBOX",), ("a/b",), ("a/b", "d"), ("a/b", "e")}


async def test_a_search_that_could_not_look_everywhere_says_so() -> None:
    class Partly(MemorySource):
        async def search(self, mailbox: MailboxId, query: Query) -> SearchResult:
            found = await super().search(mailbox, query)
            return SearchResult(found.messages, complete=False)

    async with House(make=lambda: Partly(clock=clock)).logged_in() as client:
        await client.append("INBOX", note(1))
        await client.ok("SELECT INBOX")
        lines, tagged = await client.command("SEARCH BODY line")
        assert lines[0] == b"* SEARCH 1"
        assert lines[1].startswith(b"* NO [UNAVAILABLE] ")
        assert b"only what is here was searched" in lines[1]
        assert tagged == b"OK SEARCH completed, for the messages that are here"


async def test_search_finds_only_messages_that_the_client_knows() -> None:
    house = House()
    async with house.logged_in() as client, house.logged_in() as other:
        await client.ok("SELECT INBOX")
        await other.append("INBOX", note(1))
        lines = await client.ok("SEARCH UNSEEN")
        assert lines == [b"SEARCH", b"1 EXISTS", b"1 RECENT"]
        assert (await client.ok("SEARCH UNSEEN"))[0] == b"SEARCH 1"


async def test_a_delimiter_at_the_end_of_a_name_means_nothing() -> None:
    """Seen with Thunderbird."""
    async with House().logged_in() as client:
        await client.ok("CREATE Work/")
        await client.ok("SELECT Work/")
        await client.ok("SUBSCRIBE Work/")
        assert await client.ok('LSUB "" "*"') == [b'LSUB (\\HasNoChildren) "/" Work']


async def test_inbox_in_any_case() -> None:
    async with House().logged_in() as client:
        await client.ok("CREATE iNboX/Below")
        await client.ok("SELECT iNbOx")
        assert await client.ok('LIST "" "inbox/%"') == [b'LIST (\\HasNoChildren) "/" INBOX/Below']


async def test_flags_of_others_are_not_wiped_by_a_replacement() -> None:
    house = House()
    async with house.logged_in() as client, house.logged_in() as other:
        await client.append("INBOX", note(1))
        await client.ok("SELECT INBOX")
        await other.ok("SELECT INBOX")
        await client.ok("STORE 1 FLAGS (\\Seen)")
        await other.ok("STORE 1 FLAGS (\\Flagged)")
        assert (await client.ok("NOOP")) == [b"1 FETCH (UID 1 FLAGS (\\Flagged \\Recent))"]


async def test_messages_with_eight_bit_headers() -> None:
    letter = "Subject: Grüße\r\nFrom: Jörg <j@example.org>\r\n\r\nHallo\r\n".encode()
    async with House().logged_in() as client:
        await client.append("INBOX", letter)
        await client.ok("SELECT INBOX")
        lines = await client.ok("FETCH 1 (ENVELOPE BODY BODY.PEEK[HEADER.FIELDS (Subject)])")
        assert "Grüße".encode() in lines[0]
        assert (await client.ok("FETCH 1 BODY.PEEK[]"))[0].endswith(letter + b")")


async def test_keywords_are_the_same_in_any_case() -> None:
    async with House().logged_in() as client:
        await client.append("INBOX", note(1))
        await client.append("INBOX", note(2))
        await client.ok("SELECT INBOX")
        await client.ok("STORE 1 +FLAGS (Work)")
        lines = await client.ok("STORE 2 +FLAGS (wORK)")
        assert lines == [b"2 FETCH (UID 2 FLAGS (Work \\Recent))"]
        assert await client.ok("SEARCH KEYWORD work") == [b"SEARCH 1 2"]
        lines = await client.ok("STORE 1 -FLAGS (WORK)")
        assert lines == [b"1 FETCH (UID 1 FLAGS (\\Recent))"]


async def test_select_looks_for_news_but_not_for_long() -> None:
    class Slow(MemorySource):
        looked = 0

        async def refresh(self, mailbox: MailboxId | None) -> None:
            self.looked += 1
            await asyncio.Event().wait()

    house = House(make=lambda: Slow(clock=clock), limits=replace(QUICK, select_news_s=0.01))
    async with house.logged_in() as client:
        await client.ok("SELECT INBOX")
        await client.send(b"i IDLE\r\n")
        assert await client.line() == b"+ idling"
        await Party(house.source).deliver(await inbox_of(house.source), note(1))
        assert await client.line() == b"* 1 EXISTS"
        await client.send(b"DONE\r\n")
        await client.answer(b"i")
    assert isinstance(house.source, Slow)
    assert house.source.looked == 2
