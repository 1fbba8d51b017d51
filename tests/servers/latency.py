"""A longer way to a server: a relay that holds back what the client sends, and counts the requests in it.

`python -m tests.servers.latency --to URL --seconds 0.04` prints its own URL; with `--rate 1e6`, each connection
carries at most so many bytes a second from the server, as a distant service gives each of them. Bytes go through as
they are (the Host header too, so signatures stay right); what a client sends arrives `seconds` later, in any amount
at once, as over a longer wire: each round trip is longer, the throughput is the same. The first bytes of a connection
are held back twice as long, since a TCP handshake is a round trip of its own. One process, one thread; some 50
microseconds a request, for hundreds of connections.

A request is counted where its first line begins what a client sends after an answer (HTTP/1.1 without pipelining).
On SIGUSR1 the relay prints its counts as a line of JSON and begins anew.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import signal
import subprocess
import sys
from collections import Counter
from urllib.parse import urlsplit

_FIRST_LINE = re.compile(rb"(GET|HEAD|PUT|POST|DELETE) /([^ ?/]*)/?([^ ?]*)\??([^ ]*) HTTP/1\.1\r\n")
_PIECE = 16 << 10  # bytes that are let through at once where there is a rate
_HELD_BYTES = 8 << 20  # of one connection, on its way; a client that sends more waits


def kind_of(data: bytes) -> str:
    """What request begins `data`, in the words of nbsync's own counts; empty if none does."""
    found = _FIRST_LINE.match(data)
    if not found:
        return ""
    method, bucket, key, query = found.groups()
    if bucket and not key and method == b"GET" and (not query or b"list-type=" in query or b"prefix=" in query):
        return "list"
    if not key:
        return "other"
    return "other" if method == b"POST" else method.decode().lower()


class Relay:
    """What all connections share. `rate`: bytes a second of one connection's answers; 0 is no limit."""

    def __init__(self, host: str, port: int, seconds: float, rate: float = 0.0) -> None:
        self.host, self.port, self.seconds, self.rate = host, port, seconds, rate
        self.counts: Counter[str] = Counter()
        self.tasks: set[asyncio.Task[None]] = set()

    def take(self) -> None:
        """Print the counts, and begin anew."""
        print(json.dumps(self.counts), flush=True)
        self.counts.clear()


class _Half(asyncio.Protocol):
    """One side of a connection; `other` is where its bytes go."""

    transport: asyncio.Transport
    other: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        if self.other is not None:
            self.other.close()

    def pause_writing(self) -> None:
        if self.other is not None:
            self.other.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and not self.other.is_closing():
            self.other.resume_reading()


class _Server(_Half):
    """The server's side: what it says goes to the client at once, or as fast as the rate allows."""

    def __init__(self, client: _Client, rate: float) -> None:
        self._client, self._rate = client, rate
        self._loop = asyncio.get_running_loop()
        self._free = 0.0  # when what came before is through
        self.other = client.transport

    def data_received(self, data: bytes) -> None:
        self._client.answered = True
        if not self._rate:
            self._client.transport.write(data)
            return
        for start in range(0, len(data), _PIECE):
            piece = data[start : start + _PIECE]
            self._free = max(self._free, self._loop.time()) + len(piece) / self._rate
            self._loop.call_at(self._free, self._client.transport.write, piece)
        self.transport.pause_reading()  # the server waits, as it would for a slow wire
        self._loop.call_at(self._free, self._go_on)

    def _go_on(self) -> None:
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        if self._free > self._loop.time():  # what it said last is still under way
            self._loop.call_at(self._free, super().connection_lost, error)
        else:
            super().connection_lost(error)


class _Client(_Half):
    """The client's side: what it says goes to the server after a while."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._loop = asyncio.get_running_loop()
        self._held = 0
        self._due = 0.0
        self.answered = True  # nothing is under way: what comes next is a request

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        transport.pause_reading()  # type: ignore[attr-defined]  # until the server is there
        self._due = self._loop.time() + 2 * self._relay.seconds
        task = self._loop.create_task(self._connect())
        self._relay.tasks.add(task)
        task.add_done_callback(self._relay.tasks.discard)

    async def _connect(self) -> None:
        try:
            made, _ = await self._loop.create_connection(
                lambda: _Server(self, self._relay.rate), self._relay.host, self._relay.port
            )
        except OSError:
            self.transport.abort()
            return
        self.other = made
        if self.transport.is_closing():
            made.close()
        else:
            self.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        if self.answered and (kind := kind_of(data)):
            self._relay.counts[kind] += 1
            self.answered = False
        if not self._relay.seconds:
            self._pass(data)
            return
        self._held += len(data)
        if self._held > _HELD_BYTES:
            self.transport.pause_reading()
        self._due = max(self._due, self._loop.time() + self._relay.seconds)  # never before what came earlier
        self._loop.call_at(self._due, self._pass, data)

    def _pass(self, data: bytes) -> None:
        if self.other is not None and not self.other.is_closing():
            self.other.write(data)
        if self._held > _HELD_BYTES and not self.transport.is_closing():
            self.transport.resume_reading()
        self._held = max(0, self._held - len(data))


async def _serve(relay: Relay) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, relay.take)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    server = await loop.create_server(lambda: _Client(relay), "127.0.0.1", 0, backlog=1024)
    print(json.dumps(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"), flush=True)
    await ended.wait()


class LatencyRelay:
    """A running relay before `endpoint_url`; `with` ends it."""

    def __init__(self, endpoint_url: str, seconds: float, rate: float = 0.0) -> None:
        command = [sys.executable, "-m", "tests.servers.latency", "--to", endpoint_url, "--seconds", str(seconds)]
        command += ["--rate", str(rate)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.endpoint_url: str = self._said()

    def take_counts(self) -> dict[str, int]:
        """Requests since the last call, by kind: list, head, get, put, delete, other."""
        self._process.send_signal(signal.SIGUSR1)
        counts: dict[str, int] = self._said()
        return counts

    def _said(self):  # type: ignore[no-untyped-def]
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def stop(self) -> None:
        """End the process; a second call does nothing."""
        self._process.terminate()
        self._process.communicate()

    def __enter__(self) -> LatencyRelay:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def main() -> None:
    words = argparse.ArgumentParser(prog="python -m tests.servers.latency", description=__doc__)
    words.add_argument("--to", required=True, metavar="URL")
    words.add_argument("--seconds", type=float, default=0.04, help="added to each round trip")
    words.add_argument("--rate", type=float, default=0.0, help="bytes a second of each connection; 0: no limit")
    given = words.parse_args()
    target = urlsplit(given.to)
    asyncio.run(_serve(Relay(str(target.hostname), target.port or 80, given.seconds, given.rate)))


if __name__ == "__main__":
    main()
