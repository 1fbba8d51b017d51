"""A secret of the user's, by which nbsync knows again what it wrote itself: for this user, on this machine. Any thread.

A folder or file from elsewhere may have been written by anybody: whatever in it would be followed without
words bears a proof, the keyed hash (HMAC, RFC 2104) of it by this secret. The secret is made when first something is
to be proved, and lies in the user's state directory, below a `.nbsync`: so no push of a home directory takes it along.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import secrets
import stat
from typing import Any

from nbsync.errors import LocalError
from nbsync.local import rename, user_state
from nbsync.local.openat import FOLDER
from nbsync.local.scan import STATE_DIR

_NAME = "secret"
_BYTES = 32
_FOR_OTHERS = stat.S_IRWXO
_FOR_GROUP = stat.S_IRWXG


class NoSecret(LocalError):
    """There is no secret to be had; the message says why."""


def proof(purpose: str, *told: Any) -> str:
    """The proof that this user told this, in hexadecimal. Makes the secret if there is none.

    Args:
        purpose: what for; a proof for another purpose is none.
        told: as JSON has it.

    Raises:
        NoSecret: there is none, and none can be made.
    """
    return _proof(_read() or _make(), purpose, told)


def is_proved(found: object, purpose: str, *told: Any) -> bool:
    """Is `found` the proof that this user told this? Makes nothing."""
    if not isinstance(found, str) or not found.isascii():
        return False
    try:
        secret = _read()
    except NoSecret:
        return False
    return secret is not None and hmac.compare_digest(found, _proof(secret, purpose, told))


def key(purpose: str, *told: Any, make: bool) -> bytes:
    """A key of 32 bytes for this purpose and what is told; empty where there is no secret and none is to be made.

    Raises: as `proof`.
    """
    secret = _read() or (_make() if make else None)
    return b"" if secret is None else bytes.fromhex(_proof(secret, purpose, told))


def begin(purpose: str) -> hmac.HMAC:
    """A proof of what is told piece by piece to its `update`. Makes the secret if there is none.

    Raises: as `proof`.
    """
    return hmac.new(_read() or _make(), purpose.encode() + b"\0", hashlib.sha256)


def _proof(secret: bytes, purpose: str, told: tuple[Any, ...]) -> str:
    text = json.dumps(told, sort_keys=True, separators=(",", ":"))
    return hmac.new(secret, purpose.encode() + b"\0" + text.encode(), hashlib.sha256).hexdigest()


def _place() -> str:
    """The secret's folder.

    Raises:
        NoSecret: this user has no state directory.
    """
    try:
        return os.path.join(user_state.user_state_dir(), STATE_DIR)
    except LocalError as error:
        raise NoSecret(error.message, error.hint) from None


def _read() -> bytes | None:
    """The secret; None if there is none yet.

    Raises:
        NoSecret: what is there is not this user's alone, or cannot be read.
    """
    path = os.path.join(_place(), _NAME)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise NoSecret(f"{path}: {error.strerror}", "Remove it, or give it back to yourself") from None
    try:
        at = os.fstat(fd)
        if not stat.S_ISREG(at.st_mode) or at.st_uid != os.geteuid() or at.st_mode & _FOR_OTHERS:
            raise NoSecret(f"{path} is not this user's alone: it proves nothing", "Remove it")
        if at.st_mode & _FOR_GROUP:  # as a volume's owner group (Kubernetes' fsGroup) gets it at each start
            with contextlib.suppress(OSError):
                os.fchmod(fd, stat.S_IRUSR | stat.S_IWUSR)
        found = os.read(fd, _BYTES + 1)
    except OSError as error:
        raise NoSecret(f"{path}: {error.strerror}") from None
    finally:
        os.close(fd)
    if len(found) != _BYTES:
        raise NoSecret(f"{path} is damaged", "Remove it")
    return found


def _make() -> bytes:
    """The secret, new, or one that another process has made meanwhile: there is never a half one, nor two.

    Raises: as `_read`; it cannot be written.
    """
    place = _place()
    try:
        user_state.make(place)
        folder = os.open(place, FOLDER)
        try:
            _write(folder)
        finally:
            os.close(folder)
    except OSError as error:
        hint = "Let XDG_STATE_HOME name a folder of yours that can be written"
        raise NoSecret(f"no secret can be kept in {place}: {error.strerror}", hint) from None
    found = _read()
    if found is None:
        raise NoSecret(f"no secret can be kept in {place}: it is gone again")
    return found


def _write(folder: int) -> None:
    new = f"{_NAME}.{secrets.token_hex(8)}"
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, stat.S_IRUSR | stat.S_IWUSR, dir_fd=folder)
    try:
        with open(fd, "wb") as file:
            file.write(secrets.token_bytes(_BYTES))
            file.flush()
            os.fsync(fd)
        rename.into_nothing(new, folder, _NAME, folder)
    except FileExistsError:
        os.unlink(new, dir_fd=folder)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(new, dir_fd=folder)
        raise
