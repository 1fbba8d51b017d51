"""From a host's name to a connected socket: TCP, TLS, and an HTTP proxy on the way.

Runs in the thread that makes the request. Proxies come from the environment by urllib's rules.
"""

from __future__ import annotations

import base64
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from nbsync.errors import ConfigError
from nbsync.wire.errors import ConnectionLost, Untrusted, service_error
from nbsync.wire.reader import ResponseReader

_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE")  # what OpenSSL says of other protocols
_LEAST_SECONDS = 2.0  # for one of several addresses: a lost SYN is sent again after one second


Address = tuple[int, Any]  # a family, and a socket address of it


class Proxy(NamedTuple):
    """An HTTP proxy; `authorization` is the header's value, or empty."""

    host: str
    port: int
    authorization: str = ""

    def __repr__(self) -> str:
        return f"Proxy({self.host}:{self.port})"


class Route(NamedTuple):
    """The way to one endpoint. Times in seconds; `idle_timeout` is without a byte in either direction."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    proxy: Proxy | None = None
    connect_timeout: float = 10.0
    idle_timeout: float = 60.0

    @property
    def peer(self) -> str:
        """The endpoint, for messages."""
        return authority(self.host, self.port)


def authority(host: str, port: int) -> str:
    """`host:port`, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def tls_context(verify: bool, ca_bundle: str) -> ssl.SSLContext:
    """What TLS connections are made with; one serves all connections of a client.

    Raises:
        ConfigError: `ca_bundle` is no file with certificates.
    """
    try:
        context = ssl.create_default_context(cafile=ca_bundle or None)
    except OSError as error:
        raise ConfigError(f"cannot read certificates from {ca_bundle}: {error}", "Check --ca-bundle.") from None
    context.set_alpn_protocols(["http/1.1"])
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def proxy_for(scheme: str, host: str, port: int) -> Proxy | None:
    """The proxy that the environment (`https_proxy`, `no_proxy`, …) names for an endpoint, by urllib's rules.

    Raises:
        ConfigError: the proxy's URL is not `http://[user:password@]host[:port]`.
    """
    from urllib.request import getproxies, proxy_bypass  # slow to import, and most processes need no wire

    url = getproxies().get(scheme, "")
    if not url or proxy_bypass(authority(host, port)):
        return None
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        name, number = parts.hostname, parts.port or 80
    except ValueError:
        name, number = None, 0
    if not name or parts.scheme != "http":
        raise ConfigError(f"the proxy for {scheme} in the environment cannot be used", "Give it as http://host:port.")
    authorization = ""
    if parts.username:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = "Basic " + base64.b64encode(pair.encode()).decode()
    return Proxy(name, number, authorization)


def dial(route: Route, claim: Callable[[socket.socket], None]) -> socket.socket:
    """A connected socket, through the proxy and TLS if the route has them.

    Args:
        route: where to.
        claim: told each socket before anything on it blocks, so that another thread can shut it down;
            it may raise to give up.

    Raises:
        ConnectionLost: no address, nobody there, no answer in time, or no TLS.
        Untrusted: the certificate is not valid.
        ServiceError: the proxy refused.
    """
    proxy = route.proxy
    host, port = (proxy.host, proxy.port) if proxy else (route.host, route.port)
    sock = _connect(host, port, route.connect_timeout, claim)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if route.tls is not None:
            if proxy:
                _tunnel(sock, route, proxy)
            sock = route.tls.wrap_socket(sock, server_hostname=route.host, do_handshake_on_connect=False)
            claim(sock)
            sock.do_handshake()
        return sock
    except ssl.SSLCertVerificationError as error:
        sock.close()
        raise Untrusted(f"the certificate of {route.peer} is not trusted: {error.verify_message}") from None
    except OSError as error:
        sock.close()
        reason = getattr(error, "reason", "")
        what = "it speaks no TLS: is it http://?" if reason in _NO_TLS else why(error)
        raise ConnectionLost(f"no secure connection to {route.peer}: {what}") from None
    except BaseException:
        sock.close()
        raise


def other_addresses(route: Route, known: Address) -> list[Address]:
    """What else the endpoint's name stands for, of the same family as the one that is known. Asks the resolver."""
    try:
        found = socket.getaddrinfo(route.host, route.port, family=known[0], type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return [address for address in dict.fromkeys((one[0], one[4]) for one in found) if address != known]


def _connect(host: str, port: int, timeout: float, claim: Callable[[socket.socket], None]) -> socket.socket:
    """TCP to the first address that answers, within `timeout` seconds in all."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ConnectionLost(f"the name {host} has no address: {why(error)}", unresolved=True) from None
    deadline = time.monotonic() + timeout
    refusals = 0
    last: Exception | None = None
    for tried, (family, kind, protocol, _name, address) in enumerate(found):
        left = deadline - time.monotonic()
        if left <= 0:
            break
        sock = socket.socket(family, kind, protocol)
        try:
            claim(sock)
            sock.settimeout(min(left, max(_LEAST_SECONDS, left / (len(found) - tried))))
            sock.connect(address)
            sock.settimeout(timeout)
            return sock
        except OSError as error:
            sock.close()
            last = error
            refusals += isinstance(error, ConnectionRefusedError)
        except BaseException:
            sock.close()
            raise
    where = authority(host, port)
    raise ConnectionLost(f"no connection to {where}: {why(last)}", refused=refusals == len(found)) from None


def _tunnel(sock: socket.socket, route: Route, proxy: Proxy) -> None:
    """CONNECT (RFC 9110, 9.3.6)."""
    login = f"proxy-authorization: {proxy.authorization}\r\n" if proxy.authorization else ""
    sock.sendall(f"CONNECT {route.peer} HTTP/1.1\r\nhost: {route.peer}\r\n{login}\r\n".encode("latin-1"))
    answer = ResponseReader(sock.recv_into, f"the proxy {proxy.host}:{proxy.port}").read(head_only=True)
    if not 200 <= answer.status < 300:
        refusal = service_error(answer.status, answer.headers, b"")
        refusal.message = f"the proxy {proxy.host}:{proxy.port} refused a connection to {route.peer}"
        raise refusal


def why(error: BaseException | None) -> str:
    """The reason in an OSError, without its number; time-outs in words."""
    if error is None or isinstance(error, (TimeoutError, BlockingIOError)):
        return "timed out"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
