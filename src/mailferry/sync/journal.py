"""The life of an operation: one table of states, events and what follows (docs/rule.md).

Theory of operation.  Everything that decides what becomes of an operation is in this file, and it
decides by three things alone: the state it is in, what happened, and its nature.

    staged ──DELIVERED──▶ committed ──ATTEMPT_BEGUN──▶ applying ──APPLIED──▶ applied
       │                      ▲  │                      │  │ ▲ │
       │                      │  └─REFUSED─▶ refused ◀──┘  │ └─┘ UNKNOWN, RESTARTED
       │                      └────────UNTRIED─────────────┘
       └─LOST, RESTARTED──▶ withdrawn or committed, by nature

*staged* is durable and shown, its answer is on its way.  When the answer is lost, what takes away
or marks is withdrawn, as if it had never been asked for, and what adds is committed: so nothing is
ever lost by a doubt.  When the node died, nobody knows whether the answer arrived: removals and
"read" are withdrawn, other marks are committed, as they harm nobody.

*committed* will be carried out, however often the node or the server dies.  It may also be closed
without an attempt: applied, when there is nothing left to do (the message to be removed has gone
already); refused, when it cannot be asked for (the mailbox has gone).

*applying* means that the server may have been asked.  What to look for was made durable before.
From here the way back to *committed* leads only through UNTRIED: somebody looked, and is certain.
An unknown outcome or a restart leave it *applying*: look first.  Operations that bear repeating
(no probe) say UNTRIED at once instead of UNKNOWN.

*applied*, *refused* and *withdrawn* are final.  An answer that is reported delivered or lost after
the operation was settled changes nothing: a face may report twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final

from mailferry.mail.operation import Nature, OperationState

_S = OperationState


class Event(Enum):
    """What can happen to an operation."""

    DELIVERED = "answer delivered"
    LOST = "answer lost"
    RESTARTED = "node restarted"
    ATTEMPT_BEGUN = "attempt begun"
    APPLIED = "carried out"
    REFUSED = "refused"
    UNKNOWN = "outcome unknown"
    UNTRIED = "certainly without effect"


class IllegalTransition(Exception):
    """An event that cannot happen in that state: a mistake in mailferry."""


OPEN: Final = frozenset({_S.STAGED, _S.COMMITTED, _S.APPLYING})
"""States in which an operation still shows in the fold and still has something before it."""

FINAL: Final = frozenset({_S.APPLIED, _S.REFUSED, _S.WITHDRAWN})

_ANY_NATURE: Final[Mapping[tuple[OperationState, Event], OperationState]] = MappingProxyType(
    {
        (_S.STAGED, Event.DELIVERED): _S.COMMITTED,
        (_S.COMMITTED, Event.RESTARTED): _S.COMMITTED,
        (_S.COMMITTED, Event.ATTEMPT_BEGUN): _S.APPLYING,
        (_S.COMMITTED, Event.APPLIED): _S.APPLIED,
        (_S.COMMITTED, Event.REFUSED): _S.REFUSED,
        (_S.APPLYING, Event.RESTARTED): _S.APPLYING,
        (_S.APPLYING, Event.APPLIED): _S.APPLIED,
        (_S.APPLYING, Event.REFUSED): _S.REFUSED,
        (_S.APPLYING, Event.UNKNOWN): _S.APPLYING,
        (_S.APPLYING, Event.UNTRIED): _S.COMMITTED,
        **{
            (state, event): state
            for state in _S
            if state is not _S.STAGED
            for event in (Event.DELIVERED, Event.LOST)
        },
        **{(state, Event.RESTARTED): state for state in FINAL},
    }
)

_BY_NATURE: Final[Mapping[tuple[Event, Nature], OperationState]] = MappingProxyType(
    {
        (Event.LOST, Nature.TAKES_AWAY): _S.WITHDRAWN,
        (Event.LOST, Nature.MARKS): _S.WITHDRAWN,
        (Event.LOST, Nature.MARKS_READ): _S.WITHDRAWN,
        (Event.LOST, Nature.ADDS): _S.COMMITTED,
        (Event.RESTARTED, Nature.TAKES_AWAY): _S.WITHDRAWN,
        (Event.RESTARTED, Nature.MARKS): _S.COMMITTED,
        (Event.RESTARTED, Nature.MARKS_READ): _S.WITHDRAWN,
        (Event.RESTARTED, Nature.ADDS): _S.COMMITTED,
    }
)
"""What becomes of a staged operation whose answer did not arrive, or may not have."""


def next_state(state: OperationState, event: Event, nature: Nature) -> OperationState:
    """Return the state that follows.

    Raises:
        IllegalTransition: the event cannot happen in this state.
    """
    if state is _S.STAGED and (event, nature) in _BY_NATURE:
        return _BY_NATURE[event, nature]
    try:
        return _ANY_NATURE[state, event]
    except KeyError:
        raise IllegalTransition(f"{event.value} while {state.value}") from None
