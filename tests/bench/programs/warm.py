"""A Python process that stays, as a kernel does: each line that it reads is one call, timed.

Lines are JSON: `["pull", REMOTE, LOCAL]` or `["ls", REMOTE]` for nbsync, `["pages", BUCKET]` for a listing page
after page. Answers: wall and CPU seconds of the call, the peak memory of the process, `keys` or `counts`, `requests`.
"""

from __future__ import annotations

import http.client
import json
import os
import resource
import sys
import time
from typing import Any
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree

import nbsync

_SPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"


def pull(remote: str, local: str) -> dict[str, Any]:
    """A pull; anything that is not well is an error."""
    result = nbsync.pull(remote, local)
    result.raise_for_problems()
    return {"counts": dict(result.counts), "requests": dict(result.requests)}


def ls(remote: str) -> dict[str, Any]:
    """nbsync's listing."""
    listing = nbsync.ls(remote)
    return {"keys": len(listing), "requests": dict(listing.requests)}


def pages(bucket: str) -> dict[str, Any]:
    """The simplest listing: a page, then the next, on one connection; unsigned, keys, sizes and ETags read."""
    url = urlsplit(os.environ["AWS_ENDPOINT_URL"])
    connection = http.client.HTTPConnection(str(url.hostname), url.port)
    found: list[tuple[str | None, int, str | None]] = []
    token, requests = "", 0
    while True:
        more = f"&continuation-token={quote(token, safe='')}" if token else ""
        connection.request("GET", f"/{bucket}?list-type=2&max-keys=1000{more}")
        root = ElementTree.fromstring(connection.getresponse().read())
        requests += 1
        found.extend(
            (entry.findtext(f"{_SPACE}Key"), int(entry.findtext(f"{_SPACE}Size") or 0), entry.findtext(f"{_SPACE}ETag"))
            for entry in root.iter(f"{_SPACE}Contents")
        )
        token = root.findtext(f"{_SPACE}NextContinuationToken") or ""
        if not token:
            connection.close()
            return {"keys": len(found), "requests": {"list": requests}}


def main() -> None:
    calls = {"pull": pull, "ls": ls, "pages": pages}
    for line in sys.stdin:
        name, *words = json.loads(line)
        wall, cpu = time.perf_counter(), time.process_time()
        answer = calls[name](*words)
        answer |= {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
        answer["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
