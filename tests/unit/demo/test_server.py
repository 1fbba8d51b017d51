"""The embedded server: starts, is silent, holds the sample, forgets, and says what to install without moto."""

from __future__ import annotations

import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from nbsync.demo.server import BIG_FILE_BYTES, DemoServer, fill_sample_bucket, sample_files
from nbsync.errors import ConfigError
from tests.servers import Server

ROOT = Path(__file__).parents[2]


def test_the_bucket_holds_the_sample(moto_server: Server) -> None:
    bucket = moto_server.new_bucket()
    count = fill_sample_bucket(moto_server.endpoint_url, bucket, "some/folder")
    sample = {f"some/folder/{path}": body for path, body in sample_files()}
    listed = moto_server.s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert count == len(sample) == len(listed) == 24
    for item in listed:
        assert moto_server.s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read() == sample[item["Key"]]
    types = [moto_server.s3.head_object(Bucket=bucket, Key=f"some/folder/{name}")["ContentType"]
             for name in ("README.txt", "images/maps/rain.png", "stations/index.csv")]  # fmt: skip
    assert types == ["text/plain", "image/png", "text/csv"]


def test_filling_again_replaces_and_keeps_others(moto_server: Server) -> None:
    bucket = moto_server.new_bucket()
    moto_server.s3.put_object(Bucket=bucket, Key="weather/mine.txt", Body=b"mine")
    moto_server.s3.put_object(Bucket=bucket, Key="weather/README.txt", Body=b"old")
    fill_sample_bucket(moto_server.endpoint_url, bucket)
    assert moto_server.s3.get_object(Bucket=bucket, Key="weather/mine.txt")["Body"].read() == b"mine"
    assert b"made up" in moto_server.s3.get_object(Bucket=bucket, Key="weather/README.txt")["Body"].read()


def test_the_sample_is_the_same_every_time_and_has_what_the_demo_shows() -> None:
    sample = dict(sample_files())
    assert sample == dict(sample_files())
    assert len(sample["archive/radar.bin"]) == BIG_FILE_BYTES
    assert any(" " in path and not path.isascii() for path in sample)
    stations = [body for path, body in sample.items() if path.startswith("stations/2")]
    assert {body.count(b"\n") for body in stations} == {366}
    assert len(set(stations)) == len(stations) == 16


def test_the_pictures_are_pngs() -> None:
    picture = dict(sample_files())["images/maps/rain.png"]
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    at, kinds = 8, []
    while at < len(picture):
        size, kind = int.from_bytes(picture[at : at + 4], "big"), picture[at + 4 : at + 8]
        data, check = picture[at + 8 : at + 8 + size], picture[at + 8 + size : at + 12 + size]
        assert int.from_bytes(check, "big") == zlib.crc32(kind + data)
        kinds.append(kind)
        if kind == b"IDAT":
            assert len(zlib.decompress(data)) == 64 * (1 + 3 * 96)
        at += 12 + size
    assert kinds == [b"IHDR", b"IDAT", b"IEND"]


def test_a_users_broken_profile_has_no_say(moto_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = moto_server.new_bucket()
    monkeypatch.setenv("AWS_PROFILE", "no-such-profile")
    assert fill_sample_bucket(moto_server.endpoint_url, bucket) == 24


def test_without_moto_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "moto.server", None)
    with pytest.raises(ConfigError, match=r"pip install 'nbsync-s3\[demo\]'"):
        DemoServer()


# In a process of its own: the session's moto would keep the buckets alive, and share them.
ALONE = """
import boto3
from nbsync.demo.server import DemoServer, fill_sample_bucket
def names(server):
    keys = dict(aws_access_key_id=server.credentials["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=server.credentials["AWS_SECRET_ACCESS_KEY"], region_name="us-east-1")
    return [b["Name"] for b in boto3.client("s3", endpoint_url=server.endpoint_url, **keys).list_buckets()["Buckets"]]
with DemoServer() as one:
    fill_sample_bucket(one.endpoint_url)
    with DemoServer() as two:
        print(one.endpoint_url != two.endpoint_url, names(two))
    two.stop()
    print(names(one), "secret" in repr(one))
with DemoServer() as three:
    print(names(three), repr(one).endswith("stopped)"))
"""


def test_servers_share_buckets_the_last_forgets_them_and_nothing_else_is_printed() -> None:
    done = subprocess.run([sys.executable, "-c", ALONE], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["True ['nbsync-demo']", "['nbsync-demo'] False", "[] True"]
