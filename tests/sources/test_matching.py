from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from mailferry.mail.message import FLAGGED, LISTED_FIELDS, SEEN, Flag, MessageId
from mailferry.mail.query import (
    And,
    BodyContains,
    Everything,
    HasFlag,
    HeaderContains,
    InternalDate,
    LargerThan,
    ModseqAtLeast,
    Not,
    Or,
    Query,
    Relation,
    SentDate,
    SmallerThan,
    TextContains,
    UidIn,
)
from mailferry.sources.matching import Content, Found, Matcher, search
from mailferry.sources.verdict import Match
from mailferry.wire.mime.header import select_fields
from mailferry.wire.mime.scanner import scan

BODY = (
    "来週の打ち合わせは、東京で行います。\r\nfull-width: ＡＢＣ half-width: ｶﾀｶﾅ\r\n"
    "spread over\r\ntwo lines"
)

MESSAGE = (
    b"Received: by relay.example; Tue, 2 Nov 2021 00:00:00 +0000\r\n"
    b"Date: Mon, 1 Nov 2021 23:30:00 -0500\r\n"
    b"From: =?iso-2022-jp?B?"
    b"GyRCOzNFREJATzobKEI=?= <taro@example.jp>\r\n"
    b"Subject: Re: =?utf-8?b?5Lya6K2w44Gu5Lu2?=\r\n"
    b"MIME-Version: 1.0\r\n"
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    b"--b\r\nContent-Type: text/plain; charset=Shift_JIS\r\n\r\n"
    + BODY.encode("cp932")
    + b"\r\n--b\r\nContent-Type: application/pdf\r\n"
    b"Content-Disposition: attachment; filename*=utf-8''%e8%a6%8b%e7%a9%8d.pdf\r\n\r\n%PDF\r\n--b--\r\n"
)

ID = MessageId(7)
YES, NO, UNKNOWN = Match.YES, Match.NO, Match.UNKNOWN


@dataclass
class Kept:
    """A message of a source that has as much of it as the test says, and notes what was asked for."""

    octets: bytes = MESSAGE
    id: MessageId = ID
    uid: int = 42
    flags: frozenset[Flag] = frozenset({SEEN})
    modseq: int = 10
    internal_date: datetime | None = datetime(2021, 11, 3, 1, tzinfo=timezone(timedelta(hours=9)))
    size: int | None = 1000
    has: frozenset[str] = frozenset({"listed", "header", "content"})
    asked: list[str] = field(default_factory=list)

    def _ask(self, what: str) -> bool:
        self.asked.append(what)
        return what in self.has

    async def listed_fields(self) -> bytes | None:
        names = [name.encode() for name in LISTED_FIELDS]
        return select_fields(self._header(), names) if self._ask("listed") else None

    async def header(self) -> bytes | None:
        return self._header() if self._ask("header") else None

    async def content(self) -> Content | None:
        return Content(scan(self.octets), self._chunks()) if self._ask("content") else None

    def _header(self) -> bytes:
        return self.octets[: scan(self.octets).body_start]

    async def _chunks(self) -> AsyncGenerator[bytes, None]:
        try:
            for start in range(0, len(self.octets), 50):
                yield self.octets[start : start + 50]
        finally:
            self.asked.append("closed")


async def matched(query: Query, message: Kept | None = None) -> Match:
    return await Matcher(query).match(message or Kept())


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (Everything(), YES),
        (HasFlag(SEEN), YES),
        (HasFlag(FLAGGED), NO),
        (UidIn(((1, 10), (40, 42))), YES),
        (UidIn(()), NO),
        (LargerThan(999), YES),
        (LargerThan(1000), NO),
        (SmallerThan(1000), NO),
        (SmallerThan(1001), YES),
        (ModseqAtLeast(10), YES),
        (ModseqAtLeast(11), NO),
        # The day where the message arrived, whatever it was elsewhere.
        (InternalDate(Relation.ON, date(2021, 11, 3)), YES),
        (InternalDate(Relation.BEFORE, date(2021, 11, 3)), NO),
        (InternalDate(Relation.SINCE, date(2021, 11, 3)), YES),
        # The day as it is written.
        (SentDate(Relation.ON, date(2021, 11, 1)), YES),
        (SentDate(Relation.BEFORE, date(2021, 11, 2)), YES),
        (SentDate(Relation.SINCE, date(2021, 11, 2)), NO),
    ],
)
async def test_facts_and_dates(query: Query, expected: Match) -> None:
    assert await matched(query) is expected
    assert await matched(Not(query)) is (NO if expected is YES else YES)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (HeaderContains("Subject", "会議"), YES),
        (HeaderContains("SUBJECT", "re: 会"), YES),
        (HeaderContains("subject", "打ち合わせ"), NO),
        (HeaderContains("From", "山田太郎"), YES),
        (HeaderContains("From", "TARO@example"), YES),
        (HeaderContains("X-None", ""), NO),
        (HeaderContains("Received", ""), YES),
        (HeaderContains("Content-Disposition", "見積"), NO),
        (BodyContains("打ち合わせ"), YES),
        (BodyContains("東京"), YES),
        (BodyContains("大阪"), NO),
        (BodyContains("会議"), NO),
        (BodyContains("見積"), NO),
        (BodyContains("abc half-WIDTH: カタカナ"), YES),
        (BodyContains("over two"), YES),
        (BodyContains(""), YES),
        (TextContains("会議"), YES),
        (TextContains("東京"), YES),
        (TextContains("見積.pdf"), YES),
        (TextContains("relay.EXAMPLE"), YES),
        (TextContains("大阪"), NO),
    ],
)
async def test_texts(query: Query, expected: Match) -> None:
    assert await matched(query) is expected


async def test_search_words_of_japanese_mail_in_every_charset() -> None:
    for charset in ("utf-8", "iso-2022-jp", "shift_jis", "euc-jp"):
        octets = b"Content-Type: text/plain; charset=%b\r\n\r\n" % charset.encode()
        message = Kept(octets + "本日は晴天なり".encode(charset) + b"\r\n")
        assert await matched(BodyContains("晴天"), message) is YES
        assert await matched(BodyContains("曇天"), message) is NO


HERE = BodyContains("東京")
ABSENT = frozenset({"listed"})


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (HERE, UNKNOWN),
        (Not(HERE), UNKNOWN),
        (And((HasFlag(SEEN), HERE)), UNKNOWN),
        (And((HERE, HasFlag(FLAGGED))), NO),
        (Or(HERE, HasFlag(SEEN)), YES),
        (Or(HERE, HasFlag(FLAGGED)), UNKNOWN),
        (Not(And((HERE, HasFlag(FLAGGED)))), YES),
        (And(()), YES),
        (HeaderContains("Subject", "会議"), YES),
        (HeaderContains("Received", "relay"), UNKNOWN),
        (TextContains("会議"), UNKNOWN),
        (SentDate(Relation.ON, date(2021, 11, 1)), YES),
    ],
)
async def test_when_only_the_listed_fields_are_here(query: Query, expected: Match) -> None:
    assert await matched(query, Kept(has=ABSENT)) is expected


async def test_what_the_header_has_need_not_be_looked_for_in_a_body_that_is_not_here() -> None:
    message = Kept(has=frozenset({"header"}))
    assert await matched(TextContains("会議"), message) is YES
    assert await matched(TextContains("東京"), message) is UNKNOWN


async def test_unknown_facts() -> None:
    message = Kept(size=None, internal_date=None, modseq=0)
    for query in (
        LargerThan(1),
        SmallerThan(1),
        InternalDate(Relation.ON, date.min),
        ModseqAtLeast(1),
    ):
        assert await matched(query, message) is UNKNOWN


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        (And((HERE, HasFlag(FLAGGED))), []),
        (Or(TextContains("会議"), HasFlag(SEEN)), []),
        (HeaderContains("Subject", "会議"), ["listed"]),
        (And((HERE, HeaderContains("Subject", "nothing"))), ["listed"]),
        (And((HERE, HeaderContains("Received", "nothing"))), ["header"]),
        (TextContains("会議"), ["header"]),
        (HERE, ["content", "closed"]),
        # Both words in one pass.
        (And((HERE, BodyContains("大阪"))), ["content", "closed"]),
    ],
)
async def test_no_more_is_read_than_needed(query: Query, asked: list[str]) -> None:
    message = Kept()
    await matched(query, message)
    assert message.asked == asked


async def test_reading_stops_when_all_was_found() -> None:
    part = b"--b\r\nContent-Type: text/plain\r\n\r\nneedle\r\n"
    octets = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + part * 1000
    taken = 0

    class Counted(Kept):
        async def _chunks(self) -> AsyncGenerator[bytes, None]:
            nonlocal taken
            async for chunk in super()._chunks():
                taken += len(chunk)
                yield chunk

    assert await matched(BodyContains("needle"), Counted(octets)) is YES
    assert taken < 500


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"nonsense",
        b"Mon, 99 Nov 2021 00:00:00 +0000",
        b"\xff\0",
        b"Mon, 1 Nov 99999999999 1:1:1 +0",
    ],
)
async def test_a_date_that_cannot_be_read_is_on_no_day(value: bytes) -> None:
    message = Kept(b"Date: " + value + b"\r\n\r\n")
    for relation in Relation:
        assert await matched(SentDate(relation, date(2021, 11, 1)), message) is NO


async def test_search_among_messages() -> None:
    messages = [
        Kept(id=MessageId(1)),
        Kept(id=MessageId(2), has=ABSENT),
        Kept(b"\r\nx", id=MessageId(3)),
        Kept(id=MessageId(4), internal_date=datetime(2020, 1, 1, tzinfo=UTC)),
    ]
    assert await search(HERE, messages) == Found((MessageId(1), MessageId(4)), (MessageId(2),))
