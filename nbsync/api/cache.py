"""LocalObjectCache: a bucket's objects as local files for the length of a `with` block."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import Any

from nbsync.api.functions import pull, push
from nbsync.core import names
from nbsync.core.location import parse_location
from nbsync.errors import LocalError, UsageError
from nbsync.local.scan import STATE_DIR, absolute_root
from nbsync.local.state_dir import holds_work
from nbsync.results.sync_result import SyncResult


class LocalObjectCache:
    """A local copy of the objects under a prefix, removed on exit.

    What is not in REMOTE is never removed: a folder that existed before is left as it is, and one in
    which something was edited or added, and not uploaded, is kept, with a warning.

    Args:
        bucket: the bucket's name.
        prefix: a folder in it; empty for the whole bucket.
        path: where to keep the files; default: a new temporary folder.
        keep: leave the files on exit.
        **options: every option of `nbsync.pull`, for `sync`.

    Raises:
        UsageError: bucket or prefix make no sense. LocalError: `path` is a file.
    """

    def __init__(
        self, bucket: str, prefix: str = "", path: str | os.PathLike[str] | None = None, *, keep: bool = False,
        **options: Any,
    ) -> None:  # fmt: skip
        self.location = parse_location(f"{bucket}/{prefix}" if prefix else bucket)
        self._options = options
        self._keep = keep
        root = absolute_root(tempfile.mkdtemp(prefix="nbsync-") if path is None else path)
        self._made = path is None or not os.path.lexists(root)
        self.path = Path(root)  # absolute: the current directory may change before the cache goes
        if self.path.exists() and not self.path.is_dir():
            raise LocalError(f"{self.path} is not a directory", "Give the cache a folder of its own")

    def sync(self, **options: Any) -> SyncResult:
        """Pull what differs; `options` override those of the constructor.

        Raises: as `nbsync.pull`.
        """
        result: SyncResult = pull(self.location.uri, self.path, **{**self._options, **options})
        return result

    def upload(self, **options: Any) -> SyncResult:
        """Push what was changed here back.

        Raises: as `nbsync.push`.
        """
        result: SyncResult = push(self.path, self.location.uri, **{**self._options, **options})
        return result

    def get_path(self, key: str) -> Path:
        """The local file of the object with this relative key; `sync` must have brought it.

        Raises:
            UsageError: the key cannot be a file. FileNotFoundError: it is not here.
        """
        refusal = names.refusal(key)
        if refusal or names.is_own(key):
            raise UsageError(f"{key!r} {refusal or 'is in the state_dir of nbsync'}")
        found = self.path / key
        if not found.is_file():
            raise FileNotFoundError(f"{key!r} is not in the cache: sync() first, or check the name")
        return found

    def close(self) -> None:
        """Remove the folder, if the cache made it and all that is in it came from REMOTE as it is.

        With an edit that was not uploaded in it, or in its trash, it is kept, with a warning.
        """
        if self._keep or not self._made or not self.path.is_dir():
            return
        if holds_work(str(self.path)):
            where = f"something in it, or in the trash in {STATE_DIR}, is not in {self.location.uri}"
            warnings.warn(f"{self.path} was kept: {where}", stacklevel=2)
            return
        shutil.rmtree(self.path, ignore_errors=True)

    def __enter__(self) -> LocalObjectCache:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<LocalObjectCache {self.location.uri} in {self.path}>"
