"""How often the node waits for the server, counted by a relay that lets them speak by turns.

All is counted, from the connection on: logging in, capabilities, everything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path as FilePath

import pytest

from tests.lab.dovecot import Dovecot
from tests.system.endpoint import Endpoint, imaplib_session, ok
from tests.system.equality import assert_equal, look
from tests.system.filling import FAST, INBOX, fill, wanted
from tests.system.node_process import NodeProcess
from tests.system.relay import Relay, relay_to

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

FIRST_SYNC_MAX = 12
NOTHING_CHANGED_MAX = 3


@pytest.fixture
def server(dovecots: Callable[..., Dovecot]) -> Endpoint:
    dovecot = dovecots(extra=FAST)
    user = dovecot.new_user()
    return Endpoint(port=dovecot.port, user=user.name, password=user.password)


@pytest.fixture
def relay(server: Endpoint) -> Iterator[Relay]:
    with relay_to(server.port, by_turns=True) as relay:
        yield relay


@pytest.fixture
def node(tmp_path: FilePath) -> Iterator[NodeProcess]:
    with NodeProcess(tmp_path) as node:
        yield node


def test_the_first_sync_of_a_thousand(server: Endpoint, relay: Relay, node: NodeProcess) -> None:
    fill(server, wanted(INBOX, 1000))
    account = node.add_account(server, bodies="list", port=relay.port)
    relay.reset_counts()
    node.start()
    account.wait_until_listed()
    counts = relay.wait_until_quiet()
    assert counts.round_trips <= FIRST_SYNC_MAX, counts
    assert counts.connections <= 2, counts
    assert_equal(look(account.endpoint, bodies=False), look(server, bodies=False))


def test_nothing_changed_in_fifty_mailboxes(
    server: Endpoint, relay: Relay, node: NodeProcess
) -> None:
    for number in range(50):
        fill(server, wanted((f"Box {number}",), 3))
    account = node.add_account(server, bodies="list", port=relay.port)
    relay.by_turns = False  # The first sync is not what is counted here.
    node.start()
    account.wait_until_listed()
    node.stop()

    relay.by_turns = True
    relay.reset_counts()
    node.start()
    account.wait_for_state("ready")
    restarted = relay.wait_until_quiet()
    logging_in = 4  # SCRAM needs three, and one asks what the server can.
    assert restarted.round_trips <= NOTHING_CHANGED_MAX + logging_in, restarted
    assert restarted.to_client < 200 * 54 + 3000, restarted  # One line or two for each mailbox.

    relay.reset_counts()
    with imaplib_session(account.endpoint) as session:
        ok(session.status('"Box 7"', "(MESSAGES UIDNEXT)"))
    asked = relay.wait_until_quiet()
    assert asked.round_trips <= NOTHING_CHANGED_MAX, asked
    assert_equal(look(account.endpoint, bodies=False), look(server, bodies=False))


def test_many_programs_share_one_session(server: Endpoint, relay: Relay, node: NodeProcess) -> None:
    """What the programs do costs the line nothing that the first one did not cost."""
    fill(server, wanted(INBOX, 50))
    account = node.add_account(server, bodies="all", port=relay.port)
    relay.reset_counts()
    node.start()
    account.wait_until_copied()
    relay.wait_until_quiet()
    with ExitStack() as programs:
        for _ in range(10):
            session = programs.enter_context(imaplib_session(account.endpoint))
            ok(session.select("INBOX"))
            assert len(ok(session.search(None, "SUBJECT", "Weather"))[0].split()) == 50
            ok(session.fetch("1:*", "(FLAGS BODY.PEEK[])"))
    assert relay.wait_until_quiet().connections <= 2
