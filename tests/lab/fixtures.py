"""Fixtures that tests/conftest.py offers to every test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.lab.dovecot import Dovecot, User
from tests.lab.dovecot_config import Settings


@pytest.fixture(scope="session")
def dovecots() -> Iterator[Callable[..., Dovecot]]:
    """Return `get(**settings)`: a running server that tests share; each takes a new user.

    One server is started per kind of settings (see dovecot_config.Settings) and test run.
    Nobody stops these: a test that wants to takes `own_dovecot`.
    """
    running: dict[Settings, Dovecot] = {}

    def get(**settings: str) -> Dovecot:
        key = Settings(**settings)
        if key not in running:
            running[key] = Dovecot(key)
            running[key].start()
        return running[key]

    yield get
    for server in running.values():
        server.remove()


@pytest.fixture
def dovecot(dovecots: Callable[..., Dovecot]) -> Dovecot:
    """Return the shared server with everything that Dovecot has."""
    return dovecots()


@pytest.fixture
def user(dovecot: Dovecot) -> User:
    """Return a new user of `dovecot`."""
    return dovecot.new_user()


@pytest.fixture
def own_dovecot() -> Iterator[Callable[..., Dovecot]]:
    """Return `make(**settings)`: a running server of the test's own, to be stopped and killed."""
    made: list[Dovecot] = []

    def make(**settings: str) -> Dovecot:
        made.append(Dovecot(Settings(**settings)))
        made[-1].start()
        return made[-1]

    yield make
    for server in made:
        server.remove()
