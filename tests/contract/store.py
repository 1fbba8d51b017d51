"""What the store tests share: nbsync's own way to one bucket of a test server, and files to send there."""

from __future__ import annotations

import hashlib
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from nbsync.core.location import parse_location
from nbsync.core.model import Action, Evidence, Kind, LocalEntry, RemoteEntry, Status, Verb
from nbsync.core.options import Options
from nbsync.local.journal import Journal
from nbsync.local.record import RemoteName
from nbsync.local.state_dir import StateDir
from nbsync.s3.bucket import Bucket
from nbsync.s3.listing import find_object, list_objects
from nbsync.transfer.context import Activity, Context
from nbsync.transfer.rate_limiter import Limiter
from tests.servers import Server

KiB, MiB = 1024, 1024 * 1024
OTHER_ETAG = "0" * 32  # of no content that these tests have


def never_wait(_seconds: float) -> bool:
    """Back-off without waiting; the run is never cancelled."""
    return False


def content(size: int, seed: str = "") -> bytes:
    """`size` bytes that look random and are the same every time."""
    return random.Random(f"{size} {seed}").randbytes(size)


def md5(data: bytes) -> str:
    """Hexadecimal, as ETags have it."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


class Store:
    """One bucket of a server through nbsync, LOCAL in a directory of its own; closed by the fixture."""

    def __init__(self, server: Server, bucket: str, root: Path) -> None:
        self.server, self.name, self.root = server, bucket, root
        root.mkdir()
        self._room = StateDir(str(root), str(root / ".nbsync"), "run", wait=never_wait)
        self._buckets: list[Bucket] = []

    def bucket(self, remote: str = "", **options: Any) -> Bucket:
        """nbsync's Bucket for `remote` (default: the whole bucket), with these options."""
        where = {"endpoint_url": self.server.endpoint_url, "retries": 0, **options}
        made = Bucket(parse_location(remote or self.name), Options(**where), wait=never_wait)
        self._buckets.append(made)
        return made

    def context(self, **options: Any) -> Context:
        """What workers share, for the whole bucket."""
        bucket = self.bucket(**options)
        given = Options(endpoint_url=self.server.endpoint_url, **{"retries": 0, **options})
        cancel = threading.Event()
        return Context(bucket, str(self.root), given, "", self._room, Limiter(0, never_wait), cancel)

    def journal(self, now_ns: Callable[[], int] = time.time_ns) -> Journal:
        """What a run knows of the ones before it."""
        remote = RemoteName(self.bucket().endpoint, self.name, "")
        return Journal(self._room.place, remote, now_ns=now_ns)

    def put(self, key: str, body: bytes, **more: Any) -> RemoteEntry:
        """An object that boto3 makes, as nbsync lists it."""
        self.server.s3.put_object(Bucket=self.name, Key=key, Body=body, **more)
        return self.listed(key)

    def put_plainly(self, key: str, body: bytes) -> None:
        """An object that boto3 makes."""
        self.server.s3.put_object(Bucket=self.name, Key=key, Body=body)

    def put_parts(self, key: str, body: bytes, part_size: int) -> RemoteEntry:
        """An object that boto3 makes in parts of `part_size` bytes, as nbsync lists it."""
        where = {"Bucket": self.name, "Key": key}
        upload = {**where, "UploadId": self.server.s3.create_multipart_upload(**where)["UploadId"]}
        parts = []
        for number, offset in enumerate(range(0, len(body), part_size), 1):
            piece = body[offset : offset + part_size]
            etag = self.server.s3.upload_part(**upload, PartNumber=number, Body=piece)["ETag"]
            parts.append({"PartNumber": number, "ETag": etag})
        self.server.s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
        return self.listed(key)

    def listed(self, key: str) -> RemoteEntry:
        """The object as nbsync lists it now."""
        found = find_object(self.bucket(), key, "")
        assert found is not None, f"{key!r} is not listed"
        return found

    def keys(self, prefix: str = "", **options: Any) -> list[str]:
        """Every key below a folder, as nbsync lists them."""
        return [entry.key for entry in list_objects(self.bucket(**options), prefix)]

    def body(self, key: str) -> bytes:
        """An object's content as boto3 reads it."""
        data: bytes = self.server.s3.get_object(Bucket=self.name, Key=key)["Body"].read()
        return data

    def file(self, path: str, body: bytes, mtime_ns: int | None = None) -> LocalEntry:
        """A local file, as the scan shows it."""
        at = self.root / path
        at.parent.mkdir(parents=True, exist_ok=True)
        at.write_bytes(body)
        if mtime_ns is not None:
            os.utime(at, ns=(mtime_ns, mtime_ns))
        stat = at.stat()
        return LocalEntry(path, Kind.FILE, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)

    def staged(self) -> list[str]:
        """What lies in staging."""
        return os.listdir(self._room.stage)

    def close(self) -> None:
        """Let go of connections and the room."""
        for bucket in self._buckets:
            bucket.client.close()
        self._room.close()


def action(verb: Verb, local: LocalEntry | None, remote: RemoteEntry | None) -> Action:
    """Work to do on one path."""
    path = local.path if local else remote.path if remote else ""
    return Action(path, verb, Status.PLANNED, "a test", Evidence.NONE, local=local, remote=remote)


def unfinished(store: Store) -> list[Any]:
    """Multipart uploads that nobody completed or aborted; rclone cannot list them."""
    if store.server.name == "rclone":
        return []
    uploads: list[Any] = store.server.s3.list_multipart_uploads(Bucket=store.name).get("Uploads", [])
    return uploads


def tree(root: Path) -> dict[str, bytes]:
    """Every file below `root` but nbsync's own, with its content."""
    return {path: (root / path).read_bytes() for path in _paths(root)}


def _paths(root: Path) -> Iterator[str]:
    for path in sorted(root.rglob("*")):
        relative = path.relative_to(root)
        if path.is_file() and ".nbsync" not in relative.parts:
            yield relative.as_posix()


__all__ = [
    "OTHER_ETAG",
    "Activity",
    "KiB",
    "MiB",
    "Store",
    "action",
    "content",
    "md5",
    "never_wait",
    "tree",
    "unfinished",
]
