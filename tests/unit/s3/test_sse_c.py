"""Customer keys: which files hold one, that nothing tells it, where it may go, and which way is tried."""

from __future__ import annotations

import base64
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from nbsync.errors import UsageError
from nbsync.s3.errors import words
from nbsync.s3.sse_c import CustomerKey, KeyedClient, KeylessClient, check_channel, read_customer_key
from nbsync.wire.client import Client, Target
from nbsync.wire.credentials import fixed
from nbsync.wire.errors import ServiceError
from nbsync.wire.response_reader import Response

KEY = bytes(range(200, 232))
HEADERS = {
    "x-amz-server-side-encryption-customer-algorithm": "AES256",
    "x-amz-server-side-encryption-customer-key": base64.b64encode(KEY).decode(),
    "x-amz-server-side-encryption-customer-key-md5": "QFQtsmXBB8y9mbaii/qXhw==",
}


@pytest.mark.parametrize(
    "data", [KEY, KEY + b"\n", base64.b64encode(KEY), base64.b64encode(KEY) + b"\n", KEY.hex().encode(),
             KEY.hex().upper().encode() + b"\r\n"],
)  # fmt: skip
def test_a_file_with_a_key(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "k").write_bytes(data)
    key = read_customer_key(str(tmp_path / "k"))
    assert key is not None
    assert key.headers == HEADERS


def test_a_key_of_32_bytes_that_ends_in_a_line_break(tmp_path: Path) -> None:
    (tmp_path / "k").write_bytes(KEY[:31] + b"\n")
    key = read_customer_key(str(tmp_path / "k"))
    assert key is not None
    assert base64.b64decode(key.headers["x-amz-server-side-encryption-customer-key"]) == KEY[:31] + b"\n"


@pytest.mark.parametrize(
    "data", [b"", b"short secret", KEY[:31], KEY + b"x", KEY + KEY, base64.b64encode(KEY[:16]), KEY.hex()[:62].encode(),
             base64.b64encode(KEY)[:43], b"\n" + base64.b64encode(KEY), b"g" * 64, b"x" * 100_000],
)  # fmt: skip
def test_a_file_without_a_key_is_refused_and_not_repeated(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "k").write_bytes(data)
    with pytest.raises(UsageError, match="holds no key") as caught:
        read_customer_key(str(tmp_path / "k"))
    assert "secret" not in str(caught.value)


def test_no_file() -> None:
    assert read_customer_key("") is None
    with pytest.raises(UsageError, match="No such file"):
        read_customer_key("/nowhere/k")
    with pytest.raises(UsageError, match="directory"):
        read_customer_key("/")


def test_a_key_prints_nothing_of_itself() -> None:
    assert repr(CustomerKey(KEY)) == "CustomerKey(hidden)"
    shown = f"{CustomerKey(KEY)!s} {keyed()!r}"
    assert not [value for name, value in HEADERS.items() if value != "AES256" and value in shown]


@pytest.mark.parametrize(
    ("url", "allowed"),
    [("https://s3.amazonaws.com", True), ("http://127.0.0.1", True), ("http://localhost", True), ("http://::1", True),
     ("http://bucket.localhost", True), ("http://10.0.0.1", False), ("http://minio", False),
     ("http://localhost.evil.com", False), ("http://127.0.0.1.nip.io", False)],
)  # fmt: skip
def test_where_a_key_may_go(url: str, allowed: bool) -> None:
    scheme, _, host = url.partition("://")
    target = Target(scheme=scheme, host=host, port=1)
    if allowed:
        check_channel(target)
    else:
        with pytest.raises(UsageError, match="unencrypted"):
            check_channel(target)


# ---- which way is tried ------------------------------------------------------------------------------


def keyed() -> KeyedClient:
    return KeyedClient(CustomerKey(KEY), Target(scheme="http", host="127.0.0.1", port=1), fixed(None))


class Service:
    """Answers as S3 does: `encrypted` keys need the right key, `plain` ones refuse any."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, right_key: bool = True) -> None:
        self.asked: list[tuple[str, str, bool]] = []
        self._right = right_key
        monkeypatch.setattr(Client, "request", lambda _client, *words, **more: self.answer(*words, **more))

    def answer(self, method: str, key: str = "", *, headers: Mapping[str, str] | None = None, **_: Any) -> Response:
        sent = {name: value for name, value in (headers or {}).items() if "customer" in name}
        assert sent in ({}, HEADERS)
        self.asked.append((method, key, bool(sent)))
        said = "" if method == "HEAD" else "The object was stored using a form of Server Side Encryption."
        if method in ("GET", "HEAD") and key.startswith("encrypted") != bool(sent):
            raise ServiceError(400, "BadRequest" if method == "HEAD" else "InvalidRequest", said if not sent else "x")
        if sent and not self._right:
            raise ServiceError(403, "AccessDenied")
        return Response(200, {}, b"")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_is_read_is_asked_for_both_ways_and_the_right_one_first(
    monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    service, client = Service(monkeypatch), keyed()
    for key in ("encrypted1", "plain1", "plain2", "encrypted2", "encrypted3"):
        client.request(method, key)
    assert service.asked == [
        (method, "encrypted1", True),
        (method, "plain1", True), (method, "plain1", False),
        (method, "plain2", False),
        (method, "encrypted2", False), (method, "encrypted2", True),
        (method, "encrypted3", True),
    ]  # fmt: skip


def test_which_requests_carry_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    service, client = Service(monkeypatch), keyed()
    for method, key in [("PUT", "k"), ("POST", "k"), ("DELETE", "k"), ("GET", ""), ("HEAD", ""), ("POST", "")]:
        client.request(method, key, headers={"a": "b"})
    assert [sent for _, _, sent in service.asked] == [True, True, False, False, False, False]


def test_the_wrong_key_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    Service(monkeypatch, right_key=False)
    for seen_before in ("", "plain"):
        client = keyed()
        if seen_before:
            Service(monkeypatch)
            client.request("GET", seen_before)
            Service(monkeypatch, right_key=False)
        with pytest.raises(ServiceError) as caught:
            client.request("GET", "encrypted")
        assert "--sse-c-key-file holds another key" in words(caught.value)


def test_a_missing_key_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    Service(monkeypatch)
    client = KeylessClient(Target(scheme="http", host="127.0.0.1", port=1), fixed(None))
    for method in ("GET", "HEAD"):
        with pytest.raises(ServiceError) as caught:
            client.request(method, "encrypted")
        assert "--sse-c-key-file" in words(caught.value)
        assert pickle.loads(pickle.dumps(caught.value)).code == caught.value.code
