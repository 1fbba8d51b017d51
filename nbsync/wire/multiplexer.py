"""Many small requests at once, in one thread: connections that never block, watched by the system's selector.

A thread for each request costs more in hand-overs of the interpreter lock than the request itself; here one
thread sends and receives for all. Anything unusual (an error, a broken connection, an answer without
a length) is given back as it came, for somebody who may wait to do again.
"""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from nbsync.wire.connect import Address, Route, why
from nbsync.wire.errors import ConnectionLost
from nbsync.wire.response_reader import Response, ResponseReader

_IN_PROGRESS = (errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EINTR)
_READ, _BOTH = selectors.EVENT_READ, selectors.EVENT_READ | selectors.EVENT_WRITE
_LOOK_SECONDS = 1.0  # how often silent connections are looked for


class Done(NamedTuple):
    """One request that ended: `tag` is what it was started with; an answer, or why there is none.

    The error is `unanswered` only if its connection had been kept and was stale: then nothing is wrong.
    """

    tag: Any
    answer: Response | None
    error: ConnectionLost | None


class SocketMultiplexer:
    """Connections to one endpoint that carry one request each at a time. Used by one thread.

    Args:
        route: where to; without a proxy.
        address: one of the route's, that has answered.
        others: more of them, of which nothing is known. A connection to each is tried, without a request; where
            it can be made, new connections are shared out among it and those before.
        on_sent: told for each request that went out.
        now: monotonic seconds.
    """

    def __init__(
        self,
        route: Route,
        address: Address,
        *,
        others: Sequence[Address] = (),
        on_sent: Callable[[], None] = lambda: None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._route, self._on_sent, self._now = route, on_sent, now
        self._addresses = deque([address])  # that take connections: the next one's turn is first
        self._selector = selectors.DefaultSelector()
        self._all: set[_Connection] = set()
        self._idle: list[_Connection] = []
        self._looked_at = now()
        self.waited = 0.0  # seconds in which nothing could be done but wait for the other side
        for other in others:
            with contextlib.suppress(OSError):
                self._new(other).moved_at = now()

    @property
    def size(self) -> int:
        """Connections there are."""
        return len(self._all)

    @property
    def busy(self) -> int:
        """Requests under way."""
        return sum(1 for member in self._all if member.tag is not None)

    def start(self, tag: Any, head: bytes, body: bytes = b"") -> Done | None:
        """Send a request on an idle connection, or on a new one; Done only if that failed at once."""
        member = self._idle.pop() if self._idle else None
        try:
            if member is None:
                member = self._new(self._addresses[0])
                self._addresses.rotate(-1)
            member.begin(tag, head + body if body else head, self._now())
            self._go_on(member, readable=False)
        except (ConnectionLost, OSError) as error:
            return self._lost(member, tag, error)
        return None

    def poll(self, seconds: float) -> list[Done]:
        """What has ended; waits at most so long for something to happen."""
        before = self._now()
        ready = self._selector.select(seconds)
        now = self._now()
        self.waited += now - before
        found = []
        for key, events in ready:
            member: _Connection = key.data
            if member.tag is None:
                self._look_at_unused(member, readable=bool(events & _READ))
                continue
            try:
                answer = self._go_on(member, readable=bool(events & _READ))
            except (ConnectionLost, OSError) as error:
                found.append(self._lost(member, member.tag, error))
                continue
            if answer is not None:
                found.append(Done(member.tag, answer, None))
                self._rest(member)
        if now - self._looked_at > _LOOK_SECONDS:
            self._looked_at = now
            found += self._silent(now)
        return found

    def _look_at_unused(self, member: _Connection, *, readable: bool) -> None:
        """Something happens on a connection without a request: it is made by now, was closed, or speaks unasked."""
        was_made = member.is_made
        try:
            self._go_on(member, readable=readable)
        except (ConnectionLost, OSError):
            self._drop(member)
            return
        if member.reader.started:
            self._drop(member)
        elif member.is_made and not was_made:
            self._addresses.appendleft(member.address)
            member.was_kept = True
            self._idle.append(member)

    def drop_all_but(self, wanted: Callable[[Any], bool]) -> list[Any]:
        """Break off the requests that are not wholly sent, and those whose tag is not `wanted`; their tags."""
        broken = [member for member in self._all if member.tag is not None and (member.out or not wanted(member.tag))]
        for member in broken:
            self._drop(member)
        return [member.tag for member in broken]

    def close(self) -> list[Any]:
        """Close every connection; the tags of what was under way."""
        tags = [member.tag for member in self._all if member.tag is not None]
        for member in list(self._all):
            self._drop(member)
        self._selector.close()
        return tags

    def _new(self, to: Address) -> _Connection:
        family, address = to
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            code = sock.connect_ex(address)
            if code and code not in _IN_PROGRESS:
                raise OSError(code, os.strerror(code))
        except BaseException:
            sock.close()
            raise
        member = _Connection(sock, self._route.peer, to)
        self._all.add(member)
        self._selector.register(sock, member.events, member)
        return member

    def _go_on(self, member: _Connection, *, readable: bool) -> Response | None:
        """Do what can be done without waiting; the answer, once it is whole. `readable`: something has come.

        Raises:
            ConnectionLost, OSError: the connection is of no use any more.
        """
        if member.connecting:
            if not member.connected():
                return None
            if self._route.tls is not None:
                self._encrypt(member, self._route.tls)
        member.moved_at = self._now()
        was_sending = bool(member.out)
        answer = member.step(readable)
        if was_sending and not member.out:
            self._on_sent()
        if member.watched != member.events:
            self._selector.modify(member.sock, member.events, member)
            member.watched = member.events
        return answer

    def _encrypt(self, member: _Connection, tls: ssl.SSLContext) -> None:
        """TLS on a connection that has been made. (Its handshake is done step by step.)"""
        self._selector.unregister(member.sock)
        member.encrypt(tls, self._route.host)
        self._selector.register(member.sock, member.events, member)
        member.watched = member.events

    def _rest(self, member: _Connection) -> None:
        member.tag = None
        if member.reader.keep_alive and not member.out:
            member.reader.reset()
            self._idle.append(member)
        else:
            self._drop(member)

    def _lost(self, member: _Connection | None, tag: Any, error: Exception) -> Done:
        stale = member is not None and member.is_stale and not isinstance(error, TimeoutError)
        if member is not None:
            self._drop(member)
            if member.connecting and len(self._addresses) > 1:
                with contextlib.suppress(ValueError):
                    self._addresses.remove(member.address)
        if not isinstance(error, ConnectionLost):
            error = ConnectionLost(f"connection to {self._route.peer} lost: {why(error)}", unanswered=stale)
        return Done(tag, None, error)

    def _drop(self, member: _Connection) -> None:
        self._all.discard(member)
        if member in self._idle:
            self._idle.remove(member)
        with contextlib.suppress(KeyError, ValueError):  # nobody watches it while TLS is put on it
            self._selector.unregister(member.sock)
        member.sock.close()

    def _silent(self, now: float) -> list[Done]:
        """Give up what takes too long: connections that are not made, answers of which nothing comes."""
        route, found = self._route, []
        for member in list(self._all):
            if member.tag is None:
                if not member.is_made and member.moved_at < now - route.connect_timeout:
                    self._drop(member)
                continue
            if member.connecting:
                seconds, message = route.connect_timeout, f"no connection to {route.peer}: timed out"
            else:
                seconds, message = route.idle_timeout, f"{route.peer} sent nothing for {route.idle_timeout:g} seconds"
            if member.moved_at < now - seconds:
                found.append(self._lost(member, member.tag, ConnectionLost(message)))
        return found


class _Connection:
    """One connection: what it still has to send, and what has come.

    Attributes:
        address: of the other end.
        tag: of the request under way; None if there is none.
        out: what is still to be sent.
        events: what has to happen before it can go on.
        was_kept: it has carried an answer, or was made before there was a request for it.
        watched: what the selector looks for.
    """

    __slots__ = (
        "_shaking",
        "address",
        "connecting",
        "events",
        "moved_at",
        "out",
        "reader",
        "sock",
        "tag",
        "was_kept",
        "watched",
    )

    def __init__(self, sock: socket.socket, peer: str, address: Address) -> None:
        self.sock, self.address = sock, address
        self.reader = ResponseReader(_nothing_more, peer)
        self.tag: Any = None
        self.out: bytes | memoryview = b""
        self.moved_at = 0.0
        self.connecting = True
        self.events = self.watched = _BOTH
        self._shaking = False
        self.was_kept = False

    @property
    def is_made(self) -> bool:
        """Can a request be sent at once?"""
        return not self.connecting and not self._shaking

    @property
    def is_stale(self) -> bool:
        """It was kept idle, and nothing has come since: if it is broken, then it was when it was taken."""
        return self.was_kept and not self.reader.started

    def begin(self, tag: Any, out: bytes, now: float) -> None:
        """The next request."""
        self.tag, self.out, self.moved_at = tag, out, now

    def connected(self) -> bool:
        """Has the connection been made by now?

        Raises:
            OSError: it cannot be made.
        """
        code = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
        try:
            self.sock.getpeername()
        except OSError as error:
            if error.errno == errno.ENOTCONN:
                return False
            raise
        self.connecting = False
        return True

    def encrypt(self, tls: ssl.SSLContext, host: str) -> None:
        """Talk through TLS from now on."""
        self.sock = tls.wrap_socket(self.sock, server_hostname=host, do_handshake_on_connect=False)
        self._shaking = True

    def step(self, readable: bool) -> Response | None:
        """Go on as far as that needs no waiting; the answer, once it is whole. `readable`: something has come.

        Raises:
            ConnectionLost, OSError: the connection is of no use any more.
        """
        try:
            if self._shaking:
                assert isinstance(self.sock, ssl.SSLSocket)
                self.sock.do_handshake()
                self._shaking = False
            if not self.out:
                return self._receive()
            sent = self.sock.send(self.out)
            self.out = memoryview(self.out)[sent:] if sent < len(self.out) else b""
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as want:
            self.events = _READ if isinstance(want, ssl.SSLWantReadError) else _BOTH
        except (BlockingIOError, InterruptedError):
            self.events = _BOTH if self.out else _READ
        else:
            self.events = _BOTH if self.out else _READ
            return None
        return self._early() if readable and self.out and not self._shaking else None

    def _early(self) -> Response | None:
        """The answer that came although the other side takes no more of the request; None if it is none yet.

        Raises: as step.
        """
        try:
            answer = self._receive()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError, InterruptedError):
            answer = None
        self.events = _BOTH  # what was read may be what TLS waited for to write on
        if answer is not None and answer.status < 300:
            raise ConnectionLost(f"{self.reader.peer} answered {answer.status} before it had the whole body")
        return answer

    def _receive(self) -> Response | None:
        reader, sock = self.reader, self.sock
        self.events = _READ
        while True:
            count = sock.recv_into(reader.offer())
            if not count:
                raise ConnectionLost(f"{reader.peer} closed the connection", unanswered=self.is_stale)
            if reader.grew(count):
                answer = reader.whole()
                if answer is not None:
                    self.was_kept = True
                    return answer
            if not isinstance(sock, ssl.SSLSocket) or not sock.pending():
                return None


def _nothing_more(_memory: memoryview) -> int:
    raise ConnectionLost("the answer is not whole")
