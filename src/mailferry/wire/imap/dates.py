"""Dates (RFC 9051 §9: date, date-time)."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta, timezone
from typing import Final

from mailferry.wire.errors import LocalProtocolError, RemoteProtocolError

_MONTHS: Final = (
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
)  # fmt: skip
_MONTH_NUMBER: Final = {name.lower(): number for number, name in enumerate(_MONTHS, 1)}

#   date-text = date-day "-" date-month "-" date-year          date-day = 1*2DIGIT
_DATE: Final = re.compile(rb"([0-9]{1,2})-([A-Za-z]{3})-([0-9]{4})\Z")
#   date-time = DQUOTE date-day-fixed "-" date-month "-" date-year SP time SP zone DQUOTE
#   zone      = ("+" / "-") 4DIGIT
_DATE_TIME: Final = re.compile(
    rb"([0-9 ]?[0-9])-([A-Za-z]{3})-([0-9]{4})"
    rb" ([0-9]{2}):([0-9]{2}):([0-9]{2}) ([+-])([0-9]{2})([0-9]{2})\Z"
)


def parse_date(octets: bytes) -> date:
    """Return a day, written without quotes.

    Raises:
        RemoteProtocolError: it is not one.
    """
    found = _DATE.match(octets)
    if found is None:
        raise RemoteProtocolError("not a date")
    try:
        return date(int(found[3]), _month(found[2]), int(found[1]))
    except ValueError as exc:
        raise RemoteProtocolError("no such day") from exc


def format_date(day: date) -> bytes:
    """Return a day without quotes: 1-Feb-1994."""
    return b"%d-%b-%04d" % (day.day, _MONTHS[day.month - 1], day.year)


def parse_date_time(octets: bytes) -> datetime:
    """Return a moment with its zone, written without its quotes.

    A leap second counts as the one before it.

    Raises:
        RemoteProtocolError: it is not one.
    """
    found = _DATE_TIME.match(octets)
    if found is None:
        raise RemoteProtocolError("not a date-time")
    day, month, year, hour, minute, second, sign, zone_hours, zone_minutes = found.groups()
    offset = timedelta(hours=int(zone_hours), minutes=int(zone_minutes))
    try:
        return datetime(
            int(year),
            _month(month),
            int(day),
            int(hour),
            int(minute),
            59 if second == b"60" else int(second),
            tzinfo=timezone(-offset if sign == b"-" else offset),
        )
    except ValueError as exc:
        raise RemoteProtocolError("no such moment") from exc


def format_date_time(moment: datetime) -> bytes:
    """Return a moment in its own zone, in quotes: "17-Jul-1996 02:44:25 -0700".

    Raises:
        LocalProtocolError: it has no zone.
    """
    offset = moment.utcoffset()
    if offset is None:
        raise LocalProtocolError("a moment without a zone")
    minutes = round(offset.total_seconds() / 60)
    return b'"%2d-%b-%04d %02d:%02d:%02d %c%02d%02d"' % (
        moment.day,
        _MONTHS[moment.month - 1],
        moment.year,
        moment.hour,
        moment.minute,
        moment.second,
        b"-" if minutes < 0 else b"+",
        abs(minutes) // 60,
        abs(minutes) % 60,
    )


def _month(name: bytes) -> int:
    number = _MONTH_NUMBER.get(name.lower())
    if number is None:
        raise RemoteProtocolError("no such month")
    return number
