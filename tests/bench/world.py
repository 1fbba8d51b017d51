"""What the jobs share: a folder to work in, the server, trees and buckets that several jobs use, sizes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.bench import trees
from tests.bench.measure import measure
from tests.bench.tools import ALL, Tool, tools
from tests.servers import rclone
from tests.servers.latency import LatencyRelay

ROUND_TRIP = 0.04  # seconds added where a job is about latency


@dataclass(frozen=True)
class Scale:
    """Sizes of the jobs. The bars are for the full ones."""

    rounds: int = 7
    small_files: int = 10_000
    far_files: int = 2_000
    large_bytes: int = 2 * 10**9
    listed_keys: int = 100_000
    many_files: int = 1_000_000
    peers: tuple[str, ...] = ALL

    def by(self, factor: float) -> Scale:
        """Other sizes, in the same proportions, by the same rules."""
        return Scale(
            self.rounds, max(10, int(self.small_files * factor)), max(10, int(self.far_files * factor)),
            max(10**6, int(self.large_bytes * factor)), max(2_000, int(self.listed_keys * factor)),
            max(10_000, int(self.many_files * factor)), self.peers,
        )  # fmt: skip


def roomiest(bytes_needed: int) -> Path:
    """Where to work: memory if it holds that much (figures are then of the tools, not of a disk), else TMPDIR."""
    shared = Path("/dev/shm")
    if shared.is_dir():
        at = os.statvfs(shared)
        available = next((int(line.split()[1]) * 1024 for line in Path("/proc/meminfo").read_text().splitlines()
                          if line.startswith("MemAvailable")), 0)  # fmt: skip
        if min(at.f_bavail * at.f_frsize, available) > bytes_needed:
            return shared
    return Path(tempfile.gettempdir())


class World:
    """A folder, and `rclone serve s3` over a directory in it. `close` ends the server; the folder is the caller's."""

    def __init__(self, folder: Path, scale: Scale) -> None:
        self.folder, self.scale = folder, scale
        self._made: dict[str, Path] = {}
        self._filled: dict[Path, str] = {}
        tempfile.tempdir = str(folder)  # the server's directory lies there too
        # rclone forgets what it knows of a directory after 5 minutes, and computes all ETags anew at the next LIST.
        self.server = rclone.start("--dir-cache-time", "24h")

    def close(self) -> None:
        """End the server."""
        self.server.stop()

    def tools(self, *names: str, endpoint_url: str = "") -> list[Tool]:
        """nbsync and those of the peers that take part at this scale, at the server or at another endpoint."""
        wanted = [name for name in names or ALL if name in self.scale.peers]
        return tools(endpoint_url or self.server.endpoint_url, wanted)

    def relay(self, seconds: float = 0.0) -> LatencyRelay:
        """A relay before the server: it counts requests, and makes the way longer."""
        return LatencyRelay(self.server.endpoint_url, seconds)

    def tree(self, name: str, make: Callable[[Path], Path]) -> Path:
        """A source tree, made once under this name."""
        if name not in self._made:
            self._made[name] = make(self.folder / name)
        return self._made[name]

    def small(self) -> Path:
        """The tree of small files."""
        return self.tree("small", lambda folder: trees.make_small(folder, self.scale.small_files))

    def large(self) -> Path:
        """The tree of one large file."""
        return self.tree("large", lambda folder: trees.make(folder, [("large.bin", self.scale.large_bytes)]))

    def bucket_of(self, source: Path) -> str:
        """A bucket that holds the source, pushed once."""
        if source not in self._filled:
            bucket = self.server.new_bucket()
            push = self.tools("nbsync")[0]
            measure(push.push(bucket, source), push.env)
            trees.remove(source / ".nbsync")
            self.expect_stored(bucket, source, "the first push")
            self._filled[source] = bucket
        return self._filled[source]

    def forget(self, source: Path) -> None:
        """Make room: a source and its bucket are no longer needed."""
        if bucket := self._filled.pop(source, None):
            self.drop(bucket)
        self._made = {name: path for name, path in self._made.items() if path != source}
        trees.remove(source)

    def expect_stored(self, bucket: str, source: Path, who: str) -> None:
        """
        Raises:
            BenchError: the server does not hold the source's files with their bytes (read in its own directory).
        """
        trees.expect_same(source, self.server.directory / "buckets" / bucket, who)

    def drop(self, bucket: str) -> None:
        """Empty a bucket, and remove it; through S3, since rclone knows its directory by heart."""
        s3 = self.server.s3
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            if keys := [{"Key": entry["Key"]} for entry in page.get("Contents", ())]:
                s3.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
        s3.delete_bucket(Bucket=bucket)
