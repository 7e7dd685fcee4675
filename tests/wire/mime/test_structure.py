from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailferry.wire.mime.address import Address, parse_addresses
from mailferry.wire.mime.content import parse_content
from mailferry.wire.mime.scanner import scan
from mailferry.wire.mime.structure import body, body_structure, envelope
from tests.wire.mime.oracle import tree_of

# RFC 3501 §8: the message of the sample session and the server's answers.
RFC_MESSAGE = (
    b"Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\r\n"
    b"From: Terry Gray <gray@cac.washington.edu>\r\n"
    b"Subject: IMAP4rev1 WG mtg summary and minutes\r\n"
    b"To: imap@cac.washington.edu\r\n"
    b"cc: minutes@CNRI.Reston.VA.US, John Klensin <KLENSIN@MIT.EDU>\r\n"
    b"Message-Id: <B27397-0100000@cac.washington.edu>\r\n"
    b"MIME-Version: 1.0\r\n"
    b"Content-Type: TEXT/PLAIN; CHARSET=US-ASCII\r\n\r\n" + b"x" * 70 + b"\r\n"
)
RFC_ENVELOPE = (
    b'("Wed, 17 Jul 1996 02:23:25 -0700 (PDT)" '
    b'"IMAP4rev1 WG mtg summary and minutes" '
    b'(("Terry Gray" NIL "gray" "cac.washington.edu")) '
    b'(("Terry Gray" NIL "gray" "cac.washington.edu")) '
    b'(("Terry Gray" NIL "gray" "cac.washington.edu")) '
    b'((NIL NIL "imap" "cac.washington.edu")) '
    b'((NIL NIL "minutes" "CNRI.Reston.VA.US")'
    b'("John Klensin" NIL "KLENSIN" "MIT.EDU")) NIL NIL '
    b'"<B27397-0100000@cac.washington.edu>")'
)


def test_rfc_sample_session() -> None:
    part = scan(RFC_MESSAGE)
    assert envelope(part) == RFC_ENVELOPE
    assert body(part) == b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 72 1)'


def test_a_structure_with_everything() -> None:
    message = (
        b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\nContent-Language: en, ja\r\n\r\n"
        b"--b\r\nContent-Type: Text/HTML; charset=utf-8; format=flowed\r\nContent-ID: <1@x>\r\n"
        b"Content-Description: a\r\n  description\r\nContent-Transfer-Encoding: Base64\r\n"
        b"Content-MD5: Q2hlY2s=\r\nContent-Location: http://x/\r\n"
        b'Content-Disposition: inline; filename="a \\"b\\".html"\r\n\r\nx\r\ny\r\n'
        b"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nz\r\n--b--\r\n"
    )
    text = b'("Text" "HTML" ("charset" "utf-8" "format" "flowed") "<1@x>" "a  description" "Base64" 4 1'
    inner = b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 1 0'
    rfc822 = (
        b'("message" "rfc822" NIL NIL NIL "7bit" 16 (NIL "in" NIL NIL NIL NIL NIL NIL NIL NIL) '
    )
    assert body(scan(message)) == b"(" + text + b")" + rfc822 + inner + b') 2) "mixed")'
    assert body_structure(scan(message)) == (
        b"(" + text + b' "Q2hlY2s=" ("inline" ("filename" "a \\"b\\".html")) NIL "http://x/")'
        b"" + rfc822 + inner + b" NIL NIL NIL NIL) 2 NIL NIL NIL NIL)"
        b' "mixed" ("boundary" "b") NIL ("en" "ja") NIL)'
    )


def test_a_multipart_without_parts_tells_an_empty_one() -> None:
    message = b"Content-Type: multipart/mixed\r\n\r\nx"
    assert body(scan(message)) == (
        b'(("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0) "mixed")'
    )


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (b"plain", b'"plain"'),
        (b'"quoted" \\', b'"\\"quoted\\" \\\\"'),
        (b" two\r\n\t lines  ", b'"two lines"'),
        (b"\xe3\x81\x82", b"{3}\r\n\xe3\x81\x82"),
        (b"a\0b", b"{5}\r\na\xef\xbf\xbdb"),
        (b"", b'""'),
    ],
)
def test_subjects(value: bytes, told: bytes) -> None:
    assert envelope(scan(b"Subject: " + value + b"\r\n\r\n")).startswith(b"(NIL " + told + b" NIL")


def told(*items: bytes | None) -> Address:
    name, route, mailbox, host = items
    return Address(name, route, mailbox, host)


ADDRESSES = [
    # RFC 5322 Appendix A.1.2, A.1.3, A.5 and A.6.1.
    (
        b'"Joe Q. Public" <john.q.public@example.com>',
        [told(b"Joe Q. Public", None, b"john.q.public", b"example.com")],
    ),
    (
        b"Mary Smith <mary@x.test>, jdoe@example.org, Who? <one@y.test>",
        [
            told(b"Mary Smith", None, b"mary", b"x.test"),
            told(None, None, b"jdoe", b"example.org"),
            told(b"Who?", None, b"one", b"y.test"),
        ],
    ),
    (
        b'<boss@nil.test>, "Giant; \\"Big\\" Box" <sysservices@example.net>',
        [
            told(None, None, b"boss", b"nil.test"),
            told(b'Giant; "Big" Box', None, b"sysservices", b"example.net"),
        ],
    ),
    (
        b"A Group:Ed Jones <c@a.test>,joe@where.test,John <jdoe@one.test>;",
        [
            told(None, None, b"A Group", None),
            told(b"Ed Jones", None, b"c", b"a.test"),
            told(None, None, b"joe", b"where.test"),
            told(b"John", None, b"jdoe", b"one.test"),
            told(None, None, None, None),
        ],
    ),
    (
        b"Undisclosed recipients:;",
        [told(None, None, b"Undisclosed recipients", None), told(None, None, None, None)],
    ),
    (
        b"Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>",
        [told(b"Pete", None, b"pete", b"silly.test")],
    ),
    (
        b"Joe <@node1.test,@node2.test:joe@example.org>",
        [told(b"Joe", b"@node1.test,@node2.test", b"joe", b"example.org")],
    ),
    # What the grammar does not allow.
    (b"a@b (Some One)", [told(b"Some One", None, b"a", b"b")]),
    (b"Some One", [told(b"Some One", None, b"MISSING_MAILBOX", b"MISSING_DOMAIN")]),
    (b"someone", [told(None, None, b"someone", b"MISSING_DOMAIN")]),
    (b"a <b", [told(b"a", None, b"b", b"SYNTAX_ERROR")]),
    (b"a <>", [told(b"a", None, b"MISSING_MAILBOX", b"MISSING_DOMAIN")]),
    (b"<@x>", [told(None, b"INVALID_ROUTE", b"MISSING_MAILBOX", b"MISSING_DOMAIN")]),
    (b"a..b@c., .d@e", [told(None, None, b"a..b", b"c."), told(None, None, b".d", b"e")]),
    (b"a@[1.2.3.4]", [told(None, None, b"a", b"[1.2.3.4]")]),
    (b"", []),
    (b" (only a comment) ", []),
]


@pytest.mark.parametrize(("value", "addresses"), ADDRESSES)
def test_addresses(value: bytes, addresses: list[Address]) -> None:
    assert parse_addresses(value) == addresses


@pytest.mark.parametrize(
    ("value", "parameters"),
    [
        (b'a/b; x=y; z="q w"', ((b"x", b"y"), (b"z", b"q w"))),
        (b'a/b; x="a\\"b"; y=', ((b"x", b'a"b'), (b"y", b""))),
        (b"a/b;; x=y", ()),
        (b"a/b; x y; z=1", ((b"z", b"1"),)),
        (b"a/b; x==?utf-8?q?y?=; z=1", ((b"x", b"=?utf-8?q?y?="), (b"z", b"1"))),
        # RFC 2231 §3, §4, §4.1.
        (
            b'message/external-body; URL*0="ftp://"; URL*1="cs.utk.edu"',
            ((b"URL", b"ftp://cs.utk.edu"),),
        ),
        (
            b"application/x-stuff; title*=us-ascii'en-us'This%20is",
            ((b"title*", b"us-ascii'en-us'This%20is"),),
        ),
        (
            b"a/b; t*0*=us-ascii'en'This%20is; t*1*=%20even%20; t*2=\"50% isn't\"",
            ((b"t*", b"us-ascii'en'This%20is%20even%2050%25 isn't"),),
        ),
        (b"a/b; t*0=a; t*2=c", ((b"t*0", b"a"), (b"t*2", b"c"))),
    ],
)
def test_parameters(value: bytes, parameters: tuple[tuple[bytes, bytes], ...]) -> None:
    assert parse_content({b"content-type": value}).parameters == parameters


@given(st.binary(max_size=100), st.text('a@b.<>,;:()"\\[] \t\n', max_size=60))
def test_any_header_gives_what_imap_can_hold(octets: bytes, special: str) -> None:
    for value in (octets, special.encode()):
        message = b"\r\n".join(
            name + b": " + value
            for name in (
                b"From",
                b"To",
                b"Subject",
                b"Date",
                b"Content-Type",
                b"Content-Disposition",
            )
        )
        part = scan(message + b"\r\n\r\n")
        for told_form in (envelope(part), body(part), body_structure(part)):
            assert b"\0" not in told_form
            assert len(tree_of(told_form)) == 1


@pytest.mark.parametrize(
    ("value", "encoding"),
    [
        (b"(c) Base64 (d)", b"Base64"),
        (b"base64 foo", b"7bit"),
        (b"base64;", b"7bit"),
        (b"", b"7bit"),
        (b"base64 (never ends", b"7bit"),
    ],
)
def test_encodings(value: bytes, encoding: bytes) -> None:
    assert parse_content({b"content-transfer-encoding": value}).encoding == encoding


@pytest.mark.parametrize(
    ("value", "type_", "subtype"),
    [
        (b"Text / HTML", b"Text", b"HTML"),
        (b"text", b"text", b""),
        (b"text/plain garbage; charset=x", b"text", b"plain"),
        (b"(never ends", b"", b""),
        (b"text/plain (never ends", b"text", b"plain"),
    ],
)
def test_types(value: bytes, type_: bytes, subtype: bytes) -> None:
    content = parse_content({b"content-type": value})
    assert (content.type, content.subtype) == (type_, subtype)


@pytest.mark.parametrize(
    ("value", "languages"),
    [
        (b"en, de (x), fr", (b"en", b"de", b"fr")),
        (b"en de", (b"en",)),
        (b",en", ()),
        (b"en (x", (b"en",)),
    ],
)
def test_languages(value: bytes, languages: tuple[bytes, ...]) -> None:
    assert parse_content({b"content-language": value}).language == languages


@pytest.mark.parametrize(
    ("value", "disposition", "parameters"),
    [
        (b"attachment; filename=x", b"attachment", ((b"filename", b"x"),)),
        (b";filename=x", b"", ((b"filename", b"x"),)),
        (b"attachment (never ends", b"attachment", ()),
        (b'attachment; filename="never ends', b"attachment", ()),
    ],
)
def test_dispositions(
    value: bytes, disposition: bytes, parameters: tuple[tuple[bytes, bytes], ...]
) -> None:
    content = parse_content({b"content-disposition": value})
    assert (content.disposition, content.disposition_parameters) == (disposition, parameters)


@pytest.mark.parametrize(
    "broken", [b"(", b"a@b, (", b'"', b'a "', b"a@[", b"a.(", b"a@b.(", b'"a" (', b"g: ("]
)
def test_what_never_ends_is_not_lost(broken: bytes) -> None:
    addresses = parse_addresses(b"x@y, " + broken)
    assert addresses[0] == told(None, None, b"x", b"y")
    assert len(addresses) > 1
