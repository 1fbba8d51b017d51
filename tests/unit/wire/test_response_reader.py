"""The parser: every framing, every split of the bytes, and what is refused."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbsync.wire.errors import ConnectionLost
from nbsync.wire.response_reader import BUFFER_BYTES, MAX_BODY_BYTES, MAX_ERROR_BYTES, Response, ResponseReader


class Stream:
    """Hands out bytes in the given pieces, then the end."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = [piece for piece in pieces if piece]

    def receive(self, memory: memoryview) -> int:
        if not self._pieces:
            return 0
        piece = self._pieces.pop(0)
        count = min(len(piece), len(memory))
        memory[:count] = piece[:count]
        if count < len(piece):
            self._pieces.insert(0, piece[count:])
        return count


def reader_of(*pieces: bytes) -> ResponseReader:
    return ResponseReader(Stream(*pieces).receive, "peer")


def read(*pieces: bytes, head_only: bool = False) -> Response:
    return reader_of(*pieces).read(head_only)


def chunked(parts: list[bytes], trailer: bytes = b"") -> bytes:
    body = b"".join(b"%x;ext=1\r\n%b\r\n" % (len(part), part) for part in parts if part)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body + b"0\r\n" + trailer + b"\r\n"


def test_a_plain_answer():
    reader = reader_of(b'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nETag: "x"\r\nX-A: 1\r\nx-a:  2 \r\n\r\nabc')
    assert reader.read() == (200, {"content-length": "3", "etag": '"x"', "x-a": "1, 2"}, b"abc")
    assert reader.keep_alive


def test_two_answers_on_one_connection():
    reader = reader_of(
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na", b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nb"
    )
    assert reader.read().body == b"a"
    reader.reset()
    assert reader.read().body == b"b"


@pytest.mark.parametrize(
    ("head", "keeps"),
    [
        (b"HTTP/1.1 200 OK\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: Close\r\n", False),
        (b"HTTP/1.0 200 OK\r\n", False),
    ],
)
def test_who_keeps_the_connection(head, keeps):
    reader = reader_of(head + b"content-length: 0\r\n\r\n")
    reader.read()
    assert reader.keep_alive is keeps


def test_bytes_after_the_answer_end_the_connection():
    reader = reader_of(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\naHTTP/1.1 200 OK\r\n")
    assert reader.read().body == b"a"
    assert not reader.keep_alive


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_no_body_by_status(status):
    assert read(b"HTTP/1.1 " + status + b"\r\ncontent-length: 5\r\n\r\n").body == b""


def test_no_body_after_head():
    answer = read(b"HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n", head_only=True)
    assert (answer.headers["content-length"], answer.body) == ("12345", b"")


def test_interim_answers_are_skipped():
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nlink: x\r\n\r\n"
    answer = read(interim + b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
    assert answer == (200, {"content-length": "2"}, b"ok")


def test_chunks_and_trailers():
    reader = reader_of(chunked([b"abc", b"d" * 70_000, b"e"], b"x-checksum: 1\r\n"))
    assert reader.read().body == b"abc" + b"d" * 70_000 + b"e"
    assert reader.keep_alive


def test_until_close():
    reader = reader_of(b"HTTP/1.1 200 OK\r\n\r\nab", b"cd")
    assert reader.read().body == b"abcd"
    assert not reader.keep_alive


def test_chunked_wins_over_a_length():
    text = chunked([b"abc"]).replace(b"\r\n", b"\r\ncontent-length: 1\r\n", 1)
    assert read(text).body == b"abc"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"SSH-2.0-OpenSSH\r\n", "no HTTP/1 answer"),
        (b"HTTP/2 200\r\n\r\n", "no HTTP/1 answer"),
        (b"HTTP/1.1 2x0 OK\r\n\r\n", "no HTTP/1 answer"),
        (b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "malformed header"),
        (b"HTTP/1.1 200 OK\r\nname : x\r\n\r\n", "malformed header"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", "malformed Content-Length"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab", "malformed Content-Length"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n", "unknown transfer coding"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n", "malformed chunk"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n", "another length"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + b"1" * 9000, "more than 8 KiB"),
        (chunked([b"a"], b"x: y\r\n" * 20_000), "trailers of more than"),
        (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 20_000 + b"\r\n", "more than 64 KiB"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 100, "interim answers without end"),
    ],
)  # fmt: skip
def test_garbage(text, message):
    with pytest.raises(ConnectionLost, match=message) as caught:
        read(text)
    assert not caught.value.unanswered


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-", "in the middle of the answer's head"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabc", "after 3 of 5 bytes"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 500000\r\n\r\n" + b"x" * 300_000, "after 300000 of 500000 bytes"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabc", "in the middle of a chunk"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n", "in the middle of a chunked body"),
    ],
)
def test_cut_short(text, message):
    with pytest.raises(ConnectionLost, match=message) as caught:
        read(text)
    assert not caught.value.unanswered


def test_no_answer_at_all_is_told_apart():
    with pytest.raises(ConnectionLost, match="without an answer") as caught:
        read()
    assert caught.value.unanswered


def test_error_bodies_are_kept_up_to_a_limit_and_never_reach_the_sink():
    taken: list[bytes] = []
    head = b"HTTP/1.1 500 Oops\r\ncontent-length: 3000000\r\n\r\n"
    reader = reader_of(head, b"x" * 3_000_000)
    answer = reader.read(sink=lambda piece: taken.append(bytes(piece)))
    assert (answer.status, answer.body, taken) == (500, b"x" * MAX_ERROR_BYTES, [])
    assert not reader.keep_alive


def test_a_body_too_long_for_memory_is_refused():
    def receive(memory: memoryview) -> int:
        nonlocal head
        if head:
            memory[: len(head)], count = head, len(head)
            head = b""
            return count
        return len(memory)

    head = b"HTTP/1.1 200 OK\r\n\r\n"
    with pytest.raises(ConnectionLost, match=f"more than {MAX_BODY_BYTES} bytes"):
        ResponseReader(receive, "peer").read()


def test_a_small_body_reaches_the_sink_in_one_piece():
    taken: list[bytes] = []
    pieces = [b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\na", b"bc", b"def"]
    answer = reader_of(*pieces).read(sink=lambda piece: taken.append(bytes(piece)))
    assert (answer.body, taken) == (b"", [b"abcdef"])


HEADERS = st.lists(
    st.tuples(st.from_regex(r"x-[a-z]{1,4}", fullmatch=True), st.from_regex(r"[!-~]{0,9}", fullmatch=True)), max_size=4
)
BODIES = st.binary(max_size=200) | st.integers(60_000, 600_000).map(lambda n: b"0123456789"[: n % 10] + b"z" * n)


@st.composite
def answers(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """An answer's bytes, and its body."""
    body = draw(BODIES)
    framing = draw(st.sampled_from(["length", "chunked", "close"]))
    interim = b"HTTP/1.1 100 Continue\r\n\r\n" * draw(st.integers(0, 2))
    status = draw(st.sampled_from([b"200 OK", b"206 Partial", b"404 Not Found"]))
    lines = b"".join(f"{name}: {value}\r\n".encode() for name, value in draw(HEADERS))
    head = interim + b"HTTP/1.1 " + status + b"\r\n" + lines
    if framing == "length":
        return head + b"Content-Length: %d\r\n\r\n" % len(body) + body, body
    if framing == "close":
        return head + b"\r\n" + body, body
    size = draw(st.integers(1, 100_000))
    parts = [body[i : i + size] for i in range(0, len(body), size)][:20]
    return head + chunked(parts).partition(b"\r\n")[2], b"".join(parts)


@given(made=answers(), cuts=st.lists(st.integers(0, 700_000), max_size=30), to_sink=st.booleans())
def test_any_split_gives_the_same_answer(made, cuts, to_sink):
    text, body = made
    at = sorted({0, *(cut % (len(text) + 1) for cut in cuts), *cuts[:5], len(text)})
    pieces = [text[i:j] for i, j in itertools.pairwise(at)]
    assert b"".join(pieces) == text
    taken = bytearray()

    def sink(piece: memoryview) -> None:
        assert len(piece) <= BUFFER_BYTES
        taken.extend(piece)

    reader, whole = reader_of(*pieces), reader_of(text)
    answer, expected = reader.read(sink=sink if to_sink else None), whole.read()
    assert (answer.status, answer.headers) == (expected.status, expected.headers)
    assert expected.body == body
    assert (bytes(taken) if to_sink and answer.status < 300 else answer.body) == body
    assert reader.keep_alive is whole.keep_alive
