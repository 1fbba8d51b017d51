"""A server of a million small objects that costs little: `python -m tests.servers.plenty --keys N` prints its URL.

Made for benchmarks of listings, and honest about what it is: it checks no signature, stores nothing and takes
nothing. Bucket `keys-N` holds N objects `d0000/f0000000.bin`, 1,000 a folder, whose content is their own number
in 16 digits; sizes and ETags (MD5) are true, so that local files can equal them. Since keys are in the order of
their numbers and every entry of a page is as long as every other, a page is one slice of bytes made at the start,
and about 0.1 ms of work. Its Server header begins as MinIO's does, which is known to list in key order. One process,
one thread.
"""

from __future__ import annotations

import argparse
import asyncio
import bisect
import hashlib
import json
import signal
import subprocess
import sys
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote
from xml.sax.saxutils import escape

FOLDER = 1_000  # files in each
SIZE = 16  # bytes of every object
MODIFIED = "2024-01-01T00:00:00.000Z"
MODIFIED_NS = 1_704_067_200 * 10**9
_HTTP_TIME = "Mon, 01 Jan 2024 00:00:00 GMT"
_PAGE = 1_000
_XML = '<?xml version="1.0" encoding="UTF-8"?>\n'
_SPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
_ENTRY = (
    "<Contents><Key>%s</Key><LastModified>" + MODIFIED + "</LastModified><ETag>&quot;%s&quot;</ETag>"
    f"<Size>{SIZE}</Size><StorageClass>STANDARD</StorageClass></Contents>"
)


def key_of(number: int) -> str:
    """The key of object `number`, from 0."""
    return f"d{number // FOLDER:04d}/f{number:07d}.bin"


def content_of(number: int) -> bytes:
    """Its content."""
    return b"%016d" % number


def etag_of(number: int) -> str:
    """The MD5 of its content."""
    return hashlib.md5(content_of(number)).hexdigest()


def number_of(key: str, keys: int) -> int | None:
    """Which of the first `keys` objects has this key, or None."""
    digits = key[7:14]
    number = int(digits) if digits.isascii() and digits.isdigit() else keys
    return number if number < keys and key == key_of(number) else None


class Slice(NamedTuple):
    """One page of a listing: the numbers from `start` to before `end`, or what a delimiter made of them."""

    numbers: list[int] | range
    common: list[str]
    next: int  # the number that the next page begins with
    truncated: bool


def select(
    keys: int, *, prefix: str = "", after: str = "", begin: int = 0, delimiter: str = "", most: int = _PAGE
) -> Slice:
    """What ListObjectsV2 lists of the first `keys` objects.

    Args:
        after: start-after, a key or any text. begin: the number in a continuation token.
        most: max-keys.
    """
    everything = range(keys)
    start = max(begin, bisect.bisect_left(everything, prefix, key=key_of))
    if after:
        start = max(start, bisect.bisect_right(everything, after, key=key_of))
    end = bisect.bisect_right(everything, prefix, key=lambda number: key_of(number)[: len(prefix)])
    start = min(start, end)
    if not delimiter:
        stop = min(end, start + most)
        return Slice(range(start, stop), [], stop, stop < end)
    numbers: list[int] = []
    common: list[str] = []
    while start < end and len(numbers) + len(common) < most:
        head, found, _ = key_of(start)[len(prefix) :].partition(delimiter)
        if found:
            folder = prefix + head + delimiter
            common.append(folder)
            start = bisect.bisect_right(everything, folder, lo=start, key=lambda n, f=folder: key_of(n)[: len(f)])
        else:
            numbers.append(start)
            start += 1
    return Slice(numbers, common, start, start < end)


class Listing:
    """The pages of the first `most_keys` objects."""

    def __init__(self, most_keys: int) -> None:
        self._length = len(self._entry(0))
        made = bytearray()
        for number in range(most_keys):
            made += self._entry(number)
        self._all = memoryview(made)

    @staticmethod
    def _entry(number: int) -> bytes:
        return (_ENTRY % (key_of(number), etag_of(number))).encode()

    def entries(self, numbers: list[int] | range) -> list[bytes | memoryview]:
        """The XML of these objects."""
        length = self._length
        if isinstance(numbers, range):
            return [self._all[numbers.start * length : numbers.stop * length]]
        return [self._all[number * length : (number + 1) * length] for number in numbers]

    def page(self, bucket: str, keys: int, query: dict[str, str]) -> list[bytes | memoryview]:
        """The answer to a ListObjectsV2 of the first `keys` objects, in pieces."""
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        token = query.get("continuation-token", "")
        most = min(_PAGE, int(query.get("max-keys") or _PAGE))
        after = query.get("start-after", "")
        shown = select(keys, prefix=prefix, after=after, begin=int(token or 0), delimiter=delimiter, most=most)
        fields = [("Name", bucket), ("Prefix", prefix), ("MaxKeys", str(most)),
                  ("KeyCount", str(len(shown.numbers) + len(shown.common))),
                  ("IsTruncated", "true" if shown.truncated else "false")]  # fmt: skip
        optional = [("Delimiter", delimiter), ("ContinuationToken", token), ("StartAfter", after),
                    ("EncodingType", query.get("encoding-type", "")),
                    ("NextContinuationToken", f"{shown.next}" if shown.truncated else "")]  # fmt: skip
        fields += [(name, text) for name, text in optional if text]
        head = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in fields)
        folders = "".join(f"<CommonPrefixes><Prefix>{folder}</Prefix></CommonPrefixes>" for folder in shown.common)
        return [f"{_XML}<ListBucketResult {_SPACE}>{head}".encode(), *self.entries(shown.numbers),
                f"{folders}</ListBucketResult>".encode()]  # fmt: skip


class Service(asyncio.Protocol):
    """One connection. Requests have no body that is looked at."""

    def __init__(self, listing: Listing, most_keys: int) -> None:
        self._listing, self._most_keys = listing, most_keys
        self._unread = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._unread += data
        while b"\r\n\r\n" in self._unread and not self._transport.is_closing():
            head, _, self._unread = self._unread.partition(b"\r\n\r\n")
            lines = head.decode("latin-1").split("\r\n")
            headers = {name.lower(): text.strip() for name, _, text in (line.partition(":") for line in lines[1:])}
            method, target, _ = lines[0].split(" ", 2)
            self._answer(method, target, headers)
            if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
                self._transport.close()  # a body would come that nothing here takes

    def _answer(self, method: str, target: str, headers: dict[str, str]) -> None:
        path, _, query = target.partition("?")
        bucket, _, key = unquote(path.lstrip("/")).partition("/")
        asked = dict(parse_qsl(query, keep_blank_values=True))
        keys = int(bucket[5:]) if bucket.startswith("keys-") and bucket[5:].isdigit() else self._most_keys + 1
        if method not in ("GET", "HEAD"):
            self._error(method, 405, "MethodNotAllowed")
        elif keys > self._most_keys:
            self._error(method, 404, "NoSuchBucket")
        elif key:
            self._object(method, number_of(key, keys), headers)
        elif method == "HEAD":
            self._send(200, [], hides=True)
        elif "location" in asked:
            self._send(200, [f"{_XML}<LocationConstraint {_SPACE}/>".encode()])
        elif asked.get("list-type") == "2":
            self._send(200, self._listing.page(bucket, keys, asked))
        else:
            self._error(method, 501, "NotImplemented")

    def _object(self, method: str, number: int | None, headers: dict[str, str]) -> None:
        if number is None:
            return self._error(method, 404, "NoSuchKey")
        etag = etag_of(number)
        if headers.get("if-match", etag).strip('"') not in (etag, "*"):
            return self._error(method, 412, "PreconditionFailed")
        return self._send(200, [content_of(number)], f'ETag: "{etag}"\r\nLast-Modified: {_HTTP_TIME}\r\n',
                          hides=method == "HEAD")  # fmt: skip

    def _error(self, method: str, status: int, code: str) -> None:
        body = f"{_XML}<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()
        self._send(status, [body], hides=method == "HEAD")

    def _send(self, status: int, body: list[bytes | memoryview], more: str = "", *, hides: bool = False) -> None:
        length = sum(map(len, body))
        head = (f"HTTP/1.1 {status} -\r\nServer: MinIO (plenty)\r\nContent-Type: application/xml\r\n"
                f"{more}Content-Length: {length}\r\n\r\n")  # fmt: skip
        self._transport.write(b"".join([head.encode(), *([] if hides else body)]))


async def _serve(most_keys: int) -> None:
    listing = Listing(most_keys)
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    server = await loop.create_server(lambda: Service(listing, most_keys), "127.0.0.1", 0, backlog=1024)
    print(json.dumps(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"), flush=True)
    await ended.wait()


class PlentyServer:
    """A running server. `bucket(N)` names the one with N objects."""

    def __init__(self, most_keys: int) -> None:
        command = [sys.executable, "-m", "tests.servers.plenty", "--keys", str(most_keys)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.endpoint_url: str = json.loads(self._process.stdout.readline())

    @staticmethod
    def bucket(keys: int) -> str:
        """The bucket of the first `keys` objects."""
        return f"keys-{keys}"

    def stop(self) -> None:
        """End the process; a second call does nothing."""
        self._process.terminate()
        self._process.communicate()


def main() -> None:
    words = argparse.ArgumentParser(prog="python -m tests.servers.plenty", description=__doc__)
    words.add_argument("--keys", type=int, default=1_000_000, help="in the largest bucket")
    asyncio.run(_serve(words.parse_args().keys))


if __name__ == "__main__":
    main()
