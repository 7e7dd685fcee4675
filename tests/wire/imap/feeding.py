"""Feed a sample whole, octet by octet and cut in two everywhere: all must give the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from mailferry.wire.imap.framing import FramingEvent, LiteralData, ResponseFramer

Result = TypeVar("Result")


def cuttings(sample: bytes) -> Iterator[list[bytes]]:
    yield [sample]
    yield [sample[i : i + 1] for i in range(len(sample))]
    for i in range(1, len(sample)):
        yield [sample[:i], sample[i:]]


def for_all_cuttings(sample: bytes, run: Callable[[list[bytes]], Result]) -> Result:
    """Return what `run` gives for the whole sample, after checking that cutting changes nothing."""
    results = [run(pieces) for pieces in cuttings(sample)]
    for result in results:
        assert result == results[0]
    return results[0]


def merged(events: list[FramingEvent]) -> list[FramingEvent]:
    """Join neighbouring data events: how they are cut depends on the feeding."""
    joined: list[FramingEvent] = []
    for event in events:
        last = joined[-1] if joined else None
        if isinstance(event, LiteralData) and isinstance(last, LiteralData):
            joined[-1] = LiteralData(last.data + event.data)
        else:
            joined.append(event)
    return joined


def respond(framer: ResponseFramer, pieces: list[bytes]) -> list[FramingEvent]:
    """Feed a client's framer; return the events."""
    events: list[FramingEvent] = []
    for piece in pieces:
        framer.feed(piece)
        while (event := framer.next_event()) is not None:
            events.append(event)
    return merged(events)
