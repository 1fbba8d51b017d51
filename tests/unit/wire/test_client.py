"""The S3 client: what it puts on the wire, and what it makes of the answers."""

from __future__ import annotations

import pickle
import re
import socket
import threading
from hashlib import sha256

import pytest

from nbsync.wire.client import Client, Credentials, FileSlice, RequestCounts, Target, error_in_body
from nbsync.wire.credentials import CredentialSource, IssuedCredentials, fixed
from nbsync.wire.errors import Aborted, ConnectionLost, ServiceError, Unsendable
from nbsync.wire.sigv4 import EMPTY_SHA256, Signer

from .scripted import Peer, answer

WHO = Credentials("AKIAEXAMPLE", "hushhush", "a/token==")
NOON = 1_700_000_000.0  # 2023-11-14T22:13:20Z
ERROR = "<?xml version='1.0'?>\n<Error><Code>{}</Code><Message>so &amp; so\x1b[31m</Message></Error>"


def saying(*answers: bytes):
    def script(peer: Peer) -> None:
        for text in answers:
            if not peer.head():
                return
            peer.send(text)
        peer.wait_for_close()

    return script


def client_of(server, who: Credentials | None = WHO, **more) -> Client:
    target = Target("http", "127.0.0.1", server.port, "/bucket", **more)
    return Client(target, fixed(who), now=lambda: NOON)


def parsed(request: bytes) -> tuple[str, dict[str, str]]:
    first, *lines = request.decode().removesuffix("\r\n\r\n").split("\r\n")
    return first, dict(line.split(": ", 1) for line in lines)


def test_what_a_signed_request_looks_like(serve):
    server = serve(saying(answer(b"data")))
    client = client_of(server, request_payer=True)
    got = client.request("GET", "a//../b c\n+é", query=[("versionId", "x=/"), ("a", "")], headers={"If-Match": '"e"'})
    assert got.body == b"data"
    first, headers = parsed(server.requests[0])
    assert first == "GET /bucket/a//../b%20c%0A%2B%C3%A9?a=&versionId=x%3D%2F HTTP/1.1"
    authorization = headers.pop("authorization")
    unsigned = {"user-agent", "accept-encoding"}
    assert headers == {
        "host": f"127.0.0.1:{server.port}",
        "x-amz-request-payer": "requester",
        "if-match": '"e"',
        "x-amz-date": "20231114T221320Z",
        "x-amz-content-sha256": EMPTY_SHA256,
        "x-amz-security-token": "a/token==",
        "user-agent": "nbsync",
        "accept-encoding": "identity",
    }
    path, query = first.split()[1].split("?")
    signed = {name: value for name, value in headers.items() if name not in unsigned}
    assert authorization == Signer("us-east-1").sign(
        "GET", path, query, signed, EMPTY_SHA256, WHO, headers["x-amz-date"]
    )
    client.close()


def test_an_unsigned_request(serve):
    server = serve(saying(answer()))
    client = client_of(server, None)
    client.request("GET")
    first, headers = parsed(server.requests[0])
    assert first == "GET /bucket HTTP/1.1"
    assert set(headers) == {"host", "user-agent", "accept-encoding"}
    client.close()


@pytest.mark.parametrize(
    ("body", "given", "digest"),
    [
        (b"", "", EMPTY_SHA256),
        (b"x" * 65_536, "", sha256(b"x" * 65_536).hexdigest()),
        (b"x" * 65_537, "", "UNSIGNED-PAYLOAD"),
        (b"x" * 65_537, "abcd", "abcd"),
        ("file", "", "UNSIGNED-PAYLOAD"),
    ],
)
def test_payload_hashes_and_lengths(serve, tmp_path, body, given, digest):
    size = 5 if body == "file" else len(body)
    got: list[bytes] = []

    def script(peer: Peer) -> None:
        peer.head()
        got.append(peer.body(size))
        peer.send(answer())

    server = serve(script)
    client = client_of(server)
    (tmp_path / "f").write_bytes(b"hello")
    told: list[int] = []
    with (tmp_path / "f").open("rb") as file:
        sent = FileSlice(file.fileno(), 0, 5) if body == "file" else body
        client.request("PUT", "k", body=sent, payload_hash=given, on_sent=told.append)
    _, headers = parsed(server.requests[0])
    assert (headers["x-amz-content-sha256"], headers["content-length"]) == (digest, str(size))
    assert got == [b"hello" if body == "file" else body]
    assert sum(told) == size
    client.close()


@pytest.mark.parametrize(
    "headers",
    [{"x-amz-meta-a": "1\r\nx-amz-acl: public-read"}, {"a b": "x"}, {"a:": "x"}, {"": "x"}, {"a": "\0"}, {"a\n": "x"}],
)
def test_headers_cannot_be_smuggled_in(headers):
    client = Client(Target("http", "127.0.0.1", 1), fixed(WHO))
    with pytest.raises(ValueError, match="HTTP cannot carry"):
        client.request("PUT", "k", headers=headers)


def test_an_error_document(serve):
    body = ERROR.format("NoSuchKey").encode()
    server = serve(saying(answer(body, "404 Not Found", "x-amz-request-id: R1\r\n")))
    client = client_of(server)
    taken: list[bytes] = []
    with pytest.raises(ServiceError) as caught:
        client.request("GET", "k", sink=taken.append)
    error = caught.value
    assert (error.status, error.code, error.message) == (404, "NoSuchKey", "so & so\x1b[31m")
    assert (error.headers["x-amz-request-id"], error.body, taken) == ("R1", body, [])
    assert str(error) == "NoSuchKey (404): so & so\\x1b[31m"
    client.close()


@pytest.mark.parametrize(
    ("status", "code"),
    [("404 x", "NotFound"), ("403 x", "Forbidden"), ("412 x", "PreconditionFailed"), ("304 x", "NotModified"),
     ("301 x", "PermanentRedirect"), ("503 x", "SlowDown"), ("418 x", "Http418")],
)  # fmt: skip
def test_an_error_without_a_body(serve, status, code):
    server = serve(saying(answer(b"", status), answer(b"", status)))  # a HEAD's refusal may be asked about by a GET
    client = client_of(server)
    with pytest.raises(ServiceError) as caught:
        client.request("HEAD", "k")
    assert caught.value.code == code
    assert client.counts.snapshot()["head"] == 1
    client.close()


def test_statuses_that_are_answers_too(serve):
    server = serve(saying(answer(b"", "304 Not Modified")))
    client = client_of(server)
    assert client.request("GET", "k", ok={304}).status == 304
    client.close()


@pytest.mark.parametrize(
    ("status", "code", "retryable", "slow"),
    [
        (500, "InternalError", True, False), (503, "SlowDown", True, True), (429, "TooMany", True, True),
        (400, "RequestTimeout", True, False), (400, "BadDigest", True, False), (400, "ThrottlingException", True, True),
        (409, "OperationAborted", True, False), (409, "ConditionalRequestConflict", True, False),
        (409, "BucketAlreadyExists", False, False), (403, "RequestTimeTooSkewed", False, False),
        (400, "XAmzContentSHA256Mismatch", True, False), (403, "AccessDenied", False, False),
        (412, "PreconditionFailed", False, False), (501, "NotImplemented", False, False),
    ],
)  # fmt: skip
def test_which_errors_may_pass(status, code, retryable, slow):
    error = ServiceError(status, code)
    assert (error.retryable, error.slow_down) == (retryable, slow)


@pytest.mark.parametrize("error", [
    ServiceError(404, "NoSuchKey", "m", {"a": "b"}, b"body"), ConnectionLost("x", refused=True), Aborted("y"),
])  # fmt: skip
def test_errors_travel_between_processes(error):
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))


def test_a_target_travels_between_processes():
    target = Target("https", "h", 443, "/b", region="eu-west-1")
    assert pickle.loads(pickle.dumps(target)) == target


SKEWED = answer(
    ERROR.format("RequestTimeTooSkewed").encode(), "403 Forbidden", "date: Tue, 14 Nov 2023 23:13:20 GMT\r\n"
)
SKEWED_WITHOUT_DATE = answer(
    b"<Error><Code>RequestTimeTooSkewed</Code><ServerTime>2023-11-14T23:13:20Z</ServerTime></Error>", "403 Forbidden"
)


@pytest.mark.parametrize("refusal", [SKEWED, SKEWED_WITHOUT_DATE])
def test_a_wrong_clock_is_set_by_the_server(serve, refusal):
    server = serve(saying(refusal, answer(b"x"), answer(b"y")))
    client = client_of(server)
    assert client.request("GET", "k").body == b"x"
    assert client.request("GET", "k").body == b"y"
    dates = [parsed(request)[1]["x-amz-date"] for request in server.requests]
    assert dates == ["20231114T221320Z", "20231114T231320Z", "20231114T231320Z"]
    assert client.counts.snapshot()["get"] == 3
    client.close()


def test_a_clock_that_stays_wrong_is_an_error(serve):
    server = serve(saying(SKEWED, SKEWED))
    client = client_of(server)
    with pytest.raises(ServiceError, match="RequestTimeTooSkewed"):
        client.request("GET", "k")
    client.close()


def test_a_head_tells_a_wrong_clock_by_the_date(serve):
    def refusal(date: str) -> bytes:
        return f"HTTP/1.1 403 Forbidden\r\ndate: {date}\r\n\r\n".encode()

    far, near = refusal("Tue, 14 Nov 2023 23:13:20 GMT"), refusal("Tue, 14 Nov 2023 22:13:30 GMT")
    server = serve(saying(far, answer()), saying(near, answer(b"", "403 x")))
    client = client_of(server)
    assert client.request("HEAD", "k").status == 200
    client.close()
    client = client_of(server)
    with pytest.raises(ServiceError, match="Forbidden"):
        client.request("HEAD", "k")
    assert [request.split()[0] for request in server.requests] == [b"HEAD", b"HEAD", b"HEAD", b"GET"]  # why, it asks
    client.close()


def test_kinds_of_requests(serve):
    server = serve(saying(*[answer()] * 7))
    counts = RequestCounts()
    client = Client(Target("http", "127.0.0.1", server.port), fixed(None), counts=counts)
    for method in ("GET", "HEAD", "PUT", "DELETE", "POST"):
        client.request(method, "k")
    client.request("GET", kind="list")
    client.request("GET", kind="unheard-of")
    assert counts.snapshot() == {"list": 1, "head": 1, "get": 1, "put": 1, "delete": 1, "other": 2}
    assert len(server.peers) == 1
    client.close()


def test_what_was_not_stored_is_taken_back(serve):
    def script(peer: Peer) -> None:
        peer.head()
        peer.body(4)
        peer.send(answer(b"", "503 Slow Down"))

    client = client_of(serve(script))
    told: list[int] = []
    with pytest.raises(ServiceError):
        client.request("PUT", "k", body=b"data", on_sent=told.append)
    assert told == [4, -4]
    client.close()


def test_an_endpoint_that_never_answered_is_told_apart(serve):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    client = Client(Target("http", "127.0.0.1", port), fixed(None))
    with pytest.raises(ConnectionLost) as caught:
        client.request("GET", "k")
    assert (caught.value.unreachable, client.ever_answered) == (True, False)
    assert sum(client.counts.snapshot().values()) == 0

    server = serve(lambda peer: (peer.head(), peer.send(answer(b"", "500 x", "connection: close\r\n"))))
    client = client_of(server)
    with pytest.raises(ServiceError):
        client.request("GET", "k")
    server.stop()
    with pytest.raises(ConnectionLost) as caught:
        client.request("GET", "k")
    assert (caught.value.refused, caught.value.unreachable) == (True, False)


def test_abort_ends_what_is_under_way_and_what_would_come(serve):
    waiting = threading.Barrier(3)

    def script(peer: Peer) -> None:
        peer.head()
        waiting.wait(10)
        peer.wait_for_close()

    client = client_of(serve(script, script))
    raised: list[BaseException] = []

    def run() -> None:
        try:
            client.request("GET", "k")
        except Aborted as error:
            raised.append(error)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    waiting.wait(10)
    client.abort()
    for thread in threads:
        thread.join(10)
    assert len(raised) == 2
    with pytest.raises(Aborted):
        client.request("GET", "k")


def test_after_close_no_request_is_made(serve):
    server = serve(saying(answer()))
    client = client_of(server)
    client.request("GET", "k")
    client.close()
    with pytest.raises(Aborted, match="closed"):
        client.request("GET", "k")


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"<Error><Code>InternalError</Code><Message>m &lt;3</Message></Error>", ("InternalError", "m <3")),
        (b"  \n <?xml version='1.0' encoding='UTF-8'?>\n<Error>\n <Code> SlowDown </Code></Error>", ("SlowDown", "")),
        (b'<Error xmlns="x"></Error>', ("", "")),
        (b"<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>", None),
        (b"<DeleteResult><Error><Code>AccessDenied</Code></Error></DeleteResult>", None),
        (b"<Errors></Errors>", None),
        (b"", None),
    ],
)
def test_an_error_under_a_good_status(body, found):
    assert error_in_body(body) == found


def test_a_refused_token_is_replaced_once_and_the_body_sent_again(serve):
    keys = [Credentials("A", "s", "old"), Credentials("B", "s", "new")]
    source = CredentialSource(lambda: IssuedCredentials(keys.pop(0)))
    error = b"<Error><Code>ExpiredToken</Code></Error>"

    def script(peer: Peer) -> None:
        for said in (answer(error, "400 Bad Request"), answer()):
            peer.head()
            assert peer.body(5) == b"hello"
            peer.send(said)

    server = serve(script)
    client = Client(Target("http", "127.0.0.1", server.port), source)
    assert client.request("PUT", "k", body=b"hello").status == 200
    client.close()
    tokens = [re.search(rb"x-amz-security-token: (\w+)", head)[1] for head in server.requests]
    assert tokens == [b"old", b"new"]


def test_a_head_is_refused_without_words_and_a_get_brings_them(serve):
    error = b"<Error><Code>InvalidAccessKeyId</Code></Error>"

    def script(peer: Peer) -> None:
        while head := peer.head():
            peer.send(answer(b"" if head.startswith(b"HEAD") else error, "403 Forbidden"))

    server = serve(script)
    client = Client(Target("http", "127.0.0.1", server.port), fixed(WHO))
    with pytest.raises(ServiceError, match="InvalidAccessKeyId"):
        client.request("HEAD", "k")
    client.close()


def test_heads_that_may_not_be_made_cost_one_get(serve):
    def script(peer: Peer) -> None:
        while head := peer.head():
            peer.send(answer(b"", "403 Forbidden") if head.startswith(b"HEAD") else answer(b"x", "206 Partial Content"))

    server = serve(script, script)
    client = Client(Target("http", "127.0.0.1", server.port), fixed(WHO))
    for _ in range(5):
        with pytest.raises(ServiceError, match="Forbidden"):
            client.request("HEAD", "k")
    client.close()
    assert sum(head.startswith(b"GET") for head in server.requests) == 1


@pytest.mark.parametrize("evil", ["a\r\nx-evil: 1", "a\nb", "a\0b", "a\x7f", "é"])
@pytest.mark.parametrize("place", ["header", "token", "key", "region", "host"])
def test_no_value_ends_its_line_wherever_it_comes_from(place: str, evil: str) -> None:
    who = Credentials(evil if place == "key" else "A", "s", evil if place == "token" else "t")
    target = Target("http", evil if place == "host" else "h", 1, region=evil if place == "region" else "r")
    client = Client(target, fixed(who))
    with pytest.raises(Unsendable) as caught:
        client.head("GET", "k", headers={"if-match": evil if place == "header" else "x"})
    assert "evil" not in str(caught.value)
