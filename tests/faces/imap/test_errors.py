"""What a client is told of each error: nothing is forgotten, nothing is invented."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest

from mailferry.faces.imap.errors import REFUSALS, refusal
from mailferry.mail.errors import MailError
from mailferry.mail.mailbox import MailboxId
from mailferry.mail.message import MessageId, Summary, SummaryItem
from mailferry.sources.memory import MemorySource
from tests.contract.letters import note
from tests.faces.imap.house import House, clock

ERRORS = sorted(
    (error for error in MailError.__subclasses__() if error.__module__ == MailError.__module__),
    key=lambda error: error.__name__,
)

# RFC 5530 §3, RFC 9051 §7.1 (HASCHILDREN), RFC 4469 §5 (TOOBIG).
KNOWN_CODES = {
    b"UNAVAILABLE", b"AUTHENTICATIONFAILED", b"AUTHORIZATIONFAILED", b"EXPIRED",
    b"PRIVACYREQUIRED", b"CONTACTADMIN", b"NOPERM", b"INUSE", b"EXPUNGEISSUED", b"CORRUPTION",
    b"SERVERBUG", b"CLIENTBUG", b"CANNOT", b"LIMIT", b"OVERQUOTA", b"ALREADYEXISTS",
    b"NONEXISTENT", b"HASCHILDREN", b"TOOBIG",
}  # fmt: skip


@pytest.mark.parametrize("error", ERRORS)
def test_every_error_has_words(error: type[MailError]) -> None:
    code, text = refusal(error("details that stay in the log"))
    assert code in KNOWN_CODES
    assert re.fullmatch(rb"[A-Z][^\[\]\r\n]+", text)
    assert (b"later" in text) == error.temporary


def test_nothing_else_is_in_the_table() -> None:
    assert set(REFUSALS) == set(ERRORS)


@pytest.mark.parametrize("error", ERRORS)
async def test_every_error_is_answered(error: type[MailError]) -> None:
    class Failing(MemorySource):
        async def refresh(self, mailbox: MailboxId | None) -> None:
            raise error("details that stay in the log")

    house = House(make=lambda: Failing(clock=clock))
    async with house.logged_in() as client:
        said = await client.no("STATUS INBOX (MESSAGES)")
        assert said.startswith(b"[%b] " % refusal(error()).code)
        assert b"details" not in said
        await client.ok("CAPABILITY")


async def test_a_mailbox_that_goes_while_it_is_selected() -> None:
    house = House()
    async with house.logged_in() as client, house.logged_in() as other:
        await client.ok("CREATE Short")
        await client.ok("SELECT Short")
        await other.ok("DELETE Short")
        assert await client.command("NOOP") == ([], b"OK NOOP completed")
        assert await client.line() == b"* BYE The selected mailbox has been deleted"
        assert await client.line() == b""


async def test_a_mailbox_that_goes_during_idle() -> None:
    house = House()
    async with house.logged_in() as client, house.logged_in() as other:
        await client.ok("CREATE Short")
        await client.ok("SELECT Short")
        await client.send(b"i IDLE\r\n")
        assert await client.line() == b"+ idling"
        await other.ok("DELETE Short")
        assert await client.line() == b"* BYE The selected mailbox has been deleted"
        assert await client.line() == b""


async def test_what_is_not_here_is_not_made_up() -> None:
    """A size of 0, or an envelope of nothing, would stay in the client's cache for ever."""

    class Bare(MemorySource):
        async def summaries(
            self, mailbox: MailboxId, messages: Sequence[MessageId], what: frozenset[SummaryItem]
        ) -> AsyncIterator[Sequence[Summary]]:
            async for batch in super().summaries(mailbox, messages, what):
                yield [replace(each, size=None, envelope=None) for each in batch]

    async with House(make=lambda: Bare(clock=clock)).logged_in() as client:
        await client.append("INBOX", note(1))
        await client.ok("SELECT INBOX")
        for item in ("RFC822.SIZE", "(FLAGS ENVELOPE)"):
            lines, tagged = await client.command(f"FETCH 1 {item}")
            assert lines == []
            assert tagged.startswith(b"NO [UNAVAILABLE]")
        assert await client.ok("FETCH 1 FLAGS") == [b"1 FETCH (FLAGS (\\Recent))"]
