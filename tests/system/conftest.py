"""Fixtures of the system tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.lab.dovecot import Dovecot
from tests.system.account import FilledAccount
from tests.system.endpoint import Endpoint
from tests.system.filling import FAST, fill, letters
from tests.system.front import front_of


@pytest.fixture(scope="session")
def filled_account(
    dovecots: Callable[..., Dovecot], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FilledAccount]:
    """Return one account with the whole corpus (or its sample), for all tests of mail programs."""
    dovecot = dovecots(extra=FAST)
    user = dovecot.new_user()
    server = Endpoint(port=dovecot.port, user=user.name, password=user.password)
    filed = fill(server, letters())
    with front_of(server, tmp_path_factory.mktemp("node")) as front:
        yield FilledAccount(front, filed)
