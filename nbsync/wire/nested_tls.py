"""TLS within TLS, for an endpoint behind a proxy that is itself spoken to through TLS.

Python's ssl wraps sockets, not TLS connections. So the outer connection gets a thread that copies between it and
one end of a pair of sockets; the other end is the plain socket that the inner TLS is put on.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
import threading

_PIECE_BYTES = 64 * 1024


def plain_end(outer: ssl.SSLSocket) -> socket.socket:
    """A socket that stands for the TLS connection, which is closed with it, and the other way round."""
    ours, theirs = socket.socketpair()
    threading.Thread(target=_copy, args=(outer, theirs), name="nbsync-proxy", daemon=True).start()
    return ours


def _copy(outer: ssl.SSLSocket, inner: socket.socket) -> None:
    """Carry bytes both ways until either side ends."""
    with contextlib.suppress(OSError), outer, inner, selectors.DefaultSelector() as selector:
        outer.setblocking(False)
        inner.setblocking(False)
        down, up = _Way(outer, inner), _Way(inner, outer)
        while not down.ended and not up.ended:
            down.step()
            up.step()
            _watch(selector, outer, reads=not down.held, writes=bool(up.held))
            _watch(selector, inner, reads=not up.held, writes=bool(down.held))
            more = outer.pending() and not down.held  # has been received, so that no socket tells of it
            selector.select(0 if more else None)


def _watch(selector: selectors.BaseSelector, sock: socket.socket, *, reads: bool, writes: bool) -> None:
    """Be told of what the socket is waited for, and of nothing else: what is not taken would be told again at once."""
    events = (selectors.EVENT_READ if reads else 0) | (selectors.EVENT_WRITE if writes else 0)
    known = sock in selector.get_map()
    if not events:
        if known:
            selector.unregister(sock)
    elif known:
        selector.modify(sock, events)
    else:
        selector.register(sock, events)


class _Way:
    """One direction: at most one piece is held."""

    def __init__(self, source: socket.socket, sink: socket.socket) -> None:
        self._source, self._sink = source, sink
        self.held = b""
        self.ended = False

    def step(self) -> None:
        """Go on as far as that needs no waiting."""
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
            if not self.held:
                self.held = self._source.recv(_PIECE_BYTES)
                self.ended = not self.held
            while self.held:
                self.held = self.held[self._sink.send(self.held) :]
