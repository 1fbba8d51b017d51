"""An S3 service in memory, behind nbsync's own Transport port: a functional test without a socket.

Everything above the port is nbsync's real code: signing, retries, reading of answers, the small-file path.

In a functional test the fixture `world` stands on it (on moto where the test also asks for the fixture `moto`), and
the fixture `memory` is the service:

- `world.put/get/remove/keys/objects` read and write the dictionary; `world.held` (of a MemoryWorld) is the Bucket:
  `.keys` (key -> versions), `.versioning`, `.uploads`;
- `world.server.s3`: a boto3 client that reaches the store (versioning, multipart uploads, tags, …);
- `memory.log`, `memory.count("GetObject")`: the requests that came;
- `memory.hook(hook)`, or `with memory.hooked(hook):`, where `hook(request, send)` answers each request:
  `return send(request)` passes it on, `return send(request)._replace(...)` changes the answer,
  `return refusal(503, "SlowDown")` refuses it, `raise ConnectionLost("…")` loses it;
- `memory.page_keys`, `memory.server`, `memory.plus`: how listings are cut, and what the server calls itself;
- `listening(memory)`: a URL for other processes (the command line, workers).
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from nbsync.wire.transport import mounted
from tests.servers.base import Server
from tests.servers.memory.messages import Answer, Request, refusal
from tests.servers.memory.service import Hook, MemoryS3, Send
from tests.servers.memory.store import Bucket, Stored
from tests.servers.memory.ways import MemoryTransport, answer_boto, listening

__all__ = [
    "HOST", "Answer", "Bucket", "Hook", "MemoryS3", "MemoryServer", "Request", "Send", "Stored", "listening",
    "reachable", "refusal",
]  # fmt: skip

HOST = "127.0.0.2"  # the loopback, where nothing listens: no request can leave this process
CAPABILITIES = frozenset({
    "any-key", "checks-checksum", "checks-content-md5", "complete-tells-etag", "conditional-complete",
    "conditional-complete-new", "conditional-delete", "conditional-get", "conditional-put", "file-and-folder",
    "keep-alive", "last-modified-is-put-time", "multipart-md5-etag", "part-head", "put-etag-is-md5",
    "quoted-if-match", "sse", "sse-c", "storage-class", "stores-checksums", "stores-headers", "tags",
    "unsigned-payload", "versions",
})  # fmt: skip


_numbers = itertools.count(1)


@dataclass(kw_only=True)
class MemoryServer(Server):
    """A MemoryS3 as the tests know a server."""

    name: str = "memory"
    endpoint_url: str = f"http://{HOST}:80"
    capabilities: frozenset[str] = CAPABILITIES
    store: MemoryS3 = field(default_factory=MemoryS3)

    @functools.cached_property
    def s3(self) -> Any:
        """A boto3 client that reaches the store."""
        return answer_boto(self.store, self.client())

    def new_bucket(self) -> str:
        """The name of a new, empty bucket."""
        name = f"test-{next(_numbers)}"
        self.store.bucket(name)
        return name

    def put(self, bucket: str, key: str, body: bytes) -> str:
        with self.store.lock:
            return f'"{self.store.bucket(bucket).put(key, body).etag}"'

    def etags(self, bucket: str) -> dict[str, str]:
        return {key: f'"{found.etag}"' for key, found in self._objects(bucket)}

    def contents(self, bucket: str) -> dict[str, bytes]:
        return {key: found.body for key, found in self._objects(bucket)}

    def _objects(self, bucket: str) -> list[tuple[str, Stored]]:
        with self.store.lock:
            held = self.store.bucket(bucket)
            found = [(key, held.current(key)) for key in sorted(held.keys)]
        return [(key, one) for key, one in found if one is not None]

    def stop(self) -> None:
        """Nothing runs."""


@contextmanager
def reachable(store: MemoryS3, host: str = HOST) -> Iterator[None]:
    """A context in which nbsync's requests to `host` go to the store; another host makes another server of it."""
    with mounted(host, lambda route: MemoryTransport(store, route)):
        yield
