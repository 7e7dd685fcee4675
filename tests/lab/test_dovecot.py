from __future__ import annotations

import imaplib
from collections.abc import Callable

import pytest

from tests.lab.dovecot import Dovecot
from tests.lab.dovecot_config import FORMATS, PROFILES

pytestmark = pytest.mark.system


@pytest.mark.parametrize("profile", PROFILES)
def test_each_profile_says_what_it_can(dovecots: Callable[..., Dovecot], profile: str) -> None:
    server = dovecots(profile=profile)
    user = server.new_user()
    with imaplib.IMAP4(server.host, server.port) as client:
        client.login(user.name, user.password)
        capabilities = client.capability()[1][0]
    assert (b"QRESYNC" in capabilities) == (profile == "full")
    assert not PROFILES[profile] or capabilities.decode() == PROFILES[profile]


@pytest.mark.parametrize("kind", FORMATS)
def test_mail_outlives_a_kill(own_dovecot: Callable[..., Dovecot], kind: str) -> None:
    server = own_dovecot(format=kind)
    user = server.new_user()
    with imaplib.IMAP4(server.host, server.port) as client:
        client.login(user.name, user.password)
        assert client.append("INBOX", "", "", b"Subject: a\r\n\r\nb\r\n")[0] == "OK"
    port = server.port
    server.kill()
    server.start()
    assert server.port == port
    with imaplib.IMAP4(server.host, server.port) as client:
        client.login(user.name, user.password)
        assert client.select()[1] == [b"1"]
