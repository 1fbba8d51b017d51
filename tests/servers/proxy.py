"""A fault proxy in front of an S3 server: by script it delays, refuses, breaks, loses, cuts and changes what passes.

Runs its own asyncio loop in a daemon thread; the methods of `Proxy` and `Rule` may be called from any thread.
What a request meets is told by rules, in their order; without one it passes unchanged. The Host header
passes as it came, so that a signature made for the proxy's address holds at the server.
"""

from __future__ import annotations

import asyncio
import contextlib
import fnmatch
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

from tests.servers.messages import (
    BLOCK_BYTES,
    Answer,
    Request,
    blocks,
    nothing,
    parse_answer,
    parse_request,
    without_expect,
)

T = TypeVar("T")

_HEAD_BYTES = 256 * 1024
_NO_BODY = (204, 304)


class Fault(Protocol):
    """What a request meets. The faults are in tests/servers/faults.py."""

    async def strike(self, exchange: Exchange) -> None:
        """Serve the request, in the proxy's loop."""


class Rule:
    """Which requests meet a fault, and how often they did. Made by `Proxy.on`."""

    def __init__(self, fault: Fault, matches: Callable[[Request], bool], skip: int, times: int) -> None:
        self.fault = fault
        self.hits = 0
        self._matches, self._skip, self._left = matches, skip, times
        self._struck = threading.Event()
        self._released = threading.Event()
        self._given_up = False

    def takes(self, request: Request) -> bool:
        """Does the fault meet this request? Asked once for each."""
        if not self._left or not self._matches(request):
            return False
        if self._skip:
            self._skip -= 1
            return False
        self._left -= 1
        self.hits += 1
        return True

    def wait_struck(self, seconds: float = 15.0) -> None:
        """Return when the fault is at its moment for the first time: a stall stands, a reset was sent."""
        assert self._struck.wait(seconds), f"{self.fault} was not met within {seconds:g} s"

    def release(self) -> None:
        """Let go on what stalls."""
        self._released.set()

    def give_up(self) -> None:
        """End what stalls."""
        self._given_up = True
        self._released.set()

    def strike_now(self) -> None:
        """Called by the fault, at its moment."""
        self._struck.set()

    async def released(self) -> bool:
        """Return when `release` or `give_up` was called; True for the first."""
        while not self._released.is_set():
            await asyncio.sleep(0.01)
        return not self._given_up


class Exchange:
    """One request and its answer on their way through the proxy; used in the proxy's loop only."""

    def __init__(
        self, proxy: Proxy, rule: Rule, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.request, self.rule = request, rule
        self._proxy, self._reader, self._writer = proxy, reader, writer
        self._unread = request.length
        self.over = False  # the connection carries no further request

    async def upload(self) -> AsyncIterator[bytes]:
        """The rest of the request's body, in blocks."""
        while self._unread:
            block = await self._reader.read(min(BLOCK_BYTES, self._unread))
            if not block:
                raise ConnectionError("the client went away")
            self._unread -= len(block)
            yield block

    async def whole_upload(self) -> bytes:
        """The rest of the request's body."""
        return b"".join([block async for block in self.upload()])

    async def ask(self, body: AsyncIterator[bytes] | None = None) -> Answer:
        """Pass the request on, with its own body or another of the same length; the server's answer."""
        return await self._proxy.ask(self.request, self.upload() if body is None else body)

    async def send(self, data: bytes) -> None:
        """Bytes to the client."""
        self._writer.write(data)
        await self._writer.drain()

    async def relay(self, answer: Answer) -> None:
        """The answer to the client, as it comes."""
        await self.send(answer.head())
        async for block in answer.body:
            await self.send(block)
        self.over = self.over or answer.header("connection").lower() == "close"

    async def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        """An answer of the proxy's own, after the request's body was taken."""
        await self.whole_upload()
        lines = [("Content-Type", "application/xml"), *headers.items()]
        await self.send(Answer(status, "Fault", lines, nothing()).head(len(body)) + body)

    def reset(self) -> None:
        """End the connection with RST."""
        self.over = True
        reset(self._writer)

    def close(self) -> None:
        """End the connection in order (FIN), after what was sent."""
        self.over = True
        self._writer.close()


class Proxy:
    """A proxy on a free port of the loopback, until `stop` or the end of `with`.

    Args:
        endpoint_url: the server behind it.

    Attributes:
        url: the proxy's own endpoint.
        latency: seconds by which each request is held back: a longer round trip.
        max_keys: asked of LIST instead of a thousand, if set: short pages, from servers that check no signature.
        seen: every request that came, oldest first.
    """

    def __init__(self, endpoint_url: str) -> None:
        target = urlsplit(endpoint_url)
        self._target = (str(target.hostname), int(target.port or 80))
        self._lock = threading.Lock()
        self._rules: list[Rule] = []
        self._clients: set[asyncio.StreamWriter] = set()
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._drops = 0
        self.latency = 0.0
        self.max_keys = 0
        self.seen: list[Request] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy", daemon=True)
        self._thread.start()
        self._server = self._call(self._listen(0))
        self._port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"

    # ---- the script: any thread -------------------------------------------------------------------

    def on(
        self,
        fault: Fault,
        operation: str = "*",
        key: str = "*",
        *,
        where: Callable[[Request], bool] = lambda _request: True,
        skip: int = 0,
        times: int = 1,
    ) -> Rule:
        """From now on requests that match meet `fault`.

        Args:
            operation: S3's name, or a pattern. key: of the object, or a pattern.
            where: a further condition.
            skip: so many that match pass first. times: so many meet it; -1: all.
        """

        def matches(request: Request) -> bool:
            named = fnmatch.fnmatchcase(request.operation, operation) and fnmatch.fnmatchcase(request.key, key)
            return named and where(request)

        rule = Rule(fault, matches, skip, times)
        with self._lock:
            self._rules.append(rule)
        return rule

    def clear(self) -> None:
        """Forget the rules and what was seen; what stalls is ended."""
        with self._lock:
            for rule in self._rules:
                rule.give_up()
            self._rules.clear()
            self.seen.clear()

    def counts(self) -> Counter[str]:
        """How many requests came of each operation."""
        with self._lock:
            return Counter(request.operation for request in self.seen)

    def refuse(self) -> None:
        """Close the port and every connection."""
        self._call(self._shut())

    def accept(self) -> None:
        """Open the port again."""
        self._server = self._call(self._listen(self._port))

    def wait_quiet(self, seconds: float = 30.0) -> None:
        """Return when no client is connected, and the server has done what it was asked."""
        until = time.monotonic() + seconds
        while self._clients:
            late = f"still {len(self._clients)} connections after {seconds:g} s"
            assert time.monotonic() < until, f"{late}; asked last: {self.seen[-3:]}"
            time.sleep(0.002)

    def drop(self, connections: int) -> None:
        """Reset the next so many connections before a byte of them is read."""
        with self._lock:
            self._drops = connections

    def stop(self) -> None:
        """End the proxy and its connections."""
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _call(self, what: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(10)

    # ---- the service: the proxy's loop ------------------------------------------------------------

    async def _listen(self, port: int) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", port, limit=_HEAD_BYTES, backlog=1024)

    async def _shut(self) -> None:
        self._server.close()
        for writer in tuple(self._clients):
            reset(writer)

    async def _end(self) -> None:
        self._server.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        for _, writer in self._idle:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients.add(writer)
        try:
            # Either end may go away in the middle: that is what a kill or an interrupt looks like from here.
            with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
                if self._is_dropped():
                    reset(writer)
                while not writer.is_closing() and await self._serve_one(reader, writer):
                    pass
        finally:
            self._clients.discard(writer)
            writer.close()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serve the next request of a connection; can it carry a further one?"""
        request = parse_request(await reader.readuntil(b"\r\n\r\n"))
        rule = self._meet(request)
        exchange = Exchange(self, rule, request, reader, writer)
        if self.latency:
            await asyncio.sleep(self.latency)
        if "expect" in request.headers:
            await exchange.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        await rule.fault.strike(exchange)
        return not exchange.over

    def _is_dropped(self) -> bool:
        with self._lock:
            dropped = self._drops > 0
            self._drops -= dropped
            return dropped

    def _meet(self, request: Request) -> Rule:
        with self._lock:
            self.seen.append(request)
            return next((rule for rule in self._rules if rule.takes(request)), None) or _passing()

    async def ask(self, request: Request, body: AsyncIterator[bytes]) -> Answer:
        """The server's answer to a request."""
        reader, writer = await self._dial()
        try:
            writer.write(self._head_for(request))
            async for block in body:
                writer.write(block)
                await writer.drain()
            status, reason, headers = 100, "", []
            while status < 200:
                status, reason, headers = parse_answer(await reader.readuntil(b"\r\n\r\n"))
        except BaseException:  # a client that went away in the middle: the server is to see that too
            reset(writer)
            raise
        answer = Answer(status, reason, headers, nothing())
        empty = request.method == "HEAD" or status in _NO_BODY
        return answer._replace(body=self._download(reader, writer, answer, empty=empty))

    def _head_for(self, request: Request) -> bytes:
        head = without_expect(request.head)
        return head.replace(b"max-keys=1000&", b"max-keys=%d&" % self.max_keys, 1) if self.max_keys else head

    async def _dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof():
                return reader, writer
            writer.close()
        return await asyncio.open_connection(*self._target, limit=_HEAD_BYTES)

    async def _download(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Answer, *, empty: bool
    ) -> AsyncIterator[bytes]:
        """The body of an answer, as it is on the wire."""
        kept = False
        try:
            if not empty:
                async for block in blocks(reader, answer):
                    yield block
            kept = answer.header("connection").lower() != "close"
        finally:
            if kept:
                self._idle.append((reader, writer))
            else:
                writer.close()


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with RST, whatever is still on its way."""
    sock = writer.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class _Pass:
    async def strike(self, exchange: Exchange) -> None:
        await exchange.relay(await exchange.ask())


def _passing() -> Rule:
    return Rule(_Pass(), lambda _request: True, 0, 1)
