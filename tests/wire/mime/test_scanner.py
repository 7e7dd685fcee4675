from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailferry.wire.mime.part import (
    FIELDS_LENGTH_MAX,
    HEADER_LENGTH_MAX,
    PART_COUNT_MAX,
    PART_DEPTH_MAX,
    PLAIN_TEXT,
    Part,
    from_plain,
    to_plain,
)
from mailferry.wire.mime.scanner import Scanner, scan
from mailferry.wire.mime.structure import body_structure
from tests.lab import corpus

# RFC 2046 §5.1.1, the example with a part that has no header and one that has.
RFC_EXAMPLE = b"""\
From: Nathaniel Borenstein <nsb@bellcore.com>
To: Ned Freed <ned@innosoft.com>
Date: Sun, 21 Mar 1993 23:56:48 -0800 (PST)
Subject: Sample message
MIME-Version: 1.0
Content-type: multipart/mixed; boundary="simple boundary"

This is the preamble.  It is to be ignored, though it
is a handy place for composition agents to include an
explanatory note to non-MIME conformant readers.

--simple boundary

This is implicitly typed plain US-ASCII text.
It does NOT end with a linebreak.
--simple boundary
Content-type: text/plain; charset=us-ascii

This is explicitly typed plain US-ASCII text.
It DOES end with a linebreak.

--simple boundary--

This is the epilogue.  It is also to be ignored.
""".replace(b"\n", b"\r\n")

MULTIPART = b"Content-Type: multipart/mixed; boundary="


def crlf(text: bytes) -> bytes:
    return text.replace(b"\n", b"\r\n")


def scan_in_pieces(message: bytes, cuts: list[int]) -> Part:
    scanner = Scanner()
    edges = [0, *sorted({min(cut, len(message)) for cut in cuts}), len(message)]
    for start, end in pairwise(edges):
        scanner.feed(message[start:end])
    return scanner.close()


def assert_sound(part: Part, start: int, end: int) -> None:
    """Ranges are in bounds, nested, in order, without overlap."""
    assert start <= part.header_start <= part.body_start <= part.end <= end
    assert 0 <= part.lines <= part.size
    position = part.body_start
    for child in part.parts:
        assert_sound(child, position, part.end)
        position = child.end


def octets(message: bytes, part: Part) -> bytes:
    return message[part.body_start : part.end]


def test_rfc_example() -> None:
    part = scan(RFC_EXAMPLE)
    assert part.content.parameter(b"boundary") == b"simple boundary"
    first, second = part.parts
    assert octets(RFC_EXAMPLE, first).endswith(b"It does NOT end with a linebreak.")
    assert octets(RFC_EXAMPLE, second).endswith(b"It DOES end with a linebreak.\r\n")
    assert (first.lines, second.lines) == (1, 2)
    assert first.content == PLAIN_TEXT
    assert part.end == len(RFC_EXAMPLE)


def test_any_line_ends_give_the_same_tree() -> None:
    bare = RFC_EXAMPLE.replace(b"\r\n", b"\n")
    part = scan(bare)
    assert [octets(bare, p) for p in part.parts] == [
        octets(RFC_EXAMPLE, p).replace(b"\r\n", b"\n") for p in scan(RFC_EXAMPLE).parts
    ]
    # Sizes are of the content as it is: one octet a line less.
    assert [p.size for p in part.parts] == [p.size - p.lines for p in scan(RFC_EXAMPLE).parts]


@pytest.mark.parametrize(
    ("message", "bodies"),
    [
        pytest.param(b"b\n\n--b\n\nx\n--b\n\ny\n", [b"x", b"y\r\n"], id="no closing line"),
        pytest.param(b"b\n\n--b junk\n\nx\n--bb\n\ny\n--b--z", [b"x", b"y"], id="only a prefix"),
        pytest.param(b"b\n\n --b\n--b\n\nx\n --b\n--b--", [b"x\r\n --b"], id="not at line start"),
        pytest.param(b"b\n\n--b\n\nx\n--b--\n--b\n\ny\n", [b"x"], id="after the closing line"),
        pytest.param(b"b\n\n--b\n--b\n\n\n--b--\n", [b"", b""], id="nothing in it"),
        pytest.param(b'"a--"\n\n--a--\n\nx\n--a----\n', [b"x"], id="boundary ends with dashes"),
        pytest.param(b'""\n\n--\n\nx\n--y\n\nz\n', [b"x", b"z\r\n"], id="empty boundary"),
        pytest.param(b"b\n--b\n\nx\n--b--\n", [], id="header never ends"),
        pytest.param(b"b\n\n--b", [], id="boundary is the end"),
        pytest.param(b"b\n\n--b\n", [b""], id="empty last part"),
        pytest.param(
            b"b\n\n--b\nA: 1\n--b\n\nx\n--b--", [b"", b"x"], id="header runs into boundary"
        ),
    ],
)
def test_bodies_of_parts(message: bytes, bodies: list[bytes]) -> None:
    message = MULTIPART + crlf(message)
    assert [octets(message, part) for part in scan(message).parts] == bodies


def test_an_outer_boundary_ends_everything_inside() -> None:
    message = crlf(
        MULTIPART + b"out\n\n--out\n" + MULTIPART + b"in\n\n--in\n\nx\n--out\n\ny\n--in\n--out--\n"
    )
    inner, last = scan(message).parts
    assert octets(message, inner.parts[0]) == b"x"
    assert octets(message, last) == b"y\r\n--in"


def test_the_innermost_of_equal_boundaries_counts() -> None:
    message = crlf(
        MULTIPART + b"b\n\n--b\n" + MULTIPART + b"b\n\n--b\n\nin\n--b--\n--b\n\nout\n--b--\n"
    )
    inner, outer = scan(message).parts
    assert octets(message, inner.parts[0]) == b"in"
    assert octets(message, outer) == b"out"


def test_a_message_in_a_message() -> None:
    message = crlf(
        b"Content-Type: message/rfc822\n\nSubject: in\nContent-Type: message/RFC822\n\n"
        b"From: a@b\n\nx\ny\n"
    )
    part = scan(message)
    middle = part.parts[0]
    innermost = middle.parts[0]
    assert (part.lines, middle.lines, innermost.lines) == (7, 4, 2)
    assert octets(message, innermost) == b"x\r\ny\r\n"
    assert innermost.envelope is not None
    assert b'"a" "b"' in innermost.envelope


def test_parts_of_a_digest_are_messages() -> None:
    message = crlf(
        b"Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: 1\n\nx\n"
        b"--b\nContent-Type: text/plain\n\ny\n--b--\n"
    )
    first, second = scan(message).parts
    assert first.content.is_message
    assert octets(message, first.parts[0]) == b"x"
    assert second.content == PLAIN_TEXT


def test_content_fields_without_mime_say_nothing() -> None:
    assert scan(b"Content-Transfer-Encoding: base64\r\n\r\n").content == PLAIN_TEXT
    encoding = scan(
        b"MIME-Version: 1.0\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    ).content.encoding
    assert encoding == b"base64"


def test_too_deep_is_opaque() -> None:
    levels = PART_DEPTH_MAX + 20
    message = b"".join(MULTIPART + b"%dx\r\n\r\n--%dx\r\n" % (i, i) for i in range(levels))
    parts = list(scan(message).walk())
    assert len(parts) == PART_DEPTH_MAX
    assert parts[-1].content.type == b"application"
    assert parts[-1].end == len(message)
    assert body_structure(parts[0]).startswith(b"((((")


def test_too_many_parts_are_one() -> None:
    message = MULTIPART + b"b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * (PART_COUNT_MAX + 100)
    parts = scan(message).parts
    assert len(parts) == PART_COUNT_MAX - 1
    assert parts[-1].size > 100 * len(b"--b\r\n\r\nx\r\n")


def test_past_the_length_of_a_header_fields_do_not_count() -> None:
    filler = b"X: " + b"y" * (HEADER_LENGTH_MAX // 4) + b"\r\n"
    message = b"Subject: first\r\n" + filler * 5 + b"To: a@b\r\n\r\nbody\r\n"
    part = scan(message)
    assert octets(message, part) == b"body\r\n"
    assert part.envelope is not None
    assert b'"first"' in part.envelope
    assert b'"a"' not in part.envelope


def test_kept_fields_are_limited_over_the_whole_message() -> None:
    long = b"Content-Description: " + b"y" * 100_000 + b"\r\n"
    count = FIELDS_LENGTH_MAX // 100_000 + 20
    message = MULTIPART + b"b\r\n\r\n" + (b"--b\r\n" + long + b"\r\nx\r\n") * count
    part = scan(message)
    assert len(part.parts) == count
    assert sum(len(p.content.description or b"") for p in part.parts) <= FIELDS_LENGTH_MAX


def test_memory_does_not_grow_with_the_message() -> None:
    scanner = Scanner()
    scanner.feed(MULTIPART + b"b\r\n\r\n--b\r\n\r\n")
    for chunk in (b"\n" * 65536, b"-" * 65536, b"\r\n-" * 20000, b"x" * 65536):
        for _ in range(50):
            scanner.feed(chunk)
            assert len(scanner._window) < 100
    header = Scanner()
    for _ in range(3 * HEADER_LENGTH_MAX // 65536):
        header.feed(b"X: y\r\n" * 10922)
        assert len(header._window) <= HEADER_LENGTH_MAX + 2 * 65536


FRAGMENTS = st.sampled_from(
    [
        b"\r\n",
        b"\n",
        b"\r",
        b"\r\n\r\n",
        b"--a",
        b"--a--",
        b"--ab",
        b"--ab--",
        b"--a\r\n",
        b"--a\r\n\r\n",
        b"--ab\r\n",
        b"--",
        b"-",
        b"\0",
        b" ",
        b"\xff",
        b"x",
        b"Content-Type: multipart/mixed; boundary=a\r\n",
        b"Content-Type: multipart/digest; boundary=ab\n",
        b"Content-Type: multipart/mixed;\r\n boundary*0=a; boundary*1=b\r\n",
        b"Content-Type: message/rfc822\r\n",
        b"Content-Type: text/plain; charset=x\r\n",
        b"Content-Type",
        b"MIME-Version: 1.0\r\n",
        b"From: a <b@c>, d:e;\r\n",
        b"Subject: =?utf-8?q?x?=\r\n y\r\n",
    ]
)
MESSAGES = st.one_of(st.lists(FRAGMENTS, max_size=40).map(b"".join), st.binary(max_size=300))


@given(MESSAGES, st.lists(st.integers(0, 1000), max_size=20))
def test_any_octets_in_any_chunks(message: bytes, cuts: list[int]) -> None:
    whole = scan(message)
    assert (whole.header_start, whole.end) == (0, len(message))
    assert_sound(whole, 0, len(message))
    assert whole.lines == message.count(b"\n", whole.body_start)
    for part in whole.walk():
        if part.content.is_text or part.content.is_message:
            assert part.lines == octets(message, part).count(b"\n")
    assert scan_in_pieces(message, cuts) == whole
    assert scan_in_pieces(message, list(range(len(message)))) == whole


@given(MESSAGES)
def test_a_stored_tree_is_the_tree(message: bytes) -> None:
    part = scan(message)
    assert from_plain(to_plain(part)) == part
    stored = msgspec.msgpack.encode(to_plain(part))
    assert from_plain(msgspec.msgpack.decode(stored)) == part


def test_real_mail_is_sound_and_the_same_in_odd_chunks() -> None:
    for number, mail in enumerate(corpus.mails()):
        if number >= 200:
            break
        for message in (mail.raw, mail.content):
            whole = scan(message)
            assert_sound(whole, 0, len(message))
            assert scan_in_pieces(message, list(range(0, len(message), 97))) == whole
            assert (
                from_plain(msgspec.msgpack.decode(msgspec.msgpack.encode(to_plain(whole)))) == whole
            )
