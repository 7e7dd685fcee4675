from __future__ import annotations

import pytest

from tests.lab import certificates, raw_imap
from tests.lab.dovecot import Dovecot, User
from tests.lab.raw_imap import Stored

pytestmark = pytest.mark.system


async def test_reads_back_what_it_filed(dovecot: Dovecot, user: User) -> None:
    mail = b'Subject: {3}\r\n\r\na "quoted" ) line\r\n{5}\r\nend'
    async with raw_imap.session(dovecot.host, dovecot.port, user.name, user.password) as client:
        first = await client.append("INBOX", mail, flags=["\\Seen", "$Label1"])
        second = await client.append("INBOX", b"x", date="03-Feb-2024 04:05:06 +0700")
        assert await client.messages("INBOX") == {
            first: Stored(frozenset({"\\Seen", "$Label1"}), mail),
            second: Stored(frozenset(), b"x"),
        }
        with pytest.raises(raw_imap.Refused, match="NO"):
            await client.run("SELECT nowhere")


async def test_speaks_tls(dovecot: Dovecot, user: User) -> None:
    async with raw_imap.session(
        "localhost",
        dovecot.tls_port,
        user.name,
        user.password,
        tls=certificates.trusting_context(),
    ) as client:
        assert b"OK" in (await client.run("NOOP"))[-1]
