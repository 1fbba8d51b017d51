"""The values of options, as each kind of them is written, checked: a ValueError says what is taken. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from nbsync.core.parts import MAX_PART_SIZE, MIN_PART_SIZE
from nbsync.core.timestamps import parse_moment


def text(value: Any) -> str:
    """Text, or a path."""
    if not hasattr(value, "__fspath__") and not isinstance(value, str):
        raise ValueError(f"takes text, not {type(value).__name__}")
    return str(value)


def count(value: Any) -> int | None:
    """A whole number of at most nine digits; None stays None."""
    if value is None:
        return None
    if isinstance(value, bool) or not re.fullmatch(r"\d{1,9}", str(value)):
        raise ValueError(f"takes a whole number, not {value!r}")
    return int(value)


def jobs(value: Any) -> int:
    """As `count`; 0 for None."""
    return count(value) or 0


def seconds(value: Any) -> float:
    """Seconds, above 0 and below a million."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        raise ValueError(f"takes seconds, not {value!r}") from None
    if not 0 < found < 1e6:
        raise ValueError(f"takes seconds above 0, not {value!r}")
    return found


def days(value: Any) -> float | None:
    """Days, also a part of one; None stays None."""
    if value is None:
        return None
    if isinstance(value, bool) or not re.fullmatch(r"\d{1,6}(\.\d+)?", str(value)):
        raise ValueError(f"takes a number of days, not {value!r}")
    return float(value)


_LEAST_RATE = 1000  # bytes a second: a smaller number is taken for one whose unit was forgotten
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "KI": 2**10, "MI": 2**20, "GI": 2**30}


def rate(value: Any) -> int:
    """`20MB/s`, `500KiB`, `1000000` -> bytes a second."""
    if value is None or value == "":
        return 0
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]I?)?B?(?:/S)?", str(value).strip().upper())
    if isinstance(value, bool) or not found or float(found[1]) <= 0:
        raise ValueError(f"takes a rate like 20MB/s, not {value!r}")
    speed = max(1, int(float(found[1]) * _UNITS[found[2] or ""]))
    if speed < _LEAST_RATE and "B" not in found[0]:
        raise ValueError(f"takes a rate like 20MB/s; {value} is {speed} bytes a second ({value}B/s, if that is meant)")
    return speed


def part_size(value: Any) -> int:
    """`64MiB`, `100MB`, `16777216` -> bytes."""
    if value is None or value == "":
        return 0
    found = re.fullmatch(r"(\d{1,15}(?:\.\d+)?)\s*([KMG]I?)?B?", str(value).strip().upper())
    size = 0 if isinstance(value, bool) or not found else int(float(found[1]) * _UNITS[found[2] or ""])
    if not MIN_PART_SIZE <= size <= MAX_PART_SIZE:
        raise ValueError(f"takes a size from 5MiB to 5GiB, like 64MiB, not {value!r}")
    return size


_PAIR = re.compile(r"((?:\\[\\=]|[^=])+?)=(.*)", re.DOTALL)


def typed_pair(key: str, value: str) -> str:
    """A pair as it is typed: `KEY=VALUE`, with `\\=` for an equals sign in the key, and `\\\\` for a backslash."""
    return re.sub(r"([\\=])", r"\\\1", key) + f"={value}"


def pairs(value: Any) -> tuple[tuple[str, str], ...]:
    """A mapping, pairs, or texts `KEY=VALUE` (see `typed_pair`), as pairs."""
    if isinstance(value, Mapping):
        items: Iterable[Any] = value.items()
    else:
        items = [value] if isinstance(value, str) else value or ()
    found = []
    for item in items:
        typed = _PAIR.fullmatch(item) if isinstance(item, str) else None
        key, value_text = (re.sub(r"\\([\\=])", r"\1", typed[1]), typed[2]) if typed else ("", "")
        if not isinstance(item, str):
            key, value_text = item
        if not key or not all(isinstance(t, str) and t.isprintable() for t in (key, value_text)):
            raise ValueError(f"takes KEY=VALUE, not {item!r}")
        found.append((key, value_text))
    return tuple(found)


def filters(value: Any) -> tuple[tuple[str, str], ...]:
    """Pairs of `include` or `exclude` and a pattern."""
    found = tuple(value or ())
    for pair in found:
        if not (isinstance(pair, tuple | list) and len(pair) == 2 and pair[0] in ("include", "exclude")
                and isinstance(pair[1], str)):  # fmt: skip
            raise ValueError('takes pairs ("include" or "exclude", pattern)')
    return tuple((kind, pattern) for kind, pattern in found)


def moment(value: Any) -> int | None:
    """A date or time (ISO 8601) in ns since the epoch; None stays None."""
    return None if value is None else parse_moment(value)
