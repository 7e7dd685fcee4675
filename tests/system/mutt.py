"""mutt, driven by pushed keys on a terminal of its own."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from tests.lab import programs
from tests.system.endpoint import Endpoint

TIMEOUT_S = 60.0
SCREEN_LENGTH_MAX = 4 * 1024 * 1024  # Octets of screen kept for the error message.

_RC = """
set folder="imap://{user}@{host}:{port}/"
set imap_pass="{password}"
set ssl_starttls=no
set ssl_force_tls=no
set imap_check_subscribed=no
set mail_check=0
set timeout=1
set confirmappend=no
set confirmcreate=no
set delete=yes
set quit=yes
set mark_old=no
set wait_key=no
set move=no
set copy=no
set pipe_decode=no
set auto_tag=yes
set sort=mailbox-order
set header_cache=""
set message_cachedir=""
set tmpdir="{directory}"
set editor="true"
set postponed="=Drafts"
set crypt_use_gpgme=no
set realname="A Sailor"
set from="sailor@lab.test"
set use_from=yes
set edit_headers=no
set abort_nosubject=no
set abort_unmodified=no
"""


class MuttFailed(Exception):
    """mutt did not end by itself, or said that something failed; the text is its screen."""


def run_mutt(endpoint: Endpoint, mailbox: str, keys: Sequence[str], directory: Path) -> str:
    """Open `mailbox`, press `keys` one after the other, and return everything on the screen.

    The keys have to end with <quit>.
    """
    rc = directory / "muttrc"
    rc.write_text(
        _RC.format(
            user=endpoint.user,
            host=endpoint.host,
            port=endpoint.port,
            password=endpoint.password,
            directory=directory,
        )
    )
    program = programs.find("mutt")
    ours, theirs = pty.openpty()
    pushed = "".join(keys).replace("\\", "\\\\").replace('"', '\\"')
    with subprocess.Popen(
        [program.path, "-n", "-F", rc, "-f", f"={mailbox}", "-e", f'push "{pushed}"'],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=os.environ | program.environment | {"TERM": "xterm", "HOME": str(directory)},
        close_fds=True,
    ) as process:
        os.close(theirs)
        try:
            screen = _read_to_the_end(process, ours)
        finally:
            process.kill()
            os.close(ours)
    if process.returncode != 0:
        raise MuttFailed(f"exit {process.returncode}; the screen was:\n{screen[-3000:]}")
    return screen


def _read_to_the_end(process: subprocess.Popen[bytes], terminal: int) -> str:
    """Return what mutt drew, without the terminal's control sequences."""
    drawn = bytearray()
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                drawn += os.read(terminal, 65536)
            except OSError:  # The terminal's other end is closed: mutt has ended.
                process.wait(TIMEOUT_S)
                return _plain(drawn)
            del drawn[:-SCREEN_LENGTH_MAX]
        elif process.poll() is not None:
            return _plain(drawn)
    raise MuttFailed(f"no end after {TIMEOUT_S:.0f} s; the screen was:\n{_plain(drawn)[-3000:]}")


def _plain(drawn: bytes | bytearray) -> str:
    text = bytes(drawn).decode("utf-8", "replace")
    return re.sub(r"\x1b(?:\[[0-9;?]*[A-Za-z]|[()][A-Z0-9]|[=>])", "\n", text)
