"""A mail of 52 MB through the node, both ways: little memory, and no octet twice after a cut."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path as FilePath

import pytest

from tests.lab.dovecot import Dovecot
from tests.system.endpoint import Endpoint
from tests.system.equality import assert_equal, look
from tests.system.filling import FAST, wire_name
from tests.system.large_mail import LargeMail
from tests.system.memory import forget_peak, memory
from tests.system.node_process import NodeAccount, NodeProcess
from tests.system.relay import Relay, relay_to
from tests.system.streaming_imap import ServerSaidNo, StreamingImap, quoted

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

MB = 1_000_000
LARGE = LargeMail(seed=1, chunk_count=840)
WARM = LargeMail(seed=2, chunk_count=100)
"""Goes both ways first: the code and the buffers that any mail needs are loaded once."""
GROWTH_MAX = 8 * MB
CUT_AFTER = 20 * MB  # Octets on the line, which may be compressed: base64 to three quarters.
CHARTS = wire_name(("Seekarten", "日本"))


@pytest.fixture
def server(dovecots: Callable[..., Dovecot]) -> Endpoint:
    dovecot = dovecots(extra=FAST)
    user = dovecot.new_user()
    endpoint = Endpoint(port=dovecot.port, user=user.name, password=user.password)
    with StreamingImap(endpoint) as session:
        session.run(f"CREATE {quoted(CHARTS)}")
    return endpoint


@pytest.fixture
def relay(server: Endpoint) -> Iterator[Relay]:
    with relay_to(server.port) as relay:
        yield relay


@pytest.fixture
def account(server: Endpoint, relay: Relay, tmp_path: FilePath) -> Iterator[NodeAccount]:
    """Return an account of a running node that copies no body before it is asked for."""
    append(server, WARM, "INBOX")
    append(server, LARGE, CHARTS)
    with NodeProcess(tmp_path) as node:
        account = node.add_account(server, bodies="list", port=relay.port)
        node.start()
        account.wait_until_listed()
        yield account


def append(endpoint: Endpoint, mail: LargeMail, mailbox: str) -> None:
    size, _ = mail.size_and_sha256()
    with StreamingImap(endpoint) as session:
        tag = session.send_append(mailbox, "()", size, mail.chunks())
        for _ in session.responses(tag):
            pass


def fetch(endpoint: Endpoint, mailbox: str) -> str:
    """Return the hash of the first message."""
    with StreamingImap(endpoint) as session:
        session.run(f"EXAMINE {quoted(mailbox)}")
        responses = session.run("FETCH 1 BODY.PEEK[]")
        return responses[0].literals[0].sha256


@contextmanager
def little_memory(account: NodeAccount) -> Iterator[None]:
    """Fail when the node's memory grew, in between or in the end."""
    pid = account.node.pid
    forget_peak(pid)
    before = memory(pid)
    yield
    after = memory(pid)
    assert after.peak - before.resident < GROWTH_MAX, (before, after)
    assert after.proportional - before.proportional < GROWTH_MAX, (before, after)


def test_from_the_server(account: NodeAccount, relay: Relay) -> None:
    size, sha256 = LARGE.size_and_sha256()
    assert size > 52 * MB
    assert fetch(account.endpoint, "INBOX") == WARM.size_and_sha256()[1]
    relay.reset_counts()
    with little_memory(account):
        assert fetch(account.endpoint, CHARTS) == sha256
    came = relay.counts.to_client
    assert came < 1.1 * size

    with little_memory(account):
        assert fetch(account.endpoint, CHARTS) == sha256
    assert relay.counts.to_client - came < MB, "it was fetched from the server again"
    offset = size // 2
    with StreamingImap(account.endpoint) as session:
        session.run(f"EXAMINE {quoted(CHARTS)}")
        responses = session.run(f"FETCH 1 BODY.PEEK[]<{offset}.1000>")
        assert responses[0].literals[0].kept == LARGE.part(offset, 1000)
    assert_equal(look(account.endpoint), look(account.server))


def test_to_the_server(account: NodeAccount) -> None:
    other = LargeMail(seed=3, chunk_count=LARGE.chunk_count)
    append(account.endpoint, WARM, "INBOX")
    account.settle()
    with little_memory(account):
        append(account.endpoint, other, "INBOX")
        account.settle()
    with little_memory(account):
        shown = look(account.endpoint)
    assert other.size_and_sha256()[1] in {
        m.sha256 for m in shown.mailboxes["INBOX",].messages.elements()
    }
    assert_equal(shown, look(account.server))


def test_cut_in_the_middle_of_the_download(account: NodeAccount, relay: Relay) -> None:
    size, sha256 = LARGE.size_and_sha256()
    relay.reset_counts()
    relay.cut_after(CUT_AFTER)
    try:
        first: str | None = fetch(account.endpoint, CHARTS)
    except (ServerSaidNo, ConnectionError):
        first = None  # A clean break: the program asks again.
    assert first in (None, sha256)
    assert not relay.cut_is_pending
    account.wait_for_state("ready")
    assert fetch(account.endpoint, CHARTS) == sha256
    assert relay.counts.to_client < 1.2 * size, "it did not go on from where it was cut"


def test_cut_in_the_middle_of_the_upload(account: NodeAccount, relay: Relay) -> None:
    other = LargeMail(seed=4, chunk_count=300)
    relay.cut_after(5 * MB, from_server=False)
    append(account.endpoint, other, "INBOX")
    account.settle()
    assert not relay.cut_is_pending
    assert_equal(look(account.endpoint), look(account.server))
    seen = look(account.server).mailboxes["INBOX",].messages
    assert sum(n for m, n in seen.items() if m.sha256 == other.size_and_sha256()[1]) == 1
