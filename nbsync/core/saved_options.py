"""Options that are kept for later or travel: in a saved plan, in the book of past syncs, to workers. No disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from nbsync.core.call import Call
from nbsync.core.option_values import typed_pair
from nbsync.core.options import FIELDS, Options, build_options, flag
from nbsync.core.timestamps import format_moment

# What a saved plan says of itself: all that its run depends on. Its items stand for --files-from.
SAVED = tuple(
    name for name, f in FIELDS.items()
    if f.metadata["group"] != "Output" and {"pull", "push"} & set(f.metadata["commands"])
    and name not in ("dry_run", "files_from")
)  # fmt: skip
ELSEWHERE = frozenset({"endpoint_url", "region", "profile"})  # who gives one of them means it
_ONE_TIME = ("allow_empty_source", "overwrite_remote", "no_verify_ssl", "no_conditions")  # dangers that are meant once
REPEATED = frozenset(SAVED) - set(_ONE_TIME) | {"files_from"}
# What a plan may bring that somebody else made: it says which files, how fast, and what is told of an object. All else
# leads elsewhere, reads or writes files beside LOCAL, weakens a check, costs, or lets others read what is sent.
HARMLESS = frozenset({
    "filters", "existing", "ignore_existing", "delete", "max_delete", "allow_empty_source", "overwrite_remote",
    "compare", "as_of", "preserve_mtime", "jobs", "bandwidth", "timeout", "retries", "region", "addressing_style",
    "no_sign_request", "storage_class", "sse", "content_type", "content_encoding", "content_disposition",
    "content_language", "cache_control", "expires", "metadata", "tag",
})  # fmt: skip
FILES = ("files_from", "ca_bundle", "sse_c_key_file")  # whose value is the path of a file to read


def saved_options(options: Options) -> dict[str, Any]:
    """What a saved plan says of its options: those that were given, as `build_options` reads them from JSON."""
    values = {name: getattr(options, name) for name in SAVED}
    given = {name: value for name, value in values.items() if value != FIELDS[name].default}
    if options.as_of is not None:
        given["as_of"] = format_moment(options.as_of)
    return given


def repeated_options(options: Options) -> dict[str, Any]:
    """As `saved_options`, for a sync that is repeated later: without what is meant once."""
    given = {**saved_options(options), **({"files_from": options.files_from} if options.files_from else {})}
    return {name: value for name, value in given.items() if name in REPEATED}


def words_of(options: Options) -> list[str]:
    """Those options that `repeated_options` tells, as the words of a command line: `--exclude *.tmp --delete`."""
    return typed(repeated_options(options))


def typed(given: Mapping[str, Any]) -> list[str]:
    """Options by name, with values as `saved_options` tells them, as the words of a command line."""
    words: list[str] = []
    for name, value in given.items():
        if name == "filters":
            words += [word for kind, pattern in value for word in _typed(kind, pattern)]
        elif FIELDS[name].metadata["parse"] == "pairs":
            words += [word for key, text in value for word in _typed(name, typed_pair(key, text))]
        else:
            words += [flag(name)] if value is True else _typed(name, str(value))
    return words


def _typed(name: str, value: str) -> list[str]:
    return [f"{flag(name)}={value}"] if value.startswith("-") else [flag(name), value]


def over_saved(call: Call, direction: str, saved: Mapping[str, Any]) -> Options:
    """Options that were `saved`, under those that `call` was given itself.

    A default of its face counts where nothing was saved.

    Raises:
        UsageError: what was saved is no option of a `direction`, or the two make no sense together.
    """
    asked = {"filters" if name in ("include", "exclude") else name for name in call.asked}
    kept = {name: value for name, value in saved.items() if name not in asked}
    options = build_options(direction, kept)
    own = {name: getattr(call.options, name) for name in FIELDS if name not in kept}
    return replace(options, **{name: value for name, value in own.items() if value != FIELDS[name].default})
