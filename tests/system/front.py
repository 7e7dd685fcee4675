"""What mail programs connect to in these tests: the node, or, to judge a test itself, the server.

With MAILFERRY_SYSTEM_DIRECT set the tests of mail programs run over a plain relay to Dovecot instead
of through the node.  A test that fails both ways is wrong itself, or shows what Dovecot does.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from tests.system.endpoint import Endpoint
from tests.system.node_process import NodeProcess
from tests.system.relay import relay_to

DIRECT = bool(os.environ.get("MAILFERRY_SYSTEM_DIRECT"))


class Front(Protocol):
    """Something that mail programs can connect to, with `server` behind it."""

    server: Endpoint

    @property
    def endpoint(self) -> Endpoint:
        """Where to connect."""
        ...

    def settle(self) -> None:
        """Return when everything that was asked for is at the server."""
        ...


class Direct:
    """Nothing in between but a relay."""

    def __init__(self, server: Endpoint, port: int) -> None:
        self.server = server
        self.endpoint = Endpoint(
            port=port, user=server.user, password=server.password, name="the relay"
        )

    def settle(self) -> None:
        """Everything is there at once."""


@contextmanager
def front_of(server: Endpoint, directory: Path) -> Iterator[Front]:
    """Run a node with everything copied in front of one account, or the relay."""
    if DIRECT:
        with relay_to(server.port) as relay:
            yield Direct(server, relay.port)
        return
    with NodeProcess(directory) as node:
        account = node.add_account(server, bodies="all")
        node.start()
        account.wait_until_copied()
        yield account
