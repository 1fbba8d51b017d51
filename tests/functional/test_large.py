"""Large objects against servers and lines that misbehave: ranges that are ignored, wrong, broken, stuck or refused."""

from __future__ import annotations

import hashlib
import itertools
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nbsync.core.parts import MiB
from nbsync.s3.capabilities import Capabilities
from nbsync.transfer import download, multipart, ranged, upload, upload_check
from nbsync.wire.client import Client
from nbsync.wire.credentials import fixed
from nbsync.wire.errors import ConnectionLost, ServiceError
from nbsync.wire.response_reader import Response
from tests.functional.opaque import KMS, OpaqueEtags
from tests.functional.test_odd_servers import Send, changing, parameters
from tests.functional.world import World
from tests.servers.memory import MemoryS3

SIZE = 6 * MiB + 77  # seven ranges, or two parts
RANGES = 7
PART = 5 * MiB


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is large here is small enough for a test."""
    monkeypatch.setattr(download, "RANGED_BYTES", 2 * MiB)
    monkeypatch.setattr(ranged, "RANGE_BYTES", MiB)
    monkeypatch.setattr(upload, "MULTIPART_BYTES", PART)
    monkeypatch.setattr(multipart, "PART_BYTES", PART)


@pytest.fixture
def body() -> bytes:
    """The content of a large file."""
    return os.urandom(SIZE)


@pytest.fixture
def black_hole(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Client], Client]]:
    """Where a client's requests go to be taken and never answered."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    port = listener.getsockname()[1]
    yield lambda client: Client(replace(client.target, host="127.0.0.1", port=port), fixed(None))
    listener.close()


def is_range(more: dict[str, Any]) -> bool:
    return "range" in (more.get("headers") or {})


def nothing_left(world: World) -> None:
    world.no_staging_left()
    assert not (world.local / ".nbsync/unfinished.sqlite3").exists()
    assert world.server.s3.list_multipart_uploads(Bucket=world.bucket).get("Uploads", []) == []


def test_ranges_arrive_and_are_proven_by_one_look_before(world: World, body: bytes) -> None:
    world.put("big", body)
    result = world.pull()
    assert result.ok
    assert world.read("big") == body
    world.unlink("big")
    requests = world.run("pull").requests
    assert (requests["get"], requests["head"]) == (RANGES, 1)
    nothing_left(world)


def test_a_server_that_ignores_ranges_is_asked_for_the_whole(
    world: World, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    world.put("big", body)
    world.put("huge", body * 2)

    def change(send: Send, method: str, key: str, **more: Any) -> Response:
        headers = {name: value for name, value in (more.pop("headers", None) or {}).items() if name != "range"}
        return send(method, key, **{**more, "headers": headers})

    changing(monkeypatch, change)
    result = world.run("pull", jobs=1)
    assert result.ok
    assert world.files() == {"big": body, "huge": body * 2}
    assert result.requests["get"] == 3, "one range, and then each object whole"
    nothing_left(world)


@pytest.mark.parametrize("told", ["", "bytes 0-1048575/6291533", "bytes 5-9/6291533"])
def test_a_range_that_was_not_asked_for_is_not_taken(
    world: World, monkeypatch: pytest.MonkeyPatch, body: bytes, told: str
) -> None:
    world.put("big", body)

    def change(send: Send, method: str, key: str, **more: Any) -> Response:
        answer = send(method, key, **more)
        wrong = is_range(more) and not more["headers"]["range"].startswith("bytes=0-")
        return answer._replace(headers={**answer.headers, "content-range": told}) if wrong else answer

    changing(monkeypatch, change)
    assert world.run("pull").ok
    assert world.read("big") == body
    nothing_left(world)


def test_a_spoilt_range_spoils_nothing_else(world: World, monkeypatch: pytest.MonkeyPatch, body: bytes) -> None:
    world.put("big", body)
    spoilt: list[str] = []

    def change(send: Send, method: str, key: str, **more: Any) -> Response:
        sink = more.get("sink")
        if sink is not None and is_range(more) and not spoilt:
            spoilt.append(more["headers"]["range"])
            more["sink"] = lambda piece: sink(memoryview(bytes(len(piece))))
        return send(method, key, **more)

    changing(monkeypatch, change)
    result = world.run("pull")
    assert result.ok
    assert world.read("big") == body
    assert result.requests["get"] == 2 * RANGES
    nothing_left(world)


def test_a_range_that_breaks_is_taken_up_where_it_broke(
    world: World, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    world.put("big", body)
    asked, lock = [], threading.Lock()

    def change(send: Send, method: str, key: str, **more: Any) -> Response:
        if not is_range(more):
            return send(method, key, **more)
        with lock:
            asked.append(more["headers"]["range"])
            first = len(asked) == 1
        if first:
            more["headers"]["range"] = "bytes=0-99999"
            send(method, key, **more)
            raise ConnectionLost("broken")
        return send(method, key, **more)

    changing(monkeypatch, change)
    assert world.run("pull").ok
    assert world.read("big") == body
    assert asked[0].startswith("bytes=0-")
    assert "bytes=100000-1048575" in asked
    assert len(asked) == RANGES + 1


@pytest.mark.parametrize("conditions", [True, False])
def test_an_object_replaced_between_two_ranges_is_never_a_mixture(
    world: World, monkeypatch: pytest.MonkeyPatch, body: bytes, conditions: bool
) -> None:
    world.put("big", body)
    count, lock = itertools.count(), threading.Lock()

    def change(send: Send, method: str, key: str, **more: Any) -> Response:
        if is_range(more):
            with lock:
                if next(count) == 3:
                    world.put("big", body[::-1])
        if not conditions:
            more["headers"] = {name: value for name, value in (more.get("headers") or {}).items() if name != "if-match"}
        return send(method, key, **more)

    changing(monkeypatch, change)
    assert world.run("pull").ok
    assert world.read("big") == body[::-1]
    nothing_left(world)


@pytest.mark.parametrize("stored", [True, False])
def test_an_etag_that_is_no_digest(world: World, monkeypatch: pytest.MonkeyPatch, body: bytes, stored: bool) -> None:
    """The checksum that the service stores is asked for once; where there is none, nothing can tell."""
    world.put("big", body, **({"ChecksumAlgorithm": "SHA256"} if stored else {}))
    etag = world.head("big")["ETag"].strip('"').encode()

    def change(send: Send, method: str, key: str, **more: Any) -> Response:
        more["headers"] = {name: value for name, value in (more.get("headers") or {}).items() if name != "if-match"}
        answer = send(method, key, **more)
        headers = {**answer.headers, "x-amz-server-side-encryption": "aws:kms"}
        if "etag" in headers:
            headers["etag"] = f'"{"a" * 32}"'
        return answer._replace(headers=headers, body=answer.body.replace(etag, b"a" * 32))

    changing(monkeypatch, change)
    result = world.run("pull")
    assert (result["big"].status, result.requests["get"], result.requests["head"]) == ("miss", RANGES, 1)
    assert world.read("big") == body


def test_a_refusal_of_many_requests_is_waited_out(world: World, monkeypatch: pytest.MonkeyPatch, body: bytes) -> None:
    world.put("big", body)
    world.write("up/big", body)
    count, lock = itertools.count(), threading.Lock()

    def change(send: Send, method: str, key: str, **more: Any) -> Response:
        if is_range(more) or "partNumber" in parameters(more):
            with lock:
                if next(count) < 5:
                    raise ServiceError(503, "SlowDown", "Please reduce your request rate")
        return send(method, key, **more)

    changing(monkeypatch, change)
    assert world.run("pull").ok
    count = itertools.count()
    assert world.run("push").ok
    assert world.objects() == {"big": body, "up/big": body}
    nothing_left(world)


# ---- connections that are stuck ---------------------------------------------------------------------


@pytest.mark.parametrize("direction", ["pull", "push"])
def test_a_stuck_connection_costs_its_time_out_and_no_more(
    world: World, monkeypatch: pytest.MonkeyPatch, body: bytes, black_hole: Callable[[Client], Client], direction: str
) -> None:
    world.put("big", body) if direction == "pull" else world.write("big", body)
    real, count = Client.request, itertools.count()

    def request(client: Client, method: str, key: str = "", **more: Any) -> Response:
        data = is_range(more) or "partNumber" in parameters(more)
        return real(black_hole(client) if data and next(count) == 1 else client, method, key, **more)

    monkeypatch.setattr(Client, "request", request)
    result = world.run(direction, timeout=1)
    assert result.ok
    assert 1 < result.seconds < 8
    assert world.read("big") == world.get("big") == body
    nothing_left(world)


@pytest.mark.parametrize("direction", ["pull", "push"])
def test_a_server_that_falls_silent_fails_the_file_and_what_came_is_kept(
    world: World, monkeypatch: pytest.MonkeyPatch, body: bytes, black_hole: Callable[[Client], Client], direction: str
) -> None:
    world.put("big", body) if direction == "pull" else world.write("big", body)
    real, lock, count = Client.request, threading.Lock(), itertools.count()

    def request(client: Client, method: str, key: str = "", **more: Any) -> Response:
        with lock:
            silent = (is_range(more) or "partNumber" in parameters(more)) and next(count) >= 1
        return real(black_hole(client) if silent else client, method, key, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Client, "request", request)
        failed = world.run(direction, timeout=1, retries=0)
    assert (failed["big"].status, failed.error) == ("failed", None)
    assert ("1 second" if direction == "pull" else "timed out") in str(failed["big"].error)
    assert failed.seconds < 8

    again = world.run(direction)
    assert again.ok
    assert again.requests["get" if direction == "pull" else "put"] == (RANGES if direction == "pull" else 2) - 1
    assert world.read("big") == world.get("big") == body
    nothing_left(world)


def test_a_server_that_is_gone_ends_the_run_and_what_came_of_all_is_kept(
    world: World, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    for name in "abcdef":
        world.put(name, body)
    count, lock = itertools.count(), threading.Lock()

    def change(send: Send, method: str, key: str, **more: Any) -> Response:
        if is_range(more):
            with lock:
                if next(count) >= 3:
                    raise ConnectionLost("nothing listens")
        return send(method, key, **more)

    with monkeypatch.context() as patch:
        changing(patch, change)
        ended = world.run("pull", retries=0, jobs=1)
    assert ended.error is not None
    assert "stopped answering" in ended.error.message
    again = world.run("pull")
    assert again.ok
    assert again.requests["get"] == 6 * RANGES - 3
    assert world.files() == dict.fromkeys("abcdef", body)
    nothing_left(world)


# ---- the digest of a whole file that was sent in parts ------------------------------------------------


class LikeMd5(OpaqueEtags):
    """Every ETag has the form of an MD5, that of an object made of parts, too."""

    def etag(self, real: str) -> str:
        shown = hashlib.md5(real.encode(), usedforsecurity=False).hexdigest()
        self._real[shown] = real
        return shown


def test_what_the_file_holds_later_is_not_taken_for_what_was_sent(
    world: World, memory: MemoryS3, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    """An edit after the completion, and no second try: the next push must know that it is not stored."""
    memory.hook(LikeMd5())
    monkeypatch.setattr(Capabilities, "etag_is_md5", False)
    monkeypatch.setattr(upload_check.Md5OfAll, "begin", lambda _self: None)
    world.write("big", body)
    edited = body[::-1]

    def change(send: Send, method: str, key: str, **more: Any) -> Response:
        if method == "POST" and parameters(more) == ["uploads"] and world.read("big") == edited:
            raise ServiceError(403, "AccessDenied")
        if method == "HEAD":
            world.write("big", edited)
        return send(method, key, **more)

    with monkeypatch.context() as patch:
        changing(patch, change)
        assert world.run("push")["big"].status == "failed"
    assert world.get("big") == body
    assert world.run("push")["big"].status == "miss"
    assert world.get("big") == edited


@pytest.mark.parametrize("theirs", [b"a colleague's", b"\xff" * SIZE])
@pytest.mark.parametrize("headers", [{}, KMS])
def test_what_a_colleague_stores_just_after_the_completion_is_not_taken_for_ours(
    world: World, monkeypatch: pytest.MonkeyPatch, body: bytes, theirs: bytes, headers: dict[str, str]
) -> None:
    """Where the answer tells no ETag, the object is asked for it, and may be another by then."""
    world.fill_both("big")
    world.write("big", body)

    def change(send: Send, method: str, key: str, **more: Any) -> Response:
        if method == "HEAD" and world.objects().get("big") == body:
            world.put("big", theirs, Metadata={"mtime": "1.5"})
        answer = send(method, key, **more)
        return answer._replace(headers={**answer.headers, **headers})

    changing(monkeypatch, change)
    assert world.run("push")["big"].status == "conflict"
    assert world.get("big") == theirs
    assert world.run("push")["big"].status == "conflict"


def test_nobody_waits_for_a_digest_at_exit(tmp_path: Path) -> None:
    (tmp_path / "huge").touch()
    os.truncate(tmp_path / "huge", 2**42)
    script = (
        "import os, sys, types; from nbsync.transfer.upload_check import Md5OfAll\n"
        "ctx = types.SimpleNamespace(cancelled=lambda: False)\n"
        "Md5OfAll(ctx, os.open(sys.argv[1], os.O_RDONLY), 2**42).begin()\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "huge")], check=True, timeout=20)
