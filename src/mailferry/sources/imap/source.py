"""ImapSource: a mail server as a MailSource."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence

from mailferry.mail.changes import Changes, Event
from mailferry.mail.mailbox import Mailbox, MailboxId, State
from mailferry.mail.message import WHOLE, Body, MessageId, Section, Summary, SummaryItem
from mailferry.mail.operation import Attempt, Operation, Outcome, Probe
from mailferry.mail.query import Query, SearchResult
from mailferry.mail.source import CHANGES_LIMIT, BlobReader
from mailferry.net.tls_context import ClientContext
from mailferry.sources.imap.account import Account
from mailferry.sources.imap.apply import apply
from mailferry.sources.imap.bodies import Bodies
from mailferry.sources.imap.changes import ChangeLog
from mailferry.sources.imap.connection import Connection
from mailferry.sources.imap.directory import Directory
from mailferry.sources.imap.lookup import Lookup
from mailferry.sources.imap.quirks import QuirkReport, ServerQuirk
from mailferry.sources.imap.search import search
from mailferry.sources.imap.session import Session
from mailferry.sources.imap.settings import CredentialProvider, ImapSettings
from mailferry.sources.imap.summaries import Summaries
from mailferry.sources.imap.traces import probe
from mailferry.sources.imap.watching import Keeper, Observer, is_change
from mailferry.sources.watch import Watchers
from mailferry.wire.imap.quirks import Quirk
from mailferry.wire.imap.responses import Status, Untagged


class ImapSource:
    """One account at an IMAP server (MailSource).

    Connects when it is first asked for something; everything goes through one connection.  Its tasks
    belong to `tasks`, and end with `aclose()`.
    """

    def __init__(
        self,
        settings: ImapSettings,
        credential: CredentialProvider,
        tls: ClientContext,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._settings = settings
        self._tasks = tasks
        self._watchers = Watchers()
        self._observer = Observer(self._watchers)
        self._report = QuirkReport()
        connection = Connection(
            settings,
            credential,
            tls,
            tasks,
            self._report,
            on_unsolicited=self._take_unsolicited,
            on_reachable=self._observer.reachable,
        )
        self._account = Account(connection, Directory(), self._report)
        self._change_log = ChangeLog()
        self._bodies = Bodies(self._report)
        self._summaries = Summaries(self._report, self._bodies.true_size)
        self._lookup = Lookup(self._account, self._bodies, settings.settle_s)
        self._keeper: asyncio.Task[None] | None = None

    @property
    def round_trips(self) -> int:
        """Times that we had to wait for the server with everything sent, so far."""
        return self._account.connection.round_trips

    @property
    def quirks(self) -> frozenset[ServerQuirk | Quirk]:
        """The server's faults that were met, for `doctor`."""
        session = self._account.connection.current
        of_session = session.flow.quirks.met if session is not None else frozenset[Quirk]()
        return self._report.met | of_session

    @property
    def capabilities(self) -> frozenset[str]:
        """What the server can, in upper case; empty while there is no session."""
        session = self._account.connection.current
        return session.capabilities if session is not None else frozenset()

    async def check_login(self) -> None:
        """Connect and log in, to see whether the settings are right.

        Raises:
            AuthenticationFailed, NotSupported, SourceUnavailable, ProtocolFault: with clear words.
        """
        await self._account.session()

    async def mailboxes(self) -> Sequence[Mailbox]:
        """See MailSource."""
        session = await self._account.session()
        names = self._account.connection.names
        mailboxes = await self._account.directory.refresh(session, names)
        self._observer.mailboxes(mailboxes)
        return mailboxes

    async def changes(
        self, mailbox: MailboxId, since: State | None, *, limit: int = CHANGES_LIMIT
    ) -> Changes:
        """See MailSource."""
        session, name = await self._account.located(mailbox)
        return await self._change_log.changes(session, name, since, limit)

    async def summaries(
        self, mailbox: MailboxId, messages: Sequence[MessageId], what: frozenset[SummaryItem]
    ) -> AsyncIterator[Sequence[Summary]]:
        """See MailSource."""
        session, name = await self._account.located(mailbox)
        async for batch in self._summaries.fetch(session, name, messages, what):
            yield batch

    async def body(
        self, mailbox: MailboxId, message: MessageId, section: Section = WHOLE, offset: int = 0
    ) -> Body:
        """See MailSource.

        Raises also:
            ProtocolFault: while reading, when RFC822.SIZE turns out to be wrong; ask again.
        """
        session, name = await self._account.located(mailbox)
        return await self._bodies.open(session, name, message, section, offset)

    async def search(self, mailbox: MailboxId, query: Query) -> SearchResult:
        """See MailSource."""
        session, name = await self._account.located(mailbox)
        return await search(session, name, query)

    async def probe(self, operation: Operation, blobs: BlobReader) -> Probe | None:
        """See MailSource."""
        return await probe(self._account, operation, blobs)

    async def apply(self, attempts: Sequence[Attempt], blobs: BlobReader) -> Sequence[Outcome]:
        """See MailSource."""
        return await apply(self._account, attempts, blobs)

    async def lookup(self, attempt: Attempt, taken: Collection[MessageId] = ()) -> Outcome:
        """See MailSource."""
        return await self._lookup.lookup(attempt, taken)

    def watch(self) -> AsyncIterator[Event]:
        """See MailSource."""
        if self._keeper is None:
            keeper = Keeper(self._account, self._settings, self._observer)
            self._keeper = self._tasks.create_task(keeper.run())
        return self._watchers.watch()

    async def aclose(self) -> None:
        """See MailSource."""
        if self._keeper is not None:
            self._keeper.cancel()
        self._watchers.close()
        await self._account.connection.aclose()

    def _take_unsolicited(self, session: Session, response: Untagged) -> None:
        selected = session.selected
        if selected is None:
            return
        if isinstance(response, Status) and response.code_name == "UIDVALIDITY":
            session.forget_selection()  # Numbered anew under our eyes.
        if is_change(response):
            self._observer.touched(self._account.directory.id_of(selected.name))
