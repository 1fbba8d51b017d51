"""Servers behind several addresses, and requests that go to the wrong place, or through something that changes them."""

from __future__ import annotations

import gzip
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import nbsync
from nbsync.errors import NbsyncError
from tests.quirks.store import Request, Store, serving
from tests.quirks.world import CREDENTIALS


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


@contextmanager
def listening(handler: type[Request], tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """One more port for requests."""
    listener = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    listener.daemon_threads = True
    listener.handle_error = lambda *_: None  # type: ignore[method-assign,assignment]
    if tls is not None:
        listener.socket = tls.wrap_socket(listener.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield listener.server_address[1]
    finally:
        listener.shutdown()
        listener.server_close()


def test_small_files_are_shared_out_among_a_names_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of them is a machine that is gone; nothing fails for it."""
    objects: Counter[int] = Counter()

    class Counting(Request):
        def answer(self, *words: Any, **more: Any) -> bool:
            if self.key:
                objects[self.server.server_address[1]] += 1  # type: ignore[index]
            return super().answer(*words, **more)

    with serving(Counting) as store:
        handler = type("OneRequest", (Counting,), {"store": store})
        first = int(store.url.rpartition(":")[2])
        for number in range(300):
            store.put(f"p/{number:03}", b"%d" % number)
        with listening(handler) as second, listening(handler) as third, socket.create_server(("127.0.0.1", 0)) as gone:
            ports = [first, second, third, gone.getsockname()[1]]
            gone.close()
            found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in ports]
            look_up = socket.getaddrinfo
            monkeypatch.setattr(
                socket, "getaddrinfo", lambda host, *a, **k: found if host == "many.test" else look_up(host, *a, **k)
            )
            url = f"http://many.test:{first}"
            result = nbsync.pull("s3://b/p", tmp_path / "local", endpoint_url=url, addressing_style="path")
    assert result.counts["miss"] == 300
    assert result.requests["get"] == 300
    assert min(objects[port] for port in ports[:3]) > 20, objects


def refusal(store: Store, local: Path, url: str = "", **options: Any) -> str:
    """What a pull says that cannot begin."""
    with pytest.raises(NbsyncError) as caught:
        nbsync.pull("s3://b/p", local, endpoint_url=url or store.url, retries=0, **options)
    return str(caught.value)


def test_where_a_redirect_sends_is_said(tmp_path: Path) -> None:
    """Without a login or a signature that it may hold."""
    with serving() as store:
        location = "https://user:secret@login.test:8443/sso?token=secret"
        store.hook = lambda request: request.answer(302, b"<html/>", [("Location", location)])
        said = refusal(store, tmp_path)
        assert "sends requests on to https://login.test:8443/sso" in said
        assert "secret" not in said

        body = "<Error><Code>PermanentRedirect</Code><Endpoint>b.s3.eu-west-1.test</Endpoint></Error>"
        store.hook = lambda request: request.answer(301, body)
        assert "sends requests on to b.s3.eu-west-1.test" in refusal(store, tmp_path)


@pytest.mark.parametrize(
    "body",
    [
        b"<html><h1>400 Bad Request</h1><center>The plain HTTP request was sent to HTTPS port</center></html>",
        b"Client sent an HTTP request to an HTTPS server.\n",
        b"Reason: You're speaking plain HTTP to an SSL-enabled server port.<br />",
    ],
    ids=["nginx", "Go", "Apache"],
)
def test_plain_http_to_an_https_port(tmp_path: Path, body: bytes) -> None:
    with serving() as store:
        store.hook = lambda request: request.answer(400, body, [("Content-Type", "text/html")])
        assert "write https://" in refusal(store, tmp_path)


def test_tls_in_answer_to_plain_http(tmp_path: Path) -> None:
    """OpenSSL's servers send an alert and nothing else."""

    def alert(listener: socket.socket) -> None:
        while True:
            try:
                with listener.accept()[0] as peer:
                    peer.recv(1)
                    peer.sendall(b"\x15\x03\x01\x00\x02\x02\x16")
            except OSError:
                return

    with serving() as store, socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=alert, args=(listener,), daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        said = refusal(store, tmp_path, url)
        listener.shutdown(socket.SHUT_RDWR)
    assert "is it https://?" in said


def test_https_to_a_plain_port(tmp_path: Path) -> None:
    with serving() as store:
        assert "is it http://?" in refusal(store, tmp_path, store.url.replace("http", "https"))


def test_gzip_that_was_not_asked_for(tmp_path: Path) -> None:
    """A proxy that packs all that goes through it is named; an object that is itself packed is none of that."""
    packed = gzip.compress(b"packed by its uploader")

    class Packing(Request):
        def answer(self, status: int, body: str | bytes = b"", headers: Any = None) -> bool:
            if not (self.store.packs and (self.key != "p/own")):  # type: ignore[attr-defined]
                return super().answer(status, body, headers)
            content = gzip.compress(body.encode() if isinstance(body, str) else body)
            kept = [(name, value) for name, value in headers or [] if name.lower() != "content-length"]
            return super().answer(status, content, [*kept, ("Content-Encoding", "gzip")])

    with serving(Packing) as store:
        store.packs = False  # type: ignore[attr-defined]
        store.put("p/own", packed, headers={"content-encoding": "gzip"})
        local = tmp_path / "local"
        assert nbsync.pull("s3://b/p", local, endpoint_url=store.url).counts["miss"] == 1
        assert (local / "own").read_bytes() == packed
        store.packs = True  # type: ignore[attr-defined]
        assert "gzip" in refusal(store, local)

        store.put("p/plain", b"plain" * 100)
        store.hook = _listing_unpacked
        result = nbsync.pull("s3://b/p", local, endpoint_url=store.url, retries=0)
        assert "it came as gzip" in result["plain"].reason
        assert result["own"].status == "hit"


def _listing_unpacked(request: Request) -> bool:
    request.store.packs = bool(request.key)  # type: ignore[attr-defined]
    return False
