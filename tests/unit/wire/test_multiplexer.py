"""Many requests in one thread: what ends well, and what is given back."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable
from typing import Any, cast

import pytest

from nbsync.wire.connect import Route, tls_context
from nbsync.wire.multiplexer import Done, SocketMultiplexer

from .scripted import Peer, Server, answer, secured

GET = b"GET /k HTTP/1.1\r\nhost: h\r\n\r\n"
Serve = Callable[..., Server]


class Sent:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


def swarm_of(server: Server, **more: Any) -> SocketMultiplexer:
    given = {"on_sent": lambda: None, **more}
    tls = given.pop("tls", None)
    return SocketMultiplexer(
        Route("127.0.0.1", server.port, tls), (socket.AF_INET, ("127.0.0.1", server.port)), **given
    )


def ask(multiplexer: SocketMultiplexer, tag: Any = "k", head: bytes = GET, body: bytes = b"") -> Done:
    """What one request comes to."""
    return multiplexer.start(tag, head, body) or finish(multiplexer, 1)[0]


def finish(multiplexer: SocketMultiplexer, count: int) -> list[Done]:
    """What `count` requests come to."""
    found: list[Done] = []
    while len(found) < count:
        found += multiplexer.poll(5)
    return found


def echoing(times: int) -> Callable[[Peer], None]:
    """Answers each request with its path."""

    def script(peer: Peer) -> None:
        for _ in range(times):
            head = peer.head()
            if not head:
                return
            peer.send(answer(head.split()[1]))
        peer.wait_for_close()

    return script


def test_many_requests_share_a_few_connections(serve: Serve) -> None:
    server = serve(*[echoing(100)] * 3)
    sent = Sent()
    multiplexer = swarm_of(server, on_sent=sent)
    todo, found = list(range(60)), []
    while len(found) < 60:
        while todo and multiplexer.busy < 3:
            number = todo.pop()
            assert multiplexer.start(number, b"GET /%d HTTP/1.1\r\n\r\n" % number) is None
        found += multiplexer.poll(5)
    assert {done.tag: done.answer.body for done in found if done.answer} == {n: b"/%d" % n for n in range(60)}
    assert (multiplexer.size, multiplexer.busy, sent.count) == (3, 0, 60)
    assert multiplexer.close() == []


def test_an_answer_that_comes_byte_by_byte(serve: Serve) -> None:
    body = b"\r\n\r\n two empty lines \r\n\r\n"

    def script(peer: Peer) -> None:
        peer.head()
        for byte in b"HTTP/1.1 100 Continue\r\n\r\n" + answer(body):
            peer.send(bytes([byte]))
        peer.wait_for_close()

    multiplexer = swarm_of(serve(script))
    done = ask(multiplexer, "k")
    assert (done.tag, done.error) == ("k", None)
    assert done.answer is not None
    assert (done.answer.status, done.answer.body) == (200, body)
    multiplexer.close()


def test_a_body_larger_than_the_sockets_room_is_sent_whole(serve: Serve) -> None:
    body = bytes(range(256)) * 20_000
    came: list[bytes] = []

    def script(peer: Peer) -> None:
        peer.head()
        came.append(peer.body(len(body)))
        peer.send(answer())
        peer.wait_for_close()

    sent = Sent()
    multiplexer = swarm_of(serve(script), on_sent=sent)
    assert ask(multiplexer, "k", b"PUT /k HTTP/1.1\r\n\r\n", body).error is None
    assert came == [body]
    assert sent.count == 1
    multiplexer.close()


def closes(peer: Peer) -> None:
    peer.head()


def breaks_off(peer: Peer) -> None:
    peer.head()
    peer.send(answer(b"whole")[:-2])


def resets(peer: Peer) -> None:
    peer.head()
    peer.reset()


def chunks(peer: Peer) -> None:
    peer.head()
    peer.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n")


def babbles(peer: Peer) -> None:
    peer.head()
    peer.send(b"what?\r\n\r\n")


def is_long(peer: Peer) -> None:
    peer.head()
    peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 10000000\r\n\r\n")


@pytest.mark.parametrize("script", [closes, breaks_off, resets, chunks, babbles, is_long])
def test_what_is_no_plain_answer_is_given_back(serve: Serve, script: Callable[[Peer], None]) -> None:
    multiplexer = swarm_of(serve(script, echoing(1)))
    done = ask(multiplexer, "bad")
    assert (done.tag, done.answer) == ("bad", None)
    assert done.error is not None
    assert multiplexer.size == 0
    assert ask(multiplexer).answer is not None
    multiplexer.close()


def refuses_early(status: str) -> Callable[[Peer], None]:
    """Answers without the body, and reads on never."""

    def script(peer: Peer) -> None:
        peer.head()
        peer.send(answer(status=status))
        peer.go_on.wait(20)

    return script


def test_an_answer_before_the_body_is_through(serve: Serve) -> None:
    """It waited for the other side to take the rest, busily and for ever: what came kept its time-out away."""
    server = serve(refuses_early("503 Slow Down"), refuses_early("200 OK"))
    multiplexer, body = swarm_of(server), bytes(32 * 1024 * 1024)
    done = ask(multiplexer, "refused", b"PUT /k HTTP/1.1\r\n\r\n", body)
    assert done.answer is not None
    assert (done.answer.status, multiplexer.size) == (503, 0)
    done = ask(multiplexer, "stored?", b"PUT /k HTTP/1.1\r\n\r\n", body)
    assert "answered 200 before it had the whole body" in str(done.error)
    assert multiplexer.size == 0
    for peer in server.peers:
        peer.go_on.set()
    multiplexer.close()


@pytest.mark.parametrize("end", [closes, resets])
def test_a_kept_connection_that_was_stale_is_nobody_s_failure(serve: Serve, end: Callable[[Peer], None]) -> None:
    def once(peer: Peer) -> None:
        peer.head()
        peer.send(answer())
        end(peer)

    multiplexer = swarm_of(serve(once, end))
    assert ask(multiplexer).answer is not None
    for unanswered in (True, False):  # the second is a new connection
        done = ask(multiplexer)
        assert done.error is not None
        assert done.error.unanswered is unanswered
    multiplexer.close()


def test_a_connection_that_ends_as_tls_begins(serve: Serve) -> None:
    class Ending:
        """As ssl does where the other side has gone: the file descriptor is closed under us."""

        def wrap_socket(self, sock: socket.socket, **_more: Any) -> ssl.SSLSocket:
            os.close(sock.detach())
            raise ConnectionResetError(104, "Connection reset by peer")

    multiplexer = swarm_of(serve(echoing(1)), tls=cast(ssl.SSLContext, Ending()))
    assert "Connection reset by peer" in str(ask(multiplexer).error)
    assert multiplexer.size == 0
    multiplexer.close()


def test_a_connection_that_the_server_closes_is_not_used_again(serve: Serve) -> None:
    def once(peer: Peer) -> None:
        peer.head()
        peer.send(answer(b"1", headers="connection: close\r\n"))

    server = serve(once, once)
    multiplexer = swarm_of(server)
    for _ in range(2):
        assert ask(multiplexer).answer is not None
    assert len(server.peers) == 2
    multiplexer.close()


def test_an_idle_connection_that_ends_is_dropped(serve: Serve) -> None:
    def once(peer: Peer) -> None:
        peer.head()
        peer.send(answer())

    multiplexer = swarm_of(serve(once))
    ask(multiplexer)
    while multiplexer.size:
        assert multiplexer.poll(5) == []
    multiplexer.close()


def test_nobody_there(serve: Serve) -> None:
    server = serve()
    server.stop()
    multiplexer = swarm_of(server)
    done = ask(multiplexer)
    assert done.error is not None
    assert multiplexer.size == 0
    multiplexer.close()


def test_silence_is_given_up(serve: Serve) -> None:
    clock = [0.0]
    multiplexer = swarm_of(serve(Peer.wait_for_close), now=lambda: clock[0])
    multiplexer.start("k", GET)
    while multiplexer.poll(0.01):
        pass
    clock[0] = 61.0
    (done,) = multiplexer.poll(0)
    assert "sent nothing for 60 seconds" in str(done.error)
    multiplexer.close()


def test_a_connection_that_is_not_made_is_given_up_sooner() -> None:
    clock = [0.0]
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        with socket.create_connection(address):  # nobody accepts it, and there is room for no other
            multiplexer = SocketMultiplexer(
                Route(*address), (socket.AF_INET, address), on_sent=lambda: None, now=lambda: clock[0]
            )
            assert multiplexer.start("k", GET) is None
            clock[0] = 11.0
            (done,) = multiplexer.poll(0)
            assert "no connection to 127.0.0.1" in str(done.error)
            multiplexer.close()


def test_a_connection_of_which_nothing_can_be_told_is_given_up(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither made nor failed, and ready all the time: that is no sign of life."""
    monkeypatch.setattr("nbsync.wire.multiplexer._Connection.connected", lambda _member: False)
    clock = [0.0]
    multiplexer = swarm_of(serve(Peer.wait_for_close), now=lambda: clock[0])
    multiplexer.start("k", GET)
    assert multiplexer.poll(5) == []
    clock[0] = 11.0
    (done,) = multiplexer.poll(5)
    assert "timed out" in str(done.error)
    multiplexer.close()


def test_what_is_under_way_at_the_end_is_told(serve: Serve) -> None:
    multiplexer = swarm_of(serve(Peer.wait_for_close))
    multiplexer.start("k", GET)
    assert multiplexer.close() == ["k"]


def test_tls(serve: Serve, certificate: str) -> None:
    server = serve(*[secured(certificate, echoing(10))] * 2)
    multiplexer = swarm_of(server, tls=tls_context(True, certificate))
    found = []
    for number in range(2):
        assert multiplexer.start(number, b"GET /%d HTTP/1.1\r\n\r\n" % number) is None
    found = finish(multiplexer, 2)
    found.append(ask(multiplexer, 2, b"GET /2 HTTP/1.1\r\n\r\n"))
    assert {done.tag: done.answer.body for done in found if done.answer} == {n: b"/%d" % n for n in range(3)}
    multiplexer.close()


def test_a_certificate_that_is_not_trusted(serve: Serve, certificate: str) -> None:
    multiplexer = swarm_of(serve(secured(certificate, echoing(1))), tls=tls_context(True, ""))
    assert ask(multiplexer).error is not None
    multiplexer.close()


def address_of(server: Server) -> tuple[int, tuple[str, int]]:
    return socket.AF_INET, ("127.0.0.1", server.port)


@pytest.mark.parametrize("tls", [False, True])
def test_requests_are_shared_out_among_the_addresses_that_can_be_reached(
    serve: Serve, tls: bool, certificate: str
) -> None:
    """Each is tried by a connection without a request first: what cannot be reached costs nobody anything."""
    script = secured(certificate, echoing(9)) if tls else echoing(9)
    servers = [serve(*[script] * 9) for _ in range(3)]
    gone = serve()
    gone.stop()
    context = tls_context(True, certificate) if tls else None
    route = Route("127.0.0.1", servers[0].port, context)
    others = [address_of(server) for server in (*servers[1:], gone)]
    multiplexer = SocketMultiplexer(route, address_of(servers[0]), others=others, on_sent=lambda: None)
    while (multiplexer.size, len(multiplexer._idle)) != (2, 2):  # the third is the one that is gone
        multiplexer.poll(0.05)
    assert multiplexer.busy == 0

    failed = [multiplexer.start(number, GET) for number in range(12)]
    found = finish(multiplexer, 12)

    assert failed == [None] * 12
    assert [done.error for done in found] == [None] * 12
    assert min(len(server.peers) for server in servers) >= 3
    assert multiplexer.close() == []


def test_an_address_that_is_no_longer_reached_takes_no_more_connections(serve: Serve) -> None:
    first, second = serve(*[echoing(9)] * 9), serve(*[echoing(9)] * 9)
    multiplexer = SocketMultiplexer(
        Route("127.0.0.1", first.port), address_of(first), others=[address_of(second)], on_sent=lambda: None
    )
    assert ask(multiplexer).error is None
    while len(multiplexer._idle) < 2:
        multiplexer.poll(0.05)
    for peer in second.peers:
        peer.sock.shutdown(socket.SHUT_RDWR)
    second.stop()
    while multiplexer.size > 1:  # the kept connection is found to be closed
        multiplexer.poll(0.05)
    found = [done for number in range(4) if (done := multiplexer.start(number, GET)) is not None]
    found += finish(multiplexer, 4 - len(found))
    assert sum(done.error is not None for done in found) == 1
    assert [ask(multiplexer).error for _ in range(3)] == [None] * 3
    multiplexer.close()
