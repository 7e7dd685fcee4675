"""What the commands of one session work with: who is here, what is selected, what was staged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from mailferry.faces.imap import names
from mailferry.faces.imap.limits import Limits
from mailferry.faces.imap.logins import Login
from mailferry.faces.imap.output import Output
from mailferry.faces.imap.replies import Bad, No
from mailferry.faces.imap.view import Expunges, View
from mailferry.mail.errors import MessageNotFound
from mailferry.mail.mailbox import Mailbox
from mailferry.mail.message import MessageId, MessageState
from mailferry.mail.operation import Operation, OperationId, Staged
from mailferry.mail.source import StagingSource
from mailferry.wire.imap.sequence_set import SequenceSet

STAGE_ATTEMPTS_MAX: Final = 5
"""How often an operation is staged anew because a message in it has just been removed by others."""


class SessionState:
    """One session between its commands."""

    def __init__(self, out: Output, entropy: Callable[[int], bytes], limits: Limits) -> None:
        self.out = out
        self.limits: Final = limits
        self.login: Login | None = None
        self.view: View | None = None
        self.unsettled: list[OperationId] = []
        """Operations that were staged and whose answer is not delivered yet."""
        self._entropy = entropy

    @property
    def user(self) -> Login:
        """Who is logged in."""
        if self.login is None:
            raise Bad(b"Log in first")
        return self.login

    @property
    def source(self) -> StagingSource:
        """The mail of who is logged in."""
        return self.user.source

    @property
    def selected(self) -> View:
        """The selected mailbox."""
        if self.login is None:
            raise Bad(b"Log in first")
        if self.view is None:
            raise Bad(b"Select a mailbox first")
        return self.view

    @property
    def writable(self) -> View:
        """The selected mailbox, which may be changed."""
        if self.selected.read_only:
            raise No(b"The mailbox was selected read-only", code=b"READ-ONLY")
        return self.selected

    async def mailbox(self, name: str) -> Mailbox:
        """Return the mailbox that the client calls so.

        Raises:
            MailboxNotFound, MailboxNameInvalid: there is none.
        """
        return names.find(await self.source.mailboxes(), name)

    def positions(self, messages: SequenceSet, *, by_uid: bool) -> list[range]:
        """Return where the messages of a set are in the selected mailbox."""
        try:
            return self.selected.positions(messages, by_uid=by_uid)
        except ValueError as exc:
            raise Bad(b"There is no message with that number") from exc

    async def sync(self, expunges: Expunges) -> None:
        """Tell the client what happened in the selected mailbox."""
        if self.view is not None:
            await self.view.sync(self.source, self.out, expunges)

    async def tell_flags(self, messages: Sequence[MessageState]) -> None:
        """Tell the client the flags that its own command gave to messages."""
        view = self.selected
        for message in messages:
            position = view.position(message.uid)
            if position is not None:
                view.tell_keywords(message.flags, self.out)
                self.out.put(view.flags_response(position, message.flags))
                await self.out.room()
        view.told(messages)

    def operation_id(self) -> OperationId:
        """Return a new one."""
        return OperationId(self._entropy(16).hex())

    async def stage(self, *operations: Operation) -> Sequence[Staged]:
        """Stage operations; they are settled when the answer that is being made is delivered."""
        staged = await self.source.stage(operations, login=self.user.name)
        self.unsettled += [operation.id for operation in operations]
        return staged

    async def stage_about(
        self,
        positions: Sequence[range],
        make: Callable[[tuple[MessageId, ...]], Sequence[Operation]],
    ) -> Sequence[Staged]:
        """Stage what `make` gives for the messages at these positions that are still there.

        Others may remove messages at any moment; the client is not told here, as it may be using
        sequence numbers.
        """
        for attempt in range(1, STAGE_ATTEMPTS_MAX + 1):
            messages = tuple(self.selected.ids(positions))
            operations = make(messages) if messages else ()
            if not operations:
                return ()
            try:
                return await self.stage(*operations)
            except MessageNotFound:
                if attempt == STAGE_ATTEMPTS_MAX:
                    raise
                await self.sync(Expunges.HOLD_BACK)
        return ()
