"""A World whose nbsync goes through the fault proxy, and what must hold after whatever happened there."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from nbsync import SyncResult
from tests.functional.world import World
from tests.servers import Server
from tests.servers.proxy import Proxy

MiB = 1024 * 1024
SMALL, LARGE = 3_000, 11 * MiB + 321  # bytes; the second travels in ranges or parts


def content(size: int, seed: object) -> bytes:
    """`size` bytes that look random and are the same every time."""
    return random.Random(f"{size} {seed}").randbytes(size)


class FaultyWorld(World):
    """A prefix of a bucket behind `proxy`, and a folder. The test itself looks at the server past the proxy."""

    def __init__(self, server: Server, base: Path, proxy: Proxy) -> None:
        super().__init__(server, base)
        self.proxy = proxy

    def fill_source(self, direction: str, files: dict[str, bytes]) -> None:
        """Put the files where they are to come from."""
        for path, body in files.items():
            if direction == "pull":
                self.put(path, body)
            else:
                self.write(path, body)

    def target(self, direction: str) -> dict[str, bytes]:
        """What is where the files are to go."""
        return self.files() if direction == "pull" else self.objects()

    def counted(self, result: SyncResult) -> None:
        """Every request that came is in the result's counts."""
        seen = self.proxy.counts()
        kinds = {
            "list": seen["ListObjectsV2"],
            "head": seen["HeadObject"],
            "get": seen["GetObject"],
            "put": seen["PutObject"] + seen["UploadPart"],
            "delete": seen["DeleteObject"],
        }
        other = sum(seen.values()) - sum(kinds.values())
        assert result.requests == {**kinds, "other": other}

    def uploads(self) -> list[str]:
        """The paths of unfinished uploads."""
        found = self.server.s3.list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])
        return [upload["Key"].removeprefix(self.prefix) for upload in found]

    def tidy(self, *, resumable: str = "") -> None:
        """No staging, no unfinished upload, but of a file that the next run is to go on with."""
        if not resumable:
            self.no_staging_left()
        assert set(self.uploads()) <= {resumable}

    def mended(self, direction: str, files: dict[str, bytes], **options: Any) -> None:
        """Without faults the next run finishes the work, and the one after it is silent."""
        self.proxy.clear()
        result = self.run(direction, **options)
        assert result.ok, (result.error, result.problems)
        self.counted(result)
        assert self.target(direction) == files
        self.tidy()
        self.silent(direction, options)
