"""What holds for every test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from blockbuster import BlockBuster
from hypothesis import HealthCheck, settings

from tests.lab import corpus
from tests.lab.fixtures import dovecot, dovecots, own_dovecot, user

__all__ = ["dovecot", "dovecots", "own_dovecot", "user"]

# No deadline: the machine may be busy.  Each run draws new examples; a failure prints how to repeat it.
settings.register_profile(
    "ci", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
# For a long search: pytest --hypothesis-profile=nightly --timeout=0
settings.register_profile("nightly", settings.get_profile("ci"), max_examples=5000)
settings.load_profile("ci")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the fast tests first: what starts real programs comes last."""
    items.sort(key=lambda item: item.get_closest_marker("system") is not None)


def pytest_report_header() -> str:
    """Say how much mail there is to test with."""
    return f"mail: {corpus.description()}"


@pytest.fixture(autouse=True)
def nothing_blocks_the_event_loop() -> Iterator[None]:
    """Raise BlockingError where code of ours waits on the event loop for anything but a file.

    Files are left out: the few that are read or written there (settings, keys) are small and local.
    """
    detector = BlockBuster(scanned_modules=["mailferry"])
    for name in list(detector.functions):
        if name.startswith(("io.", "os.")):
            del detector.functions[name]
    # The side of the command line, which has no event loop outside the tests.
    detector.functions["socket.socket.connect"].can_block_in("mailferry/node/control.py", {"ask"})
    detector.activate()
    yield
    detector.deactivate()
