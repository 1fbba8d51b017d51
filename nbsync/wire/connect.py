"""From a host's name to a connected socket: TCP, TLS, and an HTTP proxy on the way.

Runs in the thread that makes the request. Proxies come from the environment by urllib's rules.
"""

from __future__ import annotations

import base64
import contextlib
import importlib.util
import ipaddress
import os
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from nbsync.errors import ConfigError
from nbsync.wire.errors import PROXY_REFUSED, ConnectionLost, ServiceError, Untrusted, WireError
from nbsync.wire.nested_tls import plain_end
from nbsync.wire.response_reader import ResponseReader

_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE")  # what OpenSSL says of other protocols
_LEAST_SECONDS = 2.0  # for one of several addresses: a lost SYN is sent again after one second

_PROXY_PORT = {"http": 80, "https": 443}


Address = tuple[int, Any]  # a family, and a socket address of it


class Proxy(NamedTuple):
    """An HTTP proxy; `authorization` is the header's value, or empty; with `tls`, it is spoken to through TLS."""

    host: str
    port: int
    authorization: str = ""
    tls: ssl.SSLContext | None = None

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

    Args:
        verify: check the other side's certificate.
        ca_bundle: a file or folder of certificates; empty for OpenSSL's own, or botocore's where it has none.

    Raises:
        ConfigError: `ca_bundle` is neither.
    """
    bundle = ca_bundle or ("" if _has_certificates() else _bundle_of_botocore())
    try:
        folder = os.path.isdir(bundle)
        context = ssl.create_default_context(
            cafile=None if folder else bundle or None, capath=bundle if folder else None
        )
    except OSError as error:
        hint = "Check --ca-bundle, AWS_CA_BUNDLE, REQUESTS_CA_BUNDLE and ca_bundle of the profile"
        raise ConfigError(f"cannot read certificates from {bundle}: {why(error)}", hint) from None
    context.set_alpn_protocols(["http/1.1"])
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _has_certificates() -> bool:
    """Has OpenSSL a file or a folder with certificates of its own? Some containers and Python builds have none."""
    paths = ssl.get_default_verify_paths()  # of what is there
    return paths.cafile is not None or (paths.capath is not None and bool(os.listdir(paths.capath)))


def _bundle_of_botocore() -> str:
    """The certificates that botocore trusts by default: certifi's, or its own copy. Neither is imported for it."""
    for package in ("certifi", "botocore"):
        spec = importlib.util.find_spec(package)
        for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
            bundle = os.path.join(folder, "cacert.pem")
            if os.path.isfile(bundle):
                return bundle
    return ""


def proxy_for(scheme: str, host: str, port: int, ca_bundle: str = "") -> Proxy | None:
    """The proxy that the environment (`https_proxy`, `no_proxy`, …) names for an endpoint, by urllib's rules.

    `no_proxy` may also hold networks (`10.0.0.0/8`) for endpoints that are addresses, as curl and requests have it.

    Raises:
        ConfigError: the proxy's URL is not `http[s]://[user:password@]host[:port]`.
    """
    from urllib.request import getproxies, proxy_bypass  # slow to import, and most processes need no wire

    proxies = getproxies()
    url = proxies.get(scheme, "")
    if not url or proxy_bypass(authority(host, port)) or _in_networks(host, proxies.get("no", "")):
        return None
    try:
        parts = urlsplit(url if "://" in url else f"http://{url.removeprefix('//')}")
        name, number = parts.hostname, parts.port or _PROXY_PORT.get(parts.scheme)
    except ValueError:
        name, number, parts = None, None, urlsplit("")
    if not name or parts.scheme not in _PROXY_PORT or not number:
        raise ConfigError(f"the proxy for {scheme} in the environment cannot be used", "Give it as http://host:port.")
    authorization = ""
    if parts.username:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = "Basic " + base64.b64encode(pair.encode()).decode()
    return Proxy(name, number, authorization, tls_context(True, ca_bundle) if parts.scheme == "https" else None)


def _in_networks(host: str, no_proxy: str) -> bool:
    """Is `host` an address in one of the networks (CIDR) among the names in `no_proxy`?"""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    for one in no_proxy.split(","):
        with contextlib.suppress(ValueError):
            if "/" in one and address in ipaddress.ip_network(one.strip(), strict=False):
                return True
    return False


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
    where = route.peer
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if proxy and proxy.tls is not None:
            where = f"the proxy {authority(host, port)}"
            sock = _encrypted(sock, proxy.tls, host, claim)
        if route.tls is not None:
            if proxy:
                _tunnel(sock, route, proxy)
            where = route.peer
            if isinstance(sock, ssl.SSLSocket):
                sock = plain_end(sock)
                sock.settimeout(route.connect_timeout)
            sock = _encrypted(sock, route.tls, route.host, claim)
        return sock
    except OSError as error:
        sock.close()
        raise _insecure(error, where) from None
    except BaseException:
        sock.close()
        raise


def _insecure(error: OSError, where: str) -> WireError:
    """Why there is no secure connection."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return Untrusted(f"the certificate of {where} is not trusted: {error.verify_message}")
    reason = getattr(error, "reason", "")
    what = "it speaks no TLS: is it http://?" if reason in _NO_TLS else why(error)
    return ConnectionLost(f"no secure connection to {where}: {what}")


def _encrypted(
    sock: socket.socket, tls: ssl.SSLContext, host: str, claim: Callable[[socket.socket], None]
) -> ssl.SSLSocket:
    """The socket with TLS on it, its handshake done."""
    encrypted = tls.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
    try:
        claim(encrypted)
        encrypted.do_handshake()
    except BaseException:
        encrypted.close()  # it has taken the place of the one that the caller knows
        raise
    return encrypted


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
        told = f"the proxy {authority(proxy.host, proxy.port)} refused a connection to {route.peer}"
        raise ServiceError(answer.status, PROXY_REFUSED, told, answer.headers)


def why(error: BaseException | None) -> str:
    """The reason in an OSError, without its number; time-outs in words."""
    if error is None or isinstance(error, (TimeoutError, BlockingIOError)):
        return "timed out"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
