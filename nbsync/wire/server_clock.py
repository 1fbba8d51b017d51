"""The service's clock, as its answers tell it. Pure."""

from __future__ import annotations

import re
from calendar import timegm
from collections.abc import Mapping
from email.utils import parsedate_tz

from nbsync.wire.errors import ServiceError

_SERVER_TIME = re.compile(rb"<ServerTime>(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)")


def time_of_error(error: ServiceError) -> float | None:
    """The server's clock, seconds since the epoch, from the Date header or the error's ServerTime."""
    date = server_time(error.headers)
    if date is not None:
        return date
    found = _SERVER_TIME.search(error.body)
    if found:
        year, month, day, hour, minute, second = map(int, found.groups())
        return timegm((year, month, day, hour, minute, second, 0, 0, 0))
    return None


def server_time(headers: Mapping[str, str]) -> float | None:
    """The server's clock, seconds since the epoch, from the Date header of an answer; None without a usable one."""
    date = parsedate_tz(headers.get("date", ""))
    try:
        return None if date is None else timegm((*date[:6], 0, 0, 0)) - (date[9] or 0)
    except (ValueError, OverflowError):
        return None
