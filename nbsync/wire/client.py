"""One S3 request, one attempt: signed, sent, counted, its error made a ServiceError.

A Client is shared by all threads that talk to one target; every request runs in the thread that makes it.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

from nbsync.wire.connect import Route, authority, proxy_for, tls_context
from nbsync.wire.connection import FileSlice, SentMeter
from nbsync.wire.counts import RequestCounts
from nbsync.wire.credentials import CredentialSource
from nbsync.wire.errors import PROXY_REFUSED, ConnectionLost, ServiceError, error_in_body, service_error
from nbsync.wire.head import request_head
from nbsync.wire.response_reader import Response, Sink
from nbsync.wire.server_clock import server_time, time_of_error
from nbsync.wire.sigv4 import EMPTY_SHA256, UNSIGNED_PAYLOAD, Credentials, Signer, canonical_query, quote_key
from nbsync.wire.transport import transport_to

__all__ = ["Client", "Credentials", "FileSlice", "RequestCounts", "Response", "Target", "error_in_body"]

_HASHED_BYTES = 64 * 1024  # longer bodies go as UNSIGNED-PAYLOAD; Content-MD5 guards them
_SKEW_SECONDS = 900  # S3 refuses a clock that is off by more than 15 minutes
_KIND = {"GET": "get", "HEAD": "head", "PUT": "put", "DELETE": "delete"}
_DEFAULT_PORT = {"http": 80, "https": 443}
_ASK_AGAIN_SECONDS = 10.0  # after the refusal of a HEAD was no matter of credentials


@dataclass(frozen=True)
class Target:
    """Where requests go. Picklable. Times in seconds.

    Attributes:
        host: an IPv6 address stands without its brackets.
        base_path: goes before the key, percent-encoded: `/bucket` in path style, empty in virtual-host style.
        timeout: without a byte in either direction.
        request_payer: the requester pays.
        sign_payload: the signature covers the body, however long it is.
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
    sign_payload: bool = False


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
        credentials: asked before each request, and told when they are refused.
        counts: where requests are counted.
        now: seconds since the epoch.

    Raises:
        ConfigError: the CA bundle or the environment's proxy cannot be used.
    """

    def __init__(
        self,
        target: Target,
        credentials: CredentialSource,
        *,
        counts: RequestCounts | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.target = target
        self.counts = counts or RequestCounts()
        self.ever_answered = False  # the endpoint has sent an answer, be it an error
        self._credentials = credentials
        self._date = ""  # of the last answer
        self._now = now
        self._clock_offset = 0.0  # server's clock minus ours, seconds
        self._stamp = (0, "")  # the last second, and how it is written
        self._signer = Signer(target.region, target.service)
        secure = target.scheme == "https"
        proxy = proxy_for(target.scheme, target.host, target.port, target.ca_bundle)
        tls = tls_context(target.verify, target.ca_bundle) if secure else None
        self.route = Route(target.host, target.port, tls, proxy, target.connect_timeout, target.timeout)
        self.transport = transport_to(self.route)
        self._host = authority(target.host, target.port)
        if target.port == _DEFAULT_PORT.get(target.scheme):
            self._host = self._host.rpartition(":")[0]
        self._origin = f"http://{self._host}" if proxy and not secure else ""  # a proxy is told the whole URL
        self._hop_headers = "user-agent: nbsync\r\naccept-encoding: identity\r\n"
        if proxy and not secure and proxy.authorization:
            self._hop_headers += f"proxy-authorization: {proxy.authorization}\r\n"
        self._asking = threading.Lock()  # held while it is asked what a HEAD was refused for
        self._asked_at = -math.inf  # seconds of time.perf_counter, when that was answered
        self._told: ServiceError | None = None  # that its credentials were; None if it was something else

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
            ok: statuses outside 200-299 that are returned as answers, not raised.

        Raises:
            ServiceError: any other status.
            ConnectionLost: no answer, or half of one.
            Aborted: `abort` was called.
            SourceChanged: the file slice ends too early.
            Untrusted: the server's certificate does not hold.
            Unsendable: a header that cannot be sent. Exception: what the source of the credentials raises.
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
            Unsendable: a header that cannot be sent. Exception: what the source of the credentials raises.
        """
        return self._head(_Request(method, key, query, headers or {}, body, None, None, "", ""), self._clock_offset)

    def may_sign(self, seconds: float) -> bool:
        """Are there credentials, or is it known that there are none? Waits at most so long for new ones."""
        return self._credentials.ready(seconds)

    def refused(self, error: ServiceError, began: float) -> None:
        """A request with a `head` of that time (`time.perf_counter`) was refused: if for its keys, get others."""
        if error.refuses_credentials:
            self._credentials.refused(error, began)

    def service_time(self) -> float | None:
        """The service's clock, seconds since the epoch, by its last answer; None if it does not tell."""
        return server_time({"date": self._date})

    def abort(self) -> None:
        """From any thread: every request under way fails at once, and every later one, with Aborted."""
        self.transport.abort()

    def close(self) -> None:
        """Close idle connections, and those in use when they are through; no more requests after it."""
        self.transport.close()

    def _answer(self, request: _Request, ok: Collection[int]) -> Response:
        """One exchange; another if our clock was wrong, and another if the credentials were refused."""
        clock_was_set = renewed = False
        while True:
            offset, began = self._clock_offset, time.perf_counter()
            answer = self._exchange(request, self._head(request, offset))
            if (200 <= answer.status < 300 and not _is_error(request, answer)) or answer.status in ok:
                return answer
            if request.meter:
                request.meter.undo()
            error = service_error(answer.status, answer.headers, answer.body)
            self._blame_proxy(error)
            if not clock_was_set and self._set_clock(request.method, error, offset):
                clock_was_set = True
                continue
            error = self._in_words(request, error, began)
            self.refused(error, began)
            if renewed or not error.refuses_credentials:
                raise error
            renewed = True

    def _blame_proxy(self, error: ServiceError) -> None:
        """A proxy answers in the place of a service without TLS: then there is nothing of S3 in what it says."""
        proxy = self.route.proxy
        if self._origin and proxy and (error.status == 407 or (error.status == 403 and error.speaks_no_s3)):
            error.code = PROXY_REFUSED
            error.message = f"the proxy {authority(proxy.host, proxy.port)} refused a request to {self.route.peer}"

    def _in_words(self, request: _Request, error: ServiceError, began: float) -> ServiceError:
        """What a HEAD, whose answer has no body, was refused for, if that is its credentials: a GET is told.

        One GET asks for all HEADs that are under way. After another reason, which is each object's own, it is asked
        now and then only.
        """
        if request.method != "HEAD" or error.status not in (400, 403) or not request.key:
            return error
        with self._asking:
            if began >= self._asked_at:  # the last answer is not about this one's keys
                if self._told is None and time.perf_counter() - self._asked_at < _ASK_AGAIN_SECONDS:
                    return error
                self._told = self._ask_by_get(request)
                if self._told is not None:
                    self.refused(self._told, began)  # before the time is taken: a later request has other keys
                self._asked_at = time.perf_counter()
            return self._told or error

    def _ask_by_get(self, request: _Request) -> ServiceError | None:
        """The refusal of this HEAD's credentials; None if they are not what was refused."""
        headers = {**request.headers, "range": "bytes=0-0"}
        asked = request._replace(method="GET", headers=headers, sink=_enough, meter=None, kind="get")
        try:
            answer = self._exchange(asked, self._head(asked, self._clock_offset))
        except (_Enough, ConnectionLost):
            return None
        told = service_error(answer.status, answer.headers, answer.body)
        return told if told.refuses_credentials else None

    def _exchange(self, request: _Request, head: bytes) -> Response:
        try:
            answer = self.transport.exchange(
                head,
                request.body,
                head_only=request.method == "HEAD",
                repeatable=request.method != "POST",
                sink=request.sink,
                meter=request.meter,
                on_written=lambda times: self.counts.add(request.kind, times),
            )
        except ConnectionLost as lost:
            lost.unreachable = not self.ever_answered
            raise
        self.ever_answered = True
        self._date = answer.headers.get("date", "")
        return answer

    def _head(self, request: _Request, clock_offset: float) -> bytes:
        """The request line and headers, signed, with the empty line."""
        base = self.target.base_path
        path = f"{base}/{quote_key(request.key)}" if request.key else base or "/"
        query = canonical_query(request.query) if request.query else ""
        headers = {"host": self._host}
        if self.target.request_payer:
            headers["x-amz-request-payer"] = "requester"
        for name, value in request.headers.items():
            headers[name.lower()] = value
        credentials = self._credentials()
        if credentials is not None:
            date = headers["x-amz-date"] = self._amz_date(clock_offset)
            digest = headers["x-amz-content-sha256"] = request.payload_hash or _payload_hash(
                request.body, self.target.sign_payload
            )
            if credentials.token:
                headers["x-amz-security-token"] = credentials.token
            headers["authorization"] = self._signer.sign(
                request.method, path, query, headers, digest, credentials, date
            )
        body = request.body
        length = body.length if isinstance(body, FileSlice) else len(body)
        framing = f"content-length: {length}\r\n" if length or request.method in ("PUT", "POST") else ""
        url = f"{self._origin}{path}?{query}" if query else f"{self._origin}{path}"
        return request_head(request.method, url, headers, framing + self._hop_headers)

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
        server = time_of_error(error)
        if server is None:
            return False
        offset = server - self._now()
        if method == "HEAD" and abs(offset - offset_used) < _SKEW_SECONDS:
            return False
        self._clock_offset = offset
        return True


class _Enough(Exception):
    """Ends an exchange whose answer is a good one."""


def _enough(_piece: object) -> None:
    raise _Enough


def _payload_hash(body: bytes | FileSlice, always: bool) -> str:
    if not body:
        return EMPTY_SHA256
    if isinstance(body, FileSlice):
        return body.sha256() if always else UNSIGNED_PAYLOAD
    return sha256(body).hexdigest() if always or len(body) <= _HASHED_BYTES else UNSIGNED_PAYLOAD
