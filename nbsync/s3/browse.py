"""What there is to choose from: buckets, and one folder of keys at a time; for completion and the panel. Any thread.

One request each. Whoever asks waits for the answer at a keyboard, and asks again: so the options say few retries.
"""

from __future__ import annotations

import threading
from typing import NamedTuple

from nbsync.core.location import Location, parse_location
from nbsync.core.options import Options
from nbsync.errors import ConfigError, NbsyncError
from nbsync.s3.account import Account
from nbsync.s3.bucket import Bucket
from nbsync.s3.errors import translate
from nbsync.s3.folder_page import Level, read_level
from nbsync.s3.listing_xml import read_document
from nbsync.wire.errors import WireError

_NO_BUCKET = ""


class Candidates(NamedTuple):
    """Keys, and folders that end in `/`, that begin with a prefix and have no further `/`."""

    names: list[str]
    complete: bool  # all of them; else the first page


class Browser:
    """One account's buckets and keys.

    Args:
        options: the Where options of a run, and its timeout.

    Raises (from every method but `level`): NbsyncError, WireError, OSError.
    ConfigError: a profile that asks for a code. It would ask whoever only looks around, in the middle of a word.
    """

    def __init__(self, options: Options) -> None:
        if Account(options).asks_for_a_code:
            raise ConfigError("the profile asks for a code, so its buckets and keys are not looked up", "Type the name")
        self._options = options
        self._lock = threading.Lock()
        self._known: dict[str, Bucket] = {}

    def buckets(self) -> list[str]:
        """The names of the account's buckets, in the service's order.

        Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListBuckets.html
        """
        return bucket_names(self._bucket(_NO_BUCKET).request("GET", kind="list").body)

    def candidates(self, bucket: str, prefix: str) -> Candidates:
        """What lies one step below `prefix`, a folder or the beginning of a name; one LIST."""
        folder = prefix[: prefix.rfind("/") + 1]
        found = read_level(self._bucket(parse_location(f"s3://{bucket}").bucket), folder, begins=prefix[len(folder) :])
        names = {*found.folders, *(name for name, _ in found.objects)}
        return Candidates(sorted(folder + name for name in names), not found.token)

    def level(self, path: str, *, token: str = "", begins: str = "") -> Level:
        """A page of what is in the folder `bucket/prefix/`; for an empty path the account's buckets, sorted.

        Args:
            path: the folder.
            token: continues after an earlier page.
            begins: only names that begin so.

        Raises:
            NbsyncError: it cannot be listed; many credentials may use a bucket and not list them all.
        """
        location = parse_location(path) if path else None
        try:
            if location is not None:
                return read_level(self._bucket(location.bucket), location.prefix, begins=begins, token=token)
            return Level([f"{name}/" for name in sorted(self.buckets()) if name.startswith(begins)], [], "")
        except (NbsyncError, WireError, OSError) as error:
            raise translate(error, location.uri if location is not None else "the list of buckets") from None

    def _bucket(self, name: str) -> Bucket:
        with self._lock:
            if name not in self._known:
                self._known[name] = Bucket(Location(name, ""), self._options, wait=threading.Event().wait)
            return self._known[name]


def bucket_names(body: bytes) -> list[str]:
    """The buckets in the answer to ListBuckets, in the service's order.

    Raises:
        ListingError: it makes no sense.
    """
    document = read_document(body, "ListAllMyBucketsResult")
    names = (node.findtext(f"{document.space}Name", "") for node in document.root.iter(f"{document.space}Bucket"))
    return [name for name in names if name]
