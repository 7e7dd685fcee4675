"""Which parts a body structure has."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from mailferry.wire.errors import RemoteProtocolError
from mailferry.wire.imap.structure_view import PartView, find_part
from tests.wire.imap.test_structure import ENVELOPE, TEXT

LEAF = PartView(1152, is_message=False)
IMAGE = b'("IMAGE" "PNG" ("NAME" {5}\r\na"b"c) NIL NIL "BASE64" 4554 NIL ("inline" NIL) NIL NIL)'
MESSAGE = b'("MESSAGE" "RFC822" NIL NIL NIL "7BIT" 342 %b %b 7 NIL NIL NIL NIL)'
PLAIN_IN = MESSAGE % (ENVELOPE, TEXT)
MIXED_IN = MESSAGE % (ENVELOPE, b"(%b%b %b)" % (TEXT, IMAGE, b'"MIXED"'))
NESTED = b'(%b%b%b(%b%b "ALTERNATIVE" ("a" "b") NIL NIL NIL) "MIXED" ("boundary" "x") NIL NIL NIL)'
TREE = NESTED % (TEXT, PLAIN_IN, MIXED_IN, TEXT, IMAGE)


@pytest.mark.parametrize(
    ("structure", "numbers", "expected"),
    [
        (TEXT, [1], LEAF),
        (TEXT, [2], None),
        (TEXT, [1, 1], None),
        (TREE, [1], LEAF),
        (TREE, [1, 1], None),
        (TREE, [2], PartView(342, is_message=True)),
        (TREE, [2, 1], LEAF),
        (TREE, [2, 2], None),
        (TREE, [3, 1], LEAF),
        (TREE, [3, 2], PartView(4554, is_message=False)),
        (TREE, [3, 3], None),
        (TREE, [4], PartView(None, is_message=False)),
        (TREE, [4, 2], PartView(4554, is_message=False)),
        (TREE, [4, 3], None),
        (TREE, [5], None),
        (TREE, [6], None),
        (TREE, [99], None),
    ],
)
def test_find_part(structure: bytes, numbers: Sequence[int], expected: PartView | None) -> None:
    assert find_part(structure, numbers) == expected


@pytest.mark.parametrize("structure", [b"", b"NIL", b"()", b"(", b'("a" "b")'])
def test_what_is_no_structure(structure: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        find_part(structure, [])
