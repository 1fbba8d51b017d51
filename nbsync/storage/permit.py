"""A run's permit: a file in staging by which workers on other machines know LOCAL, and that the run still goes on.

Its content is random: who reads it sees the very staging in which it was written. When it is gone, the run is over,
was stopped, or died and the next one has emptied staging: then nobody has any business in LOCAL any more.
What workers write into staging bears the permit's id.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
from typing import Any, NamedTuple

SEEN_SECONDS = 0.6  # after a permit is gone, everybody has seen it: workers look every 0.4 s
_PERMIT = re.compile(r"permit-[0-9a-f]{16}")
_NOTE = re.compile(r"upload-[0-9a-f]{16}-[0-9a-f]{8}-[0-9]+")


class Permit(NamedTuple):
    """`id` is in the names of files, `token` the content of the permit's own."""

    id: str
    token: str

    @property
    def name(self) -> str:
        """The file in staging."""
        return f"permit-{self.id}"

    def staged(self) -> str:
        """The beginning of names in staging that are one worker's own."""
        return f"guest-{self.id}-{secrets.token_hex(4)}"

    def is_staged(self, name: str) -> bool:
        """Is this the name of what a worker has staged under this permit?"""
        return re.fullmatch(rf"guest-{self.id}-[0-9a-f-]+", name) is not None

    def batch(self, number: int) -> str:
        """The file that says that a batch was begun, and how far it is."""
        return f"batch-{self.id}-{number}"


def issue(stage: str) -> Permit:
    """A new permit, whose file is in staging.

    Raises:
        OSError: it cannot be written.
    """
    permit = Permit(secrets.token_hex(8), secrets.token_hex(16))
    _write(os.path.join(stage, permit.name), permit.token)
    return permit


def revoke(stage: str, permit: Permit) -> None:
    """From now on, nobody who looks may go on."""
    with contextlib.suppress(OSError):
        os.unlink(os.path.join(stage, permit.name))


def holds(stage: str, permit: Permit) -> bool:
    """Is this the permit's staging, and does the run go on? It is opened anew each time, for NFS looks again then."""
    try:
        fd = os.open(os.path.join(stage, permit.name), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.read(fd, 64) == permit.token.encode()
    except OSError:
        return False
    finally:
        os.close(fd)


def clear(stage: str, permit: Permit) -> None:
    """Remove what workers have left in staging under this permit; notes of their uploads stay, see `guest`."""
    mine = (f"guest-{permit.id}-", f"batch-{permit.id}-")
    with contextlib.suppress(OSError):
        for name in os.listdir(stage):
            if name.startswith(mine):
                with contextlib.suppress(OSError):
                    os.unlink(os.path.join(stage, name))


def begin_batch(stage: str, permit: Permit, number: int) -> bool:
    """Note that a batch is begun; False if it was begun before, by a worker that was lost.

    Raises:
        OSError: staging cannot be written.
    """
    try:
        _write(os.path.join(stage, permit.batch(number)), "{}")
    except FileExistsError:
        return False
    return True


def tell_of_batch(stage: str, permit: Permit, number: int, told: dict[str, Any]) -> None:
    """Say how far a batch is. Not to be had is no matter."""
    path = os.path.join(stage, permit.batch(number))
    with contextlib.suppress(OSError):
        fd = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC)  # not made: it may be over
        with open(fd, "w", encoding="utf-8") as file:
            json.dump(told, file)


def hear_of_batch(stage: str, permit: Permit, number: int) -> dict[str, Any]:
    """What was last told of a batch; empty if nothing was, or it is just being told."""
    try:
        path = os.path.join(stage, permit.batch(number))
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), encoding="utf-8") as file:
            told = json.load(file)
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def end_batch(stage: str, permit: Permit, number: int) -> None:
    """Its outcomes are known."""
    with contextlib.suppress(OSError):
        os.unlink(os.path.join(stage, permit.batch(number)))


def notes_in(stage: str) -> frozenset[str]:
    """The names in staging of notes of multipart uploads, which workers have begun: see `guest`."""
    return _matching(stage, _NOTE)


def is_note(name: str) -> bool:
    """Is this the name of such a note?"""
    return _NOTE.fullmatch(name) is not None


def issued_in(stage: str) -> frozenset[str]:
    """The names in staging of permits: under the room's lock, those of runs that died."""
    return _matching(stage, _PERMIT)


def _matching(stage: str, names: re.Pattern[str]) -> frozenset[str]:
    with contextlib.suppress(OSError):
        return frozenset(name for name in os.listdir(stage) if names.fullmatch(name))
    return frozenset()


def _write(path: str, content: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    with open(fd, "w", encoding="utf-8") as file:
        file.write(content)
