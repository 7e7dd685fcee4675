"""Looks at everything that can be wrong around a node, and says what to do about it.

Each check is a function that yields findings; none raises for what it looks for.  Nothing is
changed by looking.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Final

from mailferry.config import Config, ImapListener
from mailferry.mail.errors import AuthenticationFailed, MailError
from mailferry.net.tls_context import CertificateUnusable
from mailferry.node.accounts import Account, Accounts, VaultError, open_accounts
from mailferry.node.control import NodeRefused, NodeUnreachable, ask
from mailferry.node.control_messages import AskStatus, NodeStatus
from mailferry.node.directory import DataDirectory, DirectoryUnusable
from mailferry.node.served_certificate import served_certificate
from mailferry.node.server_check import check_server
from mailferry.store.keyfile import KeyMissing, load_vault

BIRTH: Final = datetime(2026, 11, 1, tzinfo=UTC)  # No clock that is right shows an earlier time.
CLOCK_STEP_MAX: Final = timedelta(minutes=5)
DNS_TIMEOUT_S: Final = 15.0
EXPIRY_WARNING: Final = timedelta(days=30)


class Verdict(Enum):
    """How a finding is to be taken."""

    GOOD = "good"
    NOTE = "note"
    """Works, could be better."""
    BAD = "bad"
    """Something does not work."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    verdict: Verdict
    words: str
    advice: str = ""
    """What to do; empty when there is nothing to do."""


Told = Callable[[str], None]


async def examine(
    config: Config,
    directory: DataDirectory,
    environ: Mapping[str, str],
    *,
    with_servers: bool,
    told: Told,
) -> AsyncIterator[Finding]:
    """Yield what is found, in the order in which things depend on each other.

    `with_servers` also logs in at each account's mail server.  `told` hears what is looked at.
    """
    told("Looking at the data directory")
    for finding in await asyncio.to_thread(lambda: list(_directory(config, directory))):
        yield finding
    if not directory.path.is_dir():
        return
    for finding in await asyncio.to_thread(lambda: list(_clock(directory))):
        yield finding
    told("Checking the journal")
    accounts, findings = await asyncio.to_thread(_journal, directory, environ)
    for finding in findings:
        yield finding
    told("Looking at the node")
    for finding in await asyncio.to_thread(lambda: list(_node(config, directory))):
        yield finding
    if with_servers:
        for account, secret in accounts:
            async for finding in _server(account, secret, told):
                yield finding


def _directory(config: Config, directory: DataDirectory) -> Iterator[Finding]:
    subject, path = "Data directory", directory.path
    if not path.exists():
        yield Finding(
            subject,
            Verdict.NOTE,
            f"{path} is not there yet",
            "it is made by: mailferry account add",
        )
        return
    try:
        directory.create()
    except DirectoryUnusable as exc:
        yield Finding(subject, Verdict.BAD, str(exc))
        return
    if directory.mode() & 0o077:
        yield Finding(
            subject,
            Verdict.BAD,
            f"{path} is open to other users of this machine (mode {directory.mode():04o})",
            f"close it: chmod 700 {path}",
        )
    else:
        yield Finding(subject, Verdict.GOOD, f"{path}, closed to others")
    free, reserve = shutil.disk_usage(path).free, config.limits.disk_reserve_octets
    if free < reserve:
        yield Finding(
            "Disk",
            Verdict.BAD,
            f"{_mb(free)} free, less than the reserve of {_mb(reserve)}",
            "free some space; what does not fit is refused to mail programs, not lost",
        )
    else:
        yield Finding("Disk", Verdict.GOOD, f"{_mb(free)} free")


def _clock(directory: DataDirectory) -> Iterator[Finding]:
    now = datetime.now(UTC)
    newest = max((_modified(path) for path in directory.path.iterdir()), default=BIRTH)
    if now < BIRTH or newest - now > CLOCK_STEP_MAX:
        yield Finding(
            "Clock",
            Verdict.BAD,
            f"it shows {now:%Y-%m-%d %H:%M} UTC, which is before {max(newest, BIRTH):%Y-%m-%d %H:%M}",
            "set it (timedatectl set-ntp true): certificates are judged by it, and mail is dated",
        )
    else:
        yield Finding("Clock", Verdict.GOOD, f"{now:%Y-%m-%d %H:%M} UTC")


def _modified(path: Path) -> datetime:
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except FileNotFoundError:  # Gone since it was listed.
        return BIRTH


def _journal(
    directory: DataDirectory, environ: Mapping[str, str]
) -> tuple[list[tuple[Account, str]], list[Finding]]:
    """Look at journal, key and secrets; return the accounts that can be used with their secrets."""
    if not directory.journal.exists():
        return [], [Finding("Journal", Verdict.NOTE, "there are no accounts yet")]
    usable: list[tuple[Account, str]] = []
    findings: list[Finding] = []
    try:
        with open_accounts(directory, environ) as accounts:
            if damage := accounts.damage():
                advice = "stop mailferry and run: mailferry salvage"
                return [], [Finding("Journal", Verdict.BAD, f"damaged: {damage}", advice)]
            findings.append(Finding("Journal", Verdict.GOOD, "whole"))
            findings += _key(directory, environ, accounts)
            for account in accounts.all():
                try:
                    usable.append((account, accounts.secret(account)))
                except VaultError as exc:
                    findings.append(Finding(f"Account {account.name}", Verdict.BAD, str(exc)))
    except (MailError, DirectoryUnusable, VaultError) as exc:
        findings.append(Finding("Journal", Verdict.BAD, str(exc)))
    return usable, findings


def _key(
    directory: DataDirectory, environ: Mapping[str, str], accounts: Accounts
) -> Iterator[Finding]:
    place = directory.key_place(environ)
    try:
        load_vault(place)
    except KeyMissing as exc:
        if accounts.all():
            yield Finding("Key", Verdict.BAD, str(exc))
    except VaultError as exc:
        yield Finding("Key", Verdict.BAD, str(exc))
    else:
        where = "beside the journal" if place.ours else f"in {place}"
        yield Finding("Key", Verdict.GOOD, f"{where}, closed to others")


def _node(config: Config, directory: DataDirectory) -> Iterator[Finding]:
    yield from _certificate(config, directory)
    try:
        (status,) = (
            answer
            for answer in ask(directory.control_socket, AskStatus())
            if isinstance(answer, NodeStatus)
        )
    except (NodeUnreachable, NodeRefused, ValueError):
        yield Finding("Node", Verdict.NOTE, "it is not running", "start it: mailferry run")
        for listener in config.imap:
            yield _port(listener)
        return
    yield Finding("Node", Verdict.GOOD, f"running as process {status.pid}")
    for account in status.accounts:
        subject = f"Account {account.name}"
        if account.refused:
            yield Finding(
                subject,
                Verdict.NOTE,
                f"the server refused {account.refused} operations",
                f"read why: mailferry journal {account.name}",
            )
        if account.state == "failed":
            yield Finding(subject, Verdict.BAD, account.reason or "it has failed")


def _certificate(config: Config, directory: DataDirectory) -> Iterator[Finding]:
    if config.tls.certificate_file is None and not (directory.path / "node.pem").exists():
        return  # It is made at the first start.
    try:
        served = served_certificate(config, directory)
    except (CertificateUnusable, OSError) as exc:
        yield Finding("Certificate", Verdict.BAD, str(exc))
        return
    days = (served.expires - datetime.now(UTC)).days
    if served.expires - datetime.now(UTC) < EXPIRY_WARNING and not served.own:
        yield Finding("Certificate", Verdict.BAD, f"it ends in {days} days", "renew it")
    else:
        yield Finding("Certificate", Verdict.GOOD, f"good for {days} days")


def _port(listener: ImapListener) -> Finding:
    subject = f"Port {listener.port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            listener.host, listener.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as trying:
            trying.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trying.bind(address)
    except PermissionError:
        advice = "take a port from 1024 on, or allow it: setcap cap_net_bind_service"
        return Finding(subject, Verdict.BAD, "this user may not listen on it", advice)
    except OSError as exc:
        words = f"cannot be listened on at {listener.host}: {exc.strerror}"
        return Finding(subject, Verdict.BAD, words, "another program has it: take another port")
    return Finding(subject, Verdict.GOOD, f"free at {listener.host}")


async def _server(account: Account, secret: str, told: Told) -> AsyncIterator[Finding]:
    subject, host = f"Account {account.name}", account.settings.host
    told(f"{account.name}: looking up {host}")
    try:
        async with asyncio.timeout(DNS_TIMEOUT_S):
            await asyncio.get_running_loop().getaddrinfo(host, account.settings.port)
    except (OSError, TimeoutError):
        yield Finding(
            subject,
            Verdict.BAD,
            f"the name {host} cannot be resolved",
            "is the line up? is the name right? (mailferry account show)",
        )
        return
    begun = time.monotonic()
    try:
        report = await check_server(
            account.settings, secret, lambda step: told(f"{account.name}: {step}")
        )
    except AuthenticationFailed as exc:
        advice = f"give the password again: mailferry account update {account.name} --password-file"
        yield Finding(subject, Verdict.BAD, str(exc), advice)
    except MailError as exc:
        advice = "mail programs are served from what is here meanwhile" if exc.temporary else ""
        yield Finding(subject, Verdict.BAD, str(exc), advice)
    else:
        length_s = time.monotonic() - begun
        yield Finding(
            subject,
            Verdict.GOOD,
            f"{host} accepts the login ({length_s:.1f} s): {report.mailboxes} mailboxes, "
            f"{report.messages} messages; it {', '.join(report.abilities) or 'is a plain server'}",
        )
        if report.lacks:
            words = f"it does not have what would save bytes and time: {'; '.join(report.lacks)}"
            yield Finding(subject, Verdict.NOTE, words)


def _mb(octets: int) -> str:
    return f"{octets / 1_000_000:,.0f} MB"
