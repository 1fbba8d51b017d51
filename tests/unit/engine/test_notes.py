"""Remarks: one sentence for each thing that was found out, in the order of their topics, none twice."""

from __future__ import annotations

from typing import Any

import pytest

from nbsync.core.location import parse_location
from nbsync.core.model import Row
from nbsync.core.options import Options
from nbsync.engine import notes
from nbsync.engine.notes import Notes
from nbsync.engine.source import Scope, Seen
from nbsync.s3.capabilities import Capabilities


def test_topics_are_told_in_their_order_whatever_came_first() -> None:
    told = Notes(filters=["2", "twice"])
    told.words, told.key = ["1", "twice"], ["3"]

    assert told.told() == ["1", "twice", "2", "3"]


@pytest.mark.parametrize(
    ("options", "listed", "source_files", "complete", "nothing_left", "said"),
    [
        ({}, None, 3, True, True, []),
        ({"filters": (("include", "*.csv"),)}, None, 3, True, False, ["--include alone filters nothing"]),
        ({"filters": (("exclude", "*.csv"),)}, None, 3, True, False, ["nothing matched --exclude '*.csv'"]),
        ({"filters": (("exclude", "*.csv"),)}, None, 3, False, False, []),  # some were not looked at
        ({"filters": (("exclude", "*.csv"),)}, None, 0, True, True, []),
        ({"filters": (("exclude", "/a"),)}, None, 3, True, True,
         ["nothing can match --exclude '/a': paths begin below", "the filters left none of the 3 files"]),
        ({}, frozenset("abcd"), 3, True, True, ["the filters left none", "4 of the paths in --files-from are not in"]),
    ],
)  # fmt: skip
def test_filters(
    options: Any, listed: Any, source_files: int, complete: bool, nothing_left: bool, said: list[str]
) -> None:
    scope, seen = Scope(Options(**options), listed), Seen(listed or ())
    found = notes.filtered(scope, seen, source_files, complete=complete, nothing_left=nothing_left)

    assert len(found) == len(said)
    assert all(one.startswith(start) for one, start in zip(found, said, strict=True))


@pytest.mark.parametrize(
    ("host", "action", "status", "said"),
    [
        ("s3.amazonaws.com", "upload", "miss", ""),
        ("localhost", "upload", "miss", "conditional PUT is unproven on this server: best effort"),
        ("localhost", "upload", "cancelled", ""),
        ("localhost", "delete-remote", "deleted", "conditional DELETE is unproven on this server: best effort"),
        ("localhost", "download", "miss", ""),
    ],
)
def test_conditions_that_may_not_be_honoured(host: str, action: str, status: str, said: str) -> None:
    rows = [Row("f", action, status, "", "none", 0, 0.0, None)]

    assert notes.best_effort(rows, Capabilities(host)) == ([said] if said else [])


def test_writes_without_a_condition_are_said_elsewhere() -> None:
    can = Capabilities("localhost")
    can.blame_conditions("conditions fail here")

    assert notes.best_effort([Row("f", "upload", "miss", "", "none", 0, 0.0, None)], can) == []


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (notes.remote(parse_location("s3://b/a//c")), "the empty segment in s3://b/a//c/ is taken as it is"),
        (notes.remote(parse_location("s3://b/a"), "nothing"), "nothing"),
        (notes.waited("process 7"), "another nbsync run (process 7) was at work here"),
        (notes.purged(1, 5, 7), "removed from the trash after 7 days: 1 local file (5 bytes)"),
        (notes.trashed((2, 5), (3, 6), "replaced", 0.5, "T"),
         "2 local files (5 bytes), replaced, kept for 0.5 days in T; in the trash by now: 3 local files (6 bytes)"),
        (notes.trashed((2, 5), (2, 5), "replaced", 7, "T"), "2 local files (5 bytes), replaced, kept for 7 days in T"),
        (notes.undone("data", 0, nothing=True), "nothing to undo: there is nothing in the trash of data"),
        (notes.undone("data", 1, nothing=False), "1 file stays in the trash"),
        (notes.not_planned({"planned": 3, "skipped": 2, "failed": 0}), "not part of the plan, which said why: 2"),
        (notes.hits_without_key(2), "up to date, so not sent under your key (SSE-C)"),
    ],
)  # fmt: skip
def test_sentences(found: list[str], said: str) -> None:
    [one] = found
    assert one.startswith(said)


def test_what_is_not_so_is_not_said() -> None:
    assert notes.remote(parse_location("s3://b/a")) == notes.purged(0, 0, 7) == notes.hits_without_key(0) == []
    assert notes.undone("data", 0, nothing=False) == notes.not_planned({"planned": 3}) == []
