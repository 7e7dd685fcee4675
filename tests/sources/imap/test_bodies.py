"""Bodies over a real server: resumed, interleaved, bounded."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mailferry.mail.errors import SourceUnavailable
from mailferry.mail.message import CHUNK_LENGTH_MAX, BlobId, MessageId, Section
from mailferry.mail.operation import Append, Applied, Attempt
from mailferry.sources.imap.settings import WINDOW_LENGTH, WINDOWS_IN_FLIGHT
from tests.contract.letters import large, note
from tests.contract.world import Party, everything, inbox_of, octets_of, operation_id
from tests.lab.dovecot import Dovecot
from tests.sources.imap.conftest import QUICK, Open

pytestmark = pytest.mark.system

HUGE = 52 * 1024 * 1024
GROWTH_MAX = 8 * 1024 * 1024


async def test_a_body_goes_on_after_the_server_was_killed(
    own_dovecot: Callable[..., Dovecot], opened: Open
) -> None:
    server = own_dovecot()
    source = opened(server, server.new_user(), replace(QUICK, backoff_max_s=0.01))
    inbox = await inbox_of(source)
    letter = large(3_000_000)
    [message] = await Party(source).deliver(inbox, letter)
    body = await source.body(inbox, message)
    got = bytearray()
    with pytest.raises(SourceUnavailable):
        await _take(body.chunks, got, at=1_000_000, then=server.kill)
    assert 1_000_000 <= len(got) < 1_000_000 + WINDOWS_IN_FLIGHT * WINDOW_LENGTH + CHUNK_LENGTH_MAX
    server.start()
    assert bytes(got) + await octets_of(source, inbox, message, offset=len(got)) == letter


async def _take(
    chunks: AsyncIterator[bytes], got: bytearray, *, at: int, then: Callable[[], None]
) -> None:
    """Read on, doing something when so much has come."""
    done = False
    async for chunk in chunks:
        got += chunk
        if len(got) >= at and not done:
            done = True
            then()


async def test_others_are_served_while_a_body_is_not_read(dovecot: Dovecot, opened: Open) -> None:
    source = opened(dovecot, dovecot.new_user())
    inbox = await inbox_of(source)
    [message] = await Party(source).deliver(inbox, large(2_000_000))
    body = await source.body(inbox, message)
    first = await anext(body.chunks)
    # The reader stops here; nobody else has to wait for it.
    [other] = await Party(source).deliver(inbox, note(1))
    assert await octets_of(source, inbox, other) == note(1)
    assert await octets_of(source, inbox, message) == large(2_000_000)
    rest = [chunk async for chunk in body.chunks]
    assert first + b"".join(rest) == large(2_000_000)


async def test_long_sections_have_their_length(dovecot: Dovecot, opened: Open) -> None:
    """A part's is told by the body structure, TEXT's has to be searched for."""
    part = large(200_000).partition(b"\r\n\r\n")[2]
    text = b"--b\r\n\r\none\r\n--b\r\nContent-Type: text/plain\r\n\r\n" + part + b"\r\n--b--\r\n"
    letter = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + text
    source = opened(dovecot, dovecot.new_user())
    inbox = await inbox_of(source)
    [message] = await Party(source).deliver(inbox, letter)
    for section, expected in (("2", part), ("TEXT", text)):
        assert await octets_of(source, inbox, message, Section(section)) == expected
        tail = await octets_of(source, inbox, message, Section(section), len(expected) - 5)
        assert tail == expected[-5:]
        assert await octets_of(source, inbox, message, Section(section), len(expected)) == b""
        assert await octets_of(source, inbox, message, Section(section), 10**6) == b""
    assert source.quirks == frozenset()


class HugeBlob:
    """A message that is nowhere held whole (BlobReader)."""

    header = b"Subject: huge\r\nMessage-ID: <huge@example.com>\r\n\r\n"

    def __init__(self) -> None:
        self.content = hashlib.sha256()

    async def read_blob(self, blob: BlobId, offset: int = 0) -> AsyncIterator[bytes]:
        assert offset == 0
        yield self._seen(self.header)
        left = HUGE - len(self.header)
        line = b"0123456789abcdef" * 4 + b"\r\n"
        while left:
            chunk = (line * (CHUNK_LENGTH_MAX // len(line)))[:left]
            left -= len(chunk)
            yield self._seen(chunk)

    def _seen(self, chunk: bytes) -> bytes:
        self.content.update(chunk)
        return chunk


async def test_52_megabytes_are_never_held_whole(dovecot: Dovecot, opened: Open) -> None:
    source = opened(dovecot, dovecot.new_user())
    inbox = await inbox_of(source)
    before = _resident()
    blob = HugeBlob()
    operation = Append(id=operation_id(), mailbox=inbox, blob=BlobId("huge"), size=HUGE)
    [outcome] = await source.apply([Attempt(operation=operation)], blob)
    assert isinstance(outcome, Applied)
    assert _resident() - before < GROWTH_MAX
    [message] = await everything(source, inbox)
    content, most = hashlib.sha256(), 0
    body = await source.body(inbox, MessageId(message))
    assert body.size == HUGE
    async for chunk in body.chunks:
        content.update(chunk)
        most = max(most, _resident())
    assert content.digest() == blob.content.digest()
    assert most - before < GROWTH_MAX


def _resident() -> int:
    """Octets of this process's memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
