"""The stage of the demonstration: a mail server, a bad line, and a node in front of it.

    mail program -> node -> bad line -> mail server

Everything runs in this process, on the loopback, with its data in a directory that is deleted at
the end.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from mailferry.config import Config, ImapListener, ListenerSecurity
from mailferry.demo.mail_program import Access
from mailferry.demo.mail_server import HOST, USER, MailServer, mail_server
from mailferry.net.badline import BadLine, Shape, bad_line
from mailferry.node.accounts import AccountSettings, BodyPolicy, ServerSecurity, open_accounts
from mailferry.node.answering import Answering
from mailferry.node.control_messages import AccountStatus, NodeStatus
from mailferry.node.directory import DataDirectory
from mailferry.node.local_login import new_password, verifier_of
from mailferry.node.node import Node

BODY_SIZE_LIMIT = 20_000  # Octets: text comes ahead of time, charts when they are opened.


@dataclass(frozen=True, slots=True, kw_only=True)
class LineShape:
    """What the line between node and mail server is like."""

    delay_s: float = 0.15
    up_bits_per_s: float = 128_000
    down_bits_per_s: float = 512_000


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything in place and running."""

    server: MailServer
    line: BadLine
    answering: Answering
    """What the node answers about itself."""
    login: str
    password: str = field(repr=False)

    async def node_status(self) -> NodeStatus:
        """Return how the node is."""
        return await self.answering.status()

    async def account_status(self) -> AccountStatus:
        """Return how its one account is."""
        [account] = (await self.node_status()).accounts
        return account

    async def access(self) -> Access:
        """Return how a mail program reaches the node."""
        [listener, *_] = (await self.node_status()).listeners
        return Access(listener.host, listener.port, self.login, self.password)


@asynccontextmanager
async def stage(shape: LineShape) -> AsyncIterator[Stage]:
    """Have the stage while the block lasts."""
    config = Config(
        imap=(
            ImapListener(host=HOST, port=0, security=ListenerSecurity.STARTTLS),
            ImapListener(host=HOST, port=0, security=ListenerSecurity.TLS),
        )
    )
    up = Shape(delay_s=shape.delay_s, bits_per_s=shape.up_bits_per_s)
    down = Shape(delay_s=shape.delay_s, bits_per_s=shape.down_bits_per_s)
    with tempfile.TemporaryDirectory(prefix="mailferry-demo-") as temporary:
        directory = DataDirectory(Path(temporary) / "data")
        async with (
            mail_server() as server,
            bad_line(HOST, server.port, up=up, down=down) as line,
        ):
            password = new_password()
            await asyncio.to_thread(_add_account, directory, server, line, password)
            async with _running(Node(config, directory, {})) as answering:
                yield Stage(server, line, answering, USER, password)


def _add_account(
    directory: DataDirectory, server: MailServer, line: BadLine, password: str
) -> None:
    settings = AccountSettings(
        host=HOST,
        port=line.port,
        security=ServerSecurity.PLAIN,
        user=USER,
        bodies=BodyPolicy.ALL,
        body_size_limit_octets=BODY_SIZE_LIMIT,
    )
    with open_accounts(directory, {}) as accounts:
        accounts.add(
            name="demo",
            settings=settings,
            secret=server.password,
            local_login=USER,
            local_verifier=verifier_of(password),
        )


@asynccontextmanager
async def _running(node: Node) -> AsyncIterator[Answering]:
    """Run the node while the block lasts."""
    ready: asyncio.Future[Answering] = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(node.run(ready.set_result))
        try:
            yield await ready
        finally:
            node.stop()
