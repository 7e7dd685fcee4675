"""What a server says, from the examples of the RFCs, and what servers say that no RFC allows."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailferry.wire.errors import RemoteProtocolError
from mailferry.wire.imap.fetch_parser import parse_fetch_before_literal
from mailferry.wire.imap.framing import Line, LiteralStart, ResponseFramer, StreamedLiteral
from mailferry.wire.imap.quirks import Quirk
from mailferry.wire.imap.response_parser import ResponseParser
from mailferry.wire.imap.responses import (
    Capabilities,
    Continuation,
    Enabled,
    Exists,
    Expunged,
    ExtendedSearch,
    Fetch,
    FetchedSection,
    Flags,
    ListEntry,
    MailboxStatusItems,
    Namespace,
    Namespaces,
    Other,
    Recent,
    Response,
    ResponseCode,
    Search,
    ServerId,
    Status,
    StatusKind,
    Tagged,
    Vanished,
)


def parse(octets: bytes) -> tuple[Response, frozenset[Quirk]]:
    framer = ResponseFramer()
    framer.feed(octets + b"\r\n")
    line = framer.next_event()
    assert isinstance(line, Line)
    parser = ResponseParser()
    return parser.parse(line), parser.quirks.met


OK, NO = StatusKind.OK, StatusKind.NO

EXAMPLES: list[tuple[bytes, Response]] = [
    # Status responses: RFC 9051 §7.1, RFC 4315 §3, RFC 7162, RFC 8474 §4.
    (b"* OK IMAP4rev2 server ready", Status(OK, "IMAP4rev2 server ready")),
    (b"* BYE Autologout", Status(StatusKind.BYE, "Autologout")),
    (b"A1 NO [OVERQUOTA] Sorry", Tagged(b"A1", Status(NO, "Sorry", ResponseCode("OVERQUOTA")))),
    (b"A001 BAD what?", Tagged(b"A001", Status(StatusKind.BAD, "what?"))),
    (b"* OK [UIDVALIDITY 3857] v", Status(OK, "v", ResponseCode("UIDVALIDITY", (3857,)))),
    (
        b"* OK [PERMANENTFLAGS (\\Deleted \\*)] Limited",
        Status(OK, "Limited", ResponseCode("PERMANENTFLAGS", ([b"\\Deleted", b"\\*"],))),
    ),
    (
        b"A003 OK [APPENDUID 38505 3955] APPEND completed",
        Tagged(b"A003", Status(OK, "APPEND completed", ResponseCode("APPENDUID", (38505, 3955)))),
    ),
    (
        b"A004 OK [COPYUID 38505 304,319:320 3956:3958] Done",
        Tagged(
            b"A004",
            Status(OK, "Done", ResponseCode("COPYUID", (38505, b"304,319:320", b"3956:3958"))),
        ),
    ),
    (b"* OK [MAILBOXID (F22)] Ok", Status(OK, "Ok", ResponseCode("MAILBOXID", ([b"F22"],)))),
    (
        b'* NO [BADCHARSET ("A]" B)] no',
        Status(NO, "no", ResponseCode("BADCHARSET", ([b"A]", b"B"],))),
    ),
    (b"* OK [just text", Status(OK, "[just text")),
    (b"+ idling", Continuation(b"idling")),
    (b"+ ", Continuation(b"")),
    # Data: RFC 9051 §7.2-7.4 and the extensions.
    (
        b"* CAPABILITY IMAP4rev1 Idle AUTH=PLAIN",
        Capabilities(frozenset({"IMAP4REV1", "IDLE", "AUTH=PLAIN"})),
    ),
    (b"* CAPABILITY STATUS=SIZE", Capabilities(frozenset({"STATUS=SIZE"}))),
    (b"* ENABLED CONDSTORE QRESYNC", Enabled(frozenset({"CONDSTORE", "QRESYNC"}))),
    (b"* ENABLED", Enabled(frozenset())),
    (
        b'* LIST (\\Noselect) "/" ~/Mail/foo',
        ListEntry(name=b"~/Mail/foo", delimiter=b"/", attributes=frozenset({"\\Noselect"})),
    ),
    (b"* LIST () NIL INBOX", ListEntry(name=b"INBOX", delimiter=None, attributes=frozenset())),
    (b'* LIST () "." 2026', ListEntry(name=b"2026", delimiter=b".", attributes=frozenset())),
    (b'* LIST () "." 007', ListEntry(name=b"007", delimiter=b".", attributes=frozenset())),
    (b'* LIST () "." NIL', ListEntry(name=b"NIL", delimiter=b".", attributes=frozenset())),
    (
        b'* LIST () "/" {7}\r\nfoo"bar',
        ListEntry(name=b'foo"bar', delimiter=b"/", attributes=frozenset()),
    ),
    (b'* LIST () "\\\\" a', ListEntry(name=b"a", delimiter=b"\\", attributes=frozenset())),
    (
        b'* LSUB () "." #news.comp',
        ListEntry(name=b"#news.comp", delimiter=b".", attributes=frozenset(), lsub=True),
    ),
    (
        b'* LIST (\\NonExistent) "/" "n" ("OLDNAME" ("o"))',
        ListEntry(
            name=b"n", delimiter=b"/", attributes=frozenset({"\\NonExistent"}), old_name=b"o"
        ),
    ),
    (
        b"* STATUS blurdybloop (MESSAGES 231 UIDNEXT 44292)",
        MailboxStatusItems(b"blurdybloop", {"MESSAGES": 231, "UIDNEXT": 44292}),
    ),
    (b"* STATUS foo (MAILBOXID (F2-a))", MailboxStatusItems(b"foo", {"MAILBOXID": "F2-a"})),
    (b"* SEARCH 2 84 882", Search((2, 84, 882))),
    (b"* SEARCH", Search(())),
    (b"* SEARCH 2 5 (MODSEQ 917162500)", Search((2, 5))),
    (
        b'* ESEARCH (TAG "A282") UID MIN 2 COUNT 3 ALL 2,10:11',
        ExtendedSearch(tag=b"A282", uid=True, min=2, count=3, all=((2, 2), (10, 11))),
    ),
    (b"* ESEARCH (TAG a) UID ALL 43", ExtendedSearch(tag=b"a", uid=True, all=((43, 43),))),
    (b'* ESEARCH (TAG "A283") ALL 2', ExtendedSearch(tag=b"A283", all=((2, 2),))),
    (b'* ESEARCH (TAG "A284") UID', ExtendedSearch(tag=b"A284", uid=True)),
    (b"* VANISHED (EARLIER) 41,43:116", Vanished(((41, 41), (43, 116)), earlier=True)),
    (b"* VANISHED 405", Vanished(((405, 405),), earlier=False)),
    (
        b'* NAMESPACE (("" "/")) NIL (("#shared/" "/" "X" ("a"))("#p" NIL))',
        Namespaces(
            (Namespace(b"", b"/"),), (), (Namespace(b"#shared/", b"/"), Namespace(b"#p", None))
        ),
    ),
    (
        b'* ID ("name" "Cyrus" "os-version" NIL)',
        ServerId({"name": "Cyrus"}),
    ),
    (b"* ID NIL", ServerId({})),
    (b"* FLAGS (\\Seen $Junk)", Flags(frozenset({"\\Seen", "$Junk"}))),
    (b"* 23 EXISTS", Exists(23)),
    (b"* 5 RECENT", Recent(5)),
    (b"* 44 EXPUNGE", Expunged(44)),
    (b"* THREAD (2)(3 6)", Other("THREAD")),
    (b"* 7 RENUMBERED", Other("RENUMBERED")),
]

FETCHES: list[tuple[bytes, Fetch]] = [
    (
        b"(UID 4 MODSEQ (917) FLAGS (\\Seen))",
        Fetch(sequence=1, uid=4, modseq=917, flags=frozenset({"\\Seen"})),
    ),
    (b"(FLAGS () UID 4 MODSEQ (9))", Fetch(sequence=1, uid=4, modseq=9, flags=frozenset())),
    (
        b"(UID 4 FLAGS (\\Seen a) RFC822.SIZE 44827)",
        Fetch(sequence=1, uid=4, flags=frozenset({"\\Seen", "a"}), size=44827),
    ),
    (
        b'(INTERNALDATE "17-Jul-1996 02:44:25 -0700" EMAILID (M6d) THREADID (T64))',
        Fetch(
            sequence=1,
            internal_date=b"17-Jul-1996 02:44:25 -0700",
            email_id="M6d",
            thread_id="T64",
        ),
    ),
    (
        b"(THREADID NIL X-GM-MSGID 1278455344230334865)",
        Fetch(sequence=1, email_id="1278455344230334865"),
    ),
    (
        b"(BODY[] {5}\r\nhello BODY[1.mime]<0> NIL)",
        Fetch(
            sequence=1,
            sections=(FetchedSection("", None, b"hello"), FetchedSection("1.MIME", 0, None)),
        ),
    ),
    (
        b'(BODY[HEADER.FIELDS (Date "X Y")] "Date: x\r" UID 9)'.replace(b"\r", b""),
        Fetch(
            sequence=1,
            uid=9,
            sections=(FetchedSection('HEADER.FIELDS (DATE "X Y")', None, b"Date: x"),),
        ),
    ),
    (b"(BODY[]<512> 42)", Fetch(sequence=1, sections=(FetchedSection("", 512, b"42"),))),
    (
        b'(ENVELOPE ("d" "s" NIL NIL NIL NIL NIL NIL NIL "<i@x>"))',
        Fetch(sequence=1, envelope=b'("d" "s" NIL NIL NIL NIL NIL NIL NIL "<i@x>")'),
    ),
    (
        b'(BODYSTRUCTURE ("TEXT" "PLAIN" NIL NIL NIL "7BIT" 3 1))',
        Fetch(sequence=1, body_structure=b'("TEXT" "PLAIN" NIL NIL NIL "7BIT" 3 1)'),
    ),
    (b"(FLAGS (\\Seen) NEW-ITEM (1 (2)))", Fetch(sequence=1, flags=frozenset({"\\Seen"}))),
]


def _octets_id(value: object) -> str:
    """Name a case by its octets: what holds a set prints in another order in every process."""
    return str(value)[:40] if isinstance(value, bytes) else "value"


@pytest.mark.parametrize(("octets", "expected"), EXAMPLES, ids=_octets_id)
def test_examples(octets: bytes, expected: Response) -> None:
    response, quirks = parse(octets)
    assert response == expected
    assert not quirks


@pytest.mark.parametrize(("items", "expected"), FETCHES, ids=_octets_id)
def test_fetch(items: bytes, expected: Fetch) -> None:
    response, quirks = parse(b"* 1 FETCH " + items)
    assert response == expected
    assert not quirks


QUIRKS: list[tuple[Quirk, bytes, Response]] = [
    (Quirk.MISSING_TEXT, b"a1 OK", Tagged(b"a1", Status(OK))),
    (Quirk.MISSING_TEXT, b"* OK [CLOSED]", Status(OK, "", ResponseCode("CLOSED"))),
    (Quirk.EMPTY_CONTINUATION, b"+", Continuation(b"")),
    (Quirk.SUPERFLUOUS_SPACE, b"* SEARCH 1 2 ", Search((1, 2))),
    (
        Quirk.SUPERFLUOUS_SPACE,
        b"* STATUS x  (MESSAGES 1 )",
        MailboxStatusItems(b"x", {"MESSAGES": 1}),
    ),
    (
        Quirk.SUPERFLUOUS_SPACE,
        b"* CAPABILITY IMAP4rev1 ",
        Capabilities(frozenset({"IMAP4REV1"})),
    ),
    (
        Quirk.MODSEQ_ZERO,
        b"* OK [HIGHESTMODSEQ 0] none",
        Status(OK, "none", ResponseCode("HIGHESTMODSEQ", (0,))),
    ),
    (Quirk.NOT_A_NUMBER, b"* 1 FETCH (RFC822.SIZE -1)", Fetch(sequence=1)),
    (Quirk.NOT_A_NUMBER, b"* STATUS x (UNSEEN NIL)", MailboxStatusItems(b"x", {})),
    (Quirk.UNREADABLE_RESPONSE, b"* 1 FETCH (FLAGS (", Other("1")),
    (Quirk.UNREADABLE_RESPONSE, b"* LIST ()", Other("LIST")),
    (Quirk.UNREADABLE_RESPONSE, b"* VANISHED 1:*", Other("VANISHED")),
    (Quirk.WRONG_ENVELOPE, b"* 1 FETCH (UID 2 ENVELOPE NIL)", Fetch(sequence=1, uid=2)),
    (Quirk.WRONG_BODY_STRUCTURE, b"* 1 FETCH (BODYSTRUCTURE (NIL))", Fetch(sequence=1)),
    (
        Quirk.NIL_ENCODING,
        b'* 1 FETCH (BODYSTRUCTURE ("a" "b" NIL NIL NIL NIL 3))',
        Fetch(sequence=1, body_structure=b'("a" "b" NIL NIL NIL "7BIT" 3)'),
    ),
]


@pytest.mark.parametrize(("quirk", "octets", "expected"), QUIRKS)
def test_quirks(quirk: Quirk, octets: bytes, expected: Response) -> None:
    response, quirks = parse(octets)
    assert response == expected
    assert quirks == {quirk}


@pytest.mark.parametrize("octets", [b"", b" OK x", b"a1", b"a1 FINE", b"hello there"])
def test_what_is_no_response(octets: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        parse(octets)


def test_what_stands_before_a_streamed_literal() -> None:
    start = LiteralStart(
        b"* 12 FETCH (UID 34 FLAGS () BODY[2]<65536> {300000}\r\n",
        (),
        300_000,
        synchronising=False,
        binary=False,
    )
    fetch = parse_fetch_before_literal(start)
    assert fetch is not None
    assert (fetch.sequence, fetch.uid) == (12, 34)
    assert fetch.sections == (FetchedSection("2", 65536, StreamedLiteral(300_000)),)


@pytest.mark.parametrize(
    "text",
    [
        b'* LIST () "/" {300000}\r\n',
        b"* OK [X {300000}\r\n",
        b"* 1 FETCH (ENVELOPE (NIL {300000}\r\n",
        b"* 1 FETCH {300000}\r\n",
    ],
)
def test_a_streamed_literal_that_is_no_section(text: bytes) -> None:
    start = LiteralStart(text, (), 300_000, synchronising=False, binary=False)
    assert parse_fetch_before_literal(start) is None


@given(st.binary(max_size=100))
def test_any_line_is_a_response_or_refused(octets: bytes) -> None:
    line = octets.replace(b"\r", b"").replace(b"\n", b"")
    for text in (line, b"* " + line, b"* 1 FETCH (" + line, b"a1 OK [" + line):
        with contextlib.suppress(RemoteProtocolError):
            ResponseParser().parse(Line(text, ()))
