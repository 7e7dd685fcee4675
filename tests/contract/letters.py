"""Messages for the contract tests: small, and each there for a reason."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta, timezone

ARRIVED = datetime(2026, 3, 1, 12, 30, 15, tzinfo=timezone(timedelta(hours=9)))
"""An internal date with a zone, to the second as IMAP has it."""
LATER = datetime(2026, 3, 20, 0, 0, 1, tzinfo=UTC)


def crlf(text: str) -> bytes:
    return text.strip("\n").replace("\n", "\r\n").encode() + b"\r\n"


def note(number: int, body: str = "A line.") -> bytes:
    """A plain letter; letters with different numbers differ."""
    return crlf(
        f"""
From: Ann <ann@example.org>
To: bob@example.net
Subject: Note {number}
Date: Sun, 1 Mar 2026 12:00:{number % 60:02} +0900
Message-ID: <note-{number}@example.org>
X-Not-Listed: nobody asks for this

{body}
"""
    )


# Two-character words, which an index of three-character grams would miss, in the charset and the
# transfer encoding that Japanese mail has.
JAPANESE = b"\r\n".join(
    [
        b"From: =?ISO-2022-JP?B?"
        + base64.b64encode("船長".encode("iso-2022-jp"))
        + b"?= <c@example.jp>",
        b"To: bob@example.net",
        b"Subject: =?UTF-8?B?" + base64.b64encode("入港の時刻".encode()) + b"?=",
        b"Date: Fri, 20 Mar 2026 09:00:00 +0900",
        b"Message-ID: <minato@example.jp>",
        b"MIME-Version: 1.0",
        b"Content-Type: text/plain; charset=ISO-2022-JP",
        b"Content-Transfer-Encoding: 7bit",
        b"",
        "横浜の天気は晴れです。".encode("iso-2022-jp"),
        b"",
    ]
)

ATTACHED = base64.encodebytes(bytes(range(256)) * 4).decode().strip()

PARTS = crlf(
    f"""
From: Carol <carol@example.com>
To: bob@example.net
Subject: Parts
Date: Mon, 2 Mar 2026 08:00:00 +0000
Message-ID: <parts@example.com>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="edge"

Nobody reads this.
--edge
Content-Type: text/plain; charset=utf-8

Hello, parts.
--edge
Content-Type: application/octet-stream; name="b.bin"
Content-Transfer-Encoding: base64
Content-Disposition: attachment; filename="b.bin"

{ATTACHED}
--edge
Content-Type: message/rfc822

From: Dave <dave@example.com>
Subject: Inside
Message-ID: <inside@example.com>

An inner text.
--edge--
"""
)

INSIDE = (
    b"From: Dave <dave@example.com>\r\nSubject: Inside\r\nMessage-ID: <inside@example.com>\r\n\r\n"
)

SECTIONS = {
    "HEADER": PARTS[: PARTS.index(b"Nobody")],
    "TEXT": PARTS[PARTS.index(b"Nobody") :],
    "1": b"Hello, parts.",
    "1.MIME": b"Content-Type: text/plain; charset=utf-8\r\n\r\n",
    "2": ATTACHED.replace("\n", "\r\n").encode(),
    "3.HEADER": INSIDE,
    "3.TEXT": b"An inner text.",
    "3.1": b"An inner text.",
}
"""What the sections of PARTS are."""


def large(octets: int) -> bytes:
    """A letter of a little more than so many octets, no two chunks of it alike."""
    head = crlf("From: ann@example.org\nSubject: Large\nMessage-ID: <large@example.org>\n\n")
    lines = b"".join(b"%075d\r\n" % number for number in range(octets // 77 + 1))
    return head + b"\r\n" + lines
