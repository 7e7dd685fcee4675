"""Where the sections of BODY[...] lie (RFC 9051 §6.4.5.1).

    section-spec    = section-msgtext / (section-part ["." section-text])
    section-part    = nz-number *("." nz-number)
    section-msgtext = "HEADER" / "TEXT" (fields are made from HEADER, see header.py)
    section-text    = section-msgtext / "MIME"

Numbers go through multiparts; a message that is no multipart is its own part 1.  Behind the
number of a message/rfc822 part, numbers, HEADER and TEXT speak of the message in it.
"""

from __future__ import annotations

import re
from typing import Final

from mailferry.wire.mime.part import Part

_SECTION: Final = re.compile(r"(?:(\d{1,9}(?:\.\d{1,9})*)(?:\.(MIME|HEADER|TEXT))?|(HEADER|TEXT)?)")


def section_range(message: Part, section: str) -> tuple[int, int] | None:
    """Return the octets [start, end) of a section, given without brackets; None: no such section.

    `section` is not case-sensitive.
    """
    match = _SECTION.fullmatch(section.upper())
    if match is None:
        return None
    numbers, specifier, alone = match.groups()
    if numbers is None:
        return _of_message(message, alone or "")
    found = _find(message, [int(number) for number in numbers.split(".")])
    if found is None:
        return None
    part, mime_header_start = found
    if specifier is None:
        return part.body_start, part.end
    if specifier == "MIME":
        return mime_header_start, part.body_start
    if part.content.is_message and part.parts:
        return _of_message(part.parts[0], specifier)
    return None


def _of_message(message: Part, specifier: str) -> tuple[int, int]:
    match specifier:
        case "HEADER":
            return message.header_start, message.body_start
        case "TEXT":
            return message.body_start, message.end
        case _:
            return message.header_start, message.end


def _find(message: Part, numbers: list[int]) -> tuple[Part, int] | None:
    """Follow part numbers; return the part and where its MIME header begins."""
    part = message
    whole = True  # The part is a message rather than a part of a multipart.
    for number in numbers:
        if not whole and part.content.is_message and part.parts:
            part, whole = part.parts[0], True
        if part.content.is_multipart:
            if not 1 <= number <= len(part.parts):
                return None
            part, whole = part.parts[number - 1], False
        elif whole and number == 1:
            whole = False
        else:
            return None
    return part, part.header_start
