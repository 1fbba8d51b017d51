"""What `link` gives back."""

from __future__ import annotations

from typing import Any

from nbsync.core.location import parse_location
from nbsync.core.pull_link import PullLink, target_of
from nbsync.results.answer import Found, no_requests


class Link(Found):
    """A pull link. `print(link)` gives the address alone.

    Attributes:
        url: the address; without one of a server or hub, the path that goes behind it.
        pull: what the link asks for.
        local: the folder that it fills, relative to the server's root.
        notes: remarks.
    """

    command = "link"

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

    def to_dict(self) -> dict[str, Any]:
        """The JSON document, in the contract's style."""
        pull = self.pull
        return {
            "command": self.command, "remote": self.remote, "local": self.local, "ok": self.ok, "url": self.url,
            "urlpath": pull.urlpath, "filters": [list(pair) for pair in pull.filters], "endpoint": pull.endpoint,
            "as_of": pull.as_of,
            "requests": no_requests(), "seconds": 0.0, "notes": list(self.notes),
        }  # fmt: skip

    def __str__(self) -> str:
        return self.url
