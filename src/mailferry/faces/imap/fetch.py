"""FETCH and UID FETCH (RFC 9051 §6.4.5): summaries in batches, sections as streams.

What is asked about many messages is asked of the source in batches, never one by one; what can be
large goes from the source to the client in chunks and is never held whole.

A fetch that marks as read does so at its end, in one operation about those messages whose bodies
were handed over whole (docs/rule.md, 7), and tells the new flags before its tagged line.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from mailferry.faces.imap import fetch_items
from mailferry.faces.imap.chunks import closing
from mailferry.faces.imap.errors import refusal
from mailferry.faces.imap.fetch_items import Plan
from mailferry.faces.imap.replies import Answer, LineUnusable, No
from mailferry.faces.imap.state import SessionState
from mailferry.mail.errors import (
    MailError,
    MessageNotFound,
    SectionNotFound,
    SourceUnavailable,
)
from mailferry.mail.message import HEADER_LENGTH_MAX, SEEN, Body, Summary
from mailferry.mail.operation import SetFlags
from mailferry.wire.imap.commands.fetch import BodySection, Fetch
from mailferry.wire.imap.serialize import literal, literal_marker

SUMMARIES_STEP: Final = 500  # Messages in one question to the source: some 500 kB of answers.
HEADERS_STEP: Final = 100  # The same when whole headers are asked for: usually 10 kB each.
STREAMED_STEP: Final = 20  # The same before sections are streamed, which takes its time.
BODY_ATTEMPTS_MAX: Final = 5  # How often a body that broke off is taken up again without progress.


async def fetch(state: SessionState, command: Fetch) -> Answer:
    """Answer FETCH or UID FETCH."""
    view = state.selected
    plan = Plan.of(command, read_only=view.read_only)
    positions = state.positions(command.messages, by_uid=command.by_uid)
    answering = _Answering(state, plan)
    for step in _steps(positions, plan):
        await answering.answer(step)
    await answering.mark_read()
    return answering.end()


def _steps(positions: Sequence[range], plan: Plan) -> Iterator[range]:
    size = SUMMARIES_STEP
    if plan.has_headers:
        size = HEADERS_STEP
    if plan.streams:
        size = STREAMED_STEP
    for span in positions:
        for first in range(span.start, span.stop, size):
            yield range(first, min(first + size, span.stop))


class _Answering:
    """One FETCH being answered."""

    def __init__(self, state: SessionState, plan: Plan) -> None:
        self._state = state
        self._plan = plan
        self._view = state.selected
        self._out = state.out
        self._read: list[int] = []
        """Positions of messages whose bodies went out whole and that are not marked as read."""
        self._gone = False
        self._failure: MailError | None = None

    async def answer(self, step: range) -> None:
        """Answer for the messages at some positions."""
        summaries = await self._summaries(step)
        self._gone = self._gone or len(summaries) < len(step)
        for position, summary in summaries:
            counts_as_read = await self._answer_one(position, summary)
            if counts_as_read and SEEN not in (summary.flags or ()):
                self._read.append(position)
            await self._out.room()

    async def _summaries(self, step: range) -> list[tuple[int, Summary]]:
        view = self._view
        position_of = {view.id(at): at for at in step if not view.is_gone(at)}
        if not self._plan.what:
            return [(at, Summary(id=id_, uid=view.uid(at))) for id_, at in position_of.items()]
        found: list[tuple[int, Summary]] = []
        asked = self._state.source.summaries(view.mailbox, list(position_of), self._plan.what)
        async with closing(asked) as batches:
            async for batch in batches:
                found += [(position_of[each.id], each) for each in batch]
        return found

    async def _answer_one(self, position: int, summary: Summary) -> bool:
        """Answer for one message; return whether a body went out whole that counts as read."""
        response = _Response(self._state, position, summary)
        failure: MailError | None = None
        try:
            for item in self._plan.items:
                written = fetch_items.written(item, self._view, summary)
                if written is not None:
                    response.add(written)
                elif isinstance(item, BodySection):
                    await response.stream(item)
                else:
                    raise SourceUnavailable("not here, and out of reach")
        except MessageNotFound as exc:
            failure = exc
            self._gone = True
        except MailError as exc:
            failure = self._failure = exc
        response.end(failed=failure is not None)
        return self._plan.marks_read and failure is None

    async def mark_read(self) -> None:
        """Stage that what was handed over has been read, and tell the new flags."""
        if not self._read:
            return
        view, state = self._view, self._state
        staged = await state.stage_about(
            [range(at, at + 1) for at in self._read],
            lambda messages: [
                SetFlags(
                    id=state.operation_id(),
                    mailbox=view.mailbox,
                    messages=messages,
                    add=frozenset({SEEN}),
                )
            ],
        )
        for each in staged:
            await state.tell_flags(each.updated)

    def end(self) -> Answer:
        """Return how the command ended."""
        if self._failure is not None:
            refused = refusal(self._failure)
            raise No(refused.text, code=refused.code)
        # Never NO because of removed messages: some clients then ask the same for ever.
        if self._gone:
            return Answer(b"[EXPUNGEISSUED] FETCH completed; some messages have been removed")
        return Answer(b"FETCH completed")


class _Response:
    """`* n FETCH (...)`, which begins to be sent only once its first section is there."""

    def __init__(self, state: SessionState, position: int, summary: Summary) -> None:
        self._state = state
        self._view = state.selected
        self._message = summary.id
        self._held = bytearray(b"* %d FETCH (" % (position + 1))
        self._is_empty = True
        self._begun = False

    def add(self, item: bytes) -> None:
        """Add an item with its value."""
        if not self._is_empty:
            self._held += b" "
        self._held += item
        self._is_empty = False

    def end(self, *, failed: bool) -> None:
        """Say the end; when it failed before anything was said, say nothing at all."""
        if self._begun or not failed:
            self._held += b")\r\n"
            self._let_go()

    def _let_go(self) -> None:
        self._state.out.put(bytes(self._held))
        self._held.clear()
        self._begun = True

    async def stream(self, section: BodySection) -> None:
        """Add a section straight from the source.

        Raises:
            MailError: it could not be opened; what was added before may still be ended.
        """
        if fetch_items.needs_filter(section):
            await self._filter(section)
            return
        first, length_max = section.partial or (0, None)
        wanted = fetch_items.source_section(section)
        try:
            body = await self._state.source.body(self._view.mailbox, self._message, wanted, first)
        except SectionNotFound:
            self.add(section.response_name() + b" NIL")
            return
        length = max(0, body.size - first)
        if length_max is not None:
            length = min(length, length_max)
        self.add(b"%b %b" % (section.response_name(), literal_marker(length)))
        self._let_go()
        await self._send(section, body, first, length)

    async def _send(self, section: BodySection, body: Body, first: int, length: int) -> None:
        """Send `length` octets of a section whose marker is out: nothing else may follow it."""
        reached = 0
        attempts = 0
        while reached < length:
            before = reached
            try:
                async with closing(body.chunks) as chunks:
                    async for chunk in chunks:
                        piece = chunk[: length - reached]
                        reached += len(piece)
                        self._state.out.put(piece)
                        await self._state.out.room()
                        if reached == length:
                            return
                if reached == before:
                    raise SourceUnavailable("the section ended before its end")
            except MailError as exc:
                attempts = attempts + 1 if reached == before else 1
                if attempts >= BODY_ATTEMPTS_MAX or not exc.temporary:
                    raise LineUnusable(type(exc).__name__) from exc
            body = await self._reopened(section, first + reached)

    async def _reopened(self, section: BodySection, offset: int) -> Body:
        wanted = fetch_items.source_section(section)
        try:
            return await self._state.source.body(self._view.mailbox, self._message, wanted, offset)
        except MailError as exc:
            raise LineUnusable(type(exc).__name__) from exc

    async def _filter(self, section: BodySection) -> None:
        """Add fields of the header of a message inside the message."""
        wanted = fetch_items.source_section(section)
        header = bytearray()
        try:
            body = await self._state.source.body(self._view.mailbox, self._message, wanted)
        except SectionNotFound:
            self.add(section.response_name() + b" NIL")
            return
        async with closing(body.chunks) as chunks:
            async for chunk in chunks:
                header += chunk
                if len(header) >= HEADER_LENGTH_MAX:
                    break
        data = fetch_items.filtered(section, bytes(header))
        data = fetch_items.cut(data, section.partial)
        self.add(b"%b %b" % (section.response_name(), literal(data)))
