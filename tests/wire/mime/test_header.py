from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailferry.wire.mime.header import (
    FieldFinder,
    drop_fields,
    field_name,
    field_value,
    raw_fields,
    select_fields,
    unfold,
)

HEADER = b"To: a\r\nSubject : b\r\n\tc\r\njunk\r\nTO:d\r\nX: e\n\r\n"


def test_fields_as_they_stand() -> None:
    raws = list(raw_fields(HEADER))
    assert raws == [b"To: a\r\n", b"Subject : b\r\n\tc\r\n", b"junk\r\n", b"TO:d\r\n", b"X: e\n"]
    assert [field_name(raw) for raw in raws] == [b"to", b"subject", b"", b"to", b"x"]
    assert [field_value(raw) for raw in raws if field_name(raw)] == [b"a", b"b\n\tc", b"d", b"e"]


def test_choosing_fields() -> None:
    assert select_fields(HEADER, [b"TO", b"x"]) == b"To: a\r\nTO:d\r\nX: e\n\r\n"
    assert drop_fields(HEADER, [b"to", b"X"]) == b"Subject : b\r\n\tc\r\njunk\r\n\r\n"
    assert select_fields(HEADER, [b"none"]) == b"\r\n"
    assert select_fields(b"To: a", [b"to"]) == b"To: a\r\n\r\n"
    assert drop_fields(b"To: a\r\n", []) == b"To: a\r\n"


@pytest.mark.parametrize(
    ("value", "line"),
    [
        (b"a\n b", b"a b"),
        (b"a\r\n\tb", b"a\tb"),
        (b"a\rb", b"a b"),
        (b"a\n", b"a "),
        (b"\n x", b" x"),
    ],
)
def test_unfold(value: bytes, line: bytes) -> None:
    assert unfold(value) == line


FIELDS = st.lists(
    st.sampled_from(
        [
            b"To: a",
            b"to :b",
            b"Subject:",
            b" folded",
            b"\tx",
            b"TOO: c",
            b"no",
            b"\r",
            b"\n",
            b"\r\n",
            b"\0",
        ]
    ),
    max_size=20,
).map(b"".join)


@given(FIELDS)
def test_the_finder_finds_what_looking_at_all_finds(header: bytes) -> None:
    names = {b"to", b"subject"}
    end = header.find(b"\n\r\n") + 1 or header.find(b"\n\n") + 1 or len(header)
    header = b"" if header.startswith((b"\n", b"\r\n")) else header[:end]
    looked = [
        (field_name(raw), field_value(raw))
        for raw in raw_fields(header)
        if field_name(raw) in names
    ]
    assert list(FieldFinder(names).find(header)) == looked


@given(FIELDS)
def test_chosen_and_dropped_are_all(header: bytes) -> None:
    kept = b"".join(raw_fields(header))
    assert drop_fields(header, []) == header
    assert len(select_fields(header, [b"to"])) <= len(kept) + 4
