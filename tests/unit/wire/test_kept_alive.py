"""A connection that was kept alive and is used again: is it still there, and may what was sent on it be sent again?"""

from __future__ import annotations

import threading

import pytest

from nbsync.wire import connection as http1
from nbsync.wire.connection import SentMeter
from nbsync.wire.errors import ConnectionLost

from .scripted import Peer, answer
from .test_connection import GET, answering, connect, put_head


def closing_after_one_answer(closed: threading.Event):
    def script(peer: Peer) -> None:
        peer.head()
        peer.send(answer(b"one"))
        peer.sock.close()
        closed.set()

    return script


def test_a_stale_connection_is_replaced_once_silently(serve):
    closed = threading.Event()
    server = serve(closing_after_one_answer(closed), answering(b"two"))
    connection = connect(server)
    assert connection.exchange(GET).body == b"one"
    assert closed.wait(10)
    told: list[int] = []
    meter = SentMeter(told.append)
    assert connection.exchange(put_head(4) + b"", b"body", meter=meter).body == b"two"
    assert connection.written == 3  # one of them in vain
    assert told == [4, -4, 4]
    connection.close()


def test_what_the_peer_may_have_done_already_is_not_repeated(serve):
    def script(peer: Peer) -> None:
        peer.head()
        peer.send(answer(b"one"))
        peer.head()  # done, and its answer lost
        peer.sock.close()

    server = serve(script)
    connection = connect(server)
    connection.exchange(GET)
    with pytest.raises(ConnectionLost):
        connection.exchange(GET, repeatable=False)
    assert connection.written == 2
    assert len(server.peers) == 1
    connection.close()


def test_a_closed_connection_is_seen_before_what_cannot_be_repeated_is_sent(serve):
    closed = threading.Event()
    server = serve(closing_after_one_answer(closed), answering(b"two"))
    connection = connect(server)
    connection.exchange(GET)
    assert closed.wait(10)
    assert connection.exchange(GET, repeatable=False).body == b"two"
    assert connection.written == 2
    connection.close()


def test_a_connection_that_was_quiet_is_looked_at_before_it_is_used(serve, monkeypatch):
    closed = threading.Event()
    server = serve(closing_after_one_answer(closed), answering(b"two"))
    connection = connect(server)
    assert connection.exchange(GET).body == b"one"
    assert closed.wait(10)
    now = http1.time.monotonic()
    monkeypatch.setattr(http1.time, "monotonic", lambda: now + 100)
    assert connection.exchange(GET).body == b"two"
    assert connection.written == 2
    connection.close()


def test_a_quiet_connection_that_lives_is_kept(serve, monkeypatch):
    def script(peer: Peer) -> None:
        for _ in range(2):
            peer.head()
            peer.send(answer(b"x"))
        peer.wait_for_close()

    server = serve(script)
    connection = connect(server)
    connection.exchange(GET)
    now = http1.time.monotonic()
    monkeypatch.setattr(http1.time, "monotonic", lambda: now + 100)
    assert connection.exchange(GET).body == b"x"
    assert len(server.peers) == 1
    connection.close()
