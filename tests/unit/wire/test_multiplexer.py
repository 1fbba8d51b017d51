"""Many requests in one thread: what ends well, and what is given back."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable
from typing import Any, cast

import pytest

from nbsync.wire.connect import Route, tls_context
from nbsync.wire.multiplexer import Done, Swarm

from .scripted import Peer, Server, answer, secured

GET = b"GET /k HTTP/1.1\r\nhost: h\r\n\r\n"
Serve = Callable[..., Server]


class Sent:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


def swarm_of(server: Server, **more: Any) -> Swarm:
    given = {"on_sent": lambda: None, **more}
    tls = given.pop("tls", None)
    return Swarm(Route("127.0.0.1", server.port, tls), (socket.AF_INET, ("127.0.0.1", server.port)), **given)


def ask(swarm: Swarm, tag: Any = "k", head: bytes = GET, body: bytes = b"") -> Done:
    """What one request comes to."""
    return swarm.start(tag, head, body) or finish(swarm, 1)[0]


def finish(swarm: Swarm, count: int) -> list[Done]:
    """What `count` requests come to."""
    found: list[Done] = []
    while len(found) < count:
        found += swarm.poll(5)
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
    swarm = swarm_of(server, on_sent=sent)
    todo, found = list(range(60)), []
    while len(found) < 60:
        while todo and swarm.busy < 3:
            number = todo.pop()
            assert swarm.start(number, b"GET /%d HTTP/1.1\r\n\r\n" % number) is None
        found += swarm.poll(5)
    assert {done.tag: done.answer.body for done in found if done.answer} == {n: b"/%d" % n for n in range(60)}
    assert (swarm.size, swarm.busy, sent.count) == (3, 0, 60)
    assert swarm.close() == []


def test_an_answer_that_comes_byte_by_byte(serve: Serve) -> None:
    body = b"\r\n\r\n two empty lines \r\n\r\n"

    def script(peer: Peer) -> None:
        peer.head()
        for byte in b"HTTP/1.1 100 Continue\r\n\r\n" + answer(body):
            peer.send(bytes([byte]))
        peer.wait_for_close()

    swarm = swarm_of(serve(script))
    done = ask(swarm, "k")
    assert (done.tag, done.error) == ("k", None)
    assert done.answer is not None
    assert (done.answer.status, done.answer.body) == (200, body)
    swarm.close()


def test_a_body_larger_than_the_sockets_room_is_sent_whole(serve: Serve) -> None:
    body = bytes(range(256)) * 20_000
    came: list[bytes] = []

    def script(peer: Peer) -> None:
        peer.head()
        came.append(peer.body(len(body)))
        peer.send(answer())
        peer.wait_for_close()

    sent = Sent()
    swarm = swarm_of(serve(script), on_sent=sent)
    assert ask(swarm, "k", b"PUT /k HTTP/1.1\r\n\r\n", body).error is None
    assert came == [body]
    assert sent.count == 1
    swarm.close()


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
    swarm = swarm_of(serve(script, echoing(1)))
    done = ask(swarm, "bad")
    assert (done.tag, done.answer) == ("bad", None)
    assert done.error is not None
    assert swarm.size == 0
    assert ask(swarm).answer is not None
    swarm.close()


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
    swarm, body = swarm_of(server), bytes(32 * 1024 * 1024)
    done = ask(swarm, "refused", b"PUT /k HTTP/1.1\r\n\r\n", body)
    assert done.answer is not None
    assert (done.answer.status, swarm.size) == (503, 0)
    done = ask(swarm, "stored?", b"PUT /k HTTP/1.1\r\n\r\n", body)
    assert "answered 200 before it had the whole body" in str(done.error)
    assert swarm.size == 0
    for peer in server.peers:
        peer.go_on.set()
    swarm.close()


@pytest.mark.parametrize("end", [closes, resets])
def test_a_kept_connection_that_was_stale_is_nobody_s_failure(serve: Serve, end: Callable[[Peer], None]) -> None:
    def once(peer: Peer) -> None:
        peer.head()
        peer.send(answer())
        end(peer)

    swarm = swarm_of(serve(once, end))
    assert ask(swarm).answer is not None
    for unanswered in (True, False):  # the second is a new connection
        done = ask(swarm)
        assert done.error is not None
        assert done.error.unanswered is unanswered
    swarm.close()


def test_a_connection_that_ends_as_tls_begins(serve: Serve) -> None:
    class Ending:
        """As ssl does where the other side has gone: the file descriptor is closed under us."""

        def wrap_socket(self, sock: socket.socket, **_more: Any) -> ssl.SSLSocket:
            os.close(sock.detach())
            raise ConnectionResetError(104, "Connection reset by peer")

    swarm = swarm_of(serve(echoing(1)), tls=cast(ssl.SSLContext, Ending()))
    assert "Connection reset by peer" in str(ask(swarm).error)
    assert swarm.size == 0
    swarm.close()


def test_a_connection_that_the_server_closes_is_not_used_again(serve: Serve) -> None:
    def once(peer: Peer) -> None:
        peer.head()
        peer.send(answer(b"1", headers="connection: close\r\n"))

    server = serve(once, once)
    swarm = swarm_of(server)
    for _ in range(2):
        assert ask(swarm).answer is not None
    assert len(server.peers) == 2
    swarm.close()


def test_an_idle_connection_that_ends_is_dropped(serve: Serve) -> None:
    def once(peer: Peer) -> None:
        peer.head()
        peer.send(answer())

    swarm = swarm_of(serve(once))
    ask(swarm)
    while swarm.size:
        assert swarm.poll(5) == []
    swarm.close()


def test_nobody_there(serve: Serve) -> None:
    server = serve()
    server.stop()
    swarm = swarm_of(server)
    done = ask(swarm)
    assert done.error is not None
    assert swarm.size == 0
    swarm.close()


def test_silence_is_given_up(serve: Serve) -> None:
    clock = [0.0]
    swarm = swarm_of(serve(Peer.wait_for_close), now=lambda: clock[0])
    swarm.start("k", GET)
    while swarm.poll(0.01):
        pass
    clock[0] = 61.0
    (done,) = swarm.poll(0)
    assert "sent nothing for 60 seconds" in str(done.error)
    swarm.close()


def test_a_connection_that_is_not_made_is_given_up_sooner() -> None:
    clock = [0.0]
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        with socket.create_connection(address):  # nobody accepts it, and there is room for no other
            swarm = Swarm(Route(*address), (socket.AF_INET, address), on_sent=lambda: None, now=lambda: clock[0])
            assert swarm.start("k", GET) is None
            clock[0] = 11.0
            (done,) = swarm.poll(0)
            assert "no connection to 127.0.0.1" in str(done.error)
            swarm.close()


def test_a_connection_of_which_nothing_can_be_told_is_given_up(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither made nor failed, and ready all the time: that is no sign of life."""
    monkeypatch.setattr("nbsync.wire.multiplexer._Member.connected", lambda _member: False)
    clock = [0.0]
    swarm = swarm_of(serve(Peer.wait_for_close), now=lambda: clock[0])
    swarm.start("k", GET)
    assert swarm.poll(5) == []
    clock[0] = 11.0
    (done,) = swarm.poll(5)
    assert "timed out" in str(done.error)
    swarm.close()


def test_what_is_under_way_at_the_end_is_told(serve: Serve) -> None:
    swarm = swarm_of(serve(Peer.wait_for_close))
    swarm.start("k", GET)
    assert swarm.close() == ["k"]


def test_tls(serve: Serve, certificate: str) -> None:
    server = serve(*[secured(certificate, echoing(10))] * 2)
    swarm = swarm_of(server, tls=tls_context(True, certificate))
    found = []
    for number in range(2):
        assert swarm.start(number, b"GET /%d HTTP/1.1\r\n\r\n" % number) is None
    found = finish(swarm, 2)
    found.append(ask(swarm, 2, b"GET /2 HTTP/1.1\r\n\r\n"))
    assert {done.tag: done.answer.body for done in found if done.answer} == {n: b"/%d" % n for n in range(3)}
    swarm.close()


def test_a_certificate_that_is_not_trusted(serve: Serve, certificate: str) -> None:
    swarm = swarm_of(serve(secured(certificate, echoing(1))), tls=tls_context(True, ""))
    assert ask(swarm).error is not None
    swarm.close()


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
    swarm = Swarm(route, address_of(servers[0]), others=others, on_sent=lambda: None)
    while (swarm.size, len(swarm._idle)) != (2, 2):  # the third is the one that is gone
        swarm.poll(0.05)
    assert swarm.busy == 0

    failed = [swarm.start(number, GET) for number in range(12)]
    found = finish(swarm, 12)

    assert failed == [None] * 12
    assert [done.error for done in found] == [None] * 12
    assert min(len(server.peers) for server in servers) >= 3
    assert swarm.close() == []


def test_an_address_that_is_no_longer_reached_takes_no_more_connections(serve: Serve) -> None:
    first, second = serve(*[echoing(9)] * 9), serve(*[echoing(9)] * 9)
    swarm = Swarm(Route("127.0.0.1", first.port), address_of(first), others=[address_of(second)], on_sent=lambda: None)
    assert ask(swarm).error is None
    while len(swarm._idle) < 2:
        swarm.poll(0.05)
    for peer in second.peers:
        peer.sock.shutdown(socket.SHUT_RDWR)
    second.stop()
    while swarm.size > 1:  # the kept connection is found to be closed
        swarm.poll(0.05)
    found = [done for number in range(4) if (done := swarm.start(number, GET)) is not None]
    found += finish(swarm, 4 - len(found))
    assert sum(done.error is not None for done in found) == 1
    assert [ask(swarm).error for _ in range(3)] == [None] * 3
    swarm.close()
