from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest

from mailferry.net.memory import memory_pair
from mailferry.net.tls import client_tls, server_tls
from mailferry.net.tls_context import client_context, server_context
from mailferry.node.certificate import certificate_fingerprint, ensure_certificate


def _files(directory: Path) -> tuple[Path, Path]:
    return directory / "certificate.pem", directory / "certificate.key"


def test_it_is_made_once(tmp_path: Path) -> None:
    certificate, key = _files(tmp_path)
    ensure_certificate(certificate, key, ["127.0.0.1"])
    before = certificate.read_bytes(), key.read_bytes()
    ensure_certificate(certificate, key, ["127.0.0.1", "10.0.0.1"])
    assert (certificate.read_bytes(), key.read_bytes()) == before
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert sorted(tmp_path.iterdir()) == [key, certificate]


@pytest.mark.parametrize("broken", ["certificate.pem", "certificate.key"])
def test_half_a_pair_is_replaced(tmp_path: Path, broken: str) -> None:
    certificate, key = _files(tmp_path)
    ensure_certificate(certificate, key, [])
    (tmp_path / broken).write_text("rubbish")
    ensure_certificate(certificate, key, [])
    server_context(certificate, key)


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1", "10.1.2.3", "boat.local"])
async def test_mail_programs_that_trust_it_accept_it(tmp_path: Path, name: str) -> None:
    certificate, key = _files(tmp_path)
    ensure_certificate(certificate, key, ["0.0.0.0", "10.1.2.3", "boat.local"])  # noqa: S104
    ours, theirs = memory_pair()
    context = client_context(ca_file=certificate)
    async with asyncio.TaskGroup() as group:
        group.create_task(server_tls(ours, server_context(certificate, key)))
        group.create_task(client_tls(theirs, context, name))


async def test_the_fingerprint_is_the_one_that_programs_show(tmp_path: Path) -> None:
    certificate, key = _files(tmp_path)
    ensure_certificate(certificate, key, [])
    shown = certificate_fingerprint(certificate)
    assert len(shown) == 64
    ours, theirs = memory_pair()
    async with asyncio.TaskGroup() as group:
        group.create_task(server_tls(ours, server_context(certificate, key)))
        group.create_task(client_tls(theirs, client_context(pinned_fingerprint=shown), "x"))
