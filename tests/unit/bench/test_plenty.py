"""The server of many keys lists what a plain list of them would; and the relay counts what passes."""

from __future__ import annotations

import hashlib
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.bench.trees import fingerprint, make_plenty
from tests.servers import plenty
from tests.servers.base import ACCESS_KEY, REGION, SECRET_KEY
from tests.servers.latency import LatencyRelay, kind_of
from tests.servers.plenty import PlentyServer, content_of, key_of, number_of, select

KEYS = 2_345
ALL = [key_of(number) for number in range(KEYS)]


def brute(prefix: str, after: str, delimiter: str) -> list[str]:
    """All that S3 lists, keys and common prefixes, from the definition."""
    found = []
    for key in ALL:
        if key.startswith(prefix) and key > after:
            head, cut, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
            found.append(prefix + head + cut if cut else key)
    return sorted(set(found))


@pytest.mark.parametrize(
    "prefix", ["", "d", "d0001/", "d0001", "d0002/f00021", "d0002/f0002344.bin", "x", "a", "d0003/"]
)
@pytest.mark.parametrize("after", ["", "d0000/f0000500.bin", "d0001/", "d0001/f0001", "zzz", "a"])
@pytest.mark.parametrize("delimiter", ["", "/", "2"])
def test_pages_together_are_the_whole(prefix: str, after: str, delimiter: str) -> None:
    found: list[str] = []
    begin, truncated = 0, True
    while truncated:
        page = select(KEYS, prefix=prefix, after=after, begin=begin, delimiter=delimiter, most=300)
        found += sorted([*map(key_of, page.numbers), *page.common])
        assert len(page.numbers) + len(page.common) == 300 or not page.truncated
        begin, truncated = page.next, page.truncated
    assert found == brute(prefix, after, delimiter)


def test_keys_are_in_the_order_of_their_numbers_and_of_one_length() -> None:
    numbers = [0, 9, 10, 999, 1_000, 99_999, 100_000, 999_999]
    keys = [key_of(number) for number in numbers]
    assert keys == sorted(keys)
    assert {len(key) for key in keys} == {18}
    assert [number_of(key, 1_000_000) for key in keys] == numbers


@pytest.mark.parametrize(
    "key", ["d0000/f0002345.bin", "d0001/f0000000.bin", "d0000/f0000000.bi", "d0000/f²000000.bin", ""]
)
def test_no_other_key_is_an_object(key: str) -> None:
    assert number_of(key, KEYS) is None


@pytest.fixture(scope="module")
def server() -> Iterator[PlentyServer]:
    running = PlentyServer(KEYS)
    yield running
    running.stop()


@pytest.fixture
def relay(server: PlentyServer) -> Iterator[LatencyRelay]:
    with LatencyRelay(server.endpoint_url, 0.001) as running:
        yield running


def client(endpoint_url: str):  # type: ignore[no-untyped-def]
    session = boto3.Session(ACCESS_KEY, SECRET_KEY, region_name=REGION)
    return session.client("s3", endpoint_url=endpoint_url, config=Config(retries={"total_max_attempts": 1}, proxies={}))


def test_a_client_lists_reads_and_is_refused_through_a_relay_that_counts(relay: LatencyRelay) -> None:
    s3 = client(relay.endpoint_url)
    bucket = PlentyServer.bucket(KEYS)
    pages = list(s3.get_paginator("list_objects_v2").paginate(Bucket=bucket))
    listed = [entry for page in pages for entry in page["Contents"]]
    assert [entry["Key"] for entry in listed] == ALL
    body = s3.get_object(Bucket=bucket, Key=ALL[7], IfMatch=listed[7]["ETag"])["Body"].read()
    assert (body, len(body)) == (content_of(7), listed[7]["Size"])
    assert listed[7]["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
    assert s3.head_object(Bucket=bucket, Key=ALL[-1])["ContentLength"] == plenty.SIZE
    folders = s3.list_objects_v2(Bucket=bucket, Delimiter="/")["CommonPrefixes"]
    assert [folder["Prefix"] for folder in folders] == ["d0000/", "d0001/", "d0002/"]
    for refused in (
        lambda: s3.get_object(Bucket=bucket, Key=ALL[7], IfMatch="other"),
        lambda: s3.get_object(Bucket=PlentyServer.bucket(10), Key=ALL[10]),
        lambda: s3.list_objects_v2(Bucket=PlentyServer.bucket(KEYS + 1)),
        lambda: s3.put_object(Bucket=bucket, Key="new", Body=b"x"),
    ):
        with pytest.raises(ClientError):
            refused()
    assert relay.take_counts() == {"list": 5, "get": 3, "head": 1, "put": 1}
    assert relay.take_counts() == {}


def test_each_connection_has_a_rate_of_its_own(server: PlentyServer) -> None:
    body = 200_000  # a page of a listing and more
    with LatencyRelay(server.endpoint_url, 0.0, rate=1e6) as relay:
        url = f"{relay.endpoint_url}/{PlentyServer.bucket(1_000)}?list-type=2"

        def fetch() -> tuple[int, float]:
            started = time.monotonic()
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url) as answer:
                return len(answer.read()), time.monotonic() - started

        with ThreadPoolExecutor(4) as pool:
            took = [one.result() for one in [pool.submit(fetch) for _ in range(4)]]
    assert all(count > body for count, _ in took)
    assert min(count / seconds for count, seconds in took) < 1.05e6
    assert sum(count for count, _ in took) / max(seconds for _, seconds in took) > 1.5e6


def test_local_files_equal_the_objects(tmp_path: Path) -> None:
    made = make_plenty(tmp_path / "made", 1_001)
    assert (made / key_of(1_000)).read_bytes() == content_of(1_000)
    assert (made / key_of(1_000)).stat().st_mtime_ns == plenty.MODIFIED_NS
    before = fingerprint(made)
    assert before[:2] == (1_001, 1_001 * plenty.SIZE)
    (made / ".nbsync").mkdir()
    (made / ".nbsync" / "state").write_bytes(b"x")
    assert fingerprint(made) == before


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b"GET /bucket?list-type=2&prefix=a HTTP/1.1\r\n", "list"),
        (b"GET /bucket/?prefix=a HTTP/1.1\r\n", "list"),
        (b"GET /bucket?location HTTP/1.1\r\n", "other"),
        (b"GET /bucket/a/b?partNumber=1 HTTP/1.1\r\n", "get"),
        (b"HEAD /bucket HTTP/1.1\r\n", "other"),
        (b"PUT /bucket/key?partNumber=1&uploadId=x HTTP/1.1\r\nHost", "put"),
        (b"POST /bucket/key?uploads HTTP/1.1\r\n", "other"),
        (b"DELETE /bucket/key HTTP/1.1\r\n", "delete"),
        (b"GET is how a body may begin", ""),
        (b"\x00\x01GET /bucket/key HTTP/1.1\r\n", ""),
    ],
)
def test_requests_are_counted_in_nbsyncs_own_words(line: bytes, kind: str) -> None:
    assert kind_of(line) == kind
