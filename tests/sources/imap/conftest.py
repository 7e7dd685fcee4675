"""ImapSources over a real Dovecot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Protocol

import pytest

from mailferry.net.tls_context import ClientContext, client_context
from mailferry.sources.imap.settings import CredentialProvider, ImapSettings, Security
from mailferry.sources.imap.source import ImapSource
from mailferry.wire.sasl import Credential, Password
from tests.contract.world import Party
from tests.lab.dovecot import Dovecot, User

# Nothing here may take long: quiet begins at once, mailboxes are looked at twice a second.
QUICK = ImapSettings(
    host="localhost",
    port=0,
    idle_after_s=0.02,
    poll_interval_s=0.5,
    backoff_first_s=0.05,
    settle_s=0.5,
)


@cache
def trusting(ca_file: Path | None = None) -> ClientContext:
    """Made once: loading authorities takes longer than most tests."""
    return client_context(ca_file=ca_file)


def giving(user: User) -> CredentialProvider:
    async def credential() -> Credential:
        return Password(user.name, user.password)

    return credential


class Open(Protocol):
    """Opens sources that the test need not close."""

    def __call__(
        self, server: Dovecot, user: User, settings: ImapSettings = QUICK
    ) -> ImapSource: ...


@pytest.fixture
async def opened() -> AsyncIterator[Open]:
    """Return `open(server, user)`: a source at a server, closed at the end of the test."""
    made: list[ImapSource] = []
    async with asyncio.TaskGroup() as tasks:

        def make(server: Dovecot, user: User, settings: ImapSettings = QUICK) -> ImapSource:
            port = server.tls_port if settings.security is Security.TLS else server.port
            source = ImapSource(
                replace(settings, port=settings.port or port),
                giving(user),
                trusting(server.ca_file),
                tasks,
            )
            made.append(source)
            return source

        yield make
        for source in made:
            await source.aclose()


class OpenScripted(Protocol):
    """Opens sources that the test need not close, at a port of this machine, in the clear."""

    def __call__(self, port: int, settings: ImapSettings = QUICK) -> ImapSource: ...


@pytest.fixture
async def opened_at() -> AsyncIterator[OpenScripted]:
    """Return `open(port)`: a source of user "u" with password "p" at a scripted server."""
    made: list[ImapSource] = []
    async with asyncio.TaskGroup() as tasks:

        def make(port: int, settings: ImapSettings = QUICK) -> ImapSource:
            plain = replace(settings, host="127.0.0.1", port=port, security=Security.PLAIN)
            source = ImapSource(plain, giving(User("u", "p")), trusting(), tasks)
            made.append(source)
            return source

        yield make
        for source in made:
            await source.aclose()


@dataclass
class ImapWorld:
    """The same mailboxes through two connections: one under test, one for a third party."""

    source: ImapSource
    origin: ImapSource

    async def catch_up(self) -> None:
        return


# With everything that Dovecot has, tests/contract runs it.
PROFILES = ["no-qresync", "no-condstore", "old", "minimal"]


@pytest.fixture(params=PROFILES)
def server(request: pytest.FixtureRequest, dovecots: Callable[..., Dovecot]) -> Dovecot:
    """Return a server of each kind in turn."""
    return dovecots(profile=request.param)


@pytest.fixture
def world(server: Dovecot, opened: Open) -> ImapWorld:
    user = server.new_user()
    return ImapWorld(opened(server, user), opened(server, user))


@pytest.fixture
def party(world: ImapWorld) -> Party:
    return Party(world.origin)
