"""Finding the end of a section by asking for single octets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mailferry.sources.imap.bodies import PROBES_PER_COMMAND, SECTION_LENGTH_MAX, EndSearch


@given(st.integers(0, SECTION_LENGTH_MAX - 1), st.integers(0, 2**32))
def test_the_end_is_found_in_few_steps(end: int, least: int) -> None:
    search = EndSearch(min(least, end))
    steps = 0
    while search.origins:
        assert len(search.origins) <= PROBES_PER_COMMAND
        search.learn({origin for origin in search.origins if origin < end})
        steps += 1
    assert search.end == end
    assert steps <= 6
