"""What goes to the server next, and together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mailferry.mail.mailbox import MailboxId
from mailferry.mail.message import ANSWERED, DELETED, FLAGGED, SEEN, BlobId, Flag, MessageId
from mailferry.mail.operation import (
    Append,
    Copy,
    CreateMailbox,
    Expunge,
    Move,
    Operation,
    OperationId,
    SetFlags,
    Subscribe,
)
from mailferry.sync.fold import FlagChange, net_change
from mailferry.sync.plan import (
    LANE_OCTETS_MAX,
    LANES_MAX,
    Parcel,
    Waiting,
    keys_of,
    lanes,
    parcels,
)

NONE: frozenset[Flag] = frozenset()


def ids(*numbers: int) -> tuple[MessageId, ...]:
    return tuple(MessageId(number) for number in numbers)


def flags(
    sequence: int, box: str, *messages: int, add: frozenset[Flag] = frozenset({SEEN})
) -> SetFlags:
    return SetFlags(
        id=OperationId(f"{sequence:032x}"), mailbox=MailboxId(box), messages=ids(*messages), add=add
    )


def expunge(sequence: int, box: str, *messages: int) -> Expunge:
    return Expunge(
        id=OperationId(f"{sequence:032x}"), mailbox=MailboxId(box), messages=ids(*messages)
    )


def copy(sequence: int, box: str, target: str, *messages: int) -> Copy:
    return Copy(
        id=OperationId(f"{sequence:032x}"),
        mailbox=MailboxId(box),
        messages=ids(*messages),
        target=MailboxId(target),
    )


def append(sequence: int, box: str, size: int = 10) -> Append:
    return Append(
        id=OperationId(f"{sequence:032x}"), mailbox=MailboxId(box), blob=BlobId("b"), size=size
    )


def waiting(*operations: Operation, not_ready: frozenset[int] = frozenset()) -> list[Waiting]:
    return [
        Waiting(
            sequence=sequence,
            operation=operation,
            keys=keys_of(operation, (), ()),
            ready=sequence not in not_ready,
        )
        for sequence, operation in enumerate(operations, 1)
    ]


def sequences(chosen: list[tuple[Waiting, ...]]) -> list[list[int]]:
    return [[one.sequence for one in lane] for lane in chosen]


def test_mailboxes_do_not_wait_for_each_other() -> None:
    found = lanes(waiting(flags(1, "a", 1), flags(2, "b", 2), flags(3, "a", 3)))
    assert sequences(found) == [[1, 3], [2]]


def test_what_is_not_ready_keeps_those_behind_it_waiting() -> None:
    pending = waiting(
        flags(1, "a", 1), flags(2, "a", 2), copy(3, "a", "b", 1), append(4, "b"), flags(5, "c", 5),
        not_ready=frozenset({1}),
    )  # fmt: skip
    assert sequences(lanes(pending)) == [[5]]


def test_one_that_shares_with_two_lanes_waits_for_both() -> None:
    found = lanes(waiting(flags(1, "a", 1), flags(2, "b", 2), copy(3, "a", "b", 1), append(4, "b")))
    assert sequences(found) == [[1], [2]]


def test_a_removal_never_goes_with_a_copy_of_the_same_before_it() -> None:
    """If the server refuses the copy, the original must still be there."""
    found = lanes(waiting(copy(1, "a", "b", 1, 2), expunge(2, "a", 2)))
    assert sequences(found) == [[1]]
    found = lanes(waiting(copy(1, "a", "b", 1), expunge(2, "a", 2)))
    assert sequences(found) == [[1, 2]]
    move = Move(id=OperationId("m"), mailbox=MailboxId("a"), messages=ids(1), target=MailboxId("c"))
    assert sequences(lanes(waiting(copy(1, "a", "b", 1), move))) == [[1]]


def test_names_that_change_go_alone() -> None:
    create = CreateMailbox(id=OperationId("c"), path=("N",))
    later = [
        Waiting(sequence=2, operation=append(2, "9"), keys=frozenset({MailboxId("9")}), ready=True)
    ]
    first = Waiting(
        sequence=1, operation=create, keys=keys_of(create, [MailboxId("9")], ()), ready=True
    )
    assert sequences(lanes([first, *later])) == [[1]]


def test_a_large_append_ends_its_lane() -> None:
    found = lanes(waiting(append(1, "a", LANE_OCTETS_MAX), append(2, "a"), append(3, "a")))
    assert sequences(found) == [[1]]


def test_what_makes_the_same_message_goes_in_a_call_of_its_own() -> None:
    """Were both in one call whose outcome is unknown, one could be taken for the other."""
    other = Append(id=OperationId("o"), mailbox=MailboxId("a"), blob=BlobId("c"), size=10)
    assert sequences(lanes(waiting(append(1, "a"), other, append(3, "a")))) == [[1, 2]]
    copies = waiting(copy(1, "a", "b", 1, 2), copy(2, "a", "b", 3), copy(3, "a", "b", 2))
    assert sequences(lanes(copies)) == [[1, 2]]


def test_lanes_are_few() -> None:
    pending = waiting(*[append(n, str(n)) for n in range(1, 20)])
    assert len(lanes(pending)) == LANES_MAX
    assert len(lanes(pending, under_way=LANES_MAX - 1)) == 1


def test_a_subscription_waits_for_the_mailbox_to_be_made() -> None:
    create = CreateMailbox(id=OperationId("1"), path=("A",))
    subscribe = Subscribe(id=OperationId("2"), path=("A",))
    assert sequences(lanes(waiting(create, subscribe))) == [[1]]


BOXES = st.sampled_from("abc")


@st.composite
def operations(draw: st.DrawFn) -> Operation:
    messages = draw(st.lists(st.integers(1, 5), min_size=1, max_size=3, unique=True))
    box = draw(BOXES)
    kind = draw(st.sampled_from(["flags", "expunge", "copy", "append"]))
    number = draw(st.integers(1, 10**6))
    if kind == "flags":
        return flags(number, box, *messages)
    if kind == "expunge":
        return expunge(number, box, *messages)
    return copy(number, box, draw(BOXES), *messages) if kind == "copy" else append(number, box)


@given(st.lists(operations(), max_size=12), st.frozensets(st.integers(1, 12)))
def test_nothing_overtakes_what_it_shares_a_mailbox_with(
    wanted: list[Operation], not_ready: frozenset[int]
) -> None:
    pending = waiting(*wanted, not_ready=not_ready)
    chosen = lanes(pending)
    going = {one.sequence: at for at, lane in enumerate(chosen) for one in lane}
    assert not going.keys() & not_ready
    for one in pending:
        for before in pending[: one.sequence - 1]:
            if one.sequence in going and one.keys & before.keys:
                assert going.get(before.sequence) == going[one.sequence]
    for lane in chosen:
        assert [one.sequence for one in lane] == sorted(one.sequence for one in lane)


def test_a_hundred_flag_changes_are_one() -> None:
    [lane] = lanes(waiting(*[flags(n, "a", n) for n in range(1, 101)]))
    [parcel] = parcels(lane)
    assert isinstance(parcel.operation, SetFlags)
    assert parcel.operation.messages == ids(*range(1, 101))
    assert parcel.covers == tuple(range(1, 101))


def test_changes_of_the_same_messages_are_merged_to_what_remains() -> None:
    off = SetFlags(
        id=OperationId("2"), mailbox=MailboxId("a"), messages=ids(2, 1), remove=frozenset({SEEN})
    )
    [lane] = lanes(waiting(flags(1, "a", 1, 2), off))
    [parcel] = parcels(lane)
    assert isinstance(parcel.operation, SetFlags)
    assert (parcel.operation.messages, parcel.covers) == (ids(1, 2), (1, 2))
    assert parcel.operation.add == NONE
    assert parcel.operation.remove == {SEEN}


def test_each_operation_ends_with_one_parcel() -> None:
    """One that was in two would be taken for done when the first of them is."""
    star = frozenset({FLAGGED})
    [lane] = lanes(waiting(flags(1, "a", 1, 2), flags(2, "a", 2, add=star), flags(3, "a", 3)))
    assert [parcel.covers for parcel in parcels(lane)] == [(1, 3), (2,)]


def test_messages_that_are_read_and_flagged_in_turn_are_one_change() -> None:
    star = frozenset({FLAGGED})
    [lane] = lanes(
        waiting(
            *[flags(n, "a", n // 2, add=star if n % 2 else frozenset({SEEN})) for n in (2, 3, 4, 5)]
        )
    )
    [parcel] = parcels(lane)
    assert isinstance(parcel.operation, SetFlags)
    assert parcel.operation.messages == ids(1, 2)
    assert parcel.operation.add == {SEEN, FLAGGED}


def test_what_stands_between_is_not_jumped_over() -> None:
    [lane] = lanes(
        waiting(flags(1, "a", 1), expunge(2, "a", 2), flags(3, "a", 1, add=frozenset({FLAGGED})))
    )
    assert [parcel.covers for parcel in parcels(lane)] == [(1,), (2,), (3,)]


def test_what_is_to_stay_apart_is_not_merged() -> None:
    one, two, three = waiting(flags(1, "a", 1), flags(2, "a", 2), flags(3, "a", 3))
    apart = Waiting(
        sequence=two.sequence, operation=two.operation, keys=two.keys, ready=True, apart=True
    )
    assert [parcel.covers for parcel in parcels((one, apart, three))] == [(1,), (2,), (3,)]


@st.composite
def changes_of_flags(draw: st.DrawFn) -> tuple[tuple[int, ...], FlagChange]:
    all_flags = st.frozensets(st.sampled_from([SEEN, FLAGGED, ANSWERED, DELETED]))
    add = draw(all_flags)
    messages = draw(st.lists(st.integers(1, 4), min_size=1, unique=True))
    return tuple(messages), FlagChange(add, draw(all_flags) - add)


@given(st.lists(changes_of_flags(), min_size=1, max_size=8))
def test_merging_changes_no_outcome(changes: list[tuple[tuple[int, ...], FlagChange]]) -> None:
    lane = tuple(
        waiting(
            *[
                SetFlags(
                    id=OperationId(f"{n:032x}"),
                    mailbox=MailboxId("a"),
                    messages=ids(*messages),
                    add=change.add,
                    remove=change.remove,
                )
                for n, (messages, change) in enumerate(changes)
            ]
        )
    )
    sent: list[Parcel] = parcels(lane)
    covered = [each for parcel in sent for each in parcel.covers]
    assert sorted(covered) == [one.sequence for one in lane]
    for message in range(1, 5):
        told = [change for messages, change in changes if message in messages]
        merged = [
            FlagChange(parcel.operation.add, parcel.operation.remove)
            for parcel in sent
            if isinstance(parcel.operation, SetFlags) and message in parcel.operation.messages
        ]
        assert net_change(merged) == net_change(told)
