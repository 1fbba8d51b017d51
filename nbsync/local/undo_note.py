"""The note of an undo under way: whose trash it puts back, and as which run. Used under the state directory's lock.

It is there from before the first file until all are back, so that the next undo goes on with what a stop, a
kill or a failure has left, instead of undoing what was put back.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from typing import NamedTuple

from nbsync.core.runs import is_run
from nbsync.local import trash
from nbsync.local.openat import lstat, open_own_file
from nbsync.local.same_file import is_one_file
from nbsync.local.trash_contents import Home, Item, items

_NAME = "undoing"
_BYTES = 1_000


class Undoing(NamedTuple):
    """`run` is put back by the undo that calls itself `by`."""

    run: str
    by: str


def begin(place: str, state_dir: int, undo: Undoing) -> None:
    """Note it in the open state directory at `place`.

    Raises:
        LocalError: something else than a file has the note's name. OSError.
    """
    with open(open_own_file(os.path.join(place, _NAME), state_dir), "wb") as file:
        file.truncate()
        file.write(json.dumps(undo).encode())


def end(state_dir: int) -> None:
    """All is back."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_NAME, dir_fd=state_dir)


def left(state_dir: int, homes: list[Home]) -> Undoing | None:
    """The undo to go on with; None if there is none, or if a later run has trashed something since.

    Raises:
        OSError: whether there is one cannot be read.
    """
    at = lstat(_NAME, state_dir)
    if at is None or not stat.S_ISREG(at.st_mode):
        return None
    try:
        with open(os.open(_NAME, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=state_dir), "rb") as file:
            run, by = json.loads(file.read(_BYTES))
    except (ValueError, TypeError):
        return None
    runs = trash.newest_first(homes)
    newest = next((one for one in runs if one != by), None)
    return Undoing(run, by) if isinstance(by, str) and is_run(by) and run == newest else None


def put_back_already(root: str, homes: list[Home], undo: Undoing) -> set[str]:
    """The paths that it has dealt with: something of each is in its trash, unless it still stands in its place too.

    Raises:
        OSError: what is in its trash cannot be read.
    """
    done = set()
    for item in items(homes, undo.by):
        if item.kind == "unread":
            raise OSError(None, f"{item.error}: {os.path.join(root, item.place)}")
        if not _stands(root, item):
            done.add(item.path)
    return done


def _stands(root: str, item: Item) -> bool:
    kept = f"{item.layer}/{item.inner}"
    return item.kind == "file" and is_one_file(os.path.join(root, item.path), None, kept, item.home.fd)
