"""An S3 server inside this process, with sample data: `nbsync demo`, and the tests, run against it.

The server is moto's (extra `demo`), which is imported only here and only when a server is started.
It answers in its own daemon threads; everything in this module runs in the caller's thread.
"""

from __future__ import annotations

import http.client
import logging
import math
import mimetypes
import random
import struct
import threading
import zlib
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from nbsync._version import install
from nbsync.errors import ConfigError

HOST = "127.0.0.1"
REGION = "us-east-1"
# Not secrets: moto takes any. They exist so that the user's own are never sent to the demo.
CREDENTIALS: Mapping[str, str] = MappingProxyType(
    {
        "AWS_ACCESS_KEY_ID": "NBSYNCDEMOKEY",
        "AWS_SECRET_ACCESS_KEY": "nbsync-demo-secret",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
)
BIG_FILE_BYTES = 3_000_000
STATIONS = ("alpine-hut", "city-roof", "forest", "harbour", "island", "lake", "observatory", "valley")
YEARS = (2023, 2024)

# moto keeps one account for the whole process: the first server finds it empty, the last one empties it.
_lock = threading.Lock()
_running = 0


class DemoServer:
    """An S3 endpoint on a free port of the loopback, from construction until `stop()` or the end of `with`.

    Several servers in one process show the same buckets (moto has one backend a process); what they
    hold is dropped when the last of them stops.

    Raises:
        ConfigError: moto is not installed.
    """

    def __init__(self) -> None:
        global _running  # noqa: PLW0603  (see the comment there)
        server_class = _moto_server_class()
        # werkzeug writes a line a request to standard error; its errors stay.
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = server_class(ip_address=HOST, port=0, verbose=False)
        self._server.start()
        self._stopped = False
        self.endpoint_url: str = "http://{}:{}".format(*self._server.get_host_and_port())
        with _lock:
            _running += 1

    @property
    def credentials(self) -> Mapping[str, str]:
        """The environment variables with which any AWS client reaches this server (with `endpoint_url`)."""
        return CREDENTIALS

    def stop(self) -> None:
        """End the server; a second call does nothing. The last server of the process forgets every bucket."""
        global _running  # noqa: PLW0603
        with _lock:
            if self._stopped:
                return
            self._stopped = True
            _running -= 1
            if not _running:
                _reset(self.endpoint_url)
            self._server.stop()

    def __enter__(self) -> DemoServer:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"DemoServer({self.endpoint_url!r}{', stopped' if self._stopped else ''})"


def _moto_server_class() -> Any:
    try:
        from moto.server import ThreadedMotoServer
    except ImportError as error:
        raise ConfigError(f"The demo server needs moto ({error})", f"Install it with: {install('demo')}") from None
    return ThreadedMotoServer


def _reset(endpoint_url: str) -> None:
    """Empty moto's backend (https://docs.getmoto.org/en/latest/docs/server_mode.html#reset-api)."""
    url = urlsplit(endpoint_url)
    connection = http.client.HTTPConnection(str(url.hostname), url.port, timeout=10)
    try:
        connection.request("POST", "/moto-api/reset", headers={"Connection": "close"})
        connection.getresponse().read()
    finally:
        connection.close()


def fill_sample_bucket(
    endpoint_url: str,
    bucket: str = "nbsync-demo",
    prefix: str = "weather",
    *,
    credentials: Mapping[str, str] = CREDENTIALS,
) -> int:
    """How many objects were uploaded below `prefix`: those of `sample_files()`; makes the bucket if need be.

    Args:
        endpoint_url: any S3 server.
        bucket: may exist; objects of other names in it stay.
        prefix: a folder, without slashes at its ends.
        credentials: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_REGION` for the server.
    """
    client = _client(endpoint_url, credentials)
    if bucket not in [b["Name"] for b in client.list_buckets()["Buckets"]]:
        client.create_bucket(Bucket=bucket)
    count = 0
    for path, body in sample_files():
        content_type = mimetypes.guess_type(path)[0] or "application/octet-stream"
        client.put_object(Bucket=bucket, Key=f"{prefix}/{path}", Body=body, ContentType=content_type)
        count += 1
    return count


def _client(endpoint_url: str, credentials: Mapping[str, str]) -> Any:
    import boto3
    import botocore.session
    from botocore.config import Config

    # The user's profile, which may name a role or not exist, has no say in the demo.
    no_profile = botocore.session.Session(session_vars={"profile": (None, [], None, None)})
    session = boto3.Session(
        aws_access_key_id=credentials["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=credentials["AWS_SECRET_ACCESS_KEY"],
        region_name=credentials["AWS_REGION"],
        botocore_session=no_profile,
    )
    config = Config(s3={"addressing_style": "path"}, signature_version="s3v4", proxies={})
    return session.client("s3", endpoint_url=endpoint_url, config=config)


def append_to_object(endpoint_url: str, bucket: str, key: str, data: bytes) -> None:
    """Somebody else edits an object of the demo server: `data` is added at its end."""
    client = _client(endpoint_url, CREDENTIALS)
    body = client.get_object(Bucket=bucket, Key=key)["Body"].read()
    client.put_object(Bucket=bucket, Key=key, Body=body + data)


def sample_files() -> Iterator[tuple[str, bytes]]:
    """Relative path and content of each sample file: 24 files, about 3 MB, the same bytes every time."""
    yield "README.txt", _readme().encode()
    for year in YEARS:
        for number, station in enumerate(STATIONS):
            yield f"stations/{year}/{station}.csv", _readings(year, number).encode()
    yield "stations/index.csv", ("number,station\n" + _rows(enumerate(STATIONS))).encode()
    for name in ("clouds", "pressure", "rain", "wind"):
        yield f"images/maps/{name}.png", _png(name)
    yield "notes/field notes 🌦 June.txt", b"Rain gauge 3 was full of leaves. Emptied it.\n"
    yield "archive/radar.bin", random.Random("radar").randbytes(BIG_FILE_BYTES)


def _readme() -> str:
    return (
        "Sample data of `nbsync demo`. All of it is made up.\n\n"
        "stations/  daily readings, a file a station and year\n"
        "images/    maps\n"
        "notes/     a name with spaces and an emoji\n"
        "archive/   one larger file\n"
    )


def _readings(year: int, station: int) -> str:
    """A year of daily readings: a seasonal curve, lower for each further station, and some noise."""
    noise = random.Random(f"{year}-{station}")
    rows = []
    for day in range(1, 366):
        warmth = 10 - station - 12 * math.cos(2 * math.pi * day / 365)
        rows.append((year, day, round(warmth + noise.gauss(0, 2), 1), noise.randrange(900, 1100)))
    return "year,day,celsius,hectopascal\n" + _rows(rows)


def _rows(rows: Iterable[tuple[Any, ...]]) -> str:
    return "".join(",".join(map(str, row)) + "\n" for row in rows)


def _png(seed: str, width: int = 96, height: int = 64) -> bytes:
    """A small RGB picture (PNG, https://www.w3.org/TR/png-3/): waves in a colour of its own."""
    pick = random.Random(seed)
    red, green, blue, waves = pick.randrange(256), pick.randrange(256), pick.randrange(256), pick.randrange(3, 9)
    lines = bytearray()
    for y in range(height):
        lines.append(0)  # filter type: none
        for x in range(width):
            light = 0.5 + math.sin(waves * (x + y) / 40) / 2
            lines += bytes((int(red * light), int(green * light), int(blue * light)))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    # Level 0, stored: a compressor's output differs from one zlib to the next, these bytes do not.
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(lines), 0)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(kind, data) for kind, data in chunks)


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
