"""A small S3 server that keeps large objects as AWS does: `python -m tests.servers.honest DIRECTORY` prints its URL.

Made for benchmarks and tests of large objects. An object made of parts has the ETag of its parts; every object has a
CRC64NVME of the whole (`--no-checksums`: none); Content-MD5 and x-amz-checksum-crc64nvme of what is sent are verified;
ranges go out by `sendfile`. It checks no signature and keeps no versions. Its Server header begins as MinIO's does,
which is known to list in key order. A thread for each connection.
"""

from __future__ import annotations

import socketserver
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers.base import Server
from tests.servers.honest_store import Handler, Store


class HonestThreads(socketserver.ThreadingTCPServer):
    """The server's socket and threads."""

    allow_reuse_address = daemon_threads = True
    request_queue_size = 128

    def __init__(self, store: Store) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.store = store

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


@dataclass(kw_only=True)
class HonestServer(Server):
    """The server in threads of this process (`store` is at hand), or in a process of its own."""

    store: Store | None = None
    threads: HonestThreads | None = None
    process: subprocess.Popen[str] | None = None

    def stop(self) -> None:
        if self.threads is not None:
            self.threads.shutdown()
            self.threads.server_close()
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout=10)


def start_here(directory: Path, **more: Any) -> HonestServer:
    """In threads of this process; `more` as Store."""
    store = Store(directory, **more)
    threads = HonestThreads(store)
    threading.Thread(target=threads.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    url = f"http://127.0.0.1:{threads.server_address[1]}"
    return HonestServer(name="honest", endpoint_url=url, capabilities=frozenset(), store=store, threads=threads)


def start_process(directory: Path, *more: str) -> HonestServer:
    """In a process of its own; `more` options of the command line."""
    directory.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tests.servers.honest", str(directory), *more]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    return HonestServer(name="honest", endpoint_url=url, capabilities=frozenset(), process=process)


def main(directory: str, *more: str) -> None:
    """Serve until the process is ended."""
    threads = HonestThreads(Store(Path(directory), checksums="--no-checksums" not in more))
    print(f"http://127.0.0.1:{threads.server_address[1]}", flush=True)
    threads.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
