"""The state directory of a LOCAL for a worker: another process, on another machine perhaps, holds its lock.

It takes no lock and empties nothing; what it trashes goes to the trash of the run that it works for. Multipart
uploads that it begins are noted in staging, a file each, so that those of a worker that dies are aborted.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from typing import Any

from nbsync.core.model import LocalEntry
from nbsync.local import trash_contents
from nbsync.local.journal import Journal, Upload
from nbsync.local.lease import Lease, is_signed, notes_in, sign
from nbsync.local.openat import FOLDER
from nbsync.local.record import RemoteName
from nbsync.local.state_dir import StateDir, open_stage_on_mount

_NOTE_BYTES = 1 << 16


class SharedStateDir(StateDir):
    """The state directory as a shared worker has it.

    Args:
        root: LOCAL.
        place: the state directory's path.
        run: that this worker works for; names its trash.

    Raises:
        OSError: there is no such state directory.
    """

    def __init__(self, root: str, place: str, run: str) -> None:
        self.root, self.place, self.run = root, place, run
        self.is_new, self.guests = False, None
        self.stage = os.path.join(place, "stage")
        self._trash_home = os.path.join(place, trash_contents.TRASH)
        self.trash = os.path.join(self._trash_home, run)
        self._near: dict[tuple[int, int], int] = {}
        self._nearing = threading.Lock()
        self._fd = os.open(place, FOLDER)

    def _open_near(self, top: int) -> int:
        return open_stage_on_mount(top, self.root)

    def close(self) -> None:
        """Let go of it; nothing is removed: others are at work here."""
        os.close(self._fd)
        while self._near:
            os.close(self._near.popitem()[1])


class SharedJournal(Journal):
    """Notes the multipart uploads of one worker; takes up nothing, and keeps nothing of downloads."""

    def __init__(self, stage: str, run_lease: Lease, remote: RemoteName) -> None:
        super().__init__(None, remote)
        self._token = run_lease.token
        self._notes = os.path.join(stage, f"upload{run_lease.staged().removeprefix('guest')}")
        self._last = 0

    def intend_upload(self, local: LocalEntry, key: str, headers: str, part_size: int) -> Upload:
        upload = super().intend_upload(local, key, headers, part_size)
        with self._lock:
            self._last += 1
            upload = upload._replace(id=self._last)
        self._note_upload(upload)
        return upload

    def began(self, upload: Upload, upload_id: str) -> Upload:
        upload = upload._replace(upload_id=upload_id)
        self._note_upload(upload)
        return upload

    def end_upload(self, upload: Upload) -> None:
        with contextlib.suppress(OSError):
            os.unlink(self._path_of(upload))

    def _path_of(self, upload: Upload) -> str:
        return f"{self._notes}-{upload.id}"

    def _note_upload(self, upload: Upload) -> None:
        with contextlib.suppress(OSError):
            file = os.open(self._path_of(upload), os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
            with open(file, "w", encoding="utf-8") as out:
                told = {"endpoint": upload.endpoint, "bucket": upload.bucket, "prefix": self._remote.prefix,
                        "key": upload.key, "upload_id": upload.upload_id, "begun_ns": upload.begun_ns}  # fmt: skip
                signature = sign(self._token, os.path.basename(self._path_of(upload)), told)
                json.dump({**told, "signature": signature}, out)
                out.truncate()


def adopt(stage: str, journal: Journal) -> None:
    """Take the uploads that workers have left into the run's own journal, as leftovers; the lock is held."""
    for name in notes_in(stage):
        path = os.path.join(stage, name)
        told = _read(stage, name)
        if told is not None:
            remote = RemoteName(told["endpoint"], told["bucket"], told["prefix"])
            if not journal.adopt(remote, told["key"], told["upload_id"], told["begun_ns"]):
                continue
        with contextlib.suppress(OSError):
            os.unlink(path)


def _read(stage: str, name: str) -> dict[str, Any] | None:
    """A note; None for what is none, or that of a stranger's worker: LOCAL may have been unpacked from anywhere."""
    path = os.path.join(stage, name)
    texts = ("endpoint", "bucket", "prefix", "key", "upload_id")
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            told = json.loads(file.read(_NOTE_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    ours = isinstance(told, dict) and is_signed(stage, name, told.pop("signature", ""), told)
    if not ours or not isinstance(told.get("begun_ns"), int) or not all(isinstance(told.get(t), str) for t in texts):
        return None
    return dict(told)
