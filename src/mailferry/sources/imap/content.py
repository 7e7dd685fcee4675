"""Whether two messages are the same, octet for octet but for their line ends.

Servers keep and count a bare LF as CRLF, some of them; so content is compared as it is with CRLF.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from mailferry.mail.message import WHOLE, MessageId
from mailferry.sources.imap.account import Account
from mailferry.sources.imap.bodies import Bodies

_BARE_LF: Final = re.compile(rb"(?<!\r)\n")


@dataclass(frozen=True, slots=True)
class Content:
    """What stands for a message's octets, with CRLF line ends."""

    size: int
    digest: str
    """SHA-256, 64 hexadecimal digits."""


async def content_of(chunks: AsyncIterator[bytes]) -> Content:
    """Take in a message, chunk by chunk."""
    size, digest, after_cr = 0, hashlib.sha256(), False
    async for chunk in chunks:
        written = _BARE_LF.sub(b"\r\n", chunk)
        if after_cr and chunk.startswith(b"\n"):
            written = written[1:]  # Its CR came at the end of the chunk before.
        after_cr = chunk.endswith(b"\r") if chunk else after_cr
        size += len(written)
        digest.update(written)
    return Content(size, digest.hexdigest())


class Contents:
    """Reads messages at the server, each once, to compare them."""

    def __init__(self, account: Account, bodies: Bodies) -> None:
        self._account = account
        self._bodies = bodies
        self._read: dict[MessageId, Content] = {}
        """As many as one lookup compares."""

    async def of(self, name: bytes, message: MessageId) -> Content:
        """Return the content of a message in the mailbox that the server calls `name`.

        Raises:
            MessageNotFound: it has gone.
            MailError: the server refused, or cannot be reached.
        """
        if message not in self._read:
            session = await self._account.session()
            body = await self._bodies.open(session, name, message, WHOLE, 0)
            self._read[message] = await content_of(body.chunks)
        return self._read[message]
