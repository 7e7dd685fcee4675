"""The way to the origin: whether it works, and when the next try is due.

Everybody who talks to the origin reports here how it went.  Background work asks `ready()` before it
begins, so after a failure nobody tries before the next try is due, and one success sets all going.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from mailferry import observe
from mailferry.mail.changes import Reachability
from mailferry.mail.errors import MailError
from mailferry.sources.replica.settings import ReplicaSettings

_log = observe.logger(__name__)


class Line:
    """The state of the way to one origin."""

    def __init__(
        self,
        settings: ReplicaSettings,
        publish: Callable[[Reachability], None],
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._publish = publish
        self._jitter = jitter
        self._failures = 0
        self._due_at = 0.0
        self._changed = asyncio.Event()
        self.reachable: bool | None = None
        """None: not tried yet."""
        self.reason = ""
        self.returns = 0
        """How often it came back after a failure."""

    def __repr__(self) -> str:
        return f"<Line [reachable {self.reachable}, {self._failures} failures]>"

    def succeeded(self) -> None:
        """Note that the origin answered."""
        self._failures = 0
        self._due_at = 0.0
        self._set(reachable=True, reason="")
        self._changed.set()

    def failed(self, error: MailError) -> None:
        """Note that the origin could not be reached, refused the login, or broke its protocol."""
        settings = self._settings
        delay_s = settings.retry_delay_max_s
        if error.temporary:
            doubled_s = settings.retry_delay_s * 2 ** min(self._failures, 20)
            delay_s = min(doubled_s, settings.retry_delay_max_s)
        self._failures += 1
        # Spread, so that the clients of a server that comes back do not all come at once.
        self._due_at = asyncio.get_running_loop().time() + delay_s * (0.5 + self._jitter())
        self._set(reachable=False, reason=str(error) or type(error).__name__)

    def nudge(self) -> None:
        """Let the next try be now: somebody is waiting, or the origin said that it is back."""
        self._due_at = 0.0
        self._changed.set()

    async def ready(self) -> None:
        """Return when a try is due."""
        loop = asyncio.get_running_loop()
        while (wait_s := self._due_at - loop.time()) > 0:
            self._changed.clear()
            try:
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
            except TimeoutError:
                return

    def _set(self, *, reachable: bool, reason: str) -> None:
        if self.reachable is not reachable:
            self.returns += self.reachable is False
            _log.info("origin reachable=%s reason=%s", reachable, reason)
            self.reachable, self.reason = reachable, reason
            self._publish(Reachability(reachable, reason))
        self.reason = reason
