"""The body of a POST: JSON, and nothing else. Pure."""

from __future__ import annotations

import json
from typing import Any

from nbsync.core.pull_link import MAX_QUERY, SINGLE, PullLink, checked
from nbsync.errors import UsageError

_LISTS = ("exclude", "include")
_MOST_BYTES = 8 * MAX_QUERY  # JSON may write each character of a link in six


def read_request(content_type: str, body: bytes) -> tuple[PullLink, bool]:
    """The link in a body, and whether it is only to be looked at (`dry_run`).

    Where `filters` does not say their order, excludes stand before includes, as in the Python API.

    Raises:
        UsageError: it is no JSON object, or a part of it makes no sense.
    """
    if len(body) > _MOST_BYTES:  # before it is read: a long text keeps the event loop
        raise UsageError(f"the body is too long: {_MOST_BYTES:,} bytes are taken")
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise UsageError("the body is JSON", "Send it with Content-Type: application/json")
    try:
        given = json.loads(body, object_pairs_hook=_once)
    except UsageError:
        raise
    except (ValueError, RecursionError):
        raise UsageError("the body is no JSON") from None
    if not isinstance(given, dict):
        raise UsageError("the body is a JSON object")
    unknown = sorted(set(given) - {*SINGLE, *_LISTS, "filters", "dry_run"})
    if unknown:
        raise UsageError(f"a pull has no {', '.join(map(repr, unknown))}")
    texts = {name: _text(name, given.get(name)) for name in SINGLE}
    dry_run = given.get("dry_run", False)
    if not isinstance(dry_run, bool):
        raise UsageError("dry_run is true or false")
    filters = [*_ordered(given.get("filters")), *((name, one) for name in _LISTS for one in _patterns(name, given))]
    return checked(PullLink(**texts, filters=tuple(filters))), dry_run


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object's members, each of which stands once, as in a link."""
    members = dict(pairs)
    if len(members) < len(pairs):
        raise UsageError("a name stands twice in the body")
    return members


def _text(name: str, value: Any) -> str:
    if value is not None and not isinstance(value, str):
        raise UsageError(f"{name} is text")
    return value or ""


def _patterns(name: str, given: dict[str, Any]) -> list[str]:
    value = given.get(name)
    patterns = [value] if isinstance(value, str) else [] if value is None else value
    if not isinstance(patterns, list) or not all(isinstance(one, str) for one in patterns):
        raise UsageError(f"{name} is a list of patterns")
    return patterns


def _ordered(value: Any) -> list[tuple[str, str]]:
    pairs = [] if value is None else value
    well = isinstance(pairs, list) and all(
        isinstance(pair, list) and len(pair) == 2 and all(isinstance(text, str) for text in pair) for pair in pairs
    )
    if not well:
        raise UsageError('filters is a list of pairs like ["exclude", "*"]')
    return [(kind, pattern) for kind, pattern in pairs]
