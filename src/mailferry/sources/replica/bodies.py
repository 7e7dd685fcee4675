"""Bodies: from here where they are here, else from the server, fetched once for all who ask.

A section of a message whose whole content is here is cut from it, as long as our parse is the
server's: what a mail program was told of the structure is the server's word.  Where the two differ,
sections come from the server.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import Final

from mailferry import observe
from mailferry.mail.errors import (
    MailError,
    MessageNotFound,
    SectionNotFound,
    SourceUnavailable,
    StorageFull,
)
from mailferry.mail.mailbox import MailboxId
from mailferry.mail.message import (
    HEADER,
    HEADER_LENGTH_MAX,
    TEXT,
    WHOLE,
    Body,
    MessageId,
    Section,
    SummaryItem,
)
from mailferry.sources.replica.content import Content, Place, in_memory
from mailferry.sources.replica.core import Core
from mailferry.sources.replica.download import Download, note_agreement
from mailferry.sources.replica.intake import unpack_tree
from mailferry.sources.replica.listing import Listing
from mailferry.store import blobs, bodies, chunks, identifiers, view
from mailferry.store.chunks import BLOB_CHUNKS, BODY_CHUNKS
from mailferry.store.database import Connection
from mailferry.wire.mime.part import Part
from mailferry.wire.mime.sections import section_range

AHEAD_COUNT_MAX: Final = (
    16  # Bodies fetched ahead of time at once, so small ones share round trips...
)
AHEAD_OCTETS_MAX: Final = 1024 * 1024  # ...as long as they are no more than this together.
ADOPTED_CHUNKS: Final = 16  # Chunks copied in one unit: 1 MiB of content.

_log = observe.logger(__name__)


class Bodies:
    """The content of an account's messages."""

    def __init__(self, core: Core, content: Content, listing: Listing) -> None:
        self._core = core
        self._content = content
        self._listing = listing
        self._downloads: dict[tuple[int, Section], Download] = {}
        self._used: dict[int, None] = {}

    async def body(
        self, mailbox: MailboxId, message: MessageId, section: Section, offset: int
    ) -> Body:
        """See MailSource.body."""
        core = self._core
        box = core.shown_box(mailbox)
        if not view.is_shown(core.store.reader, box.id, message):
            raise MessageNotFound(f"message {message} is not in mailbox {mailbox}")
        section = Section(section.upper())
        if section == HEADER and (header := await self._header(box.id, message)) is not None:
            return Body(len(header), in_memory(header, offset))
        place = await self._here(message, section)
        if place is not None:
            if place.table is BODY_CHUNKS:
                self._note_use(place.key)
            return Body(place.size, self._content.read(place, offset))
        download = self.download(message, section)
        with download.held():
            size = await download.size()
            return Body(size, self._follow(download, offset))

    async def _follow(self, download: Download, offset: int) -> AsyncIterator[bytes]:
        with download.held():
            async for chunk in download.read(offset):
                yield chunk

    # What is here

    async def _header(self, mailbox: int, message: int) -> bytes | None:
        """Return the header, fetched if need be; None when it has to be cut from the content."""
        store = self._core.store
        what = frozenset({SummaryItem.HEADER})
        found = view.summaries(store.reader, mailbox, [message], what, store.flags)[message]
        if found.header is None and self._whole(message) is None:
            await self._listing.fetch([message], what)
            found = view.summaries(store.reader, mailbox, [message], what, store.flags)[message]
        if found.header is None or len(found.header) >= HEADER_LENGTH_MAX:
            return None
        return found.header

    async def _here(self, message: int, section: Section) -> Place | None:
        for wanted in (section, WHOLE):
            arriving = self._downloads.get((message, wanted))
            if arriving is not None and arriving.all_arrived:
                await arriving.end()  # It is about to be named, and to be served from here.
        stored = bodies.find(self._core.store.reader, message, section)
        if stored is not None and stored.whole:
            return Place(BODY_CHUNKS, stored.key, 0, stored.size)
        whole = self._whole(message)
        if whole is None or section == WHOLE:
            return whole
        tree = self._tree(whole)
        if tree is None or not await self._is_trusted(message, tree, section):
            return None
        found = section_range(tree, section)
        if found is None:
            raise SectionNotFound(f"message {message} has no section {section}")
        return whole.part(*found)

    def whole_with_tree(self, message: int) -> tuple[Place, Part] | None:
        """Return where the whole content is, and its tree; None when it is not here."""
        whole = self._whole(message)
        tree = None if whole is None else self._tree(whole)
        return None if whole is None or tree is None else (whole, tree)

    def _whole(self, message: int) -> Place | None:
        core = self._core
        stored = bodies.find(core.store.reader, message, WHOLE)
        if stored is not None and stored.whole:
            return Place(BODY_CHUNKS, stored.key, 0, stored.size)
        blob = self._blob_of(message)
        if blob is None:
            return None
        return Place(BLOB_CHUNKS, blob, 0, blobs.get(core.journal.reader, blob).size)

    def _blob_of(self, message: int) -> int | None:
        """Return the blob that a message was made of, itself or as a copy of one."""
        core = self._core
        mapped = identifiers.messages(core.journal.reader, [message]).get(message)
        if mapped is not None and mapped.blob is not None:
            return mapped.blob
        birth = core.pending.birth_of(message)
        return self._blob_of(birth[1].original) if birth and birth[1].original else None

    def _tree(self, whole: Place) -> Part | None:
        core = self._core
        if whole.table is BLOB_CHUNKS:
            return unpack_tree(blobs.description(core.journal.reader, whole.key).tree)
        packed = bodies.tree(core.store.reader, whole.key)
        return None if packed is None else unpack_tree(packed)

    async def _is_trusted(self, message: int, tree: Part, section: Section) -> bool:
        """Whether a section may be cut by our tree."""
        if section in {HEADER, TEXT}:
            return True
        agrees = bodies.parse_agrees(self._core.store.reader, message)
        if agrees is None:
            agrees = await note_agreement(self._core, message, tree)
        return agrees is not False

    # From the server

    def download(self, message: int, section: Section) -> Download:
        """Return the one download of a section, begun if it is not under way."""
        key = (message, section)
        download = self._downloads.get(key)
        if download is None or download.ended:
            self._downloads = {
                each: found for each, found in self._downloads.items() if not found.ended
            }
            download = self._downloads[key] = Download(self._core, self._content, message, section)
            download.start()
        return download

    async def run(self) -> None:
        """Fetch bodies ahead of time, as the account's policy says, newest first."""
        core = self._core
        while True:
            core.bodies_wanted.clear()
            await core.line.ready()
            try:
                while await self._fetch_some():
                    pass
            except MailError as exc:
                _log.info("bodies interrupted reason=%s", exc)
                if exc.temporary and not isinstance(exc, StorageFull):
                    continue
            await core.bodies_wanted.wait()

    async def _fetch_some(self) -> bool:
        """Fetch the next bodies that are wanted; return False when none are."""
        core, settings = self._core, self._core.settings
        found = view.wanted_bodies(core.store.reader, limit=AHEAD_COUNT_MAX)
        limit = settings.body_length_max
        refused = [
            message for _, message, size in found if limit is not None and (size or 0) > limit
        ]
        chosen: list[int] = []
        octets = 0
        for _, message, size in found:
            if message in refused or (chosen and octets + (size or 0) > AHEAD_OCTETS_MAX):
                continue
            octets += size or 0
            chosen.append(message)
        if chosen and not self._has_room(octets):
            return False
        done = await self._fetch(chosen)
        await core.store.write(lambda connection: bodies.unwant(connection, refused + done))
        await self.make_room()
        return bool(found)

    async def _fetch(self, messages: list[int]) -> list[int]:
        """Fetch bodies together; return those that need not be tried again."""
        done: list[int] = []
        first_error: MailError | None = None
        downloads = [(message, self.download(message, WHOLE)) for message in messages]
        with ExitStack() as holding:
            for _, download in downloads:
                holding.enter_context(download.held())
            for message, download in downloads:
                try:
                    await download.end()
                    done.append(message)
                except MailError as exc:
                    if not exc.temporary:
                        done.append(message)
                    else:
                        first_error = first_error or exc
        if first_error is not None and not done:
            raise first_error
        return done

    # Room

    def _has_room(self, octets: int) -> bool:
        limit = self._core.settings.stored_octets_max
        return limit is None or bodies.stored_octets(self._core.store.reader) + octets <= limit

    def _note_use(self, body: int) -> None:
        self._used.pop(body, None)
        self._used[body] = None

    async def make_room(self) -> None:
        """Drop what nobody refers to, and what was not used for longest where room is short."""
        limit = self._core.settings.stored_octets_max
        used, self._used = list(self._used), {}
        pinned = self._content.pinned(BODY_CHUNKS)

        def unit(connection: Connection) -> None:
            bodies.note_use(connection, used)
            if limit is not None and bodies.stored_octets(connection) > limit:
                bodies.drop_orphans(connection, pinned)
                bodies.evict(connection, limit, pinned)

        if used or limit is not None:
            await self._core.store.write(unit)

    async def drop_orphans(self) -> None:
        """Drop what nobody refers to."""
        pinned = self._content.pinned(BODY_CHUNKS)
        pinned.update(each.key for each in self._downloads.values() if not each.ended)
        await self._core.store.write(lambda connection: bodies.drop_orphans(connection, pinned))

    # What was made here

    async def adopt(self, message: int, blob: int) -> None:
        """Take the content of a message made here over from the journal.

        Where there is no room, it can be had from the server like any other.
        """
        try:
            await self._adopt(message, blob)
        except StorageFull as exc:
            _log.warning("content not kept message=%d reason=%s", message, exc)

    async def _adopt(self, message: int, blob: int) -> None:
        core = self._core
        stored = blobs.get(core.journal.reader, blob)
        same = bodies.find_content(core.store.reader, stored.id)
        if same is not None:
            await core.store.write(
                lambda connection: bodies.attach(connection, message, WHOLE, same.key)
            )
            return
        key = await core.store.write(
            lambda connection: bodies.begin(connection, message, WHOLE, stored.size)
        )
        with self._content.pin(BODY_CHUNKS, key):
            start = 0
            while start < stored.size:
                start = await self._copy_chunks(blob, key, start, stored.size)
            tree = blobs.description(core.journal.reader, blob).tree
            await core.store.write(
                lambda connection: bodies.finish(connection, key, stored.id, tree)
            )

    async def _copy_chunks(self, blob: int, body: int, start: int, size: int) -> int:
        core = self._core
        packed = chunks.read_packed(
            core.journal.reader, BLOB_CHUNKS, blob, start, limit=ADOPTED_CHUNKS
        )
        if not packed:
            raise SourceUnavailable("the content has a hole")
        return await core.store.write(
            lambda connection: bodies.add_packed(connection, body, packed, size)
        )
