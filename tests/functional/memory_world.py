"""A World on the in-memory S3: its checks read the dictionary, and cost no request."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.functional.world import World
from tests.servers.memory import Bucket, MemoryServer


class MemoryWorld(World):
    """A prefix of a bucket in memory, and a local folder.

    Attributes:
        store: the service.
        held: the bucket, as it is held.
    """

    def __init__(self, server: MemoryServer, base: Path, **more: Any) -> None:
        super().__init__(server, base, **more)
        self.store = server.store

    @property
    def held(self) -> Bucket:
        """The bucket that holds the prefix."""
        return self.store.bucket(self.bucket)

    def get(self, path: str) -> bytes:
        with self.store.lock:
            return self.held.find(self.prefix + path).body

    def remove(self, *paths: str) -> None:
        with self.store.lock:
            for path in paths:
                self.held.delete(self.prefix + path)
