"""The life of one account in a running node.

Theory of operation.  `run()` opens the account's replica and keeps it open until somebody asks for
something else:

    stop()      close it; `run()` returns
    restart()   close it, do what was asked with its files, open it again (changed settings, erasing)

A replica that fails is opened again after a while, longer each time, so that one account's trouble
stays its own; meanwhile `source()` tells mail programs why.  What concerns the whole node (a
damaged journal) is raised from `run()`, which ends the node.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Final

from mailferry import observe
from mailferry.mail.changes import Reachability
from mailferry.mail.errors import MailError, SourceUnavailable
from mailferry.sources.replica.replica import Replica
from mailferry.store.accounts import Account

RETRY_FIRST_S: Final = 1.0  # After a replica failed; a full disk or a fault does not mend at once.
RETRY_MAX_S: Final = 300.0
OPENING_S: Final = 20.0  # How long a login waits for an account that is being opened.

logger = observe.logger(__name__)

OpenReplica = Callable[[Account], AbstractAsyncContextManager[Replica]]


class AccountRunner:
    """Keeps one account's replica open."""

    def __init__(
        self,
        account: Account,
        open_replica: OpenReplica,
        is_fatal: Callable[[BaseException], bool],
    ) -> None:
        """`is_fatal` tells errors that concern the whole node."""
        self.account = account
        self.replica: Replica | None = None
        """None while it is closed, opening or failed."""
        self.reason = ""
        """Why it is not open, in words."""
        self.reachability: Reachability | None = None
        """What was heard of the mail server last; None: nothing yet."""
        self._open_replica = open_replica
        self._is_fatal = is_fatal
        self._stopping = False
        self._tried = asyncio.Event()
        """Clear while the replica is being opened."""
        self._wanted_closed = asyncio.Event()
        self._between: Callable[[], Awaitable[None]] | None = None
        self._between_done: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        return f"<AccountRunner {self.account.id} {'open' if self.replica else 'closed'}>"

    async def source(self) -> Replica:
        """Return the replica for a session; waits while it is being opened.

        Raises:
            SourceUnavailable: it is not open now; the text says why.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(OPENING_S):
                await self._tried.wait()
        if self.replica is None:
            raise SourceUnavailable(self.reason or "the account is being opened; try again soon")
        return self.replica

    def stop(self) -> None:
        """Have `run()` close the replica and return."""
        self._stopping = True
        self._wanted_closed.set()

    async def restart(
        self, account: Account, between: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """Close the replica, await `between()`, open it again with the account as it is now.

        Returns when `between()` has; raises what it raises.
        """
        self.account = account
        done = asyncio.get_running_loop().create_future()
        self._between, self._between_done = between, done
        self._wanted_closed.set()
        await done

    async def run(self) -> None:
        """Keep the replica open until `stop()`.

        Raises:
            StorageDamaged: the journal is damaged.
        """
        failures = 0
        while not self._stopping:
            opened_at = asyncio.get_running_loop().time()
            try:
                async with self._open_replica(self.account) as replica:
                    self.replica, self.reason, self.reachability = replica, "", None
                    self._tried.set()
                    await self._listen(replica)
                    self.replica = None
                    self._tried.clear()
                failures = 0
            except Exception as exc:  # noqa: BLE001 - the top of the account's task
                self.replica = None
                self._note(exc)
                self._tried.set()
                if asyncio.get_running_loop().time() - opened_at > RETRY_MAX_S:
                    failures = 0
                await self._pause(min(RETRY_MAX_S, RETRY_FIRST_S * 2**failures))
                failures += 1
            await self._do_between()

    async def _listen(self, replica: Replica) -> None:
        """Note what is heard of the mail server until the replica shall be closed."""
        events = replica.watch()  # From now on, before anything can have happened.

        async def listen() -> None:
            async for event in events:
                if isinstance(event, Reachability):
                    self.reachability = event

        async with asyncio.TaskGroup() as tasks:
            listening = tasks.create_task(listen())
            await self._wanted_closed.wait()
            listening.cancel()

    def _note(self, failure: BaseException) -> None:
        """Keep the reason of a failure in words; raise what ends the node."""
        innermost = failure
        while isinstance(innermost, BaseExceptionGroup):
            innermost = innermost.exceptions[0]
        if self._is_fatal(innermost):
            raise innermost
        self.reason = str(innermost) or type(innermost).__name__
        if isinstance(innermost, MailError | OSError):
            logger.warning("account closed id=%s reason=%s", self.account.id, self.reason)
        else:
            self.reason = f"a fault in mailferry itself ({self.reason}); its log says more"
            logger.error("account failed id=%s", self.account.id, exc_info=failure)

    async def _pause(self, pause_s: float) -> None:
        try:
            async with asyncio.timeout(pause_s):
                await self._wanted_closed.wait()
        except TimeoutError:
            return

    async def _do_between(self) -> None:
        """Do what was asked for while the replica is closed."""
        if not self._stopping:
            self._wanted_closed.clear()
        between, done = self._between, self._between_done
        self._between = self._between_done = None
        if done is None:
            return
        try:
            if between is not None:
                await between()
        except Exception as exc:  # noqa: BLE001 - handed to who asked
            if not done.done():
                done.set_exception(exc)
        else:
            if not done.done():
                done.set_result(None)
