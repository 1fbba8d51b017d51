"""What `link` gives back."""

from __future__ import annotations

from typing import Any

from nbsync.core.location import parse_location
from nbsync.core.model import Status
from nbsync.core.pull_link import PullLink, target_of
from nbsync.results.display import Displayed


class Link(Displayed):
    """A pull link. `print(link)` gives the address alone.

    Attributes:
        url: the address; without one of a server or hub, the path that goes behind it.
        pull: what the link asks for.
        local: the folder that it fills, relative to the server's root.
        notes: remarks.
    """

    command = "link"
    exit_code = 0
    ok = True
    error = None

    def __init__(self, url: str, pull: PullLink, notes: list[str]) -> None:
        self.url = url
        self.pull = pull
        self.local = target_of(pull)
        self.notes = notes

    @property
    def remote(self) -> str:
        """REMOTE as a URI."""
        return parse_location(self.pull.source).uri

    @property
    def whole(self) -> bool:
        """True if `url` is an address that can be opened, and no mere path."""
        return not self.url.startswith("/")

    @property
    def counts(self) -> dict[str, int]:
        """No rows of a sync, by status: as a result among others it adds nothing."""
        return {status.value: 0 for status in Status}

    def raise_for_problems(self) -> None:
        """Do nothing: a link that is made has none."""

    def to_dict(self) -> dict[str, Any]:
        """The JSON document, in the contract's style."""
        pull = self.pull
        return {
            "command": self.command, "remote": self.remote, "local": self.local, "ok": self.ok, "url": self.url,
            "urlpath": pull.urlpath, "filters": [list(pair) for pair in pull.filters], "endpoint": pull.endpoint,
            "as_of": pull.as_of,
            "requests": dict.fromkeys(("list", "head", "get", "put", "delete", "other"), 0), "seconds": 0.0,
            "notes": list(self.notes),
        }  # fmt: skip

    def __str__(self) -> str:
        return self.url
