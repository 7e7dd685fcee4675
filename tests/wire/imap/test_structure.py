"""ENVELOPE and BODYSTRUCTURE in canonical form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailferry.wire.imap.quirks import Quirk, QuirkLog
from mailferry.wire.imap.structure import canonical_body_structure, canonical_envelope
from mailferry.wire.imap.tokens import Value, tokenize

# RFC 9051 §8.
ENVELOPE = (
    b'("Wed, 17 Jul 1996 02:23:25 -0700 (PDT)" "IMAP4rev2 WG mtg summary and minutes" '
    b'(("Terry Gray" NIL "gray" "cac.washington.edu")) (("Terry Gray" NIL "gray" "cac.washington.edu")) '
    b'(("Terry Gray" NIL "gray" "cac.washington.edu")) ((NIL NIL "imap" "cac.washington.edu")) '
    b'((NIL NIL "minutes" "CNRI.Reston.VA.US")("John Klensin" NIL "KLENSIN" "MIT.EDU")) NIL NIL '
    b'"<B27397-0100000@cac.washington.ed>")'
)
TEXT = b'("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 1152 23)'
IMAGE = (
    b'("IMAGE" "PNG" ("NAME" "a \\"b\\".png") "<id@x>" NIL "BASE64" 4554 NIL '
    b'("attachment" ("filename" "a.png")) ("en" "de") NIL)'
)

CANONICAL_BODIES = [
    TEXT,
    IMAGE,
    b"(%b%b %b)" % (TEXT, IMAGE, b'"MIXED"'),
    b'(%b%b "MIXED" ("BOUNDARY" "x") NIL NIL "loc")' % (TEXT, IMAGE),
    b'("MESSAGE" "RFC822" NIL NIL NIL "7BIT" 342 %b %b 7 NIL NIL NIL NIL)' % (ENVELOPE, TEXT),
    b'((%b "ALTERNATIVE")%b "MIXED")' % (TEXT, IMAGE),
]


def value(octets: bytes) -> Value:
    return tokenize(octets)[0]


def test_a_canonical_envelope_stays() -> None:
    quirks = QuirkLog()
    assert canonical_envelope(value(ENVELOPE), quirks) == ENVELOPE
    assert not quirks.met


@pytest.mark.parametrize("octets", CANONICAL_BODIES)
def test_a_canonical_body_stays(octets: bytes) -> None:
    quirks = QuirkLog()
    assert canonical_body_structure(value(octets), quirks) == octets
    assert not quirks.met


@pytest.mark.parametrize(
    ("octets", "expected", "quirks"),
    [
        (
            b"(a 12 NIL NIL NIL NIL NIL NIL NIL NIL)",
            b'("a" "12" NIL NIL NIL NIL NIL NIL NIL NIL)',
            set(),
        ),
        (
            b'(NIL NIL (("a" NIL "b" "c")  ("d" NIL "e" "f")) NIL NIL NIL NIL NIL NIL NIL)',
            b'(NIL NIL (("a" NIL "b" "c")("d" NIL "e" "f")) NIL NIL NIL NIL NIL NIL NIL)',
            set(),
        ),
        (
            b'(NIL NIL (("a" "b" "c") ("d" NIL "e" "f")) () "x" NIL NIL NIL NIL NIL)',
            b'(NIL NIL (("d" NIL "e" "f")) NIL NIL NIL NIL NIL NIL NIL)',
            {Quirk.WRONG_ENVELOPE},
        ),
    ],
)
def test_a_wrong_envelope_is_mended(octets: bytes, expected: bytes, quirks: set[Quirk]) -> None:
    log = QuirkLog()
    assert canonical_envelope(value(octets), log) == expected
    assert log.met == quirks


@pytest.mark.parametrize(
    ("octets", "expected", "quirk"),
    [
        (
            b'("text" "plain" NIL NIL NIL NIL 3 1)',
            b'("text" "plain" NIL NIL NIL "7BIT" 3 1)',
            Quirk.NIL_ENCODING,
        ),
        (
            b'("text" "plain" NIL NIL NIL "8bit" -1)',
            b'("text" "plain" NIL NIL NIL "8bit" 0 0)',
            Quirk.NOT_A_NUMBER,
        ),
    ],
)
def test_a_wrong_body_is_mended(octets: bytes, expected: bytes, quirk: Quirk) -> None:
    log = QuirkLog()
    assert canonical_body_structure(value(octets), log) == expected
    assert log.met == {quirk}


def test_superfluous_spaces_go() -> None:
    spaced = b'( %b  %b "MIXED" ( "BOUNDARY" "x" ) () NIL )' % (TEXT, IMAGE)
    expected = b'(%b%b "MIXED" ("BOUNDARY" "x") NIL NIL)' % (TEXT, IMAGE)
    assert canonical_body_structure(value(spaced), QuirkLog()) == expected


def test_a_string_that_cannot_be_quoted_is_a_literal() -> None:
    line = b"(NIL {4}\r\n NIL NIL NIL NIL NIL NIL NIL NIL)"
    envelope = tokenize(line, [b"a\xffb\n"])[0]
    expected = b"(NIL {4}\r\na\xffb\n NIL NIL NIL NIL NIL NIL NIL NIL)"
    assert canonical_envelope(envelope, QuirkLog()) == expected


@pytest.mark.parametrize(
    "octets", [b"NIL", b"()", b"(NIL)", b'("a" "b")', b"(%b)" % TEXT, b'(("a") "MIXED")']
)
def test_what_is_no_body(octets: bytes) -> None:
    assert canonical_body_structure(value(octets), QuirkLog()) is None


VALUES = st.recursive(
    st.none() | st.integers(0, 99) | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=10),
    max_leaves=60,
)


@given(VALUES)
def test_what_is_written_is_canonical(anything: Value) -> None:
    for canonical in (canonical_body_structure, canonical_envelope):
        once = canonical(anything, QuirkLog())
        if once is not None and b"{" not in once:
            assert canonical(value(once), QuirkLog()) == once
