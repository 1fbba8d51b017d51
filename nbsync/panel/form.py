"""What was filled in, as the words of a call; and what must never be kept of it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from nbsync.core.call import Call
from nbsync.core.options import OPTIONS, build_options, is_taken
from nbsync.errors import UsageError

FIELDS = tuple(name for name, row in OPTIONS.items() if row.in_panel)
_LOOK_RETRIES = 1  # to look around takes less patience than a sync


def plan_call(direction: str, remote: str, local: str, given: Mapping[str, Any]) -> Call:
    """The call that plans a pull or a push; options that are for the other direction are left out.

    Raises:
        UsageError: REMOTE or LOCAL is missing, or an option makes no sense.
    """
    if not remote.strip():
        raise UsageError("REMOTE is empty", "Write s3://bucket/prefix, or browse for it")
    if direction == "push" and not local.strip():
        raise UsageError("a push needs LOCAL", "Name the folder that is to be uploaded")
    taken = {name: value for name, value in given.items() if is_taken(name, "plan", direction)}
    options = build_options("plan", taken, direction)
    return Call(command="plan", direction=direction, remote=remote.strip(), local=local.strip(), options=options,
                asked=frozenset(taken))  # fmt: skip


def look_where(given: Mapping[str, Any]) -> dict[str, Any]:
    """Options to look around with, by name: those that say where, and little patience.

    Raises:
        UsageError: one makes no sense.
    """
    where = {name: value for name, value in given.items() if is_taken(name, "ls") and name not in ("filters", "as_of")}
    build_options("ls", where)
    return {"retries": _LOOK_RETRIES, **where}


def without_secrets(name: str, value: str) -> str:
    """The value of a field, which is shown, sent to the browser and may be saved.

    Raises:
        UsageError: it may hold credentials, as other tools take them. They are not repeated.
    """
    if name == "endpoint_url" and "@" in value:
        raise UsageError("the endpoint must not hold credentials", "Use a profile or the AWS_* variables")
    if name == "remote" and "@" in value.partition("://")[2 if "://" in value else 0].partition("/")[0]:
        raise UsageError("REMOTE must not hold credentials", "Write s3://bucket/prefix, and use a profile")
    if re.search(r"(?i)[?&](x-amz-[a-z-]+|signature|awsaccesskeyid)=", value):
        raise UsageError("a signed URL must not be kept here", "Write s3://bucket/prefix, and use a profile")
    return value


def as_filters(given: Mapping[str, Any]) -> list[list[str]]:
    """`filters`, `include` and `exclude` as pairs, in the order in which `build_options` takes them.

    Raises:
        UsageError: they are none.
    """
    named = {name: given[name] for name in ("filters", "include", "exclude") if given.get(name)}
    return [list(pair) for pair in build_options("plan", named).filters]


def pairs(filters: Sequence[Sequence[str]]) -> tuple[tuple[str, str], ...]:
    """Filters as the options take them; rows that are not filled in yet are left out."""
    return tuple((kind, pattern) for kind, pattern in filters if pattern)
