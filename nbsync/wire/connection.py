"""One HTTP/1.1 connection: a request out, its answer in (RFC 9112).

A connection is used by one thread at a time; only `kill` may come from another. Time is spent in
system calls that release the GIL; `http.client` and urllib3 spend three times as much CPU on a small
object, mostly on parsing headers as e-mail.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import socket
import ssl
import struct
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

from nbsync.wire.connect import Route, dial, why
from nbsync.wire.errors import Aborted, ConnectionLost, SourceChanged
from nbsync.wire.response_reader import Response, ResponseReader, Sink

__all__ = ["Connection", "FileSlice", "Response", "SentMeter"]

_PIECE_BYTES = 256 * 1024
_SMALL_BYTES = 64 * 1024  # a body up to this size travels in one send with its head
_QUIET_SECONDS = 1.0  # a connection idle for longer is looked at before it is used again


class FileSlice(NamedTuple):
    """`length` bytes at `offset` of an open file; sent without moving the file's position."""

    fd: int
    offset: int
    length: int

    def sha256(self) -> str:
        """Of what it holds now, hexadecimal."""
        digest = hashlib.sha256()
        for at in range(self.offset, self.offset + self.length, _PIECE_BYTES):
            digest.update(os.pread(self.fd, min(_PIECE_BYTES, self.offset + self.length - at), at))
        return digest.hexdigest()


class SentMeter:
    """Tells a callback how many bytes of a body were sent, and takes it back if they have to be sent again."""

    def __init__(self, callback: Callable[[int], None]) -> None:
        self._callback = callback
        self._told = 0

    def add(self, count: int) -> None:
        """`count` more bytes have been sent."""
        if count:
            self._told += count
            self._callback(count)

    def undo(self) -> None:
        """None of it counts: the callback gets the negative sum."""
        self.add(-self._told)


class _Request(NamedTuple):
    """The arguments of `Connection.exchange`."""

    head: bytes
    body: bytes | FileSlice
    head_only: bool
    repeatable: bool
    sink: Sink | None
    meter: SentMeter | None


class _SendFailed(Exception):
    """The socket did not take the bytes; the answer may say why."""


class Connection:
    """A connection to one endpoint, made when it is first needed and made again when it went stale.

    Attributes:
        written: requests written to the wire so far, silent repetitions included.
        address: family and address of the other end, once there was a connection.
    """

    def __init__(self, route: Route) -> None:
        self._route = route
        self._sock: socket.socket | None = None
        self._recv_into: Callable[[memoryview], int] = _unconnected
        self._sendall: Callable[[bytes | memoryview], None] = _unconnected
        self._reader = ResponseReader(self._receive, route.peer)
        self._killed = False
        self._open = False  # an exchange ended well and the peer keeps the connection
        self._used_at = 0.0  # monotonic seconds
        self._with_sendfile = False
        self.written = 0
        self.address: tuple[int, Any] | None = None

    @property
    def reusable(self) -> bool:
        """Another exchange can use the same socket."""
        return self._open and not self._killed

    def exchange(
        self,
        head: bytes,
        body: bytes | FileSlice = b"",
        *,
        head_only: bool = False,
        repeatable: bool = True,
        sink: Sink | None = None,
        meter: SentMeter | None = None,
    ) -> Response:
        """Send one request and read its answer, whatever its status.

        If a kept-alive connection turns out to be closed before one byte of the answer came, a repeatable
        exchange is repeated once on a new one. After an exception the connection is closed and the meter undone.

        Args:
            head: request line and headers with the empty line; frames `body` rightly.
            head_only: the method is HEAD.
            repeatable: done twice it is as if done once. Else it is never repeated here: the peer may have done
                it before it closed the connection (https://www.rfc-editor.org/rfc/rfc9110#section-9.2.2).
            sink: takes the body of a 2xx answer, see `ResponseReader.read`.

        Raises:
            ConnectionLost: no connection, a broken or silent one, or an answer that is no HTTP.
            SourceChanged: the file slice ends too early.
            Aborted: `kill` was called.
        """
        request = _Request(head, body, head_only, repeatable, sink, meter)
        try:
            return self._repeated_if_stale(request)
        except BaseException as error:
            self.close()
            if meter:
                meter.undo()
            if self._killed and isinstance(error, ConnectionLost):
                raise Aborted("the request was aborted") from None
            raise

    def _repeated_if_stale(self, request: _Request) -> Response:
        if self._still_open(look=not request.repeatable):
            try:
                return self._exchange(request)
            except ConnectionLost as lost:
                if self._killed or not lost.unanswered or not request.repeatable:
                    raise
            self.close()
            if request.meter:
                request.meter.undo()
        self._dial()
        return self._exchange(request)

    def kill(self) -> None:
        """From another thread: the exchange under way fails at once, and so does every later one."""
        self._killed = True
        _shut_down(self._sock)

    def close(self) -> None:
        """Close the socket; the next exchange makes a new one."""
        self._open = False
        sock, self._sock = self._sock, None
        self._recv_into = self._sendall = _unconnected
        if sock is not None:
            sock.close()

    def _still_open(self, *, look: bool) -> bool:
        if not self._open:
            self.close()
            return False
        if look or time.monotonic() - self._used_at > _QUIET_SECONDS:
            self._reader.reset()
            if self._peek() is not None:  # closed, or bytes that answer nothing
                self.close()
                return False
        return True

    def _dial(self) -> None:
        sock = dial(self._route, self._claim)
        self._claim(sock)
        with contextlib.suppress(OSError):
            self.address = sock.family, sock.getpeername()
        self._recv_into, self._sendall = sock.recv_into, sock.sendall
        self._with_sendfile = False
        if isinstance(sock, ssl.SSLSocket) or sys.platform == "win32":
            sock.settimeout(self._route.idle_timeout)
            return
        # The kernel's time-outs save a poll before each receive, and with it a hand-over of the GIL.
        microseconds = max(1, int(self._route.idle_timeout * 1_000_000))  # 0 would mean none
        interval = struct.pack("@ll", microseconds // 1_000_000, microseconds % 1_000_000)
        sock.settimeout(None)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, interval)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, interval)
        self._with_sendfile = hasattr(os, "sendfile")

    def _claim(self, sock: socket.socket) -> None:
        self._sock = sock
        if self._killed:
            raise Aborted("the request was aborted")

    def _exchange(self, request: _Request) -> Response:
        self._open = False
        self._reader.reset()
        try:
            whole = self._send(request.head, request.body, request.meter)
        except _SendFailed as failed:
            whole = False
            answer = self._answer_after(failed.__cause__, request.head_only)
        else:
            answer = self._reader.read(request.head_only, request.sink if whole else None)
        if whole:
            self._open = self._reader.keep_alive
            self._used_at = time.monotonic()
        elif answer.status < 300:
            raise ConnectionLost(f"{self._route.peer} answered {answer.status} before it had the whole body")
        return answer

    def _answer_after(self, cause: BaseException | None, head_only: bool) -> Response:
        """The answer that a server gave before it stopped listening, which says more than the broken pipe."""
        message = f"sending to {self._route.peer} failed: {why(cause)}"
        if isinstance(cause, (TimeoutError, BlockingIOError)):
            raise ConnectionLost(message) from None
        try:
            return self._reader.read(head_only)
        except ConnectionLost as lost:
            raise ConnectionLost(message, unanswered=lost.unanswered) from None

    def _send(self, head: bytes, body: bytes | FileSlice, meter: SentMeter | None) -> bool:
        """Write the request. False if the final answer came before the body was through."""
        if isinstance(body, FileSlice):
            self._transmit(head)
            self.written += 1
            return self._send_file(body, meter)
        if len(body) <= _SMALL_BYTES:
            self._transmit(head + body if body else head)
            self.written += 1
            if meter:
                meter.add(len(body))
            return True
        self._transmit(head)
        self.written += 1
        view = memoryview(body)
        for at in range(0, len(body), _PIECE_BYTES):
            if self._answered():
                return False
            piece = view[at : at + _PIECE_BYTES]
            self._transmit(piece)
            if meter:
                meter.add(len(piece))
        return True

    def _send_file(self, body: FileSlice, meter: SentMeter | None) -> bool:
        offset, left = body.offset, body.length
        while left:
            if self._answered():
                return False
            count = self._send_piece(body.fd, offset, min(left, _PIECE_BYTES))
            if not count:
                raise SourceChanged(f"the file ended {left} bytes before the {body.length} that were announced")
            offset += count
            left -= count
            if meter:
                meter.add(count)
        return True

    def _send_piece(self, fd: int, offset: int, count: int) -> int:
        """Send up to `count` bytes of the file; 0 at its end."""
        sock = self._socket()
        if self._with_sendfile:
            try:
                return os.sendfile(sock.fileno(), fd, offset, count)
            except (ConnectionError, BlockingIOError) as error:
                raise _SendFailed from error
            except OSError:  # a file system without it; if the file is to blame, pread says so
                self._with_sendfile = False
        piece = os.pread(fd, count, offset)
        self._transmit(piece)
        return len(piece)

    def _transmit(self, data: bytes | memoryview) -> None:
        try:
            self._sendall(data)
        except OSError as error:
            raise _SendFailed from error

    def _answered(self) -> bool:
        """The final answer is there (or the end) although the body is not through: no use in sending on."""
        count = self._peek()
        return count is not None and (self._reader.grew(count) or not count)

    def _peek(self) -> int | None:
        """Bytes that have come by now, put into the reader's memory; 0 at the end, None if nothing came."""
        sock = self._socket()
        before = sock.gettimeout()
        try:
            sock.settimeout(0)
            return sock.recv_into(self._reader.offer())
        except (BlockingIOError, ssl.SSLWantReadError):
            return None
        except OSError:
            return 0
        finally:
            sock.settimeout(before)

    def _receive(self, memory: memoryview) -> int:
        try:
            return self._recv_into(memory)
        except (TimeoutError, BlockingIOError):
            peer, seconds = self._route.peer, self._route.idle_timeout
            raise ConnectionLost(f"{peer} sent nothing for {seconds:g} seconds") from None
        except OSError as error:
            message = f"connection to {self._route.peer} lost: {why(error)}"
            raise ConnectionLost(message, unanswered=not self._reader.started) from None

    def _socket(self) -> socket.socket:
        if self._sock is None:
            raise ConnectionLost(f"no connection to {self._route.peer}")
        return self._sock


def _unconnected(_memory: object) -> NoReturn:
    raise OSError(errno.ENOTCONN, "not connected")


def _shut_down(sock: socket.socket | None) -> None:
    """End both directions. Not `SSLSocket.shutdown`: that drops the encryption while another thread still writes."""
    if sock is None:
        return
    try:
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    except OSError:
        pass  # not connected yet, or not any more
