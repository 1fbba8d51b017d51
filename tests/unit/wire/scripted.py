"""A server that does exactly what a test writes down, on raw sockets."""

from __future__ import annotations

import queue
import socket
import ssl
import struct
import threading
from collections.abc import Callable


def answer(body: bytes = b"", status: str = "200 OK", headers: str = "") -> bytes:
    """A whole answer with Content-Length; `headers` are lines that end in CRLF."""
    return f"HTTP/1.1 {status}\r\n{headers}content-length: {len(body)}\r\n\r\n".encode() + body


class Peer:
    """The server's end of one connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.requests: list[bytes] = []
        self.go_on = threading.Event()  # for scripts that wait for the test

    def head(self) -> bytes:
        """The next request's head, byte by byte so that nothing of its body is taken."""
        data = b""
        while not data.endswith(b"\r\n\r\n"):
            byte = self.sock.recv(1)
            if not byte:
                return b""
            data += byte
        self.requests.append(data)
        return data

    def body(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            piece = self.sock.recv(length - len(data))
            if not piece:
                break
            data += piece
        return data

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def wait_for_close(self) -> None:
        """Until the client goes away."""
        try:
            while self.sock.recv(65536):
                pass
        except OSError:
            pass

    def reset(self) -> None:
        """Close so that the client gets a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


Script = Callable[[Peer], None]


def secured(certificate: str, script: Script) -> Script:
    """`script` behind TLS."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)

    def run(peer: Peer) -> None:
        peer.sock = context.wrap_socket(peer.sock, server_side=True)
        script(peer)

    return run


class Server:
    """Runs one script for each connection, in order; a connection without a script is closed at once."""

    def __init__(self, scripts: tuple[Script, ...]) -> None:
        self.peers: list[Peer] = []
        self.errors: queue.SimpleQueue[BaseException] = queue.SimpleQueue()
        self._scripts = scripts
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def requests(self) -> list[bytes]:
        return [request for peer in self.peers for request in peer.requests]

    def stop(self) -> None:
        if self._listener.fileno() < 0:
            return  # stopped by the test
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for peer in self.peers:
            peer.sock.close()
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            peer = Peer(sock)
            number = len(self.peers)
            self.peers.append(peer)
            script = self._scripts[number] if number < len(self._scripts) else None
            thread = threading.Thread(target=self._run, args=(script, peer), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self, script: Script | None, peer: Peer) -> None:
        try:
            if script:
                script(peer)
        except OSError:
            pass  # the client went away, or the test is over
        except BaseException as error:
            self.errors.put(error)
        finally:
            peer.sock.close()
