"""The states that `changes()` gives out, as text (see mail/mailbox.py State).

They hold all that is needed to go on from there, as this source keeps nothing between two questions.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, TypeAlias

from mailferry.mail.errors import CannotCalculateChanges
from mailferry.mail.mailbox import State

_MODSEQ: Final = re.compile(r"m(\d{1,10})\.(\d{1,10})\.(\d{1,19})\.(\d{1,10})")
_PAGE: Final = re.compile(
    r"p(\d{1,10})\.(\d{1,10})\.(\d{1,19})\.(\d{1,10})-(\d{1,10})\.(\d{1,19})\.(\d{1,10})-(\d{1,10})"
)
_FLAGS: Final = re.compile(
    r"f(\d{1,10})\.(\d{1,10})\.(\d{1,10})-(\d{1,10})-((?:\d{1,10}:\d{1,10}(?:,(?=\d))?){0,2})"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModseqState:
    """A mailbox with modification sequences; equal when nothing changed (RFC 7162 §3.1.2.1).

    `messages` is part of it, as removals need not raise HIGHESTMODSEQ where there is no QRESYNC.
    """

    uid_validity: int
    uid_next: int
    modseq: int
    messages: int

    def to_state(self) -> State:
        """Return it as text."""
        return State(f"m{self.uid_validity}.{self.uid_next}.{self.modseq}.{self.messages}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PageState:
    """Between two pages of one answer: what changed since `since` up to UID `told` was told."""

    since: ModseqState
    until: ModseqState
    told: int

    def to_state(self) -> State:
        """Return it as text."""
        s, u = self.since, self.until
        return State(
            f"p{s.uid_validity}.{s.uid_next}.{s.modseq}.{s.messages}"
            f"-{u.uid_next}.{u.modseq}.{u.messages}-{self.told}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagsState:
    """A mailbox without modification sequences."""

    uid_validity: int
    uid_next: int
    messages: int
    place: int
    """The sequence number below which the next round looks at older flags."""
    looks: tuple[tuple[int, int], ...] = ()
    """Ranges of sequence numbers that are still to be looked at in this round."""

    def to_state(self) -> State:
        """Return it as text."""
        looks = ",".join(f"{first}:{last}" for first, last in self.looks)
        numbers = f"{self.uid_validity}.{self.uid_next}.{self.messages}"
        return State(f"f{numbers}-{self.place}-{looks}")


AnyState: TypeAlias = ModseqState | PageState | FlagsState


def from_state(state: State) -> AnyState:
    """Read a state.

    Raises:
        CannotCalculateChanges: it is not one of ours.
    """
    if found := _MODSEQ.fullmatch(state):
        return _modseq_state(*map(int, found.groups()))
    if found := _PAGE.fullmatch(state):
        validity, *numbers = map(int, found.groups())
        return PageState(
            since=_modseq_state(validity, *numbers[:3]),
            until=_modseq_state(validity, *numbers[3:6]),
            told=numbers[6],
        )
    if found := _FLAGS.fullmatch(state):
        validity, uid_next, messages, place = map(int, found.groups()[:4])
        looks = [look.split(":") for look in found[5].split(",") if look]
        return FlagsState(
            uid_validity=validity,
            uid_next=uid_next,
            messages=messages,
            place=place,
            looks=tuple((int(first), int(last)) for first, last in looks),
        )
    raise CannotCalculateChanges("this state is not known here")


def _modseq_state(uid_validity: int, uid_next: int, modseq: int, messages: int) -> ModseqState:
    return ModseqState(
        uid_validity=uid_validity, uid_next=uid_next, modseq=modseq, messages=messages
    )
