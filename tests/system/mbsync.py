"""mbsync, two ways between an IMAP server and a Maildir."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from imapclient import imap_utf7

from tests.lab import programs
from tests.system.endpoint import Endpoint

TIMEOUT_S = 150

_RC = """
FSync no

IMAPAccount far
Host {host}
Port {port}
User {user}
Pass "{password}"
SSLType None
AuthMechs *

IMAPStore far
Account far

MaildirStore near
Path {maildir}/
Inbox {maildir}/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Remove Both
Expunge Both
Sync All
CopyArrivalDate yes
SyncState *
"""

_UNIQUE = re.compile(r"(?P<base>.+?)(?:,U=(?P<uid>\d+))?(?::2,(?P<flags>[A-Z]*))?")
_TUID = re.compile(rb"^X-TUID: [^\n]*\n", re.MULTILINE)


class MbsyncFailed(Exception):
    """mbsync ended with an error; the text is its own."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One file of the Maildir."""

    path: Path
    uid: int
    """0 while mbsync has not yet carried it over."""
    flags: str
    """The letters of the file's name."""


def run_mbsync(endpoint: Endpoint, directory: Path) -> str:
    """Synchronise everything both ways; return what mbsync said."""
    maildir = directory / "mail"
    maildir.mkdir(exist_ok=True)
    rc = directory / "mbsyncrc"
    rc.write_text(
        _RC.format(
            host=endpoint.host,
            port=endpoint.port,
            user=endpoint.user,
            password=endpoint.password,
            maildir=maildir,
        )
    )
    program = programs.find("mbsync")
    done = subprocess.run(
        [program.path, "-c", rc, "--all"],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=TIMEOUT_S,
        env=os.environ | program.environment | {"HOME": str(directory)},
        check=False,
    )
    said = done.stdout + done.stderr
    if done.returncode != 0:
        raise MbsyncFailed(f"exit {done.returncode}: {said[-3000:]}")
    return said


def mailbox_directory(directory: Path, *path: str) -> Path:
    """Return where mbsync keeps a mailbox."""
    return directory.joinpath("mail", *(imap_utf7.encode(name).decode() for name in path))


def kept(mailbox: Path) -> list[Kept]:
    """Return the messages in one mailbox of the Maildir."""
    found = []
    for sub in ("cur", "new"):
        for file in (mailbox / sub).iterdir():
            match = _UNIQUE.fullmatch(file.name)
            assert match is not None
            found.append(Kept(file, int(match["uid"] or 0), match["flags"] or ""))
    return found


def fingerprint(content: bytes) -> str:
    """Return the hash of a message as both sides have it: without mbsync's mark, with plain LF."""
    plain = content.replace(b"\r\n", b"\n")
    header, gap, body = plain.partition(b"\n\n")
    return hashlib.sha256(_TUID.sub(b"", header + gap[:1]) + gap[1:] + body).hexdigest()


def tree(directory: Path) -> dict[str, tuple[int, int]]:
    """Return every file of the Maildir with its size and time, to see whether anything moved.

    mbsync's own notes (.mbsyncstate) may be written anew without a change.
    """
    return {
        str(file.relative_to(directory)): (file.stat().st_size, file.stat().st_mtime_ns)
        for file in (directory / "mail").rglob("*")
        if file.is_file() and not file.name.startswith(".")
    }
