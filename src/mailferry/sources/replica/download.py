"""One body on its way from the server, for everybody who wants it.

What arrived is kept at once, compressed; readers follow behind.  When the line breaks, or nobody
wants it any more, it stays as far as it got, and the next download goes on from there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Final

from mailferry import observe
from mailferry.mail.errors import MailError, MessageNotFound, ProtocolFault, SourceUnavailable
from mailferry.mail.message import CHUNK_LENGTH_MAX, WHOLE, Body, Section
from mailferry.sources.replica.content import Content
from mailferry.sources.replica.core import Core
from mailferry.sources.replica.intake import Intake, pack_tree
from mailferry.sources.replica.names import RemoteName, remote_names
from mailferry.sources.replica.trees import agree
from mailferry.store import bodies, chunks
from mailferry.store.bodies import StoredBody
from mailferry.store.chunks import BODY_CHUNKS
from mailferry.wire.mime.part import Part

FLUSH_INTERVAL_S: Final = 1.0  # What trickles in is kept, and served, at least this often.
LINGER_S: Final = 20.0  # Mail programs fetch in pieces: the next one may be asked for right away.
INLINE_LENGTH_MAX: Final = 8 * 1024  # Octets that are packed on the event loop, in some 50 us.

_log = observe.logger(__name__)


class Download:
    """A section of a message, arriving."""

    def __init__(self, core: Core, content: Content, message: int, section: Section) -> None:
        self._core = core
        self._content = content
        self._message = message
        self._section = section
        self._intake = Intake()
        self._changed = asyncio.Event()
        self._holders = 0
        self._cancel: Callable[[], object] | None = None
        self._key = 0
        self._arrived = 0
        self._size: int | None = None
        self._error: MailError | None = None
        self._ended = False

    def __repr__(self) -> str:
        return f"<Download {self._message} [{self._arrived} of {self._size}]>"

    # For who wants it

    def start(self) -> None:
        """Begin."""
        self._cancel = self._core.begin(self._run())

    @property
    def ended(self) -> bool:
        """Whether it is whole, or has failed."""
        return self._ended

    @contextmanager
    def held(self) -> Iterator[None]:
        """Want it: when nobody does any more, it stops after a while."""
        self._holders += 1
        try:
            yield
        finally:
            self._holders -= 1
            if not self._holders and not self._ended:
                asyncio.get_running_loop().call_later(LINGER_S, self._stop_if_unwanted)

    def _stop_if_unwanted(self) -> None:
        if not self._holders and self._cancel is not None:
            self._cancel()

    @property
    def key(self) -> int:
        """The body in the replica; 0 until it is known."""
        return self._key

    @property
    def all_arrived(self) -> bool:
        """Whether every octet is here, though it may not have been put in its place yet."""
        return not self._ended and self._arrived == self._size

    async def size(self) -> int:
        """Return how large the section is, once that is known.

        Raises:
            MailError: it cannot be had.
        """
        while self._size is None and not self._ended:
            await self._changed.wait()
        if self._size is None:
            raise self._failure()
        return self._size

    async def end(self) -> None:
        """Return when it is whole.

        Raises:
            MailError: it did not come whole.
        """
        while not self._ended:
            await self._changed.wait()
        if self._error is not None:
            raise self._failure()

    async def read(self, offset: int) -> AsyncIterator[bytes]:
        """Yield what arrives, from `offset`; it must be held."""
        at = offset
        size = await self.size()
        while at < size:
            if at < self._arrived:
                with self._content.pin(BODY_CHUNKS, self._key):
                    data = self._content.read_chunk(BODY_CHUNKS, self._key, at)
                    if not data:
                        raise SourceUnavailable("the content was dropped meanwhile: ask again")
                    yield data
                at += len(data)
            elif self._ended:
                raise self._failure()
            else:
                await self._changed.wait()

    def _failure(self) -> MailError:
        """Return the error for one more reader, without the way it came to the one before."""
        error = self._error or SourceUnavailable("the download was given up")
        return error.with_traceback(None)

    # The work

    async def _run(self) -> None:
        try:
            await self._take()
        except MailError as exc:
            self._error = exc
            if exc.temporary and not isinstance(exc, ProtocolFault):
                self._core.line.failed(exc)
            _log.info("body interrupted message=%d reason=%s", self._message, exc)
        except asyncio.CancelledError:
            self._error = SourceUnavailable("the download was given up")
            raise
        finally:
            self._ended = True
            self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _take(self) -> None:
        core = self._core
        before = bodies.find(core.store.reader, self._message, self._section)
        if before is not None and before.whole:
            self._key, self._arrived, self._size = before.key, before.size, before.size
            return
        name = remote_names(core, [self._message]).get(self._message)
        if name is None:
            raise SourceUnavailable("the server has no name for this message yet")
        body = await self._open(name, before)
        try:
            await self._keep_all(body)
        except (ProtocolFault, MessageNotFound):
            await core.store.write(lambda connection: bodies.drop(connection, self._key))
            raise
        core.line.succeeded()

    async def _open(self, name: RemoteName, before: StoredBody | None) -> Body:
        """Open the section where it broke off; from the beginning when it has another size now."""
        core = self._core
        if before is not None and before.arrived:
            await self._catch_up(before)
            body = await self._ask(name, before.arrived)
            if body.size == before.size:
                self._key, self._arrived, self._size = before.key, before.arrived, before.size
                self._tell()
                return body
            await _close(body)
            self._intake = Intake()
        body = await self._ask(name, 0)
        self._key = await core.store.write(
            lambda connection: bodies.begin(connection, self._message, self._section, body.size)
        )
        self._size = body.size
        self._tell()
        return body

    async def _ask(self, name: RemoteName, offset: int) -> Body:
        try:
            return await self._core.upstream.body(name.mailbox, name.message, self._section, offset)
        except MessageNotFound as exc:
            if self._core.pending.birth_of(self._message) is None:
                raise
            # The original has gone; where the copy is will be known when its outcome is.
            raise SourceUnavailable("the message is on its way to another mailbox") from exc

    async def _catch_up(self, before: StoredBody) -> None:
        """Look at what is here already."""
        at = 0
        while at < before.arrived:
            data = self._content.read_chunk(BODY_CHUNKS, before.key, at)
            if not data:
                raise ProtocolFault("what is here of the body has a hole")
            await self._look_at(data)
            at += len(data)

    async def _keep_all(self, body: Body) -> None:
        loop = asyncio.get_running_loop()
        buffer = bytearray()
        kept_at_s = loop.time()
        try:
            async for chunk in body.chunks:
                buffer += chunk
                if len(buffer) >= CHUNK_LENGTH_MAX or loop.time() - kept_at_s > FLUSH_INTERVAL_S:
                    await self._flush(buffer)
                    kept_at_s = loop.time()
        finally:
            await _close(body)
            while buffer:
                await self._flush(buffer)
        if self._arrived != body.size:
            raise ProtocolFault(f"{self._arrived} octets came of a body of {body.size}")
        await self._finish()

    async def _flush(self, buffer: bytearray) -> None:
        """Keep a chunk of what arrived."""
        data = bytes(buffer[:CHUNK_LENGTH_MAX])
        packed = await self._look_at(data)
        key, start = self._key, self._arrived
        await self._core.store.write(
            lambda connection: bodies.add_chunk(connection, key, start, packed, len(data))
        )
        del buffer[: len(data)]
        self._arrived += len(data)
        self._tell()

    async def _look_at(self, data: bytes) -> bytes:
        if len(data) <= INLINE_LENGTH_MAX:
            return self._digest(data)
        return await asyncio.to_thread(self._digest, data)

    def _digest(self, data: bytes) -> bytes:
        self._intake.feed(data)
        return chunks.pack(data)

    async def _finish(self) -> None:
        core, key, blob = self._core, self._key, self._intake.blob
        tree = self._intake.close() if self._section == WHOLE else None
        packed = None if tree is None else pack_tree(tree)
        self._key = await core.store.write(
            lambda connection: bodies.finish(connection, key, blob, packed)
        )
        if tree is not None:
            await note_agreement(core, self._message, tree)


async def note_agreement(core: Core, message: int, tree: Part) -> bool | None:
    """Note whether our parse is the server's; return None where the server's is not here."""
    structure = bodies.structure(core.store.reader, message)
    if structure is None:
        return None
    agrees = agree(tree, structure)
    await core.store.write(lambda connection: bodies.set_parse(connection, message, agrees=agrees))
    return agrees


async def _close(body: Body) -> None:
    close = getattr(body.chunks, "aclose", None)
    if close is not None:
        await close()
