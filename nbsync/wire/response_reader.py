"""One HTTP/1.1 answer out of a stream of bytes (RFC 9112). Pure: the bytes come from a function.

A small answer costs one receive and no copy but its own; a large body goes to the sink in pieces of
the buffer, so that hashing and writing release the GIL. Used by one thread at a time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from nbsync.wire.errors import ConnectionLost
from nbsync.wire.misdirected import is_tls

BUFFER_BYTES = 256 * 1024
MAX_HEAD_BYTES = 64 * 1024
MAX_BODY_BYTES = 64 * 1024 * 1024  # kept in memory: a page of 1,000 long keys is some 5 MiB
MAX_ERROR_BYTES = 1024 * 1024
_MAX_LINE_BYTES = 8 * 1024
_SMALL_BYTES = 64 * 1024
_MAX_INTERIM = 32

_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}")

Sink = Callable[[memoryview], object]
"""Takes the next piece of a body; the piece is only valid during the call."""


class Response(NamedTuple):
    """An answer. Header names in lower case, repeated headers joined by `, `; no body if a sink took it."""

    status: int
    headers: dict[str, str]
    body: bytes


# A server's answers have the same header names over and over: they are looked at once.
_MOST_NAMES = 256
_names: dict[str, str] = {}


class ResponseReader:
    """Reads answers, one after another.

    Args:
        receive: puts the next bytes into the memory it is given and returns how many; 0 at the end.
        peer: the other side's name, for messages.
    """

    def __init__(self, receive: Callable[[memoryview], int], peer: str) -> None:
        self._receive = receive
        self.peer = self._peer = peer
        self._buffer = bytearray(BUFFER_BYTES)
        self._view = memoryview(self._buffer)
        self._start = 0  # what was received and not yet used is _buffer[_start:_end]
        self._end = 0
        self._seen = False
        self._begun: tuple[int, dict[str, str], int] | None = None  # for `whole`: status, headers, body's length
        self.keep_alive = False  # after `read`: the connection can carry another exchange

    @property
    def started(self) -> bool:
        """A byte has come since `reset`."""
        return self._seen

    def reset(self) -> None:
        """Forget everything: the next byte is the first of an answer."""
        self._start = self._end = 0
        self._seen = False
        self.keep_alive = False
        self._begun = None

    def read(self, head_only: bool = False, sink: Sink | None = None) -> Response:
        """The next answer; interim ones (1xx) are skipped.

        Args:
            head_only: it answers a HEAD or CONNECT, so there is no body whatever the head says.
            sink: takes the body of a 2xx answer. Bodies of other answers are kept, at most 1 MiB of them.

        Raises:
            ConnectionLost: the stream ended too early, or holds no HTTP/1 answer, or a body to be kept in
                memory is longer than 64 MiB.
        """
        for _ in range(_MAX_INTERIM):
            status, headers, keep_alive = self._head()
            if status >= 200:
                break
        else:
            raise self._garbage("interim answers without end")
        self.keep_alive = keep_alive
        body = b""
        if not (head_only or status in (204, 304)):
            body = self._body(status, headers, sink)
        if self._start != self._end:  # bytes that nobody asked for: the next answer could not be trusted
            self.keep_alive = False
        return Response(status, headers, body)

    def offer(self) -> memoryview:
        """Free memory for bytes that came before `read` was called; say how many with `grew`."""
        return self._view[self._end :]

    def grew(self, count: int) -> bool:
        """Note `count` bytes put into `offer()`. True if they now hold the head of a final answer."""
        self._end += count
        self._seen = self._seen or count > 0
        if self._begun is not None:
            return True
        while (found := self._buffer.find(b"\r\n\r\n", self._start, self._end)) >= 0:
            if self._buffer[self._start + 9 : self._start + 10] != b"1":
                return True
            self._start = found + 4
        return self._end - self._start > MAX_HEAD_BYTES

    def whole(self) -> Response | None:
        """The answer that `grew` has announced, once it lies whole in memory; None while some of it is to come.

        Raises:
            ConnectionLost: it is no HTTP/1 answer, or one whose length is not announced or does not fit.
        """
        if self._begun is None:
            status, headers, self.keep_alive = self._head()
            length = 0 if status in (204, 304) else self._length(headers)
            if not 0 <= length <= BUFFER_BYTES - self._start:
                raise self._garbage("no short answer of a known length")
            self._begun = status, headers, length
        status, headers, length = self._begun
        if self._end - self._start < length:
            return None
        body = bytes(self._take(length))
        if self._start != self._end:
            self.keep_alive = False
        return Response(status, headers, body)

    def _fill(self) -> int:
        """Receive more behind what is there; 0 at the end of the stream."""
        if self._start == self._end:
            self._start = self._end = 0
        elif self._end == BUFFER_BYTES:
            rest = bytes(self._view[self._start : self._end])
            self._view[: len(rest)] = rest
            self._start, self._end = 0, len(rest)
        count = self._receive(self._view[self._end :])
        self._end += count
        self._seen = self._seen or count > 0
        return count

    def _more(self, where: str) -> None:
        if not self._fill():
            if not self._seen:
                raise ConnectionLost(f"{self._peer} closed the connection without an answer", unanswered=True)
            raise ConnectionLost(f"{self._peer} closed the connection in the middle of {where}")

    def _head(self) -> tuple[int, dict[str, str], bool]:
        """(status, headers, whether the connection stays open after it)."""
        while (found := self._buffer.find(b"\r\n\r\n", self._start, self._end)) < 0:
            if self._end - self._start > MAX_HEAD_BYTES:
                raise self._garbage("a head of more than 64 KiB")
            if not b"HTTP/1.".startswith(bytes(self._view[self._start : min(self._end, self._start + 7)])):
                raise self._no_http()
            self._more("the answer's head")
        if found - self._start > MAX_HEAD_BYTES:
            raise self._garbage("a head of more than 64 KiB")
        lines = self._buffer[self._start : found].decode("latin-1").split("\r\n")
        self._start = found + 4
        first = lines[0]
        if not (first.startswith("HTTP/1.") and first[8:9] == " " and first[9:12].isdecimal()):
            raise self._no_http()
        status = int(first[9:12])
        headers: dict[str, str] = {}
        for i in range(1, len(lines)):
            given, colon, value = lines[i].partition(":")
            name = (_names.get(given) if colon else None) or self._name(given, colon)
            value = value.strip(" \t")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        keep_alive = first[7] == "1" and "close" not in headers.get("connection", "").lower()
        return status, headers, keep_alive

    def _name(self, given: str, colon: str) -> str:
        """A header's name in lower case."""
        if not colon or not given or given[-1] in " \t" or given[0] in " \t":
            raise self._garbage("a malformed header")
        name = given.lower()
        if len(_names) < _MOST_NAMES:
            _names[given] = name
        return name

    def _body(self, status: int, headers: dict[str, str], sink: Sink | None) -> bytes:
        length = self._length(headers)
        wanted = 200 <= status < 300
        if 0 <= length <= _SMALL_BYTES:  # most answers: one piece, no copy but the one that is returned
            whole = self._whole(length)
            if sink is None or not wanted:
                return bytes(whole)
            if length:
                sink(whole)
            return b""
        if sink is not None and wanted:
            for piece in self._pieces(headers, length):
                sink(piece)
            return b""
        limit = MAX_BODY_BYTES if wanted else MAX_ERROR_BYTES
        body = bytearray()
        for piece in self._pieces(headers, length):
            body += piece
            if len(body) > limit:
                self.keep_alive = False
                if wanted:
                    raise ConnectionLost(
                        f"{self._peer} sent a body of more than {limit} bytes where a short one is due"
                    )
                break
        return bytes(body[:limit])

    def _length(self, headers: dict[str, str]) -> int:
        """Content-Length; -1 if another framing holds."""
        text = headers.get("content-length")
        if text is None or "transfer-encoding" in headers:
            return -1
        if not (text.isascii() and text.isdecimal() and len(text) <= 18):
            raise self._garbage("a malformed Content-Length")
        return int(text)

    def _pieces(self, headers: dict[str, str], length: int) -> Iterator[memoryview]:
        if length >= 0:
            return self._by_length(length)
        coding = headers.get("transfer-encoding", "").lower()
        if coding == "chunked":
            return self._by_chunks()
        if coding:
            raise self._garbage(f"the unknown transfer coding {coding!r}")
        self.keep_alive = False
        return self._until_close()

    def _take(self, most: int) -> memoryview:
        """What is in the buffer, at most `most` bytes."""
        piece = self._view[self._start : min(self._end, self._start + most)]
        self._start += len(piece)
        return piece

    def _whole(self, length: int) -> memoryview:
        """A short body, all of it in the buffer."""
        while (have := self._end - self._start) < length:
            if not self._fill():
                raise self._cut_short(have, length)
        return self._take(length)

    def _by_length(self, length: int) -> Iterator[memoryview]:
        left = length
        while left:
            if self._start == self._end and not self._fill():
                raise self._cut_short(length - left, length)
            piece = self._take(left)
            left -= len(piece)
            yield piece

    def _until_close(self) -> Iterator[memoryview]:
        while self._start != self._end or self._fill():
            yield self._take(BUFFER_BYTES)

    def _by_chunks(self) -> Iterator[memoryview]:
        while True:
            size = self._line().partition(b";")[0].strip(b" \t")
            if not _CHUNK_SIZE.fullmatch(size):
                raise self._garbage("a malformed chunk")
            left = int(size, 16)
            if not left:
                break
            while left:
                if self._start == self._end:
                    self._more("a chunk")
                piece = self._take(left)
                left -= len(piece)
                yield piece
            if self._line():
                raise self._garbage("a chunk of another length than announced")
        trailer_bytes = 0
        while line := self._line():
            trailer_bytes += len(line)
            if trailer_bytes > MAX_HEAD_BYTES:
                raise self._garbage("trailers of more than 64 KiB")

    def _line(self) -> bytes:
        while (found := self._buffer.find(b"\r\n", self._start, self._end)) < 0:
            if self._end - self._start > _MAX_LINE_BYTES:
                raise self._garbage("a line of more than 8 KiB in a chunked body")
            self._more("a chunked body")
        if found - self._start > _MAX_LINE_BYTES:
            raise self._garbage("a line of more than 8 KiB in a chunked body")
        line = bytes(self._view[self._start : found])
        self._start = found + 2
        return line

    def _cut_short(self, have: int, length: int) -> ConnectionLost:
        return ConnectionLost(f"{self._peer} closed the connection after {have} of {length} bytes of the body")

    def _no_http(self) -> ConnectionLost:
        tls = is_tls(bytes(self._view[self._start : self._end]))
        return self._garbage("TLS in answer to plain HTTP: is it https://?" if tls else "no HTTP/1 answer")

    def _garbage(self, what: str) -> ConnectionLost:
        return ConnectionLost(f"{self._peer} sent {what}")
