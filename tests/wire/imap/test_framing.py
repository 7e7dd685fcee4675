from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailferry.wire.errors import LocalProtocolError, RemoteProtocolError
from mailferry.wire.imap.framing import (
    CHUNK_LENGTH_MAX,
    COMMAND_LIMITS,
    RESPONSE_LIMITS,
    CommandFramer,
    FramingEvent,
    FramingLimits,
    FramingQuirk,
    Line,
    LineRefused,
    LiteralData,
    LiteralEnd,
    LiteralStart,
    ResponseFramer,
    StreamedLiteral,
)
from tests.wire.imap.feeding import for_all_cuttings, merged, respond

SMALL = FramingLimits(
    line_length_max=40,
    literal_kept_max=8,
    literal_count_max=3,
    literals_kept_total_max=12,
    literal_streamed_count_max=2,
    dropped_max=100,
)

RESPONSES = [
    (b"* OK IMAP4rev1 Service Ready\r\n", [Line(b"* OK IMAP4rev1 Service Ready", ())]),
    (b"\r\n", [Line(b"", ())]),
    (
        b"* 1 FETCH (X {5}\r\nhello Y {0}\r\n)\r\na1 OK\r\n",
        [Line(b"* 1 FETCH (X {5}\r\n Y {0}\r\n)", (b"hello", b"")), Line(b"a1 OK", ())],
    ),
    # Whatever is in a literal is data: line ends, markers, NUL.
    (b"* X ~{8}\r\n\r\n\0{3}\r\n \r\n", [Line(b"* X ~{8}\r\n ", (b"\r\n\0{3}\r\n",))]),
    # A bare LF or CR ends nothing.
    (b"* X a\nb\rc\r\n", [Line(b"* X a\nb\rc", ())]),
    # Free text that ends like a marker announces nothing ...
    (b"* OK see {12}\r\n* 1 EXISTS\r\n", [Line(b"* OK see {12}", ()), Line(b"* 1 EXISTS", ())]),
    (b"a1 NO [ALERT] {1}\r\n", [Line(b"a1 NO [ALERT] {1}", ())]),
    (b"+ {3}\r\n", [Line(b"+ {3}", ())]),
    # ... but a response code can hold a literal.
    (
        b"* NO [BADCHARSET ({5}\r\nUTF-8)] no\r\n",
        [Line(b"* NO [BADCHARSET ({5}\r\n)] no", (b"UTF-8",))],
    ),
    (
        b"* 2 FETCH (BODY[] {9}\r\n123456789 UID 7)\r\n",
        [
            LiteralStart(b"* 2 FETCH (BODY[] {9}\r\n", (), 9, True, False),
            LiteralData(b"123456789"),
            LiteralEnd(),
            Line(b"* 2 FETCH (BODY[] {9}\r\n UID 7)", (StreamedLiteral(9),)),
        ],
    ),
    # What no longer fits beside the others is streamed.
    (
        b"* X {8}\r\n12345678 {5}\r\n12345\r\n",
        [
            LiteralStart(b"* X {8}\r\n {5}\r\n", (b"12345678",), 5, True, False),
            LiteralData(b"12345"),
            LiteralEnd(),
            Line(b"* X {8}\r\n {5}\r\n", (b"12345678", StreamedLiteral(5))),
        ],
    ),
    # Limits: the line goes, its literals with it, the stream stays in step.
    (
        b"* " + b"x" * 39 + b" {4}\r\nA1\r\n y\r\na1 OK\r\n",
        [LineRefused(b"* " + b"x" * 38, "the line is too long"), Line(b"a1 OK", ())],
    ),
    (
        b"* {1}\r\na {1}\r\nb {1}\r\nc {2}\r\n\r\n end\r\na1 OK\r\n",
        [
            LineRefused(b"* {1}\r\n {1}\r\n {1}\r\n {2}\r\n", "too many literals"),
            Line(b"a1 OK", ()),
        ],
    ),
]


@pytest.mark.parametrize(("octets", "expected"), RESPONSES)
def test_responses(octets: bytes, expected: list[FramingEvent]) -> None:
    assert (
        for_all_cuttings(octets, lambda pieces: respond(ResponseFramer(SMALL), pieces)) == expected
    )


@pytest.mark.parametrize(("octets", "expected"), RESPONSES)
def test_responses_one_after_the_other(octets: bytes, expected: list[FramingEvent]) -> None:
    assert respond(ResponseFramer(SMALL), [octets + octets + b"* "]) == expected + expected


def test_third_large_literal_is_refused() -> None:
    large = b"{9}\r\n123456789"
    events = respond(ResponseFramer(SMALL), [b"* " + large + large + large + b"\r\na1 OK\r\n"])
    assert events[-2:] == [
        LineRefused(b"* {9}\r\n{9}\r\n{9}\r\n", "too many large literals"),
        Line(b"a1 OK", ()),
    ]


def test_chunks_are_limited() -> None:
    framer = ResponseFramer()
    length = 3 * CHUNK_LENGTH_MAX
    framer.feed(b"* 1 FETCH (BODY[] {%d}\r\n" % length + bytes(length) + b")\r\n")
    sizes = []
    while (event := framer.next_event()) is not None:
        if isinstance(event, LiteralData):
            sizes.append(len(event.data))
    assert sizes == [CHUNK_LENGTH_MAX] * 3


def test_endless_line_is_given_up() -> None:
    framer = ResponseFramer(SMALL)
    framer.feed(b"* " + b"x" * 300)
    with pytest.raises(RemoteProtocolError, match="too long"):
        framer.next_event()
    framer.feed(b"\r\n* OK\r\n")
    with pytest.raises(RemoteProtocolError):
        framer.next_event()


def test_rest_belongs_to_the_next_layer() -> None:
    framer = ResponseFramer()
    framer.feed(b"a1 OK Begin\r\n\x16\x03\x01")
    assert framer.next_event() == Line(b"a1 OK Begin", ())
    assert framer.take_rest() == b"\x16\x03\x01"
    assert framer.next_event() is None


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_quirk_bare_lf(line_end: bytes) -> None:
    octets = b"a1 X {3}\nabc\n".replace(b"\n", line_end)
    for piece in ([octets], [octets[i : i + 1] for i in range(len(octets))]):
        framer = ResponseFramer(quirks=frozenset({FramingQuirk.BARE_LF}))
        assert respond(framer, piece) == [Line(b"a1 X {3}\r\n", (b"abc",))]


# Commands: each literal is decided about.


def command(
    pieces: list[bytes], decisions: str, limits: FramingLimits = COMMAND_LIMITS
) -> list[FramingEvent]:
    """Feed a server's framer; take (k)eep, (s)tream or (r)efuse for the literals in turn."""
    framer = CommandFramer(limits)
    turns = iter(decisions)
    events: list[FramingEvent] = []
    for piece in pieces:
        framer.feed(piece)
        while (event := framer.next_event()) is not None:
            events.append(event)
            if not isinstance(event, LiteralStart):
                continue
            assert framer.next_event() is None, "nothing comes before the decision"
            match next(turns):
                case "k":
                    framer.keep()
                case "s":
                    framer.stream()
                case _:
                    framer.refuse("no room")
    return merged(events)


def without_starts(events: list[FramingEvent]) -> list[FramingEvent]:
    return [event for event in events if not isinstance(event, LiteralStart)]


COMMANDS = [
    # RFC 9051 §4.3: the client waits, the server lets it go on.
    (
        b"A001 LOGIN {11}\r\nFRED FOOBAR {7}\r\nfat man\r\n",
        "kk",
        [Line(b"A001 LOGIN {11}\r\n {7}\r\n", (b"FRED FOOBAR", b"fat man"))],
    ),
    # RFC 7888 §4.
    (
        b"A001 LOGIN {11+}\r\nFRED FOOBAR {7+}\r\nfat man\r\n",
        "kk",
        [Line(b"A001 LOGIN {11+}\r\n {7+}\r\n", (b"FRED FOOBAR", b"fat man"))],
    ),
    # A refused synchronising literal is not sent: the next octets are the next command.
    (
        b"a1 APPEND x {5}\r\na2 NOOP\r\n",
        "r",
        [LineRefused(b"a1 APPEND x {5}\r\n", "no room"), Line(b"a2 NOOP", ())],
    ),
    # A refused non-synchronising one comes all the same, and so does the rest of the line.
    (
        b"a1 APPEND x {9+}\r\na2 NOOP\r\n {2+}\r\n\r\n\r\na3 NOOP\r\n",
        "r",
        [LineRefused(b"a1 APPEND x {9+}\r\n", "no room"), Line(b"a3 NOOP", ())],
    ),
    (
        b"a1 APPEND x ~{5+}\r\nab\0cd\r\n",
        "s",
        [
            LiteralData(b"ab\0cd"),
            LiteralEnd(),
            Line(b"a1 APPEND x ~{5+}\r\n", (StreamedLiteral(5),)),
        ],
    ),
    (
        b"a1 APPEND x {0}\r\n\r\n",
        "s",
        [LiteralEnd(), Line(b"a1 APPEND x {0}\r\n", (StreamedLiteral(0),))],
    ),
]


@pytest.mark.parametrize(("octets", "decisions", "expected"), COMMANDS)
def test_commands(octets: bytes, decisions: str, expected: list[FramingEvent]) -> None:
    events = for_all_cuttings(octets, lambda pieces: command(pieces, decisions))
    assert without_starts(events) == expected


def test_literal_that_does_not_fit_is_refused_by_keep() -> None:
    framer = CommandFramer(SMALL)
    framer.feed(b"a1 X {9}\r\na2 Y {9+}\r\n123456789 z\r\na3 NOOP\r\n")
    assert isinstance(framer.next_event(), LiteralStart)
    assert not framer.keep()
    assert framer.next_event() == LineRefused(b"a1 X {9}\r\n", "the literal is too long")
    assert isinstance(framer.next_event(), LiteralStart)
    assert not framer.keep()
    assert framer.next_event() == LineRefused(b"a2 Y {9+}\r\n", "the literal is too long")
    assert framer.next_event() == Line(b"a3 NOOP", ())


def test_line_too_long_that_ends_in_a_literal_stays_in_step() -> None:
    long = b"a1 " + b"x" * 60
    for marker, rest in [(b"{9+}", b"a9 LOGOUT\r\n"), (b"{9}", b"")]:
        framer = CommandFramer(SMALL)
        framer.feed(long + b" " + marker + b"\r\n" + rest + b"a2 NOOP\r\n")
        refused = framer.next_event()
        assert isinstance(refused, LineRefused)
        assert refused.text.startswith(long[:40])
        assert framer.next_event() == Line(b"a2 NOOP", ())


def test_stream_can_be_given_up_in_the_middle() -> None:
    framer = CommandFramer()
    framer.feed(b"a1 APPEND x {10}\r\n12345")
    assert isinstance(framer.next_event(), LiteralStart)
    framer.stream()
    assert framer.next_event() == LiteralData(b"12345")
    framer.refuse("disk full")
    framer.feed(b"67890 {3+}\r\nabc\r\na2 NOOP\r\n")
    assert framer.next_event() == LineRefused(b"a1 APPEND x {10}\r\n", "disk full")
    assert framer.next_event() == Line(b"a2 NOOP", ())


def test_dropping_has_a_limit() -> None:
    framer = CommandFramer(SMALL)
    framer.feed(b"a1 X {101+}\r\n")
    framer.next_event()
    framer.refuse("no room")
    with pytest.raises(RemoteProtocolError):
        framer.next_event()


def test_decisions_need_a_literal() -> None:
    framer = CommandFramer()
    for decide in (framer.keep, framer.stream, lambda: framer.refuse("no")):
        with pytest.raises(LocalProtocolError):
            decide()


@given(st.lists(st.binary(max_size=12) | st.sampled_from([b"\r\n", b" {3}\r\n", b"{2+}\r\n"])))
def test_any_octets_are_cut_or_refused(pieces: list[bytes]) -> None:
    tight = dataclasses.replace(SMALL, dropped_max=10_000)
    sample = b"".join(pieces)
    whole = respond(ResponseFramer(tight), [sample])
    apart = respond(ResponseFramer(tight), [sample[i : i + 1] for i in range(len(sample))])
    assert apart == whole
    for event in whole:
        if isinstance(event, Line):
            assert len(event.text) <= tight.line_length_max + 3 * 2
            assert sum(len(x) for x in event.literals if isinstance(x, bytes)) <= 12


@given(st.lists(st.binary(max_size=100)))
def test_literals_come_through_unchanged(values: list[bytes]) -> None:
    octets = b"* X" + b"".join(b" {%d}\r\n%b" % (len(v), v) for v in values) + b"\r\n"
    (line,) = respond(ResponseFramer(RESPONSE_LIMITS), [octets])
    assert isinstance(line, Line)
    assert line.literals == tuple(values)
