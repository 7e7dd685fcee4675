"""The one connection: idling, ended and renewed, lost and opened again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from mailferry.mail.changes import Event, MailboxChanged, Reachability
from mailferry.mail.errors import SourceUnavailable
from mailferry.mail.mailbox import MailboxId
from mailferry.mail.query import Everything
from tests.contract.letters import large, note
from tests.contract.world import Party, inbox_of, next_event_of_kind, octets_of
from tests.lab.dovecot import Dovecot
from tests.sources.imap.conftest import QUICK, Open, OpenScripted
from tests.sources.imap.scripted import LOGIN, LOGOUT, scripted

INBOX_ID = MailboxId("name:INBOX")
PATIENT = replace(QUICK, poll_interval_s=1000.0)
SELECTED = "> SELECT INBOX\n< * 1 EXISTS\n< * OK [UIDVALIDITY 5] v\n< TAG OK selected\n"


def login(capabilities: str = "IDLE") -> str:
    return LOGIN.format(capabilities=capabilities)


async def test_idle_tells_and_is_ended_by_work(opened_at: OpenScripted) -> None:
    script = (
        login()
        + SELECTED
        + """
        > IDLE
        < * 2 EXISTS
        < + idling
        < * 1 FETCH (FLAGS (\\Seen))
        > raw: DONE
        < TAG OK done
        > UID SEARCH ALL
        < * SEARCH 7
        < TAG OK found
        > IDLE
        < + idling
        < * 1 EXPUNGE
        > raw: DONE
        < TAG OK done
        """
        + LOGOUT
    )
    async with scripted(script) as server:
        source = opened_at(server.port, PATIENT)
        events = source.watch()
        await next_event_of_kind(events, MailboxChanged(INBOX_ID))
        assert (await source.search(INBOX_ID, Everything())).messages
        await next_event_of_kind(events, MailboxChanged(INBOX_ID))
        await source.aclose()


async def test_idle_is_renewed(opened_at: OpenScripted) -> None:
    script = (
        login()
        + SELECTED
        + """
        > IDLE
        < + idling
        > raw: DONE
        < TAG OK done
        > IDLE
        < + idling
        < * 1 EXPUNGE
        > raw: DONE
        < TAG OK done
        """
        + LOGOUT
    )
    async with scripted(script) as server:
        source = opened_at(server.port, replace(PATIENT, idle_renew_s=0.1))
        await next_event_of_kind(source.watch(), MailboxChanged(INBOX_ID))
        await source.aclose()


async def test_what_a_look_finds_is_told(opened_at: OpenScripted) -> None:
    """Without IDLE: mailboxes are looked at now and then."""

    def look(unseen: int) -> str:
        return f"""
        > LIST "" "*"
        < * LIST () "/" INBOX
        < TAG OK done
        > LSUB "" "*"
        < TAG OK done
        > STATUS INBOX (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)
        < * STATUS INBOX (MESSAGES 3 UIDNEXT 9 UIDVALIDITY 5 UNSEEN {unseen})
        < TAG OK done
        """

    async with scripted(login("UIDPLUS") + look(1) + look(1) + look(0) + "! gone") as server:
        source = opened_at(server.port, replace(QUICK, poll_interval_s=0.05, logout_s=0.1))
        await next_event_of_kind(source.watch(), MailboxChanged(INBOX_ID))
        await source.aclose()


async def test_a_lost_connection_is_told_and_opened_again(opened_at: OpenScripted) -> None:
    cut = login() + SELECTED + "> IDLE\n< + idling\n! close"
    async with scripted(cut, login() + "! gone") as server:
        source = opened_at(server.port, replace(PATIENT, logout_s=0.1))
        found: list[Event] = []
        async for event in source.watch():
            found.append(event)
            if len(found) == 3:
                break
        await source.aclose()
    assert [type(event) for event in found] == [Reachability] * 3
    assert [event.reachable for event in found if isinstance(event, Reachability)] == [
        True,
        False,
        True,
    ]


async def test_a_line_on_which_nothing_moves_is_given_up(opened_at: OpenScripted) -> None:
    async with scripted(login() + SELECTED + "> UID SEARCH ALL\n! gone") as server:
        source = opened_at(server.port, replace(QUICK, silence_s=0.2))
        with pytest.raises(SourceUnavailable, match="no answer for"):
            await source.search(INBOX_ID, Everything())


async def test_a_server_that_says_nothing_at_all_is_given_up(opened_at: OpenScripted) -> None:
    async with scripted("! gone") as server:
        source = opened_at(server.port, replace(QUICK, silence_s=0.2))
        with pytest.raises(SourceUnavailable, match="no answer for"):
            await source.check_login()


async def test_closing_does_not_wait_for_ever(opened_at: OpenScripted) -> None:
    async with scripted(login() + "> LOGOUT\n! gone") as server:
        source = opened_at(server.port, replace(QUICK, logout_s=0.1))
        await source.check_login()
        await source.aclose()
        with pytest.raises(SourceUnavailable, match="closed"):
            await source.check_login()


async def test_the_goodbye_of_a_server_is_told(opened_at: OpenScripted) -> None:
    script = login() + SELECTED + "> UID SEARCH ALL\n< * BYE going down\n! close"
    async with scripted(script) as server:
        source = opened_at(server.port)
        with pytest.raises(SourceUnavailable, match="going down"):
            await source.search(INBOX_ID, Everything())


@pytest.mark.system
async def test_a_server_that_was_killed_and_comes_back(
    own_dovecot: Callable[..., Dovecot], opened: Open
) -> None:
    server = own_dovecot()
    user = server.new_user()
    source = opened(server, user, replace(QUICK, backoff_max_s=0.1))
    inbox = await inbox_of(source)
    events = source.watch()
    await Party(opened(server, user)).deliver(inbox, note(1))
    await next_event_of_kind(events, MailboxChanged(inbox))
    server.kill()
    async for event in events:
        if isinstance(event, Reachability) and not event.reachable:
            break
    with pytest.raises(SourceUnavailable):
        await source.mailboxes()
    server.start()
    await next_event_of_kind(events, Reachability(reachable=True))
    await next_event_of_kind(events, MailboxChanged(inbox))


@pytest.mark.system
async def test_everything_compressed(dovecots: Callable[..., Dovecot], opened: Open) -> None:
    server = dovecots(extra="protocol imap {\n mail_plugins = $mail_plugins imap_zlib\n}")
    source = opened(server, server.new_user())
    inbox = await inbox_of(source)
    assert "COMPRESS=DEFLATE" in source.capabilities
    [message] = await Party(source).deliver(inbox, large(500_000))
    assert await octets_of(source, inbox, message) == large(500_000)


async def test_who_is_closed_on_at_once_waits_longer_each_time(opened_at: OpenScripted) -> None:
    """A server that lets us in and closes is not called at the same pace for ever."""
    async with scripted(*[login() + "! close"] * 4) as server:
        source = opened_at(server.port, replace(QUICK, backoff_max_s=1000.0))
        connection = source._account.connection
        waits_s = []
        for _ in range(4):
            connection._not_before = 0.0
            session = await connection.session()
            await session.over.wait()
            while connection.current is not None or not connection.retry_in_s:
                await asyncio.sleep(0)
            waits_s.append(connection.retry_in_s)
        assert waits_s[3] > 2 * waits_s[0]  # Eight times as long, but for the jitter.
