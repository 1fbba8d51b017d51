"""A run's lease: a file in staging by which workers on other machines know LOCAL, and that the run still goes on.

Nobody can guess its content: a worker that reads it sees the staging in which it was written. It is made of the user's
secret, so that a later run of his knows by it what his workers have noted there. When it is gone, the run is over,
was stopped, or died and the next one has emptied staging: then nobody has any business in LOCAL any more.
What workers write into staging bears the lease's id.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import re
import secrets
from typing import Any, NamedTuple

from nbsync.local import own_secret
from nbsync.local.own_secret import NoSecret

SEEN_SECONDS = 0.6  # after a lease or a claim is gone, its worker has seen that, and ended
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_PERMIT = re.compile(r"permit-[0-9a-f]{16}")
_NOTE = re.compile(r"upload-[0-9a-f]{16}-[0-9a-f]{8}-[0-9]+")


class Lease(NamedTuple):
    """`id` is in the names of files, `token` the content of the lease's own."""

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
        """Is this the name of what a worker has staged under this lease?"""
        return re.fullmatch(rf"guest-{self.id}-[0-9a-f-]+", name) is not None

    def batch(self, number: int) -> str:
        """The coordinator's file that says that it wants a batch to be done."""
        return f"batch-{self.id}-{number}"

    def hold(self, number: int) -> str:
        """The worker's file that says who has begun a batch, and how far it is."""
        return f"hold-{self.id}-{number}"


def issue(stage: str) -> Lease:
    """A new lease, whose file is in staging.

    Raises:
        OSError: it cannot be written.
    """
    number = secrets.token_hex(8)
    run_lease = Lease(number, _token(stage, number) or secrets.token_hex(16))
    _write(os.path.join(stage, run_lease.name), run_lease.token)
    return run_lease


def _token(stage: str, number: str) -> str:
    """What the lease of this id in this staging holds, if this user issued it; empty where there is no secret."""
    with contextlib.suppress(NoSecret):
        return own_secret.proof("permit", os.path.realpath(stage), number)[:32]
    return ""


def sign(token: str, note: str, told: Any) -> str:
    """The proof that a worker under the lease with this token wrote this note, as JSON has it, under this name."""
    return hmac.new(token.encode(), json.dumps([note, told], sort_keys=True).encode(), hashlib.sha256).hexdigest()


def is_signed(stage: str, note: str, signature: object, told: Any) -> bool:
    """Did a worker under a lease of this user write this note, under this name in staging?"""
    token = _token(stage, note.split("-")[1])
    made = sign(token, note, told)
    return bool(token) and isinstance(signature, str) and signature.isascii() and hmac.compare_digest(made, signature)


def revoke(stage: str, run_lease: Lease) -> None:
    """Revoke the lease: a worker that looks at it from now on stops."""
    with contextlib.suppress(OSError):
        os.unlink(os.path.join(stage, run_lease.name))


def holds(stage: str, run_lease: Lease) -> bool:
    """Is this the lease's staging, and does the run go on? It is opened anew each time, for NFS looks again then."""
    try:
        fd = os.open(os.path.join(stage, run_lease.name), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.read(fd, 64) == run_lease.token.encode()
    except OSError:
        return False
    finally:
        os.close(fd)


def clear(stage: str, run_lease: Lease) -> None:
    """Remove what workers have left in staging under this lease; notes of their uploads stay, see `shared_dir`."""
    mine = tuple(f"{kind}-{run_lease.id}-" for kind in ("guest", "batch", "hold"))
    with contextlib.suppress(OSError):
        for name in os.listdir(stage):
            if name.startswith(mine):
                with contextlib.suppress(OSError):
                    os.unlink(os.path.join(stage, name))


def begin_batch(stage: str, run_lease: Lease, number: int) -> None:
    """Mark the batch as to be done, until `end_batch`, by the worker that gets it.

    Raises:
        OSError: staging cannot be written.
    """
    _write(os.path.join(stage, run_lease.batch(number)), "")


class Claim:
    """A worker's claim on a batch: the file that it has made for that in staging.

    It holds until another worker puts its own there, which does the batch anew, or the coordinator takes this worker
    for lost and no longer wants this batch: it sends its Actions in another one. An engine may be wrong about that:
    the worker goes on, or begins only then, and finds it here.

    Args:
        number: the batch's.

    Attributes:
        is_first: nobody has had it before.

    Raises:
        OSError: staging cannot be written.
    """

    def __init__(self, stage: str, run_lease: Lease, number: int) -> None:
        self._wanted = os.path.join(stage, run_lease.batch(number))
        self._path = os.path.join(stage, run_lease.hold(number))
        try:
            self._fd = os.open(self._path, _NEW, 0o666)
            self.is_first = True
        except FileExistsError:
            mine = os.path.join(stage, f"{run_lease.staged()}-0")
            self._fd = os.open(mine, _NEW, 0o666)
            os.rename(mine, self._path)
            self.is_first = False

    def lasts(self) -> bool:
        """Is the batch wanted, and still this worker's? What is there is opened: NFS may believe in what is gone."""
        try:
            os.close(os.open(self._wanted, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC))
        except OSError:
            return False
        found = self._open()
        if found is not None:
            os.close(found)
        return found is not None

    def tell(self, told: dict[str, Any]) -> None:
        """Write down how far the batch is. An error is ignored: it is for display only."""
        fd = self._open()
        if fd is not None:
            with contextlib.suppress(OSError), open(fd, "w", encoding="utf-8") as file:
                file.truncate()
                json.dump(told, file)

    def _open(self) -> int | None:
        """The file, opened anew, for NFS looks again then; None if it is gone, or another's."""
        try:
            fd = os.open(self._path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(fd), os.fstat(self._fd)):  # ours is open: no new file has its number
                return fd
        os.close(fd)
        return None

    def close(self) -> None:
        """Let go of it; the file stays, and says that the batch was begun."""
        with contextlib.suppress(OSError):
            os.close(self._fd)


def hear_of_batch(stage: str, run_lease: Lease, number: int) -> dict[str, Any]:
    """What was last told of a batch; empty if nothing was, or it is just being told."""
    try:
        path = os.path.join(stage, run_lease.hold(number))
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), encoding="utf-8") as file:
            told = json.load(file)
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def end_batch(stage: str, run_lease: Lease, number: int) -> None:
    """End the batch: its outcomes are known, or its worker is taken for lost. No claim on it lasts."""
    for name in (run_lease.batch(number), run_lease.hold(number)):
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(stage, name))


def notes_in(stage: str) -> frozenset[str]:
    """The names in staging of notes of multipart uploads, which workers have begun: see `shared_dir`."""
    return _matching(stage, _NOTE)


def is_note(name: str) -> bool:
    """Is this the name of such a note?"""
    return _NOTE.fullmatch(name) is not None


def issued_in(stage: str) -> frozenset[str]:
    """The names in staging of leases: under the state directory's lock, those of runs that died."""
    return _matching(stage, _PERMIT)


def _matching(stage: str, names: re.Pattern[str]) -> frozenset[str]:
    with contextlib.suppress(OSError):
        return frozenset(name for name in os.listdir(stage) if names.fullmatch(name))
    return frozenset()


def _write(path: str, content: str) -> None:
    fd = os.open(path, _NEW, 0o666)
    with open(fd, "w", encoding="utf-8") as file:
        file.write(content)
