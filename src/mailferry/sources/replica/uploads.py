"""Content that a mail program brings, on its way into the journal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from mailferry.mail.errors import MessageNotFound, MessageTooLarge
from mailferry.mail.message import CHUNK_LENGTH_MAX, Blob, BlobId
from mailferry.sources.replica.content import Content, Place
from mailferry.sources.replica.core import Core
from mailferry.sources.replica.download import INLINE_LENGTH_MAX
from mailferry.sources.replica.intake import Intake
from mailferry.store import blobs, bodies, chunks
from mailferry.store.chunks import BLOB_CHUNKS, BODY_CHUNKS

KEPT_S: Final = 3600.0  # How long an upload waits for the operation that refers to it.


class Uploads:
    """Takes in content, and gives it out again."""

    def __init__(self, core: Core, content: Content) -> None:
        self._core = core
        self._content = content
        self._uploaded: dict[int, float] = {}
        """Blob -> when it may be forgotten (loop time)."""
        self._coming: set[int] = set()

    async def upload(self, arriving: AsyncIterator[bytes]) -> Blob:
        """See StagingSource.upload."""
        core = self._core
        key = await core.journal.write(lambda connection: blobs.begin(connection, core.account))
        self._coming.add(key)
        try:
            intake = await self._take(key, arriving)
            description = await asyncio.to_thread(intake.describe)
            stored = await core.journal.write(
                lambda connection: blobs.finish(
                    connection,
                    core.account,
                    key,
                    blob=intake.blob,
                    size=intake.size,
                    description=description,
                )
            )
        except BaseException:
            await core.journal.write(lambda connection: blobs.drop(connection, key))
            raise
        finally:
            self._coming.discard(key)
        self._uploaded[stored.key] = asyncio.get_running_loop().time() + KEPT_S
        return Blob(stored.id, stored.size)

    async def _take(self, key: int, arriving: AsyncIterator[bytes]) -> Intake:
        intake = Intake()
        buffer = bytearray()
        async for chunk in arriving:
            buffer += chunk
            if intake.size + len(buffer) > self._core.settings.upload_length_max:
                raise MessageTooLarge(
                    f"the message is larger than {self._core.settings.upload_length_max} octets"
                )
            while len(buffer) >= CHUNK_LENGTH_MAX:
                await self._keep(key, intake, buffer)
        while buffer:
            await self._keep(key, intake, buffer)
        return intake

    async def _keep(self, key: int, intake: Intake, buffer: bytearray) -> None:
        start = intake.size
        data = bytes(buffer[:CHUNK_LENGTH_MAX])
        del buffer[: len(data)]
        if len(data) <= INLINE_LENGTH_MAX:
            packed = _digest(intake, data)
        else:
            packed = await asyncio.to_thread(_digest, intake, data)
        await self._core.journal.write(
            lambda connection: chunks.write(connection, BLOB_CHUNKS, key, start, packed)
        )

    def read(self, blob: BlobId, offset: int) -> AsyncIterator[bytes]:
        """See BlobReader.read_blob.

        Raises:
            MessageNotFound: there is no such content (any more).
        """
        core = self._core
        stored = blobs.find(core.journal.reader, core.account, blob)
        if stored is not None:
            return self._content.read(Place(BLOB_CHUNKS, stored.key, 0, stored.size), offset)
        body = bodies.find_content(core.store.reader, blob)
        if body is not None:
            return self._content.read(Place(BODY_CHUNKS, body.key, 0, body.size), offset)
        raise MessageNotFound(f"no blob {blob}")

    async def forget_old(self) -> None:
        """Forget uploads that nothing refers to and that have waited long enough."""
        core = self._core
        now_s = asyncio.get_running_loop().time()
        self._uploaded = {key: at_s for key, at_s in self._uploaded.items() if at_s > now_s}
        keep = {*self._uploaded, *self._coming, *self._content.pinned(BLOB_CHUNKS)}
        await core.journal.write(
            lambda connection: blobs.drop_unpinned(connection, core.account, keep)
        )


def _digest(intake: Intake, data: bytes) -> bytes:
    intake.feed(data)
    return chunks.pack(data)
