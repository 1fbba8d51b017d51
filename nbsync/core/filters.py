"""Which paths take part: ordered --include/--exclude globs, and --files-from. Pure; any thread.

The rule is aws-cli's (`awscli/customizations/s3/filters.py`, class Filter): every path is included
at first, the last filter that matches decides, and a pattern is matched by fnmatch on the whole
path. aws-cli joins each pattern to the root directory, so `data/*` matches from the root only,
while `*.csv` matches at any depth because `*` crosses `/`. Braces are literal characters.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable

from nbsync.errors import UsageError

_ABSOLUTE_OR_CLIMBING = re.compile(r"/|[A-Za-z]:[/\\]|(?:.*[/\\])?\.\.(?:[/\\]|\Z)", re.DOTALL)
_WILDCARD = re.compile(r"[*?[]")


class Filters:
    """Ordered filters; false when there are none.

    Args:
        filters: pairs of `include` or `exclude` and a pattern, in the order in which they were given.

    Raises:
        UsageError: another word than those two.
    """

    def __init__(self, filters: Iterable[tuple[str, str]] = ()) -> None:
        # The last one decides, so they are asked from the last to the first.
        self._rules = tuple(_Rule(kind, pattern) for kind, pattern in filters)[::-1]

    def __bool__(self) -> bool:
        return bool(self._rules)

    def admits(self, path: str) -> bool:
        """True if `path`, relative and `/`-separated, takes part."""
        for rule in self._rules:
            if not rule.matched and rule.matches(path):
                rule.matched = True
        for rule in self._rules:
            if rule.matches(path):
                return rule.includes
        return True

    @property
    def only_include(self) -> bool:
        """Are there filters, and all of them --include? They exclude nothing then."""
        return bool(self._rules) and all(rule.includes for rule in self._rules)

    def may_admit_below(self, folder: str) -> bool:
        """False if nothing below `folder` can take part, whatever its name. (That is not always found out.)"""
        start = f"{folder}/"
        for rule in self._rules:
            if rule.includes and rule.may_match_below(start):
                return True
            if not rule.includes and rule.matches_all_below(start):
                rule.matched = True
                return False
        return True

    def unmatched(self) -> list[tuple[str, str]]:
        """The filters, as they were given, that no path has matched so far."""
        return [(rule.kind, rule.pattern) for rule in self._rules[::-1] if not rule.matched]


class _Rule:
    """One filter. `matched`: a path has."""

    def __init__(self, kind: str, pattern: str) -> None:
        if kind not in ("include", "exclude"):
            raise UsageError(f"a filter is include or exclude, not {kind!r}")
        self.matches = re.compile(fnmatch.translate(pattern)).match  # case-sensitive on every system
        self.kind, self.pattern = kind, pattern
        self.includes = kind == "include"
        self.matched = False

    def matches_all_below(self, start: str) -> bool:
        """Every path that begins with `start`: a `*` at the end takes whatever follows what matched."""
        return self.pattern.endswith("*") and self.matches(start) is not None

    def may_match_below(self, start: str) -> bool:
        """Some path that begins with `start`, as far as the pattern's letters before its first wildcard tell."""
        head = _WILDCARD.split(self.pattern, maxsplit=1)[0]
        return head.startswith(start) or start.startswith(head)


def read_files_from(lines: Iterable[str]) -> frozenset[str]:
    """The relative paths in a --files-from file, one a line; `#` is no comment.

    Line ends, blank lines and a leading `./` are dropped; spaces are part of a name.

    Raises:
        UsageError: a line is absolute or has a `..` segment; says which.
    """
    paths = set()
    for number, line in enumerate(lines, 1):
        path = line.rstrip("\r\n")
        if not path.strip():
            continue
        while path.startswith("./"):
            path = path[2:]
        if _ABSOLUTE_OR_CLIMBING.match(path):
            raise UsageError(f"--files-from, line {number}: {path} is not a path below REMOTE and LOCAL")
        if path:
            paths.add(path)
    return frozenset(paths)
