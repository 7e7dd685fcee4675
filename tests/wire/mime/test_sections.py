from __future__ import annotations

import pytest

from mailferry.wire.mime.scanner import scan
from mailferry.wire.mime.sections import section_range

# The shape of the example of RFC 3501 §6.4.5: a multipart with texts, a message with parts, and a
# multipart in that message.
MESSAGE = (
    b"Subject: out\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n"
    b"--o\r\nContent-Type: text/plain\r\n\r\none\r\n"
    b"--o\r\nContent-Type: application/octet-stream\r\n\r\ntwo\r\n"
    b"--o\r\nContent-Type: message/rfc822\r\n\r\n"
    b"Subject: in\r\nContent-Type: multipart/mixed; boundary=i\r\n\r\n"
    b"--i\r\nContent-Type: text/plain\r\n\r\nthree-one\r\n"
    b"--i\r\n\r\nthree-two\r\n--i--\r\n"
    b"\r\n--o\r\nContent-Type: multipart/mixed; boundary=m\r\n\r\n"
    b"--m\r\nContent-Type: image/gif\r\n\r\nfour-one\r\n"
    b"--m\r\nContent-Type: message/rfc822\r\n\r\nSubject: deep\r\n\r\nfour-two\r\n--m--\r\n"
    b"\r\n--o--\r\n"
)
INNER_TEXT = (
    b"--i\r\nContent-Type: text/plain\r\n\r\nthree-one\r\n--i\r\n\r\nthree-two\r\n--i--\r\n"
)
INNER_HEADER = b"Subject: in\r\nContent-Type: multipart/mixed; boundary=i\r\n\r\n"


@pytest.mark.parametrize(
    ("section", "octets"),
    [
        ("", MESSAGE),
        ("HEADER", MESSAGE[: MESSAGE.index(b"--o")]),
        ("header", MESSAGE[: MESSAGE.index(b"--o")]),
        ("TEXT", MESSAGE[MESSAGE.index(b"--o") :]),
        ("1", b"one"),
        ("1.MIME", b"Content-Type: text/plain\r\n\r\n"),
        ("2", b"two"),
        ("3", INNER_HEADER + INNER_TEXT),
        ("3.MIME", b"Content-Type: message/rfc822\r\n\r\n"),
        ("3.HEADER", INNER_HEADER),
        ("3.TEXT", INNER_TEXT),
        ("3.1", b"three-one"),
        ("3.1.MIME", b"Content-Type: text/plain\r\n\r\n"),
        ("3.2", b"three-two"),
        ("3.2.MIME", b"\r\n"),
        ("4.MIME", b"Content-Type: multipart/mixed; boundary=m\r\n\r\n"),
        ("4.1", b"four-one"),
        ("4.2", b"Subject: deep\r\n\r\nfour-two"),
        ("4.2.HEADER", b"Subject: deep\r\n\r\n"),
        ("4.2.1", b"four-two"),
        ("4.2.1.MIME", b"Subject: deep\r\n\r\n"),
    ],
)
def test_sections(section: str, octets: bytes) -> None:
    found = section_range(scan(MESSAGE), section)
    assert found is not None
    assert MESSAGE[slice(*found)] == octets


@pytest.mark.parametrize(
    "section",
    [
        "0",
        "5",
        "1.1",
        "1.HEADER",
        "1.TEXT",
        "4.HEADER",
        "3.3",
        "4.2.2",
        "4.2.1.1",
        "MIME",
        "HEADER.FIELDS",
        "1.",
        ".1",
        "1..1",
        "x",
        "1 ",
        "99999999999999999999",
    ],
)
def test_no_such_section(section: str) -> None:
    assert section_range(scan(MESSAGE), section) is None


def test_a_message_that_is_no_multipart_is_its_own_part_1() -> None:
    message = b"Subject: x\r\n\r\nbody\r\n"
    part = scan(message)
    assert section_range(part, "1") == section_range(part, "TEXT") == (14, 20)
    assert section_range(part, "1.MIME") == section_range(part, "HEADER") == (0, 14)
    assert section_range(part, "1.1") is None


def test_a_message_that_is_a_message() -> None:
    message = b"Content-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nbody\r\n"
    part = scan(message)
    for section, octets in (
        ("1", b"Subject: in\r\n\r\nbody\r\n"),
        ("1.HEADER", b"Subject: in\r\n\r\n"),
        ("1.TEXT", b"body\r\n"),
        ("1.1", b"body\r\n"),
    ):
        found = section_range(part, section)
        assert found is not None
        assert message[slice(*found)] == octets
