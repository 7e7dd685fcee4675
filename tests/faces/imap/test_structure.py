"""BODY out of BODYSTRUCTURE, compared with the one made from the message itself."""

from __future__ import annotations

import pytest

from mailferry.faces.imap.structure import without_extension
from mailferry.wire.mime.scanner import scan
from mailferry.wire.mime.structure import body, body_structure
from tests.contract.letters import JAPANESE, PARTS, crlf, note

DEEP = crlf(
    """
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=a

--a
Content-Type: multipart/alternative; boundary=b

--b
Content-Type: text/plain; charset="utf-8"; format=flowed
Content-Description: "quoted \\" and \\\\ inside"
Content-Language: de, en

x
--b
Content-Type: text/html
Content-ID: <1@x>

<p>x
--b--
--a
Content-Type: message/rfc822

From: "Doe, \\"J\\"" <j@x>, Group: a@x, b@x;
To: c@x, d@x
Content-Type: multipart/digest; boundary=c

--c

Subject: =?utf-8?q?x?=

one
--c--
--a
Content-Type: message/rfc822; name="Gr\u00fc\u00dfe.eml"

Subject: Gr\u00fc\u00dfe

--a
Content-Type: image/png; name="NIL"
Content-Disposition: attachment; filename="(x)"
Content-Transfer-Encoding: base64

AAAA
--a--
"""
)


@pytest.mark.parametrize(
    "letter",
    [note(1), PARTS, JAPANESE, DEEP, b"", b"\r\n", b"Content-Type: multipart/mixed\r\n\r\n"],
)
def test_body_is_body_structure_without_extension(letter: bytes) -> None:
    tree = scan(letter)
    assert without_extension(body_structure(tree)) == body(tree)
