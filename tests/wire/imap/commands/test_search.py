from __future__ import annotations

from datetime import date

import pytest

from mailferry.wire.imap import sequence_set
from mailferry.wire.imap.commands.search import (
    NESTING_MAX,
    SEARCH_CHARSETS,
    AllMessages,
    AllOf,
    BodyKey,
    DateKey,
    EitherOf,
    Field,
    FlagKey,
    HeaderKey,
    LargerKey,
    ModseqKey,
    NotKey,
    NumbersKey,
    Relation,
    Search,
    SearchKey,
    SearchReturn,
    SmallerKey,
    TextKey,
    UidKey,
)
from tests.wire.imap.commands.parsing import parsed, refused

FEBRUARY = date(1994, 2, 1)
SEEN = FlagKey("\\Seen")
RECENT = FlagKey("\\Recent")
FLAGGED = FlagKey("\\Flagged")


def key(words: bytes) -> SearchKey:
    command = parsed(b"SEARCH " + words)
    assert isinstance(command, Search)
    if not words.startswith(b"CHARSET"):
        assert command == parsed(b"SEARCH (" + words + b")")
    return command.key


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (b"ALL", AllMessages()),
        (b"ANSWERED", FlagKey("\\Answered")),
        (b"BCC joe", HeaderKey("Bcc", "joe")),
        (b"BEFORE 1-Feb-1994", DateKey(Field.INTERNAL_DATE, Relation.BEFORE, FEBRUARY)),
        (b'BODY "a b"', BodyKey("a b")),
        (b"CC joe", HeaderKey("Cc", "joe")),
        (b"DELETED", FlagKey("\\Deleted")),
        (b"DRAFT", FlagKey("\\Draft")),
        (b"FLAGGED", FLAGGED),
        (b"FROM joe", HeaderKey("From", "joe")),
        (b'HEADER Message-ID "<x@y>"', HeaderKey("Message-ID", "<x@y>")),
        (b'HEADER X-Foo ""', HeaderKey("X-Foo", "")),
        (b"KEYWORD $Junk", FlagKey("$Junk")),
        (b"LARGER 50000", LargerKey(50000)),
        (b"NEW", AllOf((RECENT, NotKey(SEEN)))),
        (b"NOT SEEN", NotKey(SEEN)),
        (b"OLD", NotKey(RECENT)),
        (b'ON "1-Feb-1994"', DateKey(Field.INTERNAL_DATE, Relation.ON, FEBRUARY)),
        (b"OR SEEN FLAGGED", EitherOf(SEEN, FLAGGED)),
        (b"RECENT", RECENT),
        (b"seen", SEEN),
        (b"SENTBEFORE 01-Feb-1994", DateKey(Field.SENT_DATE, Relation.BEFORE, FEBRUARY)),
        (b"SENTON 1-Feb-1994", DateKey(Field.SENT_DATE, Relation.ON, FEBRUARY)),
        (b"SENTSINCE 1-Feb-1994", DateKey(Field.SENT_DATE, Relation.SINCE, FEBRUARY)),
        (b"SINCE 1-Feb-1994", DateKey(Field.INTERNAL_DATE, Relation.SINCE, FEBRUARY)),
        (b"SMALLER 4096", SmallerKey(4096)),
        (b"SUBJECT x", HeaderKey("Subject", "x")),
        (b'TEXT "string not in mailbox"', TextKey("string not in mailbox")),
        (b"TO x", HeaderKey("To", "x")),
        (b"UID 1:*", UidKey(sequence_set.parse(b"1:*"))),
        (b"UNANSWERED", NotKey(FlagKey("\\Answered"))),
        (b"UNDELETED", NotKey(FlagKey("\\Deleted"))),
        (b"UNDRAFT", NotKey(FlagKey("\\Draft"))),
        (b"UNFLAGGED", NotKey(FLAGGED)),
        (b"UNKEYWORD $Junk", NotKey(FlagKey("$Junk"))),
        (b"UNSEEN", NotKey(SEEN)),
        (b"*:4,5:7", NumbersKey(sequence_set.parse(b"*:4,5:7"))),
        (b"MODSEQ 620162338", ModseqKey(620162338)),
        (b'MODSEQ "/flags/\\\\draft" all 620162338', ModseqKey(620162338)),
        # RFC 9051 §6.4.4, RFC 7162 §3.1.5.
        (
            b'FLAGGED SINCE 1-Feb-1994 NOT FROM "Smith"',
            AllOf(
                (
                    FLAGGED,
                    DateKey(Field.INTERNAL_DATE, Relation.SINCE, FEBRUARY),
                    NotKey(HeaderKey("From", "Smith")),
                )
            ),
        ),
        (
            b"OR NOT MODSEQ 720162338 LARGER 50000",
            EitherOf(NotKey(ModseqKey(720162338)), LargerKey(50000)),
        ),
        (
            b"OR (SEEN 1) (FLAGGED)",
            EitherOf(AllOf((SEEN, NumbersKey(sequence_set.parse(b"1")))), FLAGGED),
        ),
        (b"NOT (NOT SEEN)", NotKey(NotKey(SEEN))),
        ("SUBJECT {6}\r\n日本".encode(), HeaderKey("Subject", "日本")),
    ],
)
def test_keys(words: bytes, expected: SearchKey) -> None:
    assert key(words) == expected


@pytest.mark.parametrize(
    ("charset", "text"),
    [
        ("UTF-8", "日本語"),
        ("ISO-2022-JP", "日本語"),
        ("shift_jis", "日本語"),
        ("EUC-JP", "日本語"),
        ("KOI8-R", "привет"),
        ("ISO-8859-1", "Bücher"),
        ("GB18030", "中文"),
        ("US-ASCII", "plain"),
    ],
)
def test_charsets(charset: str, text: str) -> None:
    octets = text.encode(charset)
    words = b"CHARSET %b SUBJECT {%d}\r\n%b" % (charset.encode(), len(octets), octets)
    assert key(words) == HeaderKey("Subject", text)


def test_every_charset_is_known_to_python() -> None:
    for charset in SEARCH_CHARSETS:
        assert "abc".encode(charset).decode(charset) == "abc"


def test_unknown_charset() -> None:
    fault = refused(b"SEARCH CHARSET rot13 TEXT a")
    assert fault.response.startswith(b"a1 NO [BADCHARSET (US-ASCII UTF-8 ")
    refused(b"SEARCH CHARSET US-ASCII TEXT {1}\r\n\xfc")
    refused(b"SEARCH TEXT {1}\r\n\xfc")


@pytest.mark.parametrize(
    ("words", "returns"),
    [
        (b"SEARCH RETURN (MIN COUNT) FLAGGED", {SearchReturn.MIN, SearchReturn.COUNT}),
        (b"SEARCH RETURN () FLAGGED", {SearchReturn.ALL}),
        (b"SEARCH return (max all) CHARSET UTF-8 FLAGGED", {SearchReturn.MAX, SearchReturn.ALL}),
        (b"SEARCH FLAGGED", None),
    ],
)
def test_returns(words: bytes, returns: set[SearchReturn] | None) -> None:
    expected = None if returns is None else frozenset(returns)
    assert parsed(words) == Search(by_uid=False, key=FLAGGED, returns=expected)
    assert parsed(b"UID " + words) == Search(by_uid=True, key=FLAGGED, returns=expected)


def test_nesting_is_limited() -> None:
    deep = NESTING_MAX - 1
    parsed(b"SEARCH " + b"NOT " * deep + b"SEEN")
    parsed(b"SEARCH " + b"(" * deep + b"SEEN" + b")" * deep)
    parsed(b"SEARCH " + b"OR SEEN " * deep + b"SEEN")
    for words in [b"NOT " * 1000 + b"SEEN", b"(" * 1000, b"OR SEEN " * 1000 + b"SEEN"]:
        assert refused(b"SEARCH " + words).words == "the search nests too deep"
    # Many keys side by side are no depth.
    parsed(b"SEARCH" + b" NOT SEEN" * 1000)


@pytest.mark.parametrize(
    "words",
    [
        b"SEARCH",
        b"SEARCH ",
        b"SEARCH FOO",
        b"SEARCH ()",
        b"SEARCH NOT",
        b"SEARCH OR SEEN",
        b"SEARCH (SEEN",
        b"SEARCH FROM",
        b"SEARCH HEADER x",
        b"SEARCH LARGER x",
        b"SEARCH BEFORE yesterday",
        b"SEARCH BEFORE 31-Feb-1994",
        b"SEARCH KEYWORD (x)",
        b"SEARCH UID SEEN",
        b"SEARCH 0",
        b"SEARCH $",
        b"SEARCH CHARSET UTF-8",
        b"SEARCH RETURN MIN SEEN",
        b"SEARCH RETURN (SAVE) SEEN",
        b"SEARCH RETURN (MIN)",
        b"SEARCH RETURNED SEEN",
        b'SEARCH MODSEQ "/flags/x" foo 1',
        b"SEARCH MODSEQ x",
    ],
)
def test_refused(words: bytes) -> None:
    refused(words)
