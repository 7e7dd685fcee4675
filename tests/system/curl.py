"""curl as an IMAP client."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from urllib.parse import quote

from imapclient import imap_utf7

from tests.lab import programs
from tests.system.endpoint import Endpoint

TIMEOUT_S = 60


class CurlFailed(Exception):
    """curl ended with an error; the text is its own."""


def curl(endpoint: Endpoint, path: str, *options: str | Path, tls: bool = False) -> bytes:
    """Run curl on `path` below the server and return what it wrote.

    The login goes in by a configuration on standard input: not in the process list.
    """
    program = programs.find("curl")
    scheme = "imaps" if tls else "imap"
    done = subprocess.run(
        [
            program.path,
            "--disable",
            "--silent",
            "--show-error",
            "--config",
            "-",
            *options,
            f"{scheme}://{endpoint.host}:{endpoint.port}/{path}",
        ],
        input=f'user = "{endpoint.user}:{endpoint.password}"\n'.encode(),
        capture_output=True,
        timeout=TIMEOUT_S,
        env=os.environ | program.environment,
        check=False,
    )
    if done.returncode != 0:
        raise CurlFailed(f"exit {done.returncode}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def mailbox_in_url(mailbox: str) -> str:
    """Return a mailbox as an IMAP URL names it for curl: modified UTF-7, percent-encoded."""
    return quote(imap_utf7.encode(mailbox).decode(), safe="")
