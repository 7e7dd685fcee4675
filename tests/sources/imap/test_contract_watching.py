"""The contract of MailSource (watching) over a server without extensions."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.contract.test_watching import *  # noqa: F403
from tests.lab.dovecot import Dovecot

pytestmark = pytest.mark.system


@pytest.fixture
def server(dovecots: Callable[..., Dovecot]) -> Dovecot:
    return dovecots(profile="minimal")
