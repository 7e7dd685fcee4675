from __future__ import annotations

import asyncio
import datetime as dt
import stat
from pathlib import Path

import pytest

from mailferry.net.certificate import RENEW_BEFORE_DAYS, own_certificate
from mailferry.net.memory import memory_pair
from mailferry.net.tls import client_tls, server_tls
from mailferry.net.tls_context import CertificateUnusable, client_context, server_context

NAMES = ["boat.example", "192.0.2.7", "2001:DB8::1"]
NOW = dt.datetime.now(dt.UTC)


def test_is_made_once_and_kept_closed(tmp_path: Path) -> None:
    made = own_certificate(tmp_path, NAMES, now=NOW)
    assert own_certificate(tmp_path, NAMES[:1], now=NOW) == made
    assert stat.S_IMODE(made.file.stat().st_mode) == 0o600
    assert {path.name for path in tmp_path.iterdir()} == {"node.pem"}


def test_is_made_anew_before_it_expires_and_for_a_new_name(tmp_path: Path) -> None:
    made = own_certificate(tmp_path, NAMES, now=NOW)
    late = made.expires - dt.timedelta(days=RENEW_BEFORE_DAYS)
    renewed = own_certificate(tmp_path, NAMES, now=late)
    assert renewed.fingerprint != made.fingerprint
    assert renewed.expires > made.expires
    renamed = own_certificate(tmp_path, [*NAMES, "other.example"], now=late)
    assert renamed.fingerprint != renewed.fingerprint


def test_does_not_overwrite_what_it_does_not_understand(tmp_path: Path) -> None:
    made = own_certificate(tmp_path, NAMES, now=NOW)
    made.file.write_text("my notes")
    with pytest.raises(CertificateUnusable, match=r"node\.pem holds no certificate"):
        own_certificate(tmp_path, NAMES, now=NOW)


@pytest.mark.parametrize("name", NAMES)
async def test_is_good_for_tls_by_name_and_by_fingerprint(tmp_path: Path, name: str) -> None:
    made = own_certificate(tmp_path, NAMES, now=NOW)
    shown = server_context(made.file, made.file)
    for accepted in (
        client_context(ca_file=made.file),
        client_context(pinned_fingerprint=made.fingerprint),
    ):
        here, there = memory_pair()
        client, server = await asyncio.gather(
            client_tls(here, accepted, name), server_tls(there, shown)
        )
        await client.write(b"hello")
        assert await server.read() == b"hello"
        await asyncio.gather(client.aclose(), server.aclose())
