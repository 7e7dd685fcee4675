from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailferry.wire.imap import sequence_set
from mailferry.wire.imap.commands.fetch import (
    BodySection,
    Fetch,
    FetchAttribute,
    FetchItem,
    SectionText,
)
from tests.wire.imap.commands.parsing import parsed, refused

ONE = sequence_set.parse(b"1")
FAST = (FetchAttribute.FLAGS, FetchAttribute.INTERNALDATE, FetchAttribute.RFC822_SIZE)
DATE_FROM = BodySection(text=SectionText.HEADER_FIELDS, fields=(b"DATE", b"FROM"))


@pytest.mark.parametrize(
    ("words", "items"),
    [
        (b"FAST", FAST),
        (b"all", (*FAST, FetchAttribute.ENVELOPE)),
        (b"FULL", (*FAST, FetchAttribute.ENVELOPE, FetchAttribute.BODY)),
        (b"FLAGS", (FetchAttribute.FLAGS,)),
        (b"(UID FLAGS uid)", (FetchAttribute.UID, FetchAttribute.FLAGS)),
        (b"(" + b" ".join(x.value.encode() for x in FetchAttribute) + b")", tuple(FetchAttribute)),
        (
            b"(FLAGS BODY[HEADER.FIELDS (DATE FROM)])",
            (FetchAttribute.FLAGS, DATE_FROM),
        ),
    ],
)
def test_items(words: bytes, items: tuple[FetchItem, ...]) -> None:
    assert parsed(b"FETCH 1 " + words) == Fetch(messages=ONE, by_uid=False, items=items)
    assert parsed(b"UID FETCH 1 " + words) == Fetch(messages=ONE, by_uid=True, items=items)


@pytest.mark.parametrize(
    ("words", "section", "name", "specifier"),
    [
        (b"BODY[]", BodySection(), b"BODY[]", ""),
        (b"BODY.PEEK[]", BodySection(peek=True), b"BODY[]", ""),
        (b"BODY[]<0.2048>", BodySection(partial=(0, 2048)), b"BODY[]<0>", ""),
        (b"body.peek[1]<7.1>", BodySection((1,), partial=(7, 1), peek=True), b"BODY[1]<7>", "1"),
        (b"BODY[TEXT]", BodySection(text=SectionText.TEXT), b"BODY[TEXT]", "TEXT"),
        (
            b"BODY[4.2.2.1]",
            BodySection((4, 2, 2, 1)),
            b"BODY[4.2.2.1]",
            "4.2.2.1",
        ),
        (b"BODY[4.1.mime]", BodySection((4, 1), SectionText.MIME), b"BODY[4.1.MIME]", "4.1.MIME"),
        (b"BODY[3.HEADER]", BodySection((3,), SectionText.HEADER), b"BODY[3.HEADER]", "3.HEADER"),
        (
            b'BODY[3.HEADER.FIELDS.NOT (Date "x y")]',
            BodySection((3,), SectionText.HEADER_FIELDS_NOT, (b"Date", b"x y")),
            b'BODY[3.HEADER.FIELDS.NOT (Date "x y")]',
            "3.HEADER.FIELDS.NOT",
        ),
        (
            b"BODY[HEADER.FIELDS ({4}\r\nDate)]<5.9>",
            BodySection(text=SectionText.HEADER_FIELDS, fields=(b"Date",), partial=(5, 9)),
            b"BODY[HEADER.FIELDS (Date)]<5>",
            "HEADER.FIELDS",
        ),
        (b"RFC822", BodySection(older_name="RFC822"), b"RFC822", ""),
        (
            b"RFC822.HEADER",
            BodySection(text=SectionText.HEADER, peek=True, older_name="RFC822.HEADER"),
            b"RFC822.HEADER",
            "HEADER",
        ),
        (
            b"RFC822.TEXT",
            BodySection(text=SectionText.TEXT, older_name="RFC822.TEXT"),
            b"RFC822.TEXT",
            "TEXT",
        ),
    ],
)
def test_sections(words: bytes, section: BodySection, name: bytes, specifier: str) -> None:
    command = parsed(b"FETCH 1 " + words)
    assert command == Fetch(messages=ONE, by_uid=False, items=(section,))
    assert parsed(b"FETCH 1 (UID " + words + b")") == Fetch(
        messages=ONE, by_uid=False, items=(FetchAttribute.UID, section)
    )
    assert section.response_name() == name
    assert section.specifier == specifier


def test_modifiers() -> None:
    assert parsed(b"UID FETCH 1 (FLAGS) (CHANGEDSINCE 12345 VANISHED)") == Fetch(
        messages=ONE,
        by_uid=True,
        items=(FetchAttribute.FLAGS,),
        changed_since=12345,
        vanished=True,
    )
    assert parsed(b"FETCH 1 FLAGS (changedsince 0)") == Fetch(
        messages=ONE, by_uid=False, items=(FetchAttribute.FLAGS,), changed_since=0
    )


@pytest.mark.parametrize(
    "words",
    [
        b"FETCH",
        b"FETCH 1",
        b"FETCH 1 ()",
        b"FETCH 1 FOO",
        b"FETCH 1 (ALL)",
        b"FETCH 1 FLAGS UID",
        b"FETCH 1 (FLAGS",
        b"FETCH 1 BODY[",
        b"FETCH 1 BODY[FOO]",
        b"FETCH 1 BODY[MIME]",
        b"FETCH 1 BODY[0]",
        b"FETCH 1 BODY[01]",
        b"FETCH 1 BODY[1.]",
        b"FETCH 1 BODY[.1]",
        b"FETCH 1 BODY[1..2]",
        b"FETCH 1 BODY[1.HEADER.1]",
        b"FETCH 1 BODY[1234567890]",
        b"FETCH 1 BODY[" + b"1." * 100 + b"1]",
        b"FETCH 1 BODY[HEADER.FIELDS]",
        b"FETCH 1 BODY[HEADER.FIELDS ()]",
        b'FETCH 1 BODY[HEADER.FIELDS ("")]',
        b"FETCH 1 BODY[HEADER.FIELDS (a]",
        b"FETCH 1 BODY[TEXT (a)]",
        b"FETCH 1 BODY[]<0>",
        b"FETCH 1 BODY[]<0.0>",
        b"FETCH 1 BODY[]<0.1",
        b"FETCH 1 BODY.PEEK",
        b"FETCH 1 FLAGS[]",
        b"FETCH 1 BODY[]x",
        b"FETCH 1 FLAGS (FOO)",
        b"FETCH 1 FLAGS (CHANGEDSINCE)",
        b"FETCH 1 FLAGS (CHANGEDSINCE 1 VANISHED)",
        b"UID FETCH 1 FLAGS (VANISHED)",
        b"UID FETCH $ FLAGS",
    ],
)
def test_refused(words: bytes) -> None:
    refused(words)


parts = st.lists(st.integers(1, 999_999_999), max_size=5).map(tuple)
names = st.lists(st.binary(min_size=1, max_size=8).filter(lambda n: b"\0" not in n), min_size=1)


@given(
    parts,
    st.sampled_from(SectionText),
    names.map(tuple),
    st.none() | st.tuples(st.integers(0, 2**63 - 1), st.just(1)),
)
def test_response_names_read_back(
    part: tuple[int, ...],
    text: SectionText,
    fields: tuple[bytes, ...],
    partial: tuple[int, int] | None,
) -> None:
    if text is SectionText.MIME and not part:
        return
    wanted = fields if "FIELDS" in text.value else ()
    section = BodySection(part, text, wanted, partial)
    words = section.response_name()
    if partial is not None:
        words = words.removesuffix(b">") + b".1>"
    command = parsed(b"FETCH 1 " + words)
    assert isinstance(command, Fetch)
    assert command.items == (section,)
