from __future__ import annotations

import base64
import encodings.aliases
import quopri

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailferry.wire.mime.charset import TextDecoder, codec_name, decode, transfer_decoder

CUTS = st.lists(st.integers(1, 50), max_size=30)
JAPANESE = "日本語のメール、カタカナと漢字。"


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    out = []
    for cut in cuts:
        out.append(data[:cut])
        data = data[cut:]
    return [*out, data]


def undone(encoding: bytes, data: bytes, cuts: list[int]) -> bytes:
    decoder = transfer_decoder(encoding)
    return b"".join(decoder.feed(piece) for piece in pieces(data, cuts)) + decoder.close()


def text(charset: str, data: bytes, cuts: list[int]) -> str:
    decoder = TextDecoder(charset)
    return "".join(decoder.feed(piece) for piece in pieces(data, cuts)) + decoder.close()


@given(st.binary(), CUTS)
def test_base64_in_any_chunks(octets: bytes, cuts: list[int]) -> None:
    encoded = base64.encodebytes(octets).replace(b"\n", b"\r\n")
    assert undone(b"BASE64", encoded, cuts) == octets


@given(st.binary(), CUTS)
def test_quoted_printable_in_any_chunks(octets: bytes, cuts: list[int]) -> None:
    assert undone(b"Quoted-Printable", quopri.encodestring(octets), cuts) == octets


@given(st.text("=\r\n AFaf0", max_size=40), CUTS)
def test_broken_encodings_in_any_chunks(broken: str, cuts: list[int]) -> None:
    for encoding in (b"base64", b"quoted-printable", b"7bit", b"x-uuencode"):
        assert undone(encoding, broken.encode(), cuts) == undone(encoding, broken.encode(), [])


@pytest.mark.parametrize(
    ("encoded", "octets"),
    [
        (b"QQ==QUI=QUJD", b"AABABC"),
        (b"Q Q\r\n!=\n=", b"A"),
        (b"QUJDR", b"ABC"),
        (b"QUI", b"AB"),
        (b"=", b""),
    ],
)
def test_odd_base64(encoded: bytes, octets: bytes) -> None:
    assert undone(b"base64", encoded, []) == octets


@pytest.mark.parametrize(
    ("encoded", "octets"),
    [
        (b"a=\r\nb=\nc", b"abc"),
        (b"1=1, 2==41, =zz=", b"1=1, 2=A, =zz="),
        (b"=\rx\n=e3=81=82", b"=\rx\n\xe3\x81\x82"),
    ],
)
def test_odd_quoted_printable(encoded: bytes, octets: bytes) -> None:
    assert undone(b"quoted-printable", encoded, []) == octets


@pytest.mark.parametrize(
    "charset", ["iso-2022-jp", "Shift_JIS", "x-sjis", "EUC-JP", "UTF-8", "utf-16"]
)
@given(cuts=CUTS)
def test_japanese_in_any_chunks(charset: str, cuts: list[int]) -> None:
    encoded = (JAPANESE * 5).encode(charset if charset != "x-sjis" else "cp932")
    assert text(charset, encoded, cuts) == JAPANESE * 5


def test_characters_beyond_the_standards_that_are_in_use() -> None:
    assert decode("①㈱髙".encode("cp932"), "shift_jis") == "①㈱髙"
    assert decode(b"\x1b(I1\x1b(B", "iso-2022-jp") == "ｱ"
    assert decode(b"\x93quoted\x94", "iso-8859-1") == "“quoted”"


@pytest.mark.parametrize(
    "charset", ["", "us-ascii", "x-unknown", "no such charset", "base64", "idna", "\0"]
)
def test_without_a_usable_label(charset: str) -> None:
    assert codec_name(charset) == ""
    assert decode(JAPANESE.encode("iso-2022-jp"), charset) == JAPANESE
    assert decode(b"ascii, then " + JAPANESE.encode(), charset) == "ascii, then " + JAPANESE
    assert decode(b"\xff", charset) == "\N{REPLACEMENT CHARACTER}"


NASTY = [
    b"",
    b"\0",
    b"\xff\xfe\xff",
    b"\x1b$B",
    b"\x1b$B\x80\xff\x1b(",
    b"~{\xff~",
    b"+/v8-+AA",
    bytes(range(256)),
    b"\\x4\\u12",
]


def test_no_charset_fails() -> None:
    labels = {*encodings.aliases.aliases, *encodings.aliases.aliases.values(), "utf-16", "x" * 100}
    for label in sorted(labels):
        for octets in NASTY:
            text(label, octets, [])
            text(label, octets, [1] * len(octets))


def test_utf_16_without_a_mark_is_big_endian() -> None:
    assert text("utf-16", JAPANESE.encode("utf-16-be"), [1] * 10) == JAPANESE
    assert text("utf-16", JAPANESE.encode("utf-16"), [1] * 10) == JAPANESE
