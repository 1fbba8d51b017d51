"""Listings that never end, endpoints that differ in their path, uploads held back, and what rclone does not honour."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nbsync.core.location import parse_location
from nbsync.core.model import Status, Verb
from nbsync.core.options import Options
from nbsync.errors import ListingError
from nbsync.s3 import listing
from nbsync.s3.bucket import Bucket
from nbsync.transfer import push_actions
from nbsync.transfer.download import fetch
from nbsync.transfer.rate_limiter import Limiter
from tests.contract.store import Activity, KiB, Store, action, content, never_wait
from tests.servers import Server


@pytest.fixture
def moto(moto_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A new bucket on moto."""
    for name, value in moto_server.env().items():
        monkeypatch.setenv(name, value)
    made = Store(moto_server, moto_server.new_bucket(), tmp_path / "local")
    yield made
    made.close()


@pytest.mark.parametrize("with_keys", [False, True])
def test_a_listing_that_goes_round_in_a_circle_ends(
    moto: Store, monkeypatch: pytest.MonkeyPatch, with_keys: bool
) -> None:
    entries = [moto.put("a", b"1")], [moto.put("b", b"2")]
    asked: list[str] = []

    def fetch_page(_bucket: Bucket, _prefix: str, token: str, **_more: Any) -> listing.Page:
        asked.append(token)
        odd = len(asked) % 2
        return listing.Page(entries[1 - odd] if with_keys else [], "AB"[odd])

    monkeypatch.setattr(listing, "fetch_page", fetch_page)
    with pytest.raises(ListingError):
        list(listing.list_objects(moto.bucket(), ""))
    assert len(asked) < 110


def test_a_few_empty_pages_are_no_circle(moto: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = iter([listing.Page([], str(number)) for number in range(1, 51)] + [listing.Page([moto.put("a", b"")], "")])
    monkeypatch.setattr(listing, "fetch_page", lambda *_words, **_more: next(pages))
    assert [entry.key for entry in listing.list_objects(moto.bucket(), "")] == ["a"]


@pytest.mark.parametrize(
    ("url", "style", "endpoint"),
    [
        ("http://h:9/A", "path", "http://h:9/A"), ("http://h:9/B/", "path", "http://h:9/B"),
        ("http://h:9", "path", "http://h:9"), ("http://h:9/A", "virtual", "http://h:9/A"),
        ("http://h:9/bkt", "path", "http://h:9/bkt"),
    ],
)  # fmt: skip
def test_the_state_knows_an_endpoint_by_its_path_too(
    url: str, style: str, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    options = Options(endpoint_url=url, addressing_style=style)
    assert Bucket(parse_location("bkt"), options, wait=never_wait).endpoint == endpoint


def test_an_upload_is_held_back_piece_by_piece(moto: Store) -> None:
    ctx, waited = moto.context(), list[float]()

    def wait(seconds: float) -> bool:
        waited.append(seconds)
        return False

    ctx.limiter = Limiter(1_000_000, wait, now=lambda: 0.0)
    outcome = push_actions.upload(ctx, action(Verb.UPLOAD, moto.file("a", content(1500 * KiB)), None), Activity())
    assert outcome.status is Status.MISS
    assert len(waited) >= 6
    assert waited[0] <= 0.27, "all was taken before the first byte"


def test_only_where_conditional_get_is_unproven_a_note_says_so(store: Store) -> None:
    ctx = store.context()
    remote = store.put("a", b"hello")
    list(listing.list_objects(ctx.bucket, ""))
    fetch(ctx, remote, Activity())
    noted = "conditional GET is unproven on this server: what arrives is checked against its ETag"
    assert (noted in ctx.bucket.can.notes()) == (not store.server.can("conditional-get"))


def test_a_large_upload_never_overwrites_what_came_meanwhile(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    ctx = store.context()
    send = ctx.bucket.client.request

    def request(method: str, key: str = "", **more: Any) -> Any:
        answer = send(method, key, **more)
        if [name for name, _ in more.get("query", ())] == ["partNumber", "uploadId"]:
            store.put_plainly("a", b"a colleague's")
        return answer

    monkeypatch.setattr(ctx.bucket.client, "request", request)
    outcome = push_actions.upload(ctx, action(Verb.UPLOAD, store.file("a", content(33 * 1024 * KiB)), None), Activity())
    assert outcome.status is Status.CONFLICT
    assert store.body("a") == b"a colleague's"
