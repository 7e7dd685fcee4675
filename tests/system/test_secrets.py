"""Passwords are nowhere where they should not be: no file, no log, no process list."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path as FilePath

import pytest

from tests.lab.dovecot import Dovecot
from tests.system.endpoint import Endpoint, imaplib_session, ok
from tests.system.filling import FAST, INBOX, fill, wanted
from tests.system.node_process import LOCAL_PASSWORD, CommandFailed, NodeProcess

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]


def test_no_password_lies_about(dovecots: Callable[..., Dovecot], tmp_path: FilePath) -> None:
    dovecot = dovecots(extra=FAST)
    user = dovecot.new_user()
    server = Endpoint(port=dovecot.port, user=user.name, password=user.password)
    fill(server, wanted(INBOX, 5))
    with NodeProcess(tmp_path) as node:
        account = node.add_account(server)
        node.start()
        account.wait_until_copied()
        with imaplib_session(account.endpoint) as session:
            ok(session.select("INBOX"))
        with pytest.raises(CommandFailed):
            node.add_account(Endpoint(port=1, user="x", password=server.password), name="other")
        process = FilePath(f"/proc/{node.pid}")
        places = [process / "cmdline", process / "environ", *node.data.rglob("*")]
        places += tmp_path.glob("log-*")
        for place in places:
            if place.is_file():
                content = place.read_bytes()
                for secret in (server.password, LOCAL_PASSWORD):
                    assert secret.encode() not in content, place
        assert node.data.stat().st_mode & 0o077 == 0
