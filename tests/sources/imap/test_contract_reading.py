"""The contract of MailSource (reading) over Dovecot as modern and as old servers are."""

from __future__ import annotations

import pytest

from tests.contract.test_reading import *  # noqa: F403

pytestmark = pytest.mark.system
