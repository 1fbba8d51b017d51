"""The proxy itself: each fault does on the wire what its name says, and nothing else."""

from __future__ import annotations

import dataclasses
import http.client
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.servers import Server
from tests.servers.faults import (
    At,
    Changed,
    ChangedUpload,
    Close,
    Meanwhile,
    Reset,
    Slow,
    Stall,
    WrongLength,
    flipped,
    slow_down,
)  # fmt: skip
from tests.servers.proxy import Proxy

BODY = b"0123456789" * 1000


@pytest.fixture
def proxy(moto_server: Server) -> Iterator[Proxy]:
    with Proxy(moto_server.endpoint_url) as started:
        yield started


@pytest.fixture
def target(moto_server: Server) -> str:
    """The path of an object that holds BODY."""
    bucket = moto_server.new_bucket()
    moto_server.s3.put_object(Bucket=bucket, Key="a key", Body=BODY, ACL="public-read-write")
    return f"/{bucket}/a%20key"


def ask(proxy: Proxy, target: str, method: str = "GET", body: bytes | None = None) -> tuple[int, dict[str, str], bytes]:
    """One request on a connection of its own. Unsigned: moto takes it for an object that is public."""
    url = urlsplit(proxy.url)
    connection = http.client.HTTPConnection(str(url.hostname), url.port, timeout=20)
    try:
        connection.request(method, target, body, {"x-amz-acl": "public-read-write"})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def put(proxy: Proxy, target: str, body: bytes) -> int:
    """Store an object that stays public; the status."""
    return ask(proxy, target, "PUT", body)[0]


def test_without_a_rule_all_passes(proxy: Proxy, target: str, moto_server: Server) -> None:
    assert ask(proxy, target)[2] == BODY
    assert put(proxy, target, b"new") == 200
    assert ask(proxy, target, "HEAD")[1]["content-length"] == "3"
    assert [request.operation for request in proxy.seen] == ["GetObject", "PutObject", "HeadObject"]
    assert {request.key for request in proxy.seen} == {"a key"}


def test_rules_choose_and_count(proxy: Proxy, target: str) -> None:
    rule = proxy.on(slow_down("7"), "GetObject", "a*", skip=1, times=2)
    answers = [ask(proxy, target) for _ in range(4)]
    assert [status for status, _, _ in answers] == [200, 503, 503, 200]
    assert answers[1][1]["retry-after"] == "7"
    assert b"<Code>SlowDown</Code>" in answers[1][2]
    assert ask(proxy, target, "HEAD")[0] == 200
    assert rule.hits == 2


@pytest.mark.parametrize("at", At)
def test_resets(proxy: Proxy, target: str, at: At, moto_server: Server) -> None:
    proxy.on(Reset(at, 5))
    method, body = ("PUT", b"x" * 1_000_000) if "REQUEST" in at.name else ("GET", None)
    with pytest.raises((OSError, http.client.HTTPException)):
        ask(proxy, target, method, body)
    assert ask(proxy, target)[2] == BODY, "the server saw a request that was broken before it"


def test_an_answer_may_be_lost_after_the_work_was_done(proxy: Proxy, target: str) -> None:
    proxy.on(Close(At.ANSWER), "PutObject")
    with pytest.raises(http.client.RemoteDisconnected):
        put(proxy, target, b"stored")
    assert ask(proxy, target)[2] == b"stored"


def test_a_body_is_cut_under_its_right_length(proxy: Proxy, target: str) -> None:
    proxy.on(Close(At.ANSWER_BODY, 7))
    with pytest.raises(http.client.IncompleteRead) as caught:
        ask(proxy, target)
    assert (caught.value.partial, caught.value.expected) == (BODY[:7], len(BODY) - 7)


@pytest.mark.parametrize("by", [-3, 3])
def test_a_length_is_wrong(proxy: Proxy, target: str, by: int) -> None:
    proxy.on(WrongLength(by))
    if by < 0:
        assert ask(proxy, target)[2] == BODY[:by]
    else:
        with pytest.raises(http.client.IncompleteRead):
            ask(proxy, target)


def test_bytes_flip_in_both_directions(proxy: Proxy, target: str) -> None:
    proxy.on(Changed(flipped(2)), "GetObject")
    assert ask(proxy, target)[2] == b"013" + BODY[3:]
    proxy.on(ChangedUpload(flipped(0)), "PutObject")
    put(proxy, target, b"abc")
    assert ask(proxy, target)[2] == b"`bc"


def test_things_happen_meanwhile(proxy: Proxy, target: str, moto_server: Server) -> None:
    def replace() -> None:
        moto_server.s3.put_object(Bucket=target.split("/")[1], Key="a key", Body=b"other", ACL="public-read")

    proxy.on(Meanwhile(after=replace))
    assert ask(proxy, target)[2] == BODY
    assert ask(proxy, target)[2] == b"other"
    proxy.on(Meanwhile(before=lambda: ask(proxy, target, "DELETE")), "GetObject")
    assert ask(proxy, target)[0] == 404


def test_silence_lasts_until_it_is_released(proxy: Proxy, target: str) -> None:
    rule = proxy.on(Stall(At.ANSWER_BODY, 10))
    url = urlsplit(proxy.url)
    with socket.create_connection((str(url.hostname), url.port or 0), timeout=20) as client:
        client.sendall(f"GET {target} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        rule.wait_struck()
        got = b""
        while not got.endswith(b"\r\n\r\n" + BODY[:10]):
            got += client.recv(65536)
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.recv(1)
        rule.release()
        client.settimeout(20)
        while more := client.recv(65536):
            got += more
    assert got.endswith(b"\r\n\r\n" + BODY)


def test_slowness_changes_nothing_else(proxy: Proxy, target: str) -> None:
    proxy.latency = 0.01
    proxy.on(Slow(0.01, 0.01))
    assert ask(proxy, target)[2] == BODY


def test_the_port_closes_and_opens_again(proxy: Proxy, target: str) -> None:
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        ask(proxy, target)
    proxy.accept()
    proxy.drop(1)
    with pytest.raises((OSError, http.client.HTTPException)):
        ask(proxy, target)
    assert ask(proxy, target)[2] == BODY


def test_signatures_hold_through_the_proxy(rgw_server: Server) -> None:
    bucket = rgw_server.new_bucket()
    with Proxy(rgw_server.endpoint_url) as proxy:
        through = dataclasses.replace(rgw_server, endpoint_url=proxy.url)
        through.s3.put_object(Bucket=bucket, Key="a/ü+ b", Body=BODY)
        assert through.s3.get_object(Bucket=bucket, Key="a/ü+ b")["Body"].read() == BODY
        assert through.request("GET", f"/{bucket}?list-type=2").status == 200
        assert [request.key for request in proxy.seen] == ["a/ü+ b", "a/ü+ b", ""]
