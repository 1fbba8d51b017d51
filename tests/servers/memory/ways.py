"""Three ways to a MemoryS3: nbsync's Transport, a boto3 client, and HTTP on the loopback for other processes."""

from __future__ import annotations

import io
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from nbsync.wire.connect import Route
from nbsync.wire.connection import FileSlice, SentMeter
from nbsync.wire.errors import Aborted, ConnectionLost, SourceChanged
from nbsync.wire.multiplexer import Done
from nbsync.wire.response_reader import Response, ResponseReader, Sink
from tests.servers.memory.service import MemoryS3


class _Stream:
    """The bytes of one answer, read by nbsync's own reader."""

    def __init__(self, peer: str) -> None:
        self._left = memoryview(b"")
        self.reader = ResponseReader(self._receive, peer)

    def load(self, answer: bytes) -> ResponseReader:
        self._left = memoryview(answer)
        self.reader.reset()
        return self.reader

    def _receive(self, memory: memoryview) -> int:
        count = min(len(memory), len(self._left))
        memory[:count] = self._left[:count]
        self._left = self._left[count:]
        return count

    def small(self, answer: bytes) -> Response:
        """As the multiplexer reads: an answer of a known length that fits the buffer. Raises: ConnectionLost."""
        reader = self.load(answer)
        while count := self._receive(reader.offer()):
            if reader.grew(count) and (whole := reader.whole()) is not None:
                return whole
        raise ConnectionLost(f"{reader.peer} closed the connection", unanswered=not answer)


class MemoryTransport:
    """nbsync's port, answered at once in the thread that asks."""

    multiplexes = True

    def __init__(self, store: MemoryS3, route: Route) -> None:
        self._store, self._peer = store, route.peer
        self._closed = ""
        self._streams: list[_Stream] = []

    def multiplexer(self) -> MemoryMultiplexer:
        return MemoryMultiplexer(self._store, self._peer)

    def exchange(
        self, head: bytes, body: bytes | FileSlice, *, head_only: bool, repeatable: bool, sink: Sink | None,
        meter: SentMeter | None, on_written: Callable[[int], object],
    ) -> Response:  # fmt: skip
        if self._closed:
            raise Aborted(self._closed)
        stream = self._streams.pop() if self._streams else _Stream(self._peer)
        on_written(1)
        try:
            content = _read(body) if isinstance(body, FileSlice) else body
            if meter:
                meter.add(len(content))
            reader = stream.load(self._store.take(head, content))
            if self._closed:
                raise Aborted(self._closed)
            return reader.read(head_only, sink)
        except BaseException:
            if meter:
                meter.undo()
            raise
        finally:
            self._streams.append(stream)

    def abort(self) -> None:
        self._closed = "the request was aborted"

    def close(self) -> None:
        self._closed = self._closed or "the client is closed"

    def retire(self) -> None:
        """There is nothing to keep."""


def _read(slice_: FileSlice) -> bytes:
    content = os.pread(slice_.fd, slice_.length, slice_.offset)
    if len(content) < slice_.length:
        raise SourceChanged(f"the file ended {slice_.length - len(content)} bytes too early")
    return content


class MemoryMultiplexer:
    """What is started has been answered before `start` returns; `poll` gives it back."""

    def __init__(self, store: MemoryS3, peer: str) -> None:
        self._store, self._stream = store, _Stream(peer)
        self._ended: deque[Done] = deque()

    def start(self, tag: Any, head: bytes, body: bytes = b"") -> Done | None:
        try:
            self._ended.append(Done(tag, self._stream.small(self._store.take(head, body)), None))
        except ConnectionLost as lost:
            self._ended.append(Done(tag, None, lost))
        except OSError as error:
            self._ended.append(Done(tag, None, ConnectionLost(str(error))))
        return None

    def poll(self, seconds: float) -> list[Done]:
        found = list(self._ended)
        self._ended.clear()
        return found

    def drop_all_but(self, wanted: Callable[[Any], bool]) -> list[Any]:
        dropped = [done.tag for done in self._ended if not wanted(done.tag)]
        self._ended = deque(done for done in self._ended if wanted(done.tag))
        return dropped

    def close(self) -> list[Any]:
        return [done.tag for done in self._ended]


def answer_boto(store: MemoryS3, client: Any) -> Any:
    """A boto3 client whose requests go to the store, and to no network."""
    from botocore.awsrequest import AWSResponse

    def answered(request: Any, **_: Any) -> Any:
        path = request.url.partition("://")[2].partition("/")[2]
        head = _head(request.method, f"/{path}", dict(request.headers.items()))
        body = request.body or b""
        content = body if isinstance(body, (bytes, bytearray)) else body.read()
        stream = _Stream("memory").load(store.take(head, bytes(content)))
        got = stream.read(request.method == "HEAD")
        return AWSResponse(request.url, got.status, got.headers, _Raw(got.body))

    client.meta.events.register_first("before-send.s3", answered)
    return client


def _head(method: str, target: str, headers: dict[str, Any]) -> bytes:
    said = {name: value.decode("latin-1") if isinstance(value, bytes) else value for name, value in headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in said.items())
    return f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode("latin-1")


class _Raw(io.BytesIO):
    def stream(self, amount: int = 65536, **_: Any) -> Iterator[bytes]:
        while piece := self.read(amount):
            yield piece


@contextmanager
def listening(store: MemoryS3) -> Iterator[str]:
    """The URL at which other processes reach the store, over HTTP on the loopback."""
    listener = _Listener(("127.0.0.1", 0), type("Handler", (_Handler,), {"store": store}))
    threading.Thread(target=listener.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.server_port}"
    finally:
        listener.shutdown()
        listener.server_close()


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def handle_error(self, *_: Any) -> None:
        """A client that goes away is no error."""


class _Handler(BaseHTTPRequestHandler):
    store: MemoryS3
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer in one packet
    disable_nagle_algorithm = True

    def _do(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        head = _head(self.command, self.path, dict(self.headers.items()))
        try:
            self.wfile.write(self.store.take(head, body))
        except ConnectionLost:
            self.close_connection = True

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _do

    def log_message(self, *_: Any) -> None:
        """Nothing is printed."""
