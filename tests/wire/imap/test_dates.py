from __future__ import annotations

import contextlib
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailferry.wire.errors import LocalProtocolError, RemoteProtocolError
from mailferry.wire.imap.dates import format_date, format_date_time, parse_date, parse_date_time


def test_dates() -> None:
    assert parse_date(b"1-Feb-1994") == date(1994, 2, 1)
    assert parse_date(b"01-fEB-1994") == date(1994, 2, 1)
    assert format_date(date(1994, 2, 1)) == b"1-Feb-1994"


def test_date_times() -> None:
    moment = datetime(1994, 2, 7, 21, 52, 25, tzinfo=timezone(timedelta(hours=-8)))
    assert parse_date_time(b" 7-Feb-1994 21:52:25 -0800") == moment
    assert format_date_time(moment) == b'" 7-Feb-1994 21:52:25 -0800"'
    assert parse_date_time(b"17-Jul-1996 02:44:60 -0330").second == 59
    assert format_date_time(datetime(2026, 1, 2, tzinfo=UTC)) == b'" 2-Jan-2026 00:00:00 +0000"'
    with pytest.raises(LocalProtocolError):
        format_date_time(datetime(2026, 1, 2))  # noqa: DTZ001 - what must be refused.


@pytest.mark.parametrize("octets", [b"", b"1-Foo-1994", b"31-Feb-1994", b"1-Feb-94", b"1-Feb-0000"])
def test_dates_refused(octets: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_date(octets)


@pytest.mark.parametrize(
    "octets",
    [
        b"17-Jul-1996 02:44:25",
        b"17-Jul-1996 02:44:25 PDT",
        b"17-Jul-1996 24:44:25 +0000",
        b"17-Jul-1996 02:44:25 +2400",
        b"17-Jux-1996 02:44:25 +0000",
        b"31-Jun-1996 02:44:25 +0000",
    ],
)
def test_date_times_refused(octets: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_date_time(octets)


@given(st.dates())
def test_date_round_trip(day: date) -> None:
    assert parse_date(format_date(day)) == day


@given(
    st.datetimes(),
    st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda m: timezone(timedelta(minutes=m))),
)
def test_date_time_round_trip(local: datetime, zone: timezone) -> None:
    moment = local.replace(microsecond=0, tzinfo=zone)
    back = parse_date_time(format_date_time(moment)[1:-1])
    assert (back.replace(tzinfo=None), back.utcoffset()) == (
        moment.replace(tzinfo=None),
        moment.utcoffset(),
    )


@given(st.binary())
def test_any_octets_parse_or_are_refused(octets: bytes) -> None:
    with contextlib.suppress(RemoteProtocolError):
        parse_date(octets)
    with contextlib.suppress(RemoteProtocolError):
        parse_date_time(octets)
