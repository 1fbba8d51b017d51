"""What was synced with a LOCAL, and in which words: so that `status` can tell, and a bare `pull` or `push` repeat it.

One small file in the state directory, replaced whole under its lock. A folder may have been copied or unpacked from
anywhere, and must not lead a push to somebody else's bucket: so the file bears a proof by the user's secret, over
what it says and the state directory's real path, and is repeated only where it holds. There are no credentials in it.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Mapping
from typing import Any, NamedTuple

from nbsync.core.commands import directions
from nbsync.core.options import build_options
from nbsync.errors import UsageError
from nbsync.local import own_secret
from nbsync.local.openat import FOLDER
from nbsync.local.own_secret import NoSecret

NAME = "syncs.json"
_NEW = NAME + ".new"
_FORMAT = 1
_PURPOSE = "syncs"
_MODE = 0o644  # whatever the umask: who else could write into it could send a push elsewhere
_MOST = 20  # syncs that are remembered
_MOST_BYTES = 1 << 20
_KINDS = {(command, way) for way in directions() for command in (way, "apply")}


class PastSync(NamedTuple):
    """One kind of sync with one REMOTE, the last time that it was done. Times in ns since the epoch.

    Attributes:
        command: `pull`, `push`, `sync` or `apply`.
        remote: REMOTE as a URI; `bucket` and `prefix` are those of its recorded rows.
        ended_ns: 0 if it was refused half way, stopped or killed.
        problems: how many it ended with.
        options: those that decided what it did, by name, as JSON has them.
    """

    command: str
    direction: str
    remote: str
    endpoint: str
    bucket: str
    prefix: str
    region: str
    began_ns: int
    ended_ns: int
    problems: int
    options: dict[str, Any]


class Book(NamedTuple):
    """What is known of past syncs, the newest first; `ours` if this user is proved to have written it here."""

    syncs: list[PastSync]
    ours: bool


_NUMBERS = ("began_ns", "ended_ns", "problems")
_TEXTS = ("command", "direction", "remote", "endpoint", "bucket", "prefix", "region")


def read(place: str) -> Book:
    """The book of the state directory at `place`; an empty one where there is none, or what there is makes no sense."""
    try:
        state_dir = os.open(place, FOLDER)
    except OSError:
        return Book([], False)
    try:
        with open(
            os.open(NAME, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=state_dir), "rb"
        ) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return Book([], False)
            found = json.loads(file.read(_MOST_BYTES))
        if not isinstance(found, dict) or found.get("format") != _FORMAT or not isinstance(found.get("syncs"), list):
            return Book([], False)
        syncs = [one for one in map(_sync, found["syncs"][:_MOST]) if one is not None]
        syncs.sort(key=lambda one: -one.began_ns)
        return Book(syncs, own_secret.is_proved(found.get("proof"), _PURPOSE, os.path.realpath(place), found["syncs"]))
    except (OSError, ValueError, RecursionError):
        return Book([], False)
    finally:
        os.close(state_dir)


def _sync(item: Any) -> PastSync | None:
    """An entry of the file; None if it is none."""
    if not isinstance(item, Mapping) or not all(isinstance(item.get(name), str) for name in _TEXTS):
        return None
    numbers = [item.get(name) for name in _NUMBERS]
    options = item.get("options")
    if not all(type(one) is int and 0 <= one < 1 << 63 for one in numbers) or not isinstance(options, dict):
        return None
    if (item["command"], item["direction"]) not in _KINDS or not item["remote"].startswith("s3://"):
        return None
    try:
        build_options(item["direction"], options)
    except UsageError:
        return None
    values = {name: item[name] for name in (*_TEXTS, *_NUMBERS)}
    return PastSync(**values, options=options)


def note(place: str, state_dir: int, sync: PastSync) -> str:
    """Write `sync` into the book in the open state directory at `place`, over the last of its kind with this REMOTE.

    The lock is held. A book that cannot be written is none: files matter more. Returns a note where it cannot be
    proved, and so will not be repeated.
    """
    told = ""
    book = read(place)
    syncs = [sync, *(one for one in book.syncs if book.ours and _kind(one) != _kind(sync))][:_MOST]
    with contextlib.suppress(OSError):
        _drop_new(state_dir)  # a killed run's
        fd = os.open(_NEW, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, _MODE, dir_fd=state_dir)
        try:
            with open(fd, "wb") as file:
                text, told = _text(syncs, os.path.realpath(place))
                file.write(text)
            os.replace(_NEW, NAME, src_dir_fd=state_dir, dst_dir_fd=state_dir)
        except BaseException:
            _drop_new(state_dir)
            raise
    return told


def _drop_new(state_dir: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_NEW, dir_fd=state_dir)


def _kind(sync: PastSync) -> tuple[str, ...]:
    return sync.command, sync.direction, sync.remote, sync.endpoint


def _text(syncs: list[PastSync], place: str) -> tuple[bytes, str]:
    """The file's content, without the oldest syncs if it would be too long to be read again; a note as `note`'s."""
    while True:
        told = [one._asdict() for one in syncs]
        proof, note = _proof(place, told)
        text = json.dumps({"format": _FORMAT, "syncs": told, "proof": proof}).encode()
        if len(text) <= _MOST_BYTES or not syncs:
            return text, note
        syncs = syncs[:-1]


def _proof(place: str, told: list[dict[str, Any]]) -> tuple[str, str]:
    """That this user did this here; or a note that says why there is no proof."""
    try:
        return own_secret.proof(_PURPOSE, place, told), ""
    except NoSecret as error:
        return "", f"this sync cannot be repeated without words, nor unfinished transfers be taken up: {error}"
