"""Where the state directory of a LOCAL is: in it, or, if LOCAL cannot be written, in the user's. Makes nothing."""

from __future__ import annotations

import os

from nbsync.errors import LocalError
from nbsync.local import database, journal_schema
from nbsync.local.scan import STATE_DIR
from nbsync.local.user_state import name_of, user_state_dir

LOCK = "lock"


def find_place(root: str, *, elsewhere: bool) -> str:
    """Where LOCAL's state directory is: in LOCAL, or, if it may be `elsewhere`, below $XDG_STATE_HOME.

    Args:
        root: LOCAL, absolute.
        elsewhere: go there when LOCAL, or its state directory, cannot be written; for runs that leave LOCAL alone.

    Raises:
        LocalError: as check_readable.
    """
    check_readable(root)
    place = os.path.join(root, STATE_DIR)
    if not elsewhere or not os.path.isdir(root) or may_write(place if os.path.isdir(place) else root):
        return place
    return place_elsewhere(root)


def check_readable(root: str) -> None:
    """Return if LOCAL's own state directory can be read, or there is none: its record must not be taken for empty.

    Raises:
        LocalError: it cannot.
    """
    place = os.path.join(root, STATE_DIR)
    if os.path.isdir(place) and not os.access(place, os.R_OK | os.X_OK):
        hint = "Give yourself permission to read it: what was synced here is recorded in it"
        raise LocalError(f"{place} cannot be read", hint)


def place_elsewhere(root: str) -> str:
    """Where the state directory of a LOCAL is that cannot be written: below $XDG_STATE_HOME."""
    return os.path.join(user_state_dir(), name_of(root))


def may_write(place: str) -> bool:
    """May we write into a folder, and, if it is a state directory, to what is in it?"""
    if not os.access(place, os.W_OK | os.X_OK):
        return False
    ours = (os.path.join(place, name) for name in ("stage", "trash", LOCK, database.NAME, journal_schema.NAME))
    return all(os.access(path, os.W_OK) for path in ours if os.path.lexists(path) and not os.path.islink(path))
