from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mailferry.wire.buffer import ReceiveBuffer


def test_lines_and_octets() -> None:
    buffer = ReceiveBuffer()
    buffer.feed(b"one\r\ntw")
    assert buffer.take_line(b"\r\n") == b"one"
    assert buffer.take_line(b"\r\n") is None
    buffer.feed(b"o\r")
    assert buffer.take_line(b"\r\n") is None
    buffer.feed(b"\n\r\nrest")
    assert buffer.take_line(b"\r\n") == b"two"
    assert buffer.take_line(b"\r\n") == b""
    assert buffer.peek(2) == b"re"
    assert buffer.take(3) == b"res"
    assert len(buffer) == 1
    assert buffer.drop(5) == 1
    assert buffer.take(1) == b""


def test_taking_past_half_a_terminator_forgets_it() -> None:
    buffer = ReceiveBuffer()
    buffer.feed(b"ab\r")
    assert buffer.take_line(b"\r\n") is None
    assert buffer.take(3) == b"ab\r"
    buffer.feed(b"\nx\r\n")
    assert buffer.take_line(b"\r\n") == b"\nx"


steps = st.lists(
    st.tuples(st.just("feed"), st.text("ab\r\n", max_size=6).map(str.encode))
    | st.tuples(st.sampled_from(["take", "drop", "peek"]), st.integers(0, 5))
    | st.tuples(st.just("line"), st.just(0))
)


@given(steps, st.sampled_from([b"\r\n", b"\n"]))
def test_it_is_a_queue(actions: list[tuple[str, bytes | int]], terminator: bytes) -> None:
    buffer = ReceiveBuffer()
    model = b""
    for action, argument in actions:
        match action, argument:
            case "feed", bytes():
                buffer.feed(argument)
                model += argument
            case "take", int():
                assert buffer.take(argument) == model[:argument]
                model = model[argument:]
            case "drop", int():
                assert buffer.drop(argument) == len(model[:argument])
                model = model[argument:]
            case "peek", int():
                assert buffer.peek(argument) == model[:argument]
            case _:
                line, found, rest = model.partition(terminator)
                assert buffer.take_line(terminator) == (line if found else None)
                model = rest if found else model
        assert len(buffer) == len(model)
