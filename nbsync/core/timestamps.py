"""A point in time as people write it (ISO 8601) -> ns since the epoch. Pure."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta, timezone
from typing import Any

_DATE = r"(\d{4})-(\d\d)-(\d\d)|(\d{4})(\d\d)(\d\d)"
_TIME = r"(\d\d)(?::?(\d\d)(?::?(\d\d)(?:[.,](\d{1,9}))?)?)?"
_ZONE = r"([Zz])|([+-])(\d\d)(?::?(\d\d))?"
_MOMENT = re.compile(rf"(?:{_DATE})(?:[Tt ]{_TIME} ?(?:{_ZONE})?)?", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
FORMS = "an ISO 8601 date or time such as 2026-11-24, 2026-11-24T15:30 or 2026-11-24T15:30:05+01:00"


def parse_moment(value: Any) -> int:
    """The last nanosecond that `value` names: a text, a `date` or a `datetime`; UTC where no zone is given.

    A time without a fraction means its whole second, because services and `ls` show whole seconds:
    what was stored in the second that `ls` shows is there at that time. A date is its first second.

    Raises:
        ValueError: it is none, or no day of the calendar; says what is taken.
    """
    if isinstance(value, datetime):
        aware = value if value.tzinfo is not None else value.replace(tzinfo=timezone.utc)
        return _ns(aware, f"{aware.microsecond:06}" if aware.microsecond else "")
    if isinstance(value, date):
        return _ns(datetime(value.year, value.month, value.day, tzinfo=timezone.utc), "")
    found = _MOMENT.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"takes {FORMS}, not {value!r}")
    year, month, day = (found[1], found[2], found[3]) if found[1] else (found[4], found[5], found[6])
    hour, minute, second, fraction, _, sign, zone_hours, zone_minutes = found.groups()[6:]
    try:
        zone = _zone(sign, int(zone_hours or 0), int(zone_minutes or 0))
        day_and_time = (int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0))
        return _ns(datetime(*day_and_time, tzinfo=zone), fraction or "")
    except (ValueError, OverflowError) as error:
        raise ValueError(f"takes {FORMS}, not {value!r} ({error})") from None


def format_moment(ns: int) -> str:
    """The text of which `parse_moment` makes `ns` again."""
    at = _EPOCH + timedelta(seconds=ns // 10**9)
    return f"{at.replace(tzinfo=None).isoformat()}.{ns % 10**9:09}Z"


def _zone(sign: str | None, hours: int, minutes: int) -> timezone:
    if hours > 23 or minutes > 59:
        raise ValueError("no such zone")
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if sign == "-" else offset)


def _ns(at: datetime, fraction: str) -> int:
    """The end of the second of `at`, or of the `fraction` of it that was given."""
    since = at.replace(microsecond=0) - _EPOCH
    return (since.days * 86_400 + since.seconds) * 10**9 + int(fraction.ljust(9, "9") if fraction else 999_999_999)
