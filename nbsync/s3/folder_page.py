"""One folder of a bucket, page by page, one request each. Any thread.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html (Delimiter).
"""

from __future__ import annotations

from typing import NamedTuple

from nbsync.core.names import is_own
from nbsync.errors import ListingError
from nbsync.s3.bucket import Bucket
from nbsync.s3.listing_xml import read_document, read_object
from nbsync.s3.xml import Document


class Level(NamedTuple):
    """What lies in a folder of keys, a page of it. Names are relative to the folder."""

    folders: list[str]  # each ends in "/"
    objects: list[tuple[str, int]]  # name, bytes
    token: str  # continues with the next page; empty at the end


def read_level(bucket: Bucket, folder: str, *, begins: str = "", token: str = "") -> Level:
    """Up to 1,000 folders and objects directly in `folder` ("" or ending in "/"), in key order.

    Args:
        bucket: it is in.
        folder: relative to the bucket.
        begins: only names that begin so.
        token: continues after an earlier page.

    Raises: as listing.list_objects.
    """
    query = [("list-type", "2"), ("delimiter", "/"), ("encoding-type", "url"), ("max-keys", "1000"),
             ("prefix", folder + begins)]  # fmt: skip
    if token:
        query.append(("continuation-token", token))
    return parse_level(bucket.request("GET", query=query, kind="list").body, folder)


def parse_level(body: bytes, prefix: str) -> Level:
    """A level from the XML of the answer. Folder markers and nbsync's own state directory are left out.

    Raises:
        ListingError: not the XML of a listing, or of another folder.
    """
    document = read_document(body, "ListBucketResult")
    space, cut = document.space, len(prefix)
    groups = document.root.iter(f"{space}CommonPrefixes")
    folders = [document.key(node.findtext(f"{space}Prefix", "")) for node in groups]
    entries = [read_object(document, document.fields(node), cut) for node in document.root.iter(f"{space}Contents")]
    keys = [*folders, *(entry.key for entry in entries)]
    stray = next((key for key in keys if not key.startswith(prefix)), None)
    if stray is not None:
        raise ListingError(f"the server listed {stray!r}, which is not below {prefix!r}")
    return Level(
        [name[cut:] for name in folders if not is_own(name[cut:])],
        [(entry.path, entry.size) for entry in entries if entry.path and not is_own(entry.path)],
        _token(document),
    )


def _token(document: Document) -> str:
    return document.text("NextContinuationToken") if document.truncated() else ""
