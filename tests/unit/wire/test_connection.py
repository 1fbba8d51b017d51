"""One connection against a server that misbehaves in every way that servers do."""

from __future__ import annotations

import os
import socket
import threading

import pytest

from nbsync.wire.connect import Route
from nbsync.wire.connection import Connection, FileSlice, SentMeter
from nbsync.wire.errors import Aborted, ConnectionLost, SourceChanged

from .scripted import Peer, answer

GET = b"GET /k HTTP/1.1\r\nhost: x\r\n\r\n"
BIG = 8 * 1024 * 1024  # more than the socket buffers hold


def put_head(length: int) -> bytes:
    return b"PUT /k HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % length


def connect(server, idle_timeout: float = 20.0) -> Connection:
    return Connection(Route("127.0.0.1", server.port, idle_timeout=idle_timeout))


def answering(text: bytes):
    def script(peer: Peer) -> None:
        peer.head()
        peer.send(answer(text))
        peer.wait_for_close()

    return script


@pytest.fixture
def big_file(tmp_path):
    path = tmp_path / "big"
    path.write_bytes(bytes(range(256)) * (BIG // 256))
    with path.open("rb") as file:
        yield file


def test_a_connection_is_used_again(serve):
    def script(peer: Peer) -> None:
        for text in (b"one", b"two"):
            peer.head()
            peer.send(answer(text))
        peer.wait_for_close()

    server = serve(script)
    connection = connect(server)
    assert [connection.exchange(GET).body for _ in range(2)] == [b"one", b"two"]
    assert connection.written == 2
    assert connection.reusable
    connection.close()


def test_connection_close_is_obeyed(serve):
    def script(peer: Peer) -> None:
        peer.head()
        peer.send(answer(b"x", headers="connection: close\r\n"))

    server = serve(script, script)
    connection = connect(server)
    for _ in range(2):
        assert connection.exchange(GET).body == b"x"
        assert not connection.reusable
    assert len(server.peers) == 2
    connection.close()


def test_a_new_connection_without_an_answer_is_an_error(serve):
    server = serve(lambda peer: peer.head())
    with pytest.raises(ConnectionLost, match="without an answer"):
        connect(server).exchange(GET)
    assert len(server.peers) == 1


def test_half_an_answer_on_a_used_connection_is_not_repeated(serve):
    def script(peer: Peer) -> None:
        peer.head()
        peer.send(answer(b"one"))
        peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-le")

    server = serve(script)
    connection = connect(server)
    connection.exchange(GET)
    with pytest.raises(ConnectionLost, match="in the middle of the answer's head"):
        connection.exchange(GET)
    assert len(server.peers) == 1
    assert not connection.reusable


def test_a_reset_in_the_body(serve):
    def script(peer: Peer) -> None:
        peer.head()
        peer.send(answer(b"x" * 100_000)[:-1])
        started.wait(10)
        peer.reset()

    started = threading.Event()
    server = serve(script)
    with pytest.raises(ConnectionLost, match=r"lost|after 99999 of 100000") as caught:
        connect(server).exchange(GET, sink=lambda _piece: started.set())
    assert not caught.value.unanswered


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\n", answer(b"12345")[:-1]])
def test_silence_is_given_up(serve, begun):
    def script(peer: Peer) -> None:
        peer.head()
        peer.send(begun)
        peer.wait_for_close()

    server = serve(script)
    with pytest.raises(ConnectionLost, match=r"sent nothing for 0\.1 seconds") as caught:
        connect(server, idle_timeout=0.1).exchange(GET)
    assert not caught.value.unanswered
    assert len(server.peers) == 1


def test_a_server_that_stops_listening_is_given_up(serve):
    done = threading.Event()
    server = serve(lambda peer: done.wait(20))
    told: list[int] = []
    with pytest.raises(ConnectionLost, match="failed: timed out"):
        connect(server, idle_timeout=0.1).exchange(put_head(BIG), b"x" * BIG, meter=SentMeter(told.append))
    done.set()
    assert told
    assert sum(told) == 0


def test_garbage(serve):
    server = serve(lambda peer: (peer.head(), peer.send(b"220 mail.example.com ESMTP\r\n"), peer.wait_for_close()))
    with pytest.raises(ConnectionLost, match="no HTTP/1 answer"):
        connect(server).exchange(GET)


def test_a_sink_gets_the_body_and_what_it_raises_comes_through(serve):
    body = os.urandom(900_000)

    def script(peer: Peer) -> None:
        for _ in range(2):
            peer.head()
            peer.send(answer(body))

    server = serve(script)
    connection = connect(server)
    taken = bytearray()
    assert connection.exchange(GET, sink=taken.extend).body == b""
    assert bytes(taken) == body

    def full(_piece: memoryview) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        connection.exchange(GET, sink=full)
    assert not connection.reusable


@pytest.mark.parametrize("size", [1, 65_536, 65_537, 1_000_000])
def test_bytes_are_sent_whole(serve, size):
    body = os.urandom(size)
    got: list[bytes] = []

    def script(peer: Peer) -> None:
        peer.head()
        got.append(peer.body(size))
        peer.send(answer())

    server = serve(script)
    told: list[int] = []
    assert connect(server).exchange(put_head(size), body, meter=SentMeter(told.append)).status == 200
    assert got == [body]
    assert sum(told) == size


@pytest.mark.parametrize("with_sendfile", [True, False])
def test_a_slice_of_a_file_is_sent_and_its_position_stays(serve, big_file, monkeypatch, with_sendfile):
    if not with_sendfile:
        monkeypatch.delattr(os, "sendfile")
    got: list[bytes] = []

    def script(peer: Peer) -> None:
        peer.head()
        got.append(peer.body(700_000))
        peer.send(answer())

    server = serve(script)
    big_file.seek(5)
    told: list[int] = []
    piece = FileSlice(big_file.fileno(), 1000, 700_000)
    connect(server).exchange(put_head(700_000), piece, meter=SentMeter(told.append))
    assert big_file.tell() == 5
    assert got == [os.pread(big_file.fileno(), 700_000, 1000)]
    assert sum(told) == 700_000
    assert len(told) > 1


@pytest.mark.parametrize("with_sendfile", [True, False])
def test_a_file_that_became_shorter_is_never_padded(serve, big_file, monkeypatch, with_sendfile):
    if not with_sendfile:
        monkeypatch.delattr(os, "sendfile")
    got: list[bytes] = []
    through = threading.Event()

    def script(peer: Peer) -> None:
        peer.head()
        got.append(peer.body(BIG))
        through.set()

    server = serve(script)
    told: list[int] = []
    with pytest.raises(SourceChanged, match="ended 500000 bytes before"):
        connect(server).exchange(
            put_head(BIG), FileSlice(big_file.fileno(), 500_000, BIG), meter=SentMeter(told.append)
        )
    assert through.wait(10)
    assert len(got[0]) == BIG - 500_000
    assert sum(told) == 0


def test_a_file_that_cannot_be_read_says_so(serve, tmp_path):
    server = serve(lambda peer: peer.wait_for_close())
    fd = os.open(tmp_path / "f", os.O_WRONLY | os.O_CREAT)
    try:
        with pytest.raises(OSError, match="Bad file descriptor"):
            connect(server).exchange(put_head(5), FileSlice(fd, 0, 5))
    finally:
        os.close(fd)


REFUSAL = answer(b"<Error><Code>AccessDenied</Code></Error>", "403 Forbidden")


@pytest.mark.parametrize("closes", [True, False])
@pytest.mark.parametrize("from_file", [True, False])
def test_an_early_refusal_is_read(serve, big_file, closes, from_file):
    done = threading.Event()

    def script(peer: Peer) -> None:
        peer.head()
        peer.body(1000)
        peer.send(REFUSAL)
        if not closes:
            peer.wait_for_close()
        done.set()

    server = serve(script)
    body = FileSlice(big_file.fileno(), 0, BIG) if from_file else b"x" * BIG
    connection = connect(server)
    refused = connection.exchange(put_head(BIG), body)
    assert (refused.status, refused.body) == (403, b"<Error><Code>AccessDenied</Code></Error>")
    assert not connection.reusable
    connection.close()
    assert done.wait(10)


def test_success_before_the_body_is_through_is_not_believed(serve):
    def script(peer: Peer) -> None:
        peer.head()
        peer.send(answer())
        peer.wait_for_close()

    server = serve(script)
    with pytest.raises(ConnectionLost, match="answered 200 before it had the whole body"):
        connect(server).exchange(put_head(BIG * 8), b"x" * (BIG * 8))


def test_an_interim_answer_does_not_stop_the_body(serve):
    def script(peer: Peer) -> None:
        peer.head()
        peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert len(peer.body(BIG)) == BIG
        peer.send(answer(b"stored"))

    assert connect(serve(script)).exchange(put_head(BIG), b"x" * BIG).body == b"stored"


def test_kill_from_another_thread(serve):
    waiting = threading.Event()
    server = serve(lambda peer: (peer.head(), waiting.set(), peer.wait_for_close()))
    connection = connect(server)
    raised: list[BaseException] = []

    def run() -> None:
        try:
            connection.exchange(GET)
        except Aborted as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert waiting.wait(10)
    connection.kill()
    thread.join(10)
    assert len(raised) == 1
    with pytest.raises(Aborted):
        connection.exchange(GET)
    assert len(server.peers) == 1


def test_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ConnectionLost, match=f"no connection to 127.0.0.1:{port}: Connection refused") as caught:
        Connection(Route("127.0.0.1", port)).exchange(GET)
    assert caught.value.refused


def test_a_name_without_an_address(monkeypatch):
    def unknown(*_args: object, **_more: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(ConnectionLost, match=r"nowhere\.invalid has no address: Name or service not known") as caught:
        Connection(Route("nowhere.invalid", 80)).exchange(GET)
    assert caught.value.unresolved


def test_the_next_address_is_tried(serve, monkeypatch):
    server = serve(answering(b"x"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = listener.getsockname()[1]
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in (closed, server.port)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_more: found)
    connection = Connection(Route("twice.example", 80))
    assert connection.exchange(GET).body == b"x"
    connection.close()
