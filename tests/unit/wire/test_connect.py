"""TLS and proxies."""

from __future__ import annotations

import base64
import socket
import ssl
import threading

import pytest

from nbsync.errors import ConfigError
from nbsync.s3.errors import translate
from nbsync.wire.client import Client, Target
from nbsync.wire.connect import Proxy, Route, proxy_for, tls_context
from nbsync.wire.connection import Connection, FileSlice
from nbsync.wire.credentials import fixed
from nbsync.wire.errors import ConnectionLost, ServiceError, Untrusted
from nbsync.wire.nested_tls import _copy

from .scripted import Peer, answer, secured

GET = b"GET /k HTTP/1.1\r\nhost: x\r\n\r\n"


def say(text: bytes):
    def script(peer: Peer) -> None:
        while peer.head():
            peer.send(answer(text))

    return script


def test_tls_with_a_ca_bundle(serve, certificate):
    server = serve(secured(certificate, say(b"x" * 500_000)))
    connection = Connection(Route("127.0.0.1", server.port, tls_context(True, certificate)))
    assert [len(connection.exchange(GET).body) for _ in range(2)] == [500_000, 500_000]
    assert len(server.peers) == 1
    connection.close()


def test_tls_carries_a_large_file(serve, certificate, tmp_path):
    size = 3_000_000
    (tmp_path / "f").write_bytes(b"z" * size)

    def script(peer: Peer) -> None:
        peer.head()
        peer.send(answer(str(len(peer.body(size))).encode()))

    server = serve(secured(certificate, script))
    connection = Connection(Route("127.0.0.1", server.port, tls_context(True, certificate)))
    with (tmp_path / "f").open("rb") as file:
        head = b"PUT /k HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % size
        assert connection.exchange(head, FileSlice(file.fileno(), 0, size)).body == str(size).encode()
    connection.close()


def test_tls_silence_is_given_up(serve, certificate):
    server = serve(secured(certificate, lambda peer: (peer.head(), peer.wait_for_close())))
    route = Route("127.0.0.1", server.port, tls_context(True, certificate), idle_timeout=0.1)
    with pytest.raises(ConnectionLost, match=r"sent nothing for 0\.1 seconds"):
        Connection(route).exchange(GET)


def test_an_untrusted_certificate(serve, certificate):
    server = serve(secured(certificate, say(b"x")))
    with pytest.raises(Untrusted, match=r"the certificate of 127\.0\.0\.1:\d+ is not trusted: self"):
        Connection(Route("127.0.0.1", server.port, tls_context(True, ""))).exchange(GET)


def test_no_verification_when_told_so(serve, certificate):
    server = serve(secured(certificate, say(b"x")))
    connection = Connection(Route("127.0.0.1", server.port, tls_context(False, "")))
    assert connection.exchange(GET).body == b"x"
    connection.close()


def test_tls_to_a_server_without_it(serve):
    server = serve(lambda peer: (peer.sock.recv(10), peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")))
    with pytest.raises(ConnectionLost, match="no secure connection"):
        Connection(Route("127.0.0.1", server.port, tls_context(False, ""))).exchange(GET)


def test_a_bundle_that_is_no_bundle(tmp_path):
    with pytest.raises(ConfigError, match="cannot read certificates"):
        tls_context(True, str(tmp_path / "missing.pem"))


def test_a_proxy_gets_the_whole_url_and_its_login(serve, monkeypatch):
    proxy = serve(say(b"through"))
    monkeypatch.setenv("http_proxy", f"http://user:p%40ss@127.0.0.1:{proxy.port}")
    client = Client(Target("http", "s3.example.com", 9000, "/bucket"), fixed(None))
    assert client.request("GET", "k", query=[("a", "b")]).body == b"through"
    client.close()
    head = proxy.requests[0].decode()
    assert head.startswith("GET http://s3.example.com:9000/bucket/k?a=b HTTP/1.1\r\nhost: s3.example.com:9000\r\n")
    assert f"proxy-authorization: Basic {base64.b64encode(b'user:p@ss').decode()}\r\n" in head


def test_tls_goes_through_a_tunnel(serve, certificate, monkeypatch):
    def script(peer: Peer) -> None:
        peer.head()
        peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        secured(certificate, say(b"inside"))(peer)

    proxy = serve(script)
    monkeypatch.setenv("HTTPS_PROXY", f"127.0.0.1:{proxy.port}")
    client = Client(Target("https", "127.0.0.1", 1, "/bucket", ca_bundle=certificate), fixed(None))
    assert client.request("GET", "k").body == b"inside"
    client.close()
    connect, inside = proxy.requests
    assert connect == b"CONNECT 127.0.0.1:1 HTTP/1.1\r\nhost: 127.0.0.1:1\r\n\r\n"
    assert inside.startswith(b"GET /bucket/k HTTP/1.1\r\nhost: 127.0.0.1:1\r\n")


def test_a_proxy_that_refuses_the_tunnel(serve, monkeypatch):
    refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n"
    proxy = serve(lambda peer: (peer.head(), peer.send(refusal)))
    monkeypatch.setenv("https_proxy", f"http://user:hushhush@127.0.0.1:{proxy.port}")
    client = Client(Target("https", "s3.example.com", 443), fixed(None))
    with pytest.raises(ServiceError, match=r"ProxyRefused .407.: the proxy 127\.0\.0\.1:") as caught:
        client.request("GET", "k")
    assert not caught.value.retryable
    assert "hushhush" not in str(caught.value) + repr(caught.value)


def test_who_bypasses_the_proxy(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "localhost,.internal,10.0.0.7")
    assert proxy_for("http", "s3.example.com", 80) == Proxy("proxy.example", 3128)
    assert [proxy_for("http", host, 9000) for host in ("localhost", "s3.internal", "10.0.0.7")] == [None] * 3
    monkeypatch.setenv("no_proxy", "10.0.0.0/8, fd00::/8,300.0.0.0/9")
    assert [proxy_for("http", host, 80) for host in ("10.1.2.3", "fd00::1")] == [None] * 2
    assert [proxy_for("http", host, 80) for host in ("11.1.2.3", "10.example")] == [Proxy("proxy.example", 3128)] * 2
    monkeypatch.setenv("no_proxy", "*")
    assert proxy_for("http", "s3.example.com", 80) is None


@pytest.mark.parametrize("url", ["socks5://user:hushhush@proxy:1080", "http://user:hushhush@:80", "http://h:hushhush"])
def test_a_proxy_that_cannot_be_used(monkeypatch, url):
    monkeypatch.setenv("http_proxy", url)
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(ConfigError) as caught:
        proxy_for("http", "s3.example.com", 80)
    assert "hushhush" not in str(caught.value)


def test_a_login_is_not_shown():
    assert "secret" not in repr(Route("h", 1, proxy=Proxy("p", 2, "Basic secret")))


@pytest.mark.parametrize("secure", [False, True])
def test_a_proxy_that_is_spoken_to_through_tls(serve, certificate, monkeypatch, secure):
    """To an endpoint without TLS the whole URL is told; one with TLS is spoken to within the proxy's."""
    body = b"x" * 300_000

    def within(peer: Peer) -> None:
        peer.head()
        peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        there, here = socket.socketpair()
        outer, peer.sock = peer.sock, there
        threading.Thread(target=relay, args=(outer, here), daemon=True).start()
        secured(certificate, say(body))(peer)

    server = serve(secured(certificate, within if secure else say(body)))
    scheme = "https" if secure else "http"
    monkeypatch.setenv(f"{scheme}_proxy", f"https://127.0.0.1:{server.port}")
    client = Client(Target(scheme, "127.0.0.1", 1, "/bucket", ca_bundle=certificate), fixed(None))
    for _ in range(2):
        assert client.request("GET", "k").body == body
    client.close()


def relay(outer: ssl.SSLSocket, inner: socket.socket) -> None:
    """Copy between the two until one ends."""
    _copy(outer, inner)


def test_a_proxys_page_is_not_taken_for_an_answer_of_s3(serve, monkeypatch):
    page = b"<html>Access to this site is blocked</html>"
    proxy = serve(lambda peer: (peer.head(), peer.send(answer(page, "403 Forbidden"))))
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
    client = Client(Target("http", "s3.example.com", 80), fixed(None))
    with pytest.raises(ServiceError, match=r"ProxyRefused .403.: the proxy 127\.0\.0\.1:") as caught:
        client.request("GET", "k")
    told = str(translate(caught.value, "s3://b/p"))
    assert "the proxy 127.0.0.1" in told
    assert "credentials" not in told
    client.close()


def test_botocores_certificates_serve_where_openssl_has_none(monkeypatch, tmp_path):
    none = ssl.DefaultVerifyPaths(None, None, "", "", "", "")
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: none)
    assert tls_context(True, "").cert_store_stats()["x509_ca"] > 50
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: none._replace(capath=str(tmp_path)))
    assert tls_context(True, "").cert_store_stats()["x509_ca"] > 50
