from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.net.ends import CARRIERS, Ends


@pytest.fixture(params=CARRIERS)
async def ends(request: pytest.FixtureRequest) -> AsyncIterator[Ends]:
    """Return the client's and the server's end of a connection."""
    async with CARRIERS[request.param]() as pair:
        yield pair
