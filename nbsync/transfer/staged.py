"""Downloads that wait in staging: what is known of them. Data."""

from __future__ import annotations

from typing import NamedTuple

from nbsync.core.model import Action, RemoteEntry


class Staged(NamedTuple):
    """A checked file in staging. `verified` is False where the server gave nothing to check with."""

    path: str
    headers: dict[str, str]
    content: str  # its digest's name, for the state
    verified: bool
    doubtful: bool = False  # it is not what its ETag says if that is an MD5, which nothing else tells


class Doubt(NamedTuple):
    """A download that is held back until it is known whether ETags here are MD5s."""

    action: Action
    remote: RemoteEntry
    staged: Staged
