"""One S3 request, one attempt: signed, sent, counted, its error made a ServiceError.

A Client is shared by all threads that talk to one target. It keeps idle connections in a stack, so
that the fewest stay in use; every request runs in the thread that makes it.
"""

from __future__ import annotations

import re
import threading
import time
from calendar import timegm
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_tz
from hashlib import sha256
from typing import Any, NamedTuple

from nbsync.wire.dial import Route, authority, proxy_for, tls_context
from nbsync.wire.errors import Aborted, ConnectionLost, ServiceError, error_in_body, service_error
from nbsync.wire.http1 import Connection, FileSlice, SentMeter
from nbsync.wire.reader import Response, Sink
from nbsync.wire.sigv4 import EMPTY_SHA256, UNSIGNED_PAYLOAD, Credentials, Signer, canonical_query, quote_key

__all__ = ["Client", "Credentials", "FileSlice", "RequestCounts", "Response", "Target", "error_in_body"]

MAX_IDLE = 512
_HASHED_BYTES = 64 * 1024  # longer bodies go as UNSIGNED-PAYLOAD; Content-MD5 guards them
_SKEW_SECONDS = 900  # S3 refuses a clock that is off by more than 15 minutes
_KIND = {"GET": "get", "HEAD": "head", "PUT": "put", "DELETE": "delete"}
_DEFAULT_PORT = {"http": 80, "https": 443}
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_UNSAFE = re.compile(r"[\r\n\0]")


@dataclass(frozen=True)
class Target:
    """Where requests go. Picklable. Times in seconds.

    Attributes:
        host: an IPv6 address stands without its brackets.
        base_path: goes before the key, percent-encoded: `/bucket` in path style, empty in virtual-host style.
        timeout: without a byte in either direction.
        request_payer: the requester pays.
    """

    scheme: str
    host: str
    port: int
    base_path: str = ""
    region: str = "us-east-1"
    service: str = "s3"
    timeout: float = 60.0
    connect_timeout: float = 10.0
    verify: bool = True
    ca_bundle: str = ""
    request_payer: bool = False


class RequestCounts:
    """Requests that went over the wire, by kind; any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = {"list": 0, "head": 0, "get": 0, "put": 0, "delete": 0, "other": 0}

    def add(self, kind: str, count: int = 1) -> None:
        """`count` more requests of a kind; an unknown kind is `other`."""
        with self._lock:
            self._counts[kind if kind in self._counts else "other"] += count

    def snapshot(self) -> dict[str, int]:
        """The counts by now."""
        with self._lock:
            return dict(self._counts)


class _Request(NamedTuple):
    """The arguments of `Client.request`."""

    method: str
    key: str
    query: Sequence[tuple[str, str]]
    headers: Mapping[str, str]
    body: bytes | FileSlice
    sink: Sink | None
    meter: SentMeter | None
    kind: str
    payload_hash: str


def _is_error(request: _Request, answer: Response) -> bool:
    """Does a body say that a request failed although the status says that it did not? No object's content is asked."""
    of_object = request.method == "GET" and bool(request.key)
    return not of_object and error_in_body(answer.body) is not None


class Client:
    """Requests to one target; any thread.

    Args:
        target: where to.
        credentials: asked before each request, so that it may renew them; None for an unsigned request.
        counts: where requests are counted.
        now: seconds since the epoch.

    Raises:
        ConfigError: the CA bundle or the environment's proxy cannot be used.
    """

    def __init__(
        self,
        target: Target,
        credentials: Callable[[], Credentials | None],
        *,
        counts: RequestCounts | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.target = target
        self.counts = counts or RequestCounts()
        self.ever_answered = False  # the endpoint has sent an answer, be it an error
        self._credentials = credentials
        self._now = now
        self._clock_offset = 0.0  # server's clock minus ours, seconds
        self._stamp = (0, "")  # the last second, and how it is written
        self._signer = Signer(target.region, target.service)
        secure = target.scheme == "https"
        proxy = proxy_for(target.scheme, target.host, target.port)
        tls = tls_context(target.verify, target.ca_bundle) if secure else None
        self.address: tuple[int, Any] | None = None  # family and address of the endpoint that answered; not of a proxy
        self.route = Route(target.host, target.port, tls, proxy, target.connect_timeout, target.timeout)
        self._host = authority(target.host, target.port)
        if target.port == _DEFAULT_PORT.get(target.scheme):
            self._host = self._host.rpartition(":")[0]
        self._origin = f"http://{self._host}" if proxy and not secure else ""  # a proxy is told the whole URL
        self._hop_headers = "user-agent: nbsync\r\naccept-encoding: identity\r\n"
        if proxy and not secure and proxy.authorization:
            self._hop_headers += f"proxy-authorization: {proxy.authorization}\r\n"
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        self._busy: set[Connection] = set()
        self._closed = ""  # why no more requests are made

    def request(
        self,
        method: str,
        key: str = "",
        *,
        query: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        body: bytes | FileSlice = b"",
        sink: Sink | None = None,
        on_sent: Callable[[int], None] | None = None,
        kind: str = "",
        payload_hash: str = "",
        ok: Collection[int] = (),
    ) -> Response:
        """Make one attempt and return its answer.

        Args:
            method: of HTTP.
            key: of the object, as it is; empty for the bucket.
            query: names and values as they are.
            headers: more headers; they are signed.
            body: to send. Up to 64 KiB of bytes are signed with their hash, more is UNSIGNED-PAYLOAD.
            sink: takes the body of a 2xx answer in pieces that are valid only during the call.
            on_sent: told how many bytes of the body went out; a negative count takes back what failed.
            kind: how it is counted: list, head, get, put, delete, other; by default from the method.
            payload_hash: a known SHA-256 of the body, hexadecimal.
            ok: statuses outside 200-299 that are answers too.

        Raises:
            ServiceError: any other status.
            ConnectionLost: no answer, or half of one.
            Aborted: `abort` was called.
            SourceChanged: the file slice ends too early.
            Untrusted: the server's certificate does not hold.
            ValueError: a header that cannot be sent.
        """
        kind = kind or _KIND.get(method, "other")
        meter = SentMeter(on_sent) if on_sent else None
        request = _Request(method, key, query, headers or {}, body, sink, meter, kind, payload_hash)
        return self._answer(request, ok)

    def head(
        self,
        method: str,
        key: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> bytes:
        """The signed head of a request that somebody else sends (and counts): request line, headers, empty line.

        Raises:
            ValueError: a header that cannot be sent.
        """
        return self._head(_Request(method, key, query, headers or {}, body, None, None, "", ""), self._clock_offset)

    def abort(self) -> None:
        """From any thread: every request under way fails at once, and every later one, with Aborted."""
        with self._lock:
            self._closed = "the request was aborted"
            connections = [*self._busy, *self._idle]
        for connection in connections:
            connection.kill()

    def close(self) -> None:
        """Close idle connections, and those in use when they are through; no more requests after it."""
        with self._lock:
            self._closed = self._closed or "the client is closed"
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _answer(self, request: _Request, ok: Collection[int]) -> Response:
        """One exchange, or two if the first one showed that our clock is wrong."""
        for again in (False, True):
            offset = self._clock_offset
            answer = self._exchange(request, self._head(request, offset))
            if (200 <= answer.status < 300 and not _is_error(request, answer)) or answer.status in ok:
                break
            if request.meter:
                request.meter.undo()
            error = service_error(answer.status, answer.headers, answer.body)
            if again or not self._set_clock(request.method, error, offset):
                raise error
        return answer

    def _exchange(self, request: _Request, head: bytes) -> Response:
        connection = self._checkout()
        before = connection.written
        try:
            answer = connection.exchange(
                head,
                request.body,
                head_only=request.method == "HEAD",
                repeatable=request.method != "POST",
                sink=request.sink,
                meter=request.meter,
            )
        except ConnectionLost as lost:
            lost.unreachable = not self.ever_answered
            raise
        finally:
            self.counts.add(request.kind, connection.written - before)
            self._checkin(connection)
        self.ever_answered = True
        return answer

    def _checkout(self) -> Connection:
        with self._lock:
            if self._closed:
                raise Aborted(self._closed)
            connection = self._idle.pop() if self._idle else Connection(self.route)
            self._busy.add(connection)
            return connection

    def _checkin(self, connection: Connection) -> None:
        with self._lock:
            self._busy.discard(connection)
            if connection.address is not None and self.route.proxy is None:
                self.address = connection.address
            if connection.reusable and not self._closed and len(self._idle) < MAX_IDLE:
                self._idle.append(connection)
                return
        connection.close()

    def _head(self, request: _Request, clock_offset: float) -> bytes:
        """The request line and headers, signed, with the empty line."""
        base = self.target.base_path
        path = f"{base}/{quote_key(request.key)}" if request.key else base or "/"
        query = canonical_query(request.query) if request.query else ""
        headers = {"host": self._host}
        if self.target.request_payer:
            headers["x-amz-request-payer"] = "requester"
        for name, value in request.headers.items():
            if not _NAME.fullmatch(name) or _UNSAFE.search(value):
                raise ValueError(f"HTTP cannot carry the header {name!r} with this value")
            headers[name.lower()] = value
        credentials = self._credentials()
        if credentials is not None:
            date = headers["x-amz-date"] = self._amz_date(clock_offset)
            digest = headers["x-amz-content-sha256"] = request.payload_hash or _payload_hash(request.body)
            if credentials.token:
                headers["x-amz-security-token"] = credentials.token
            headers["authorization"] = self._signer.sign(
                request.method, path, query, headers, digest, credentials, date
            )
        body = request.body
        length = body.length if isinstance(body, FileSlice) else len(body)
        framing = f"content-length: {length}\r\n" if length or request.method in ("PUT", "POST") else ""
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        url = f"{self._origin}{path}?{query}" if query else f"{self._origin}{path}"
        return f"{request.method} {url} HTTP/1.1\r\n{lines}{framing}{self._hop_headers}\r\n".encode()

    def _amz_date(self, clock_offset: float) -> str:
        second = int(self._now() + clock_offset)
        stamp = self._stamp
        if stamp[0] != second:
            stamp = self._stamp = (second, time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second)))
        return stamp[1]

    def _set_clock(self, method: str, error: ServiceError, offset_used: float) -> bool:
        """After a refusal: True if our clock was the reason and is now set by the server's.

        A HEAD has no body to say so; there a Date that is far from ours must do.
        """
        if error.status != 403 or not (error.code == "RequestTimeTooSkewed" or method == "HEAD"):
            return False
        server = _server_time(error)
        if server is None:
            return False
        offset = server - self._now()
        if method == "HEAD" and abs(offset - offset_used) < _SKEW_SECONDS:
            return False
        self._clock_offset = offset
        return True


_SERVER_TIME = re.compile(rb"<ServerTime>(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)")


def _server_time(error: ServiceError) -> float | None:
    """The server's clock, seconds since the epoch, from the Date header or the error's ServerTime."""
    date = server_time(error.headers)
    if date is not None:
        return date
    found = _SERVER_TIME.search(error.body)
    if found:
        year, month, day, hour, minute, second = map(int, found.groups())
        return timegm((year, month, day, hour, minute, second, 0, 0, 0))
    return None


def server_time(headers: Mapping[str, str]) -> float | None:
    """The server's clock, seconds since the epoch, from the Date header of an answer; None without a usable one."""
    date = parsedate_tz(headers.get("date", ""))
    try:
        return None if date is None else timegm((*date[:6], 0, 0, 0)) - (date[9] or 0)
    except (ValueError, OverflowError):
        return None


def _payload_hash(body: bytes | FileSlice) -> str:
    if not body:
        return EMPTY_SHA256
    if isinstance(body, FileSlice) or len(body) > _HASHED_BYTES:
        return UNSIGNED_PAYLOAD
    return sha256(body).hexdigest()
