"""From what a link asks for to the call of a run: the bucket is allowed, and the folder is below the root.

A link is untrusted. Only what is checked here becomes a Call.
"""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from typing import NamedTuple

from nbsync.core.call import Call
from nbsync.core.guard import Limits
from nbsync.core.pull_link import PullLink, checked, location_of, target_of
from nbsync.errors import AccessDenied, LocalError, UsageError
from nbsync.server.config import PATIENCE, PullLinks


class PullRequest(NamedTuple):
    """What a link comes to on this server.

    Attributes:
        link: what was asked for.
        source: `s3://bucket/prefix/`.
        target: the folder, relative to the root.
        call: what is to be run.
    """

    link: PullLink
    source: str
    target: str
    call: Call

    @property
    def dry_run(self) -> bool:
        """Does it only look?"""
        return self.call.command == "plan"

    @property
    def key(self) -> tuple[object, ...]:
        """The same for requests that would do the same; where they go on to does not count."""
        return self.source, self.call.local, self.call.command, self.link.filters, self.link.endpoint, self.link.as_of


class Places:
    """Where links may lead on one server.

    Args:
        links: what its owner allows.
        root: the folder below which targets are.
        home: the server's own root, where its terminals and pages begin.
    """

    def __init__(self, links: PullLinks, root: str, home: str = "") -> None:
        self.links = links
        self.root = os.path.realpath(os.path.expanduser(root))
        self._home = os.path.realpath(os.path.expanduser(home or root))

    def seen_from_home(self, target: str) -> str:
        """How a terminal of the server names a target's folder: relative to its root, where it lies below that."""
        path = os.path.join(self.root, target)
        below = os.path.relpath(path, self._home)
        return path if below.split(os.sep)[0] == os.pardir else below

    def request_for(self, link: PullLink, *, dry_run: bool) -> PullRequest:
        """What `link` comes to here. Nothing is made.

        Raises:
            UsageError: it makes no sense, or leads out of the root. AccessDenied: its bucket is not allowed.
        """
        location, links = location_of(checked(link)), self.links
        options = links.options(link.endpoint, filters=link.filters, as_of=link.as_of or None)
        if not any(fnmatchcase(location.bucket, pattern) for pattern in links.buckets_of(link.endpoint)):
            raise AccessDenied(
                f"links may not pull from the bucket {location.bucket!r} here", "The server's owner lists the buckets"
            )
        target = target_of(link)
        call = Call(
            command="plan" if dry_run else "pull", direction="pull", remote=location.uri,
            local=contained(self.root, target), options=options, imposed=frozenset(PATIENCE),
            limits=Limits(links.max_files, links.max_bytes, repositories=False, nothing=False),
        )  # fmt: skip
        return PullRequest(link, location.uri, target, call)


def contained(root: str, target: str) -> str:
    """The real path of a target.

    Args:
        root: the real path of the folder below which targets are.
        target: relative to it.

    Raises:
        UsageError: a symbolic link leads out of the root, to it, or into a hidden folder; or it is no path here.
    """
    try:
        real = os.path.realpath(os.path.join(root, target))
    except (OSError, ValueError):
        raise UsageError(f"target {target!r} is no path here") from None
    below = os.path.relpath(real, root).split(os.sep)
    if below[0] in (os.pardir, os.curdir) or any(part.startswith(".") for part in below):
        raise UsageError(f"target {target!r} leads out of the server's root, or into a hidden folder")
    return real


def check_again(request: PullRequest, root: str) -> None:
    """Is the target where it was when the request was taken?

    Raises:
        LocalError: it is not.
    """
    try:
        moved = contained(root, request.target) != request.call.local
    except UsageError:
        moved = True
    if moved:
        raise LocalError(f"{request.target} is another folder than it was when the pull was asked for")
