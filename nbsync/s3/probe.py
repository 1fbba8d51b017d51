"""Small requests that show how a service answers: one listing, one condition. Nothing is written. Any thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from nbsync.core.location import Location
from nbsync.core.model import RemoteEntry
from nbsync.s3.bucket import Bucket
from nbsync.s3.listing import parse_page
from nbsync.wire.errors import ServiceError
from nbsync.wire.response_reader import Response
from nbsync.wire.server_clock import server_time

_NO_ETAG = '"nbsync-doctor"'


class Answered(NamedTuple):
    """An answer, be it an error. Seconds; `skew` is the service's clock minus ours, None if it did not tell."""

    answer: Response | None
    error: ServiceError | None
    seconds: float
    skew: float | None

    @property
    def headers(self) -> Mapping[str, str]:
        """Of the answer."""
        return self.answer.headers if self.answer is not None else self.error.headers if self.error is not None else {}


def first_answer(bucket: Bucket, *, now: Callable[[], float] = time.time) -> Answered:
    """What the service says to a listing: of the bucket's first key, or of its buckets if it has no name.

    Raises:
        TransientError, WireError: it does not answer. NbsyncError: the credentials ran out.
    """
    began = now()
    answer, error = None, None
    prefix = bucket.location.prefix
    query = [("list-type", "2"), ("encoding-type", "url"), ("max-keys", "1"), ("prefix", prefix)]
    try:
        answer = bucket.request("GET", query=query if bucket.location.bucket else (), kind="list")
    except ServiceError as refused:
        error = refused
    ended = now()
    found = Answered(answer, error, ended - began, None)
    told = server_time(found.headers)
    return found if told is None else found._replace(skew=told + 0.5 - (began + ended) / 2)  # a Date has whole seconds


def first_object(bucket: Bucket, body: bytes) -> RemoteEntry | None:
    """The object in the answer to that listing.

    Raises:
        ListingError: it makes no sense.
    """
    prefix = bucket.location.prefix
    return next(iter(parse_page(body, prefix, len(prefix)).entries), None)


def try_condition(bucket: Bucket, key: str) -> None:
    """Ask for a byte of an object on a condition that does not hold: what the service can do is learnt from it.

    Raises:
        TransientError: no answer.
    """
    try:
        bucket.request("GET", key, headers={"if-match": _NO_ETAG, "range": "bytes=0-0"}, kind="get")
    except ServiceError as error:
        if error.status == 412:
            bucket.can.refused_a_get()


def service_root() -> Location:
    """The place of no bucket: the service itself."""
    return Location("", "")
