from __future__ import annotations

from email.header import Header

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailferry.wire.mime.words import decode_parameter, decode_words, field_text, header_text

# The table of RFC 2047 §8, and what is seen in the wild.
WORDS = [
    (b"=?US-ASCII?Q?Keith_Moore?=", "Keith Moore"),
    (b"=?ISO-8859-1?Q?Keld_J=F8rn_Simonsen?=", "Keld Jørn Simonsen"),
    (b"=?ISO-8859-1?Q?a?=", "a"),
    (b"=?ISO-8859-1?Q?a?= b", "a b"),
    (b"=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=", "ab"),
    (b"=?ISO-8859-1?Q?a?=  =?ISO-8859-1?Q?b?=", "ab"),
    (b"=?ISO-8859-1?Q?a_b?=", "a b"),
    (b"=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=", "a b"),
    (b"=?US-ASCII*EN?Q?Keith?=", "Keith"),
    (b"x =?utf-8?b?5pel5pys?= y", "x 日本 y"),
    (b"=?ISO-2022-JP?B?GyRCRnxLXBsoQg==?=", "日本"),
    (b"=?Shift_JIS?B?k/qWew?=", "日本"),
    (b"=?utf-8?B?5pel5g==?= =?UTF-8?B?nKw=?=", "日本"),
    (b"=?utf-8?q?a b?=", "a b"),
    (b"=?utf-8?q?=e6=97=a5?=,=?utf-8?q?=e6=9c=ac?=", "日,本"),
    (b"\x1b$BF|K\\\x1b(B", "日本"),
    ("日本".encode(), "日本"),
    (b"=?no-such?q?abc?=", "abc"),
    (b"=?utf-8?x?abc?=", "=?utf-8?x?abc?="),
    (b"=?utf-8?q?abc", "=?utf-8?q?abc"),
    (b"=?", "=?"),
    (b"", ""),
]


@pytest.mark.parametrize(("encoded", "text"), WORDS)
def test_encoded_words(encoded: bytes, text: str) -> None:
    assert decode_words(encoded) == text


@given(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=60))
def test_what_the_standard_library_encodes(text: str) -> None:
    encoded = Header(text, "utf-8").encode(linesep="").encode()
    assert decode_words(encoded) == text


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        (b"filename*", b"utf-8''%e6%97%a5%e6%9c%ac.pdf", "日本.pdf"),
        (b"filename*", b"iso-8859-1'en'%A3%20rates", "£ rates"),
        (b"filename*", b"''plain", "plain"),
        (b"filename*", b"no quotes", "no quotes"),
        (b"filename", b"=?utf-8?b?5pel5pys?=.pdf", "日本.pdf"),
    ],
)
def test_parameters(name: bytes, value: bytes, text: str) -> None:
    assert decode_parameter(name, value) == text


def test_a_field_with_an_attachments_name() -> None:
    raw = (
        b"Content-Disposition: attachment;\r\n filename*0*=utf-8''%e6%97%a5;\r\n filename*1*=%e6%9c%ac;\r\n"
        b" size=1\r\n"
    )
    assert "日本" in field_text(raw)


def test_a_header() -> None:
    header = b"To: a\r\nSubject: =?utf-8?q?x?=\r\n =?utf-8?q?y?=\r\nno colon\r\n\r\nbody"
    assert header_text(header) == "to: a\nsubject: xy\n: no colon\r\n"


@given(
    st.binary(max_size=200),
    st.lists(st.sampled_from([b"=?", b"?=", b"utf-8", b"?b?", b"?q?", b"'", b"%"])),
)
def test_nothing_fails(octets: bytes, parts: list[bytes]) -> None:
    for value in (octets, b"".join(parts), octets.join(parts)):
        decode_words(value)
        decode_parameter(b"x*", value)
        field_text(b"Content-Type: " + value)
        header_text(value)
