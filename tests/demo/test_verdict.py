from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from mailferry.demo.ledger import Contents, Copy, Ledger, first_ledger
from mailferry.demo.letters import MAILBOXES, letters
from mailferry.demo.mail_program import Access, MailProgram
from mailferry.demo.mail_server import HOST, USER, MailServer, mail_server
from mailferry.demo.verdict import Verdict, judge
from mailferry.mail.mailbox import INBOX
from mailferry.mail.message import FLAGGED


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    async with mail_server() as running:
        yield running


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailferry.demo.mail_program.ROUNDS", 2)
    monkeypatch.setattr("mailferry.demo.mail_program.PAUSE_S", 0)


def _work(server: MailServer, ledger: Ledger, *, works: bool) -> Contents:
    """Look, after work or without, at the server itself, without a node."""
    access = Access(HOST, server.port, USER, server.password)
    program = MailProgram(access, ledger, lambda what: None, threading.Event())
    if works:
        program.work()
    shown = program.look()
    program.close()
    return shown


async def _judged(server: MailServer, ledger: Ledger, *, works: bool = False) -> Verdict:
    shown = await asyncio.to_thread(_work, server, ledger, works=works)
    return await judge(ledger, server.source, shown)


def test_the_letters_are_always_the_same() -> None:
    assert sum(count for _, _, count in MAILBOXES) == len(letters()) == 310
    written = letters()
    letters.cache_clear()
    assert letters() == written


async def test_what_was_worked_at_the_server_itself_is_right(server: MailServer) -> None:
    ledger = first_ledger(letters())
    verdict = await _judged(server, ledger, works=True)
    assert verdict.good, verdict
    assert verdict.asked == verdict.answered > 20
    assert verdict.at_server == ledger.contents.copies.total()


def _expecting(change: str) -> Ledger:
    """Return a ledger that expects something else than there is."""
    ledger = first_ledger(letters())
    copy = next(one for one in ledger.contents.copies if one.mailbox == INBOX)
    match change:
        case "one more":
            ledger.put(replace(copy, message_id="<never@filed>"))
        case "one twice":
            ledger.put(copy)
        case "one less":
            ledger.remove(copy)
        case "elsewhere":
            ledger.move(copy, ("Archive",))
        case "flags":
            ledger.change_flags(copy, copy.flags ^ {FLAGGED})
        case "content":
            ledger.digests[copy.message_id] = "other"
        case _:
            ledger.contents.mailboxes.add(("Missing",))
    return ledger


FAULTS = {
    "one more": {"lost": 1},
    "one twice": {"lost": 1},
    "one less": {"doubled": 1},
    "elsewhere": {"lost": 1, "doubled": 1},
    "flags": {"other_flags": 1},
    "content": {"other_content": 1},
    "mailbox": {"mailboxes_wrong": 1},
}
COUNTS = ("lost", "doubled", "other_flags", "other_content", "mailboxes_wrong")


async def test_every_fault_is_seen(server: MailServer) -> None:
    for change, fault in FAULTS.items():
        verdict = await _judged(server, _expecting(change))
        assert not verdict.good
        found = {name: getattr(verdict, name) for name in COUNTS}
        assert found == dict.fromkeys(COUNTS, 0) | fault, change


async def test_a_node_that_shows_something_else_is_seen(server: MailServer) -> None:
    ledger = first_ledger(letters())
    shown = await asyncio.to_thread(_work, server, ledger, works=False)
    copy = next(iter(shown.copies))
    shown.copies[copy] += 1
    assert (await judge(ledger, server.source, shown)).sides_differ == 1
    shown.copies[copy] -= 1
    shown.mailboxes.add(("Only", "here"))
    assert (await judge(ledger, server.source, shown)).sides_differ == 1


def test_the_ledger_knows_only_what_there_is() -> None:
    ledger = first_ledger(letters())
    with pytest.raises(ValueError, match="does not have"):
        ledger.remove(Copy(INBOX, "<never@filed>", frozenset()))
