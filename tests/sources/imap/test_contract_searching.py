"""The contract of MailSource (searching) over Dovecot as modern and as old servers are."""

from __future__ import annotations

import pytest

from tests.contract.test_searching import *  # noqa: F403

pytestmark = pytest.mark.system
