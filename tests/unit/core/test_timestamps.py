"""Times as people write them, and what is no time."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbsync.core.timestamps import parse_moment

SECOND = 1_772_323_199  # 2026-02-28T23:59:59Z
END = 999_999_999


@pytest.mark.parametrize(
    ("text", "seconds", "rest"),
    [
        ("2026-02-28T23:59:59", SECOND, END),
        ("2026-02-28 23:59:59", SECOND, END),  # as `ls` prints it
        ("  2026-02-28t23:59:59z ", SECOND, END),
        ("2026-02-28T23:59:59Z", SECOND, END),
        ("2026-02-28 23:59:59 +00:00", SECOND, END),
        ("20260228T235959Z", SECOND, END),
        ("2026-03-01T00:59:59+01:00", SECOND, END),
        ("2026-03-01T05:29:59+0530", SECOND, END),
        ("2026-02-28T20:59:59-03", SECOND, END),
        ("2026-02-28T23:59:59.5Z", SECOND, 599_999_999),
        ("2026-02-28T23:59:59,123456789", SECOND, 123_456_789),
        ("2026-02-28T23:59:59.000Z", SECOND, 999_999),
        ("2026-02-28T23:59", SECOND - 59, END),
        ("2026-02-28T23", SECOND - 59 * 60 - 59, END),
        ("2026-02-28", SECOND - 86_399, END),
        ("20260228", SECOND - 86_399, END),
        ("1969-12-31T23:59:59Z", -1, END),
        ("9999-12-31", 253_402_214_400, END),
        (date(2026, 2, 28), SECOND - 86_399, END),
        (datetime(2026, 2, 28, 23, 59, 59), SECOND, END),
        (datetime(2026, 2, 28, 23, 59, 59, 500_000, timezone.utc), SECOND, 500_000_999),
        (datetime(2026, 3, 1, 0, 59, 59, tzinfo=timezone(timedelta(hours=1))), SECOND, END),
    ],
)
def test_a_moment(text: object, seconds: int, rest: int) -> None:
    assert parse_moment(text) == seconds * 10**9 + rest


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "2026", "2026-02", "2026-02-30", "2026-13-01", "2026-02-28T24:00", "2026-02-28T23:60",
     "1772323199", "2026-02-28T23:59:60", "28.02.2026", "2026-02-28T23:59:59.1234567890", "2026-02-28T23:59:59+24:00",
     "2026-W09", "2026-02-28T23:59:59+01:60", "0000-01-01", "2026-02-28Z", "٢٠٢٦-٠٢-٢٨", "2026-02-28T23:59:59 CET",
     5, None, True],
)  # fmt: skip
def test_what_is_no_moment_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="ISO 8601"):
        parse_moment(text)


@given(st.datetimes(timezones=st.timezones()))
def test_text_and_datetime_mean_the_same(at: datetime) -> None:
    offset = at.utcoffset()
    assert offset is not None
    if offset % timedelta(minutes=1):
        return  # local mean times of before there were zones have seconds, which ISO 8601 cannot write
    at = at.replace(microsecond=0, tzinfo=timezone(offset))
    assert parse_moment(at.isoformat()) == parse_moment(at)
