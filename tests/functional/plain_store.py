"""A small S3 server that takes every key as it is, for fuzzing: it knows LIST, HEAD, GET, PUT and DELETE.

moto normalizes keys on their way through its URL routing, and RGW takes 20 ms for each. This one keeps a
dictionary, lists it as AWS does (encoding-type=url, bytes in order), and calls `on_get` before each GET.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, quote, quote_plus, unquote
from xml.sax.saxutils import escape

from tests.functional.world import World
from tests.servers import Server

BUCKET = "fuzz"
_MODIFIED = "2024-02-29T23:59:59.123Z"


class PlainStore:
    """One bucket, `fuzz`, on a free port of the loopback until `stop`.

    Attributes:
        objects: key -> content; may be changed between runs.
        plus: write a space in a listed key as `+`, as AWS does, not as `%20`.
        page_keys: at most so many keys a page.
        on_get: called with the key before each GET is answered.
        on_request: called before each request is looked at, and again before it is answered.
    """

    def __init__(self) -> None:
        self.reset()
        self.lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"store": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self.endpoint_url = f"http://127.0.0.1:{self._server.server_port}"

    def reset(self) -> None:
        """No objects, and as it was made."""
        self.objects: dict[str, bytes] = {}
        self.plus = True
        self.page_keys = 1000
        self.on_get: Callable[[str], None] = lambda _key: None
        self.on_request: Callable[[], None] = lambda: None

    def page(self, prefix: str, token: str, max_keys: int) -> str:
        """The XML of one page; a token is the number of keys that came before."""
        write = quote_plus if self.plus else quote
        with self.lock:
            keys = sorted((key for key in self.objects if key.startswith(prefix)), key=str.encode)
            start = int(token or 0)
            end = start + min(max_keys, self.page_keys)
            contents = "".join(
                f"<Contents><Key>{escape(write(key, safe='/'))}</Key><LastModified>{_MODIFIED}</LastModified>"
                f"<ETag>&quot;{etag(self.objects[key])}&quot;</ETag><Size>{len(self.objects[key])}</Size></Contents>"
                for key in keys[start:end]
            )
        more = end < len(keys)
        next_one = f"<NextContinuationToken>{end}</NextContinuationToken>" if more else ""
        return (
            '<?xml version="1.0" encoding="UTF-8"?>'
            '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><EncodingType>url</EncodingType>'
            f"<IsTruncated>{str(more).lower()}</IsTruncated>{next_one}{contents}</ListBucketResult>"
        )

    def settle(self) -> None:
        """Return when all that clients sent, be they killed since, was done: they are gone, so connections end."""
        for thread in tuple(self._server.busy):
            thread.join(5)

    def stop(self) -> None:
        """End the server."""
        self._server.shutdown()
        self._server.server_close()


def etag(content: bytes) -> str:
    """As S3 makes it for a single PUT."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


class PlainWorld(World):
    """A World on a PlainStore: the checks cost no request."""

    def __init__(self, store: PlainStore, base: Path, prefix: str, *, coarse: bool = False) -> None:
        self.store = store
        super().__init__(cast(Server, None), base, bucket=BUCKET, prefix=prefix, coarse=coarse)

    def put(self, path: str, content: bytes = b"", **more: Any) -> str:
        self.store.objects[self.prefix + path] = content
        return etag(content)

    def get(self, path: str) -> bytes:
        return self.store.objects[self.prefix + path]

    def remove(self, *paths: str) -> None:
        for path in paths:
            self.store.objects.pop(self.prefix + path, None)

    def objects(self) -> dict[str, bytes]:
        with self.store.lock:
            found = sorted(self.store.objects.items())
        return {key[len(self.prefix) :]: body for key, body in found if key.startswith(self.prefix)}

    def _listing(self) -> dict[str, str]:
        with self.store.lock:
            return {key: etag(content) for key, content in sorted(self.store.objects.items())}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512  # of connections that wait to be accepted: many come at once

    def __init__(self, *words: Any) -> None:
        super().__init__(*words)
        self.busy: set[threading.Thread] = set()

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        self.busy.add(threading.current_thread())
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.busy.discard(threading.current_thread())

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is no error; others show in the tests."""


class _Handler(BaseHTTPRequestHandler):
    store: PlainStore
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer in one packet: no waiting for acknowledgements
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        key, query = self._target()
        if "list-type" in query:
            page = self.store.page(query.get("prefix", ""), query.get("continuation-token", ""), int(query["max-keys"]))
            return self._answer(200, page.encode())
        self.store.on_get(key)
        content = self.store.objects.get(key)
        if content is None:
            return self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        if self.headers.get("if-match", "").strip('"') not in ("", etag(content)):
            return self._answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
        return self._answer(200, content, {"ETag": f'"{etag(content)}"'})

    do_HEAD = do_GET

    def do_PUT(self) -> None:
        key, _ = self._target()
        content = self.rfile.read(int(self.headers["content-length"]))
        if len(key.encode()) > 1024:
            return self._answer(400, b"<Error><Code>KeyTooLongError</Code></Error>")
        with self.store.lock:
            there = self.store.objects.get(key)
            expected = self.headers.get("if-match", "").strip('"')
            if (there is not None and "if-none-match" in self.headers) or (
                expected and (there is None or etag(there) != expected)
            ):
                return self._answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
            self.store.objects[key] = content
        return self._answer(200, b"", {"ETag": f'"{etag(content)}"'})

    def do_DELETE(self) -> None:
        key, _ = self._target()
        with self.store.lock:
            expected = self.headers.get("if-match", "").strip('"')
            if expected and etag(self.store.objects.get(key, b"")) != expected:
                return self._answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
            self.store.objects.pop(key, None)
        return self._answer(204, b"")

    def _target(self) -> tuple[str, dict[str, str]]:
        self.store.on_request()
        path, _, query = self.path.partition("?")
        words = parse_qs(query, keep_blank_values=True, errors="strict")
        return unquote(path[len(BUCKET) + 2 :], errors="strict"), {name: values[0] for name, values in words.items()}

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.store.on_request()
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body)), "Server": "AmazonS3"}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing."""
