"""The table of an operation's life: every state, every event, every nature."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailferry.mail.operation import Nature, OperationState
from mailferry.sync.journal import FINAL, OPEN, Event, IllegalTransition, next_state

S = OperationState
NATURES = st.sampled_from(Nature)


@pytest.mark.parametrize(
    ("event", "nature", "after"),
    [
        (Event.DELIVERED, Nature.TAKES_AWAY, S.COMMITTED),
        (Event.DELIVERED, Nature.MARKS, S.COMMITTED),
        (Event.DELIVERED, Nature.MARKS_READ, S.COMMITTED),
        (Event.DELIVERED, Nature.ADDS, S.COMMITTED),
        (Event.LOST, Nature.TAKES_AWAY, S.WITHDRAWN),
        (Event.LOST, Nature.MARKS, S.WITHDRAWN),
        (Event.LOST, Nature.MARKS_READ, S.WITHDRAWN),
        (Event.LOST, Nature.ADDS, S.COMMITTED),
        (Event.RESTARTED, Nature.TAKES_AWAY, S.WITHDRAWN),
        (Event.RESTARTED, Nature.MARKS, S.COMMITTED),
        (Event.RESTARTED, Nature.MARKS_READ, S.WITHDRAWN),
        (Event.RESTARTED, Nature.ADDS, S.COMMITTED),
    ],
)
def test_what_becomes_of_a_staged_operation(
    event: Event, nature: Nature, after: OperationState
) -> None:
    """The table of docs/rule.md, line by line."""
    assert next_state(S.STAGED, event, nature) is after


@pytest.mark.parametrize("nature", Nature)
@pytest.mark.parametrize(
    ("before", "event", "after"),
    [
        (S.COMMITTED, Event.ATTEMPT_BEGUN, S.APPLYING),
        (S.COMMITTED, Event.APPLIED, S.APPLIED),
        (S.COMMITTED, Event.REFUSED, S.REFUSED),
        (S.COMMITTED, Event.RESTARTED, S.COMMITTED),
        (S.APPLYING, Event.APPLIED, S.APPLIED),
        (S.APPLYING, Event.REFUSED, S.REFUSED),
        (S.APPLYING, Event.UNKNOWN, S.APPLYING),
        (S.APPLYING, Event.RESTARTED, S.APPLYING),
        (S.APPLYING, Event.UNTRIED, S.COMMITTED),
    ],
)
def test_the_way_to_the_server(
    before: OperationState, event: Event, after: OperationState, nature: Nature
) -> None:
    assert next_state(before, event, nature) is after


@pytest.mark.parametrize("nature", Nature)
@pytest.mark.parametrize(
    ("state", "event"),
    [
        (S.STAGED, Event.ATTEMPT_BEGUN),  # The server is not asked before the client was answered.
        (S.STAGED, Event.APPLIED),
        (S.STAGED, Event.REFUSED),
        (S.COMMITTED, Event.UNKNOWN),
        (S.COMMITTED, Event.UNTRIED),
        (S.APPLYING, Event.ATTEMPT_BEGUN),  # Not tried again before somebody has looked.
        *[(state, Event.ATTEMPT_BEGUN) for state in S if state in FINAL],
        *[(state, Event.APPLIED) for state in S if state in FINAL],
    ],
)
def test_what_cannot_happen(state: OperationState, event: Event, nature: Nature) -> None:
    with pytest.raises(IllegalTransition):
        next_state(state, event, nature)


@given(st.sampled_from(sorted(FINAL, key=str)), st.sampled_from(Event), NATURES)
def test_the_end_is_the_end(state: OperationState, event: Event, nature: Nature) -> None:
    try:
        assert next_state(state, event, nature) is state
    except IllegalTransition:
        assert event not in {Event.DELIVERED, Event.LOST, Event.RESTARTED}


@given(NATURES, st.lists(st.sampled_from(Event), max_size=30))
def test_any_life(nature: Nature, events: list[Event]) -> None:
    """Whatever happens: nothing is asked of the server after a withdrawal, and what was being tried
    is only tried again when somebody was certain that it had no effect."""
    state, certain, settled = S.STAGED, True, False
    for event in events:
        try:
            after = next_state(state, event, nature)
        except IllegalTransition:
            continue
        if event is Event.ATTEMPT_BEGUN:
            assert settled
            assert certain
            certain = False
        if event is Event.UNTRIED:
            certain = True
        if state is S.STAGED and after is not S.STAGED:
            settled = True
        assert not (state in FINAL and after in OPEN)
        if after is S.WITHDRAWN:
            assert nature is not Nature.ADDS
            assert state in {S.STAGED, S.WITHDRAWN}
        state = after


def test_states_are_open_or_final() -> None:
    assert frozenset(S) == OPEN | FINAL
    assert not OPEN & FINAL
