"""Which content every UID of every mailbox names: what a mail program's cache relies on."""

from __future__ import annotations

import re

from tests.system.endpoint import Endpoint
from tests.system.equality import Path, look
from tests.system.filling import wire_name
from tests.system.streaming_imap import StreamingImap, quoted

_VALIDITY = re.compile(rb"\[UIDVALIDITY (\d+)\]", re.IGNORECASE)
_UID = re.compile(rb"\bUID (\d+)", re.IGNORECASE)


def uids(endpoint: Endpoint) -> dict[Path, dict[tuple[int, int], str]]:
    """Return, by mailbox, the hash of the content of each (UIDVALIDITY, UID)."""
    found: dict[Path, dict[tuple[int, int], str]] = {}
    mailboxes = look(endpoint, bodies=False).mailboxes
    with StreamingImap(endpoint) as session:
        for path, mailbox in mailboxes.items():
            if not mailbox.messages:
                continue
            found[path], validity = {}, 0
            for response in session.run(f"EXAMINE {quoted(wire_name(path))}"):
                if match := _VALIDITY.search(response.text):
                    validity = int(match[1])
            for response in session.run("UID FETCH 1:* (UID BODY.PEEK[])"):
                if response.literals and (match := _UID.search(response.text)):
                    found[path][validity, int(match[1])] = response.literals[0].sha256
    return found
