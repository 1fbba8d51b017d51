"""HTTP's dates, and the service's clock as its answers tell it. Pure."""

from __future__ import annotations

import re
from calendar import timegm
from collections.abc import Mapping
from datetime import datetime
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
    return http_time(headers.get("date", ""))


def http_time(text: str) -> int | None:
    """A date as HTTP writes it (`Mon, 23 Nov 2026 06:33:42 GMT`), in seconds since the epoch; None for none."""
    date = parsedate_tz(text)
    try:
        return None if date is None else timegm(datetime(*date[:6]).timetuple()) - (date[9] or 0)
    except (ValueError, OverflowError):
        return None
