"""moto, in this process: quick to start, knows versions and conditional PUT, checks little of what it is sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nbsync.demo.server import DemoServer
from tests.servers.base import Server

CAPABILITIES = frozenset(
    {
        "complete-tells-etag",
        "conditional-complete-new",
        "conditional-delete",
        "conditional-get",
        "conditional-put",
        "file-and-folder",
        "last-modified-is-put-time",
        "multipart-md5-etag",
        "part-head",
        "put-etag-is-md5",
        "quoted-if-match",
        "sse",
        "storage-class",
        "stores-checksums",
        "stores-headers",
        "tags",
        "trailing-checksums",
        "unsigned-payload",
        "versions",
    }
)


@dataclass(kw_only=True)
class MotoServer(Server):
    """The product's own demo server, as a test server. All of a process share one set of buckets."""

    server: DemoServer

    # Past HTTP: a test that stores, lists and reads all for each of its steps would send ten times nbsync's requests.
    def put(self, bucket: str, key: str, body: bytes) -> str:
        return str(self._backend.put_object(bucket, key, body).etag)

    def etags(self, bucket: str) -> dict[str, str]:
        return {key: str(found.etag) for key, found in self._objects(bucket)}

    def contents(self, bucket: str) -> dict[str, bytes]:
        return {key: bytes(found.value) for key, found in self._objects(bucket)}

    def _objects(self, bucket: str) -> list[tuple[str, Any]]:
        from moto.s3.models import FakeDeleteMarker

        keys = self._backend.buckets[bucket].keys
        newest = [(key, keys.get(key)) for key in sorted(keys)]
        return [(key, found) for key, found in newest if found and not isinstance(found, FakeDeleteMarker)]

    @property
    def _backend(self) -> Any:
        from moto.s3.models import s3_backends

        return s3_backends["123456789012"]["aws"]

    def stop(self) -> None:
        self.server.stop()


def start() -> MotoServer:
    """A running moto."""
    server = DemoServer()
    return MotoServer(name="moto", endpoint_url=server.endpoint_url, capabilities=CAPABILITIES, server=server)
