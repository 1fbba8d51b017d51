"""A listing in any order, read to its end and sorted: for servers that do not list by key. The caller's thread."""

from __future__ import annotations

import pickle
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from nbsync.core.model import RemoteEntry
from nbsync.core.parallel_listing import PAGE
from nbsync.errors import ListingError
from nbsync.local.forks import AT_REST
from nbsync.s3.prefetch import Page

_NOTHING_NEW = 100  # pages in a row: some servers send a few


def every_page(fetch: Callable[[str], Page]) -> Iterator[list[RemoteEntry]]:
    """The pages as they come; `fetch` gets the one that a token continues, the first by an empty one.

    Raises:
        ListingError: a token comes again, so that the listing might never end. Exception: what `fetch` raises.
    """
    seen, token = {""}, ""
    while True:
        page = fetch(token)
        yield page.entries
        token = page.token
        if not token:
            return
        if token in seen:
            raise _circle()
        seen.add(token)


def collected(fetch: Callable[[str], Page]) -> Iterator[list[RemoteEntry]]:
    """Every object, each once, in the order of the paths. It waits on disk, not in memory.

    Raises:
        ListingError: the listing does not get on. Exception: what `fetch` raises.
    """
    with _scratch() as db:
        idle = 0
        for entries in every_page(fetch):
            rows = ((entry.path.encode("utf-8", "surrogatepass"), pickle.dumps(tuple(entry))) for entry in entries)
            with AT_REST:
                new = db.executemany("INSERT OR IGNORE INTO listed VALUES (?, ?)", rows).rowcount if entries else 0
            idle = 0 if new > 0 else idle + 1
            if idle > _NOTHING_NEW:
                raise _circle()
        with AT_REST:
            found = db.execute("SELECT entry FROM listed ORDER BY path")
        while True:
            with AT_REST:
                page = found.fetchmany(PAGE)
            if not page:
                return
            yield [RemoteEntry._make(pickle.loads(blob)) for (blob,) in page]


@contextmanager
def _scratch() -> Iterator[sqlite3.Connection]:
    """A database of our own, gone with us; at rest while others fork."""
    with AT_REST:
        db = sqlite3.connect("")
    try:
        with AT_REST:
            db.execute("CREATE TABLE listed (path BLOB PRIMARY KEY, entry BLOB) WITHOUT ROWID")
        yield db
    finally:
        with AT_REST:
            db.close()


def _circle() -> ListingError:
    return ListingError(
        "the listing goes round in a circle: the server goes on without a further key", "Nothing was deleted"
    )
