"""The relay counts what it says it counts."""

from __future__ import annotations

import pytest

from tests.lab.dovecot import Dovecot, User
from tests.system.endpoint import Endpoint
from tests.system.filling import fill, wanted
from tests.system.relay import relay_to
from tests.system.streaming_imap import ServerSaidNo, StreamingImap

pytestmark = pytest.mark.system


@pytest.fixture
def server(dovecot: Dovecot, user: User) -> Endpoint:
    return Endpoint(port=dovecot.port, user=user.name, password=user.password)


def test_commands_that_wait_count_one_by_one(server: Endpoint) -> None:
    with relay_to(server.port, by_turns=True) as relay:
        with StreamingImap(server.through(relay.port)) as session:
            assert relay.counts.round_trips == 1  # LOGIN
            for _ in range(5):
                session.run("NOOP")
            assert relay.counts.round_trips == 6
        assert relay.counts.connections == 1


def test_commands_that_are_pipelined_count_once(server: Endpoint) -> None:
    with (
        relay_to(server.port, by_turns=True) as relay,
        StreamingImap(server.through(relay.port)) as session,
    ):
        relay.reset_counts()
        for tag in [session.send("NOOP") for _ in range(50)]:
            for _ in session.responses(tag):
                pass
        assert relay.counts.round_trips == 1


def test_octets_are_counted_both_ways(server: Endpoint) -> None:
    with relay_to(server.port) as relay:
        with StreamingImap(server.through(relay.port)) as session:
            relay.reset_counts()
            (done,) = session.run("NOOP")
        counts = relay.counts
    assert counts.to_server >= len(b"t2 NOOP\r\nt3 LOGOUT\r\n")
    assert counts.to_client > len(done.text)


def test_an_ordered_cut_comes_where_it_was_ordered(server: Endpoint) -> None:
    fill(server, wanted(("INBOX",), 100))
    with relay_to(server.port) as relay:
        session = StreamingImap(server.through(relay.port))
        session.run("EXAMINE INBOX")
        relay.reset_counts()
        relay.cut_after(10_000)
        with pytest.raises((ServerSaidNo, ConnectionError)):
            session.run("UID FETCH 1:* BODY.PEEK[]")
        session.close()
        assert relay.counts.to_client == 10_000
        assert not relay.cut_is_pending
        with StreamingImap(server.through(relay.port)) as again:
            again.run("NOOP")


def test_a_cut_now_ends_what_is_open(server: Endpoint) -> None:
    with relay_to(server.port) as relay:
        session = StreamingImap(server.through(relay.port))
        relay.cut_now()
        with pytest.raises((ServerSaidNo, ConnectionError)):
            session.run("NOOP")
        session.close()
