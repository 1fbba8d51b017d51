"""A plan that is not proved to be this user's own: what it may bring, and what must be named by the user too.

Whoever wrote it may have written anything. Its items are done as they stand, each held against both sides; but
where requests go, with which keys, which files beside LOCAL are read or written, and who may read what is sent:
that is the user's to say, on the command line or in the configuration. What the plan says of it is refused, and not
left out, unless the user says the same.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from nbsync.core.call import Call
from nbsync.core.options import OPTIONS, build_options, flag, is_taken
from nbsync.core.planfile import Header
from nbsync.core.saved_options import FILES, HARMLESS
from nbsync.errors import GuardRefusal, UsageError
from nbsync.s3.bucket import Bucket

NOT_YOURS = "not known to be your own plan (made by another user, elsewhere or by an older nbsync, or edited since)"
_SHOWN = 200  # characters of a value


def admitted(call: Call, direction: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a plan's options that anybody may bring; the others stand in the call already, or in `unsettled`.

    Raises:
        GuardRefusal: the plan names what the user has not named.
    """
    wanted = {name: value for name, value in _unnamed(call, direction, options).items() if not OPTIONS[name].configured}
    if wanted:
        raise _refusal(call, direction, wanted)
    return {name: value for name, value in options.items() if name in HARMLESS}


def check_place(call: Call, header: Header, bucket: Bucket) -> None:
    """Does the user's own configuration name what the plan names? Asked before the first request.

    Args:
        call: the user's own words.
        header: what the plan says.
        bucket: made by the user's words and configuration alone.

    Raises:
        GuardRefusal: it does not.
    """
    wanted = _unnamed(call, header.direction, header.options)
    endpoint, profile = wanted.pop("endpoint_url", header.endpoint), wanted.pop("profile", header.profile)
    bundle = wanted.pop("ca_bundle", "")
    refused: dict[str, Any] = {}
    for one in (endpoint, header.endpoint):
        if _endpoint(one) != bucket.endpoint:
            refused["endpoint_url"] = one
    for one in (profile, header.profile):
        if one and one != (bucket.profile or "default"):
            refused["profile"] = one
    if bundle and not _is_same_file(bundle, bucket.client.target.ca_bundle):
        refused["ca_bundle"] = bundle
    if refused:
        raise _refusal(call, header.direction, refused)


def _unnamed(call: Call, direction: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """What of the options is neither harmless nor as the call has it."""
    return {
        name: value
        for name, value in options.items()
        if name in OPTIONS and name not in HARMLESS and not _is_as_in(call, direction, name, value)
    }


def _is_as_in(call: Call, direction: str, name: str, value: Any) -> bool:
    try:
        wanted = getattr(build_options(direction, {name: value}), name)
    except UsageError:
        return False
    own = getattr(call.options, name)
    return bool(wanted == own or (name in FILES and own and _is_same_file(wanted, own)))


def _is_same_file(one: object, other: str) -> bool:
    return isinstance(one, str) and "\0" not in one and os.path.realpath(one) == os.path.realpath(other)


def _endpoint(url: object) -> str:
    """The URL as `Bucket.endpoint` has it; empty if it is none."""
    try:
        parts = urlsplit(str(url))
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.hostname}:{port}{parts.path.rstrip('/')}"


def _refusal(call: Call, direction: str, wanted: Mapping[str, Any]) -> GuardRefusal:
    told = ", ".join(f"{flag(name)} {_shown(value)}" for name, value in wanted.items())
    again = f"plan again yourself: nbsync plan {direction} ... --save FILE"
    given = [flag(name) for name in wanted if is_taken(name, "apply")]
    hint = (
        f"If you know and mean it, give the same here ({', '.join(given)}), or {again}"
        if given
        else f"To do it, {again}"
    )
    return GuardRefusal(f"{call.file} is {NOT_YOURS}, and names what you did not: {told}", hint)


def _shown(value: Any) -> str:
    text = re.sub(r"//[^/]*@", "//...@", value if isinstance(value, str) else repr(value))  # no password of anybody
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
