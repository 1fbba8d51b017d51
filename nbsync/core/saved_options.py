"""Options that are kept for later or travel: in a saved plan, in the book of past syncs, to workers. No disk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from nbsync.core.call import Call
from nbsync.core.commands import directions
from nbsync.core.option_values import pairs, typed_pair
from nbsync.core.options import OPTIONS, Options, build_options, flag, takers

# What a saved plan says of itself: all that its run depends on. Its items stand for --files-from.
_OF_SYNCS = {name: row for name, row in OPTIONS.items() if set(takers(row)) & set(directions())}
SAVED = tuple(name for name, row in _OF_SYNCS.items() if row.saved)
REPEATED = frozenset(name for name, row in _OF_SYNCS.items() if not row.once)
HARMLESS = frozenset(name for name, row in OPTIONS.items() if row.harmless)
PLACE = frozenset(name for name, row in OPTIONS.items() if row.place)
FILES = tuple(name for name, row in OPTIONS.items() if row.file)


def given_options(options: Options, names: Iterable[str]) -> dict[str, Any]:
    """Those of the options that differ from their defaults, as `build_options` reads them from JSON."""
    values = {name: getattr(options, name) for name in names}
    return {name: tell(value) if (tell := OPTIONS[name].tell) is not None else value
            for name, value in values.items() if value != OPTIONS[name].default}  # fmt: skip


def saved_options(options: Options) -> dict[str, Any]:
    """What a saved plan says of its options."""
    return given_options(options, SAVED)


def repeated_options(options: Options) -> dict[str, Any]:
    """As `saved_options`, for a sync that is repeated later: without what is meant once."""
    return {name: value for name, value in given_options(options, OPTIONS).items() if name in REPEATED}


def words_of(options: Options) -> list[str]:
    """Those options that `repeated_options` tells, as the words of a command line: `--exclude *.tmp --delete`."""
    return typed(repeated_options(options))


def typed(given: Mapping[str, Any]) -> list[str]:
    """Options by name, with values as `saved_options` tells them, as the words of a command line."""
    words: list[str] = []
    for name, value in given.items():
        if name == "filters":
            words += [word for kind, pattern in value for word in _typed(kind, pattern)]
        elif OPTIONS[name].parse is pairs:
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
    own = {name: getattr(call.options, name) for name in OPTIONS if name not in kept}
    return replace(options, **{name: value for name, value in own.items() if value != OPTIONS[name].default})
