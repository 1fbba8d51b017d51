"""Servers that promise less than S3, or lie: conditions they ignore or refuse, ETags they make up, bytes they lose.

On moto, with requests and answers changed on their way.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nbsync.core.parts import MiB
from nbsync.s3 import listing
from nbsync.wire.client import Client
from nbsync.wire.errors import ConnectionLost, ServiceError
from nbsync.wire.response_reader import Response
from tests.functional.test_evidence import put_parts
from tests.functional.world import World

pytestmark = pytest.mark.usefixtures("by_workers")

Send = Callable[..., Response]
Change = Callable[..., Response]
PART = 5 * MiB
COMPLETION = "conditional completion of large uploads is unproven on this server: best effort"
NO_DIGESTS = "this server's ETags are not digests of the content"


def changing(patch: pytest.MonkeyPatch, change: Change) -> None:
    """Let `change(send, method, key, **more)` answer every request; `send` passes it on."""
    real = Client.request

    def request(client: Client, method: str, key: str = "", **more: Any) -> Response:
        def send(method: str, key: str = "", **more: Any) -> Response:
            return real(client, method, key, **more)

        return change(send, method, key, **more)

    patch.setattr(Client, "request", request)


def parameters(more: dict[str, Any]) -> list[str]:
    return [name for name, _ in more.get("query", ())]


# ---- conditions -------------------------------------------------------------------------------------


@pytest.mark.parametrize("there", [False, True])
def test_a_change_just_before_a_large_upload_is_completed(
    world: World, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    world.write("big", os.urandom(33 * MiB))
    if there:
        world.put("big", b"v1")

    def change(send: Send, method: str, key: str, **more: Any) -> Response:
        answer = send(method, key, **more)
        if parameters(more) == ["partNumber", "uploadId"]:
            world.put("big", b"a colleague's")
        return answer

    changing(monkeypatch, change)
    result = world.run("push")

    assert result["big"].status == "conflict"
    assert world.get("big") == b"a colleague's"
    assert world.server.s3.list_multipart_uploads(Bucket=world.bucket).get("Uploads", []) == []


def test_a_large_upload_is_noted(world: World) -> None:
    world.write("big", os.urandom(33 * MiB))
    assert COMPLETION in world.run("push").notes
    world.write("small", b"1")
    assert COMPLETION not in world.run("push").notes


def test_a_server_without_conditional_writes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.put("old", b"1")
    world.write("old", b"22")
    world.write("new", b"3")
    refused = []

    def change(send: Send, method: str, key: str, **more: Any) -> Response:
        if method == "PUT" and {"if-match", "if-none-match"} & set(more.get("headers") or ()):
            refused.append(key)
            raise ServiceError(501, "NotImplemented", "A header you provided implies functionality")
        return send(method, key, **more)

    changing(monkeypatch, change)
    result = world.run("push", jobs=1)

    assert result.counts["miss"] == 2
    assert result.ok
    assert world.objects() == {"old": b"22", "new": b"3"}
    assert len(refused) == 1, "what was learnt was asked again"
    looked = "this server refuses conditional writes: each object was looked at just before (best effort)"
    assert [note for note in result.notes if "condition" in note] == [looked]


def test_a_change_seen_by_the_look_before_an_unconditional_upload(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.write("f", b"mine")

    def change(send: Send, method: str, key: str, **more: Any) -> Response:
        if method == "PUT":
            world.put("f", b"a colleague's")
            raise ServiceError(501, "NotImplemented")
        return send(method, key, **more)

    changing(monkeypatch, change)

    assert world.run("push")["f"].status == "conflict"
    assert world.get("f") == b"a colleague's"


# ---- parts of several sizes -------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [[PART, PART + 4321, 100], [PART, PART + 1], [PART + 9, PART, PART, 7]])
def test_unequal_parts(world: World, sizes: list[int]) -> None:
    parts = [os.urandom(size) for size in sizes]
    put_parts(world, "m", parts)

    pulled = world.run("pull", retries=0)
    assert pulled["m"].status == "miss"
    assert pulled.requests["get"] == 1
    assert world.read("m") == b"".join(parts)

    state = world.local / ".nbsync" / "state.sqlite3"
    state.unlink()
    assert world.run("push")["m"].evidence == "etag-multipart"
    state.unlink()
    world.write("m", world.read("m")[:-1] + b"!")
    planned = world.plan("pull")["m"]
    assert (planned.status, planned.evidence) == ("planned", "etag-multipart")


@pytest.mark.parametrize("retries", [0, 5])
def test_parts_that_nobody_tells_of_come_twice(world: World, monkeypatch: pytest.MonkeyPatch, retries: int) -> None:
    parts = [os.urandom(PART), os.urandom(PART + 4321), os.urandom(100)]
    put_parts(world, "m", parts)

    def change(send: Send, method: str, key: str, **more: Any) -> Response:
        answer = send(method, key, **more)
        kept = {name: value for name, value in answer.headers.items() if name != "x-amz-mp-parts-count"}
        return answer._replace(headers=kept)

    changing(monkeypatch, change)
    result = world.run("pull", retries=retries)

    assert (result["m"].status, result["m"].evidence, result.requests["get"]) == ("miss", "none", 2)
    assert world.read("m") == b"".join(parts)
    assert world.run("pull").requests["get"] == 0


# ---- ETags that are no digests ----------------------------------------------------------------------


def made_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the server name its objects by numbers of the form of an MD5."""
    names: dict[str, str] = {}
    numbers = itertools.count(1)

    def fake(real: str) -> str:
        return names.setdefault(real, hashlib.md5(b"%d" % next(numbers)).hexdigest())

    def change(send: Send, method: str, key: str, **more: Any) -> Response:
        headers = dict(more.pop("headers", None) or {})
        for real, name in names.items():
            if "if-match" in headers:
                headers["if-match"] = headers["if-match"].replace(name, real)
        answer = send(method, key, headers=headers, **more)
        if etag := answer.headers.get("etag", "").strip('"'):
            answer = answer._replace(headers={**answer.headers, "etag": f'"{fake(etag)}"'})
        return answer

    changing(monkeypatch, change)
    parse = listing.parse_page

    def parse_page(body: bytes, prefix: str, cut: int) -> listing.Page:
        page = parse(body, prefix, cut)
        return page._replace(entries=[entry._replace(etag=fake(entry.etag)) for entry in page.entries])

    monkeypatch.setattr(listing, "parse_page", parse_page)


def test_made_up_etags(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    made_up(world, monkeypatch)
    for name in ("a", "b", "c"):
        world.put(name, name.encode())

    pulled = world.run("pull", retries=0)

    assert pulled.ok
    assert pulled.notes.count(NO_DIGESTS) == 1
    assert {row.evidence for row in pulled} == {"none"}
    assert world.files() == {"a": b"a", "b": b"b", "c": b"c"}
    again = world.run("pull")
    assert again.counts["hit"] == 3
    assert again.requests["get"] == 0

    world.write("b", b"edited")
    world.write("d", b"new")
    pushed = world.run("push", retries=0)
    assert pushed.ok
    assert pushed.counts["miss"] == 2
    assert NO_DIGESTS in pushed.notes
    assert world.objects() == {"a": b"a", "b": b"edited", "c": b"c", "d": b"new"}
    assert world.run("push").counts["hit"] == 4


def corrupted(path: str, times: int) -> Change:
    left = [None] * times

    def change(send: Send, method: str, key: str, **more: Any) -> Response:
        answer = send(method, key, **more)
        if method == "GET" and key.endswith(path) and left:
            left.pop()
            return answer._replace(body=bytes([answer.body[0] ^ 1]) + answer.body[1:])
        return answer

    return change


def test_one_flipped_byte_is_caught_without_a_retry(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.put("a", b"right")
    changing(monkeypatch, corrupted("a", 1))
    result = world.run("pull", retries=0)
    assert result.ok
    assert NO_DIGESTS not in result.notes
    assert world.read("a") == b"right"


def test_a_byte_that_always_flips_is_never_kept_where_etags_are_md5s(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.put("a", b"1")
    world.put("z", b"right")
    changing(monkeypatch, corrupted("z", 99))
    result = world.run("pull", retries=2, jobs=1)
    assert result["z"].status == "failed"
    assert NO_DIGESTS not in result.notes
    assert world.files() == {"a": b"1"}


def test_an_upload_that_is_stored_as_other_bytes_is_sent_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.write("a", b"right")
    left = [None]

    def change(send: Send, method: str, key: str, **more: Any) -> Response:
        if method == "PUT" and left:
            left.pop()
            more["body"] = b"wrong"
        return send(method, key, **more)

    changing(monkeypatch, change)
    assert world.run("push").ok
    assert world.objects() == {"a": b"right"}


# ---- our own objects --------------------------------------------------------------------------------


@pytest.mark.parametrize("known", [True, False])
def test_an_upload_that_the_file_outran_is_no_conflict(
    world: World, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    if known:
        world.fill_both("log")
    world.write("log", b"start")
    lines = itertools.count()

    def change(send: Send, method: str, key: str, **more: Any) -> Response:
        answer = send(method, key, **more)
        if method == "PUT":
            with open(world.local / "log", "ab") as file:
                file.write(b"line %d\n" % next(lines))
        return answer

    with monkeypatch.context() as patch:
        changing(patch, change)
        assert world.run("push")["log"].status == "failed"

    result = world.run("push")
    assert (result["log"].status, result["log"].reason) == ("miss", "content differs")
    assert world.get("log") == world.read("log")


def test_a_lost_answer_about_an_encrypted_object(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.write("f", b"mine")
    lost = [None]

    def change(send: Send, method: str, key: str, **more: Any) -> Response:
        answer = send(method, key, **more)
        if method == "PUT" and lost:
            lost.pop()
            raise ConnectionLost("the answer was lost")
        encrypted = {"x-amz-server-side-encryption": "aws:kms", "etag": f'"{"e" * 32}"'}
        kept = {name: value for name, value in answer.headers.items() if not name.startswith("x-amz-checksum")}
        return answer._replace(headers={**kept, **encrypted}) if key else answer

    changing(monkeypatch, change)
    result = world.run("push")
    assert (result["f"].status, result["f"].error) == ("miss", None)


# ---- answers that are cut, too long, or damaged -----------------------------------------------------


def test_all_bytes_came_and_then_the_connection_broke(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    content = os.urandom(300_000)
    world.put("a", content)
    broken = [None]

    def change(send: Send, method: str, key: str, **more: Any) -> Response:
        answer = send(method, key, **more)
        if method == "GET" and key and broken:
            broken.pop()
            raise ConnectionLost("closed after 300000 of 300010 bytes")
        return answer

    changing(monkeypatch, change)
    result = world.run("pull", retries=1)
    assert result.ok
    assert world.read("a") == content


def test_a_body_damaged_on_its_way_is_sent_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.write("a", b"1")
    left = [None]

    def change(send: Send, method: str, key: str, **more: Any) -> Response:
        if method == "PUT" and left:
            left.pop()
            raise ServiceError(400, "XAmzContentSHA256Mismatch")
        return send(method, key, **more)

    changing(monkeypatch, change)
    assert world.run("push", retries=1).ok
    assert world.objects() == {"a": b"1"}


# ---- a server that knows nothing of a customer's key ------------------------------------------------


@pytest.mark.usefixtures("moto")  # it knows no such keys
def test_a_key_that_the_server_ignores_is_told(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nbsync.transfer.upload.MULTIPART_BYTES", 6 * MiB)
    (tmp_path / "key").write_bytes(bytes(range(32)))
    world.write("large", os.urandom(7 * MiB))
    told = [
        note for note in world.run("push", sse_c_key_file=tmp_path / "key").notes if "did not confirm your key" in note
    ]
    assert len(told) == 1
    world.write("small", b"1")
    told = [
        note for note in world.run("push", sse_c_key_file=tmp_path / "key").notes if "did not confirm your key" in note
    ]
    assert len(told) == 1
