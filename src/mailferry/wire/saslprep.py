"""Preparation of user names and passwords (RFC 4013, a profile of RFC 3454)."""

from __future__ import annotations

import stringprep
import unicodedata


def saslprep(text: str, *, stored: bool = False) -> str:
    """Prepare a user name or password (RFC 4013).

    `stored` refuses code points that Unicode 3.2 had not assigned, as for a value to be kept.

    Raises:
        ValueError: the text holds what must not be in a user name or password.
    """
    if text.isascii() and text.isprintable():
        return text
    mapped = "".join(
        " " if stringprep.in_table_c12(c) else c for c in text if not stringprep.in_table_b1(c)
    )
    prepared = unicodedata.ucd_3_2_0.normalize("NFKC", mapped)
    if any(_is_prohibited(c) or (stored and stringprep.in_table_a1(c)) for c in prepared):
        raise ValueError("a user name or password holds a character that is not allowed")
    _check_direction(prepared)
    return prepared


def _is_prohibited(c: str) -> bool:
    """Tables of RFC 4013 §2.3."""
    return (
        stringprep.in_table_c12(c)
        or stringprep.in_table_c21_c22(c)
        or stringprep.in_table_c3(c)
        or stringprep.in_table_c4(c)
        or stringprep.in_table_c5(c)
        or stringprep.in_table_c6(c)
        or stringprep.in_table_c7(c)
        or stringprep.in_table_c8(c)
        or stringprep.in_table_c9(c)
    )


def _check_direction(text: str) -> None:
    """RFC 3454 §6: text from right to left is so throughout and at both ends."""
    if not any(stringprep.in_table_d1(c) for c in text):
        return
    mixed = any(stringprep.in_table_d2(c) for c in text)
    if mixed or not (stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])):
        raise ValueError("a user name or password mixes directions of writing")


def saslprep_or_as_it_is(text: str) -> str:
    """Saslprep where it applies; what it refuses goes as it is, for the server to judge."""
    try:
        return saslprep(text)
    except ValueError:
        return text
