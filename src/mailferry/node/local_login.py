"""The login that mail programs use at the node: its password and what is kept of it."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from typing import Final

from mailferry.wire.scram import ScramVerifier

# Letters and digits that nobody mistakes for each other when typing them into a telephone: 32 of
# them, so each carries 5 bits and a password of 20 carries 100.
_ALPHABET: Final = "abcdefghijkmnpqrstuvwxyz23456789"
_GROUPS: Final = 4
_GROUP_LENGTH: Final = 5


def new_password() -> str:
    """Return a new random password, such as "kq3f7-m2xpa-79bts-hw4ne"."""
    return "-".join(
        "".join(secrets.choice(_ALPHABET) for _ in range(_GROUP_LENGTH)) for _ in range(_GROUPS)
    )


def verifier_of(password: str) -> str:
    """Return what is kept instead of the password (RFC 5803).

    Raises:
        ValueError: the password holds a character that must not be in one.
    """
    return ScramVerifier.from_password(password).to_text()


def free_login(wanted: str, taken: Collection[str]) -> str:
    """Return `wanted`, or it with a number behind where it is taken."""
    login, number = wanted, 2
    while login in taken:
        login, number = f"{wanted}-{number}", number + 1
    return login
