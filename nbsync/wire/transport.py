"""The port below `Client`: signed requests go out through a Transport, and the answers come back as they are.

TCP is one; another can be mounted under a host's name, so that what stands above the port needs no network.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from nbsync.wire.connect import Address, Route, other_addresses
from nbsync.wire.connection import Connection, FileSlice, SentMeter
from nbsync.wire.errors import Aborted
from nbsync.wire.multiplexer import Done, SocketMultiplexer
from nbsync.wire.response_reader import Response, Sink

MAX_IDLE = 512
_MOST_ADDRESSES = 8  # besides the one that has answered


class Multiplexer(Protocol):
    """Many small requests at once, in one thread. `multiplexer.SocketMultiplexer` says what each method does."""

    def start(self, tag: Any, head: bytes, body: bytes = b"") -> Done | None:
        """Send a request; Done only if that failed at once."""

    def poll(self, seconds: float) -> list[Done]:
        """What has ended; waits at most so long."""

    def drop_all_but(self, wanted: Callable[[Any], bool]) -> list[Any]:
        """Break off what is not wholly sent, or whose tag is not wanted; the tags of it."""

    def close(self) -> list[Any]:
        """Break off everything; the tags of what was under way."""


class Transport(Protocol):
    """The way to one endpoint. Any thread, but for the multiplexer that it makes."""

    @property
    def multiplexes(self) -> bool:
        """Can a multiplexer be made by now? Not before the endpoint has answered, nor through a proxy."""

    def multiplexer(self) -> Multiplexer:
        """A new one, for one thread."""

    def exchange(
        self,
        head: bytes,
        body: bytes | FileSlice,
        *,
        head_only: bool,
        repeatable: bool,
        sink: Sink | None,
        meter: SentMeter | None,
        on_written: Callable[[int], object],
    ) -> Response:
        """The answer to one request, whatever its status. The arguments, and what it raises: `Connection.exchange`.

        `on_written` is told how often the request was written, also if it failed: 1, or 2 after a stale connection.

        Raises:
            Aborted: after `abort` or `close`.
        """

    def abort(self) -> None:
        """Every exchange under way fails at once, and every later one, with Aborted."""

    def close(self) -> None:
        """Close idle connections, and those in use when they are through; no exchange after it."""

    def retire(self) -> None:
        """Keep no connection any more, but go on for whoever still asks."""


class TcpTransport:
    """Connections to one endpoint. Idle ones lie in a stack, so that the fewest stay in use."""

    def __init__(self, route: Route) -> None:
        self._route = route
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        self._most_idle = MAX_IDLE
        self._busy: set[Connection] = set()
        self._closed = ""  # why there are no more exchanges
        self._address: Address | None = None  # of the endpoint, once it was reached; never a proxy's

    @property
    def multiplexes(self) -> bool:
        """As Transport."""
        return self._address is not None

    def multiplexer(self) -> SocketMultiplexer:
        """As Transport. Asks the resolver for the endpoint's other addresses."""
        if self._address is None:
            raise ValueError("no address is known yet")
        others = other_addresses(self._route, self._address)[:_MOST_ADDRESSES]
        return SocketMultiplexer(self._route, self._address, others=others)

    def exchange(
        self,
        head: bytes,
        body: bytes | FileSlice,
        *,
        head_only: bool,
        repeatable: bool,
        sink: Sink | None,
        meter: SentMeter | None,
        on_written: Callable[[int], object],
    ) -> Response:
        """As Transport."""
        connection = self._checkout()
        before = connection.written
        try:
            return connection.exchange(head, body, head_only=head_only, repeatable=repeatable, sink=sink, meter=meter)
        finally:
            on_written(connection.written - before)
            self._checkin(connection)

    def abort(self) -> None:
        """As Transport."""
        with self._lock:
            self._closed = "the request was aborted"
            connections = [*self._busy, *self._idle]
        for connection in connections:
            connection.kill()

    def close(self) -> None:
        """As Transport."""
        self._closed = self._closed or "the client is closed"
        self.retire()

    def retire(self) -> None:
        """As Transport."""
        with self._lock:
            self._most_idle = 0
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _checkout(self) -> Connection:
        with self._lock:
            if self._closed:
                raise Aborted(self._closed)
            connection = self._idle.pop() if self._idle else Connection(self._route)
            self._busy.add(connection)
            return connection

    def _checkin(self, connection: Connection) -> None:
        with self._lock:
            self._busy.discard(connection)
            if connection.address is not None and self._route.proxy is None:
                self._address = connection.address
            if connection.reusable and not self._closed and len(self._idle) < self._most_idle:
                self._idle.append(connection)
                return
        connection.close()


_mounted: dict[str, Callable[[Route], Transport]] = {}


@contextmanager
def mounted(host: str, make: Callable[[Route], Transport]) -> Iterator[None]:
    """A context in which `host`, and every name one step below it, is reached through what `make` returns."""
    _mounted[host] = make
    try:
        yield
    finally:
        del _mounted[host]


def transport_to(route: Route) -> Transport:
    """The transport for a route: what is mounted for its host, else TCP."""
    make = _mounted.get(route.host) or _mounted.get(route.host.partition(".")[2])
    return make(route) if make is not None else TcpTransport(route)
