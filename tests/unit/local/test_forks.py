"""Nothing of SQLite's is under way, in any thread, while a process forks; not in the databases of a run either."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from nbsync.core.names import twin_key
from nbsync.local.forks import AT_REST
from nbsync.local.name_groups import Groups
from nbsync.s3.prefetch import Page
from nbsync.s3.sorted_listing import collected
from tests.unit.core.entries import here, row, there


def held(method: Callable[..., Any]) -> Callable[..., Any]:
    """The same, which fails where a fork would not be waited for."""

    def called(*args: Any, **named: Any) -> Any:
        assert AT_REST._is_owned(), method.__name__  # type: ignore[attr-defined]
        return method(*args, **named)

    return called


class Cursor(sqlite3.Cursor):
    execute, executemany = held(sqlite3.Cursor.execute), held(sqlite3.Cursor.executemany)
    fetchone, fetchmany = held(sqlite3.Cursor.fetchone), held(sqlite3.Cursor.fetchmany)
    __next__ = held(sqlite3.Cursor.__next__)


class Connection(sqlite3.Connection):
    close = held(sqlite3.Connection.close)

    def cursor(self, *_: Any, **__: Any) -> Any:
        return super().cursor(Cursor)


@pytest.fixture(autouse=True)
def _watched(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", held(lambda *args, **named: connect(*args, factory=Connection, **named)))


def test_names_brought_together() -> None:
    with closing(Groups(twin_key)) as groups:
        groups.add([here("A")], [there("a"), there("b/c")], [row("a")])
        assert [name for name, _ in groups] == ["a", "b/c"]
        assert groups.has_object_below("b")


def test_listing_that_is_collected() -> None:
    pages = {"": Page([there("b")], "t"), "t": Page([there("a")], "")}
    assert [one.path for entries in collected(lambda token: pages[token]) for one in entries] == ["a", "b"]
