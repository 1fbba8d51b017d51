"""moto, in this process: quick to start, knows versions and conditional PUT, checks little of what it is sent."""

from __future__ import annotations

from dataclasses import dataclass

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

    def stop(self) -> None:
        self.server.stop()


def start() -> MotoServer:
    """A running moto."""
    server = DemoServer()
    return MotoServer(name="moto", endpoint_url=server.endpoint_url, capabilities=CAPABILITIES, server=server)
