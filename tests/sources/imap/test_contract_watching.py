"""The contract of MailSource (watching) over Dovecot as modern and as old servers are."""

from __future__ import annotations

import pytest

from tests.contract.test_watching import *  # noqa: F403

pytestmark = pytest.mark.system
