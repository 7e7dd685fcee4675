"""The contract of MailSource (watching) over Dovecot as modern and as old servers are."""

from __future__ import annotations

from tests.contract.test_watching import *  # noqa: F403
