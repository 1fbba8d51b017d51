"""Downloads that wait in staging: what is known of them. Data."""

from __future__ import annotations

from typing import NamedTuple

from nbsync.core.model import Action, Evidence, RemoteEntry


class Staged(NamedTuple):
    """A checked file in staging. `proof` is what has proven it; None where the server gave nothing to check with."""

    path: str
    headers: dict[str, str]
    content: str  # its digest's name, for the state
    proof: Evidence | None
    doubtful: bool = False  # it is not what its ETag says if that is an MD5, which nothing else tells
    checksum: Evidence | None = None  # the service's, computed as it came, that has proven it

    @property
    def verified(self) -> bool:
        """Has the server confirmed it?"""
        return self.proof is not None

    def evidence(self, of_difference: Evidence) -> Evidence:
        """What its row says: how it was found to differ, or else the checksum by which it was checked as it came."""
        if self.proof is None:
            return Evidence.NONE
        return self.checksum if of_difference is Evidence.NONE and self.checksum is not None else of_difference


class Doubt(NamedTuple):
    """A download that is held back until it is known whether ETags here are MD5s."""

    action: Action
    remote: RemoteEntry
    staged: Staged
