"""`ls`: what lies under REMOTE."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from nbsync.core.call import Call
from nbsync.core.filters import Filters
from nbsync.core.location import Location, parse_location
from nbsync.errors import NbsyncError, OutOfOrder
from nbsync.results.listing import ListedObject, Listing
from nbsync.s3.bucket import Bucket
from nbsync.s3.errors import is_denied, may_not_list, translate
from nbsync.s3.listing import list_objects, single_object
from nbsync.wire.errors import ServiceError, WireError


def listing(call: Call) -> Listing:
    """What `ls` shows.

    Raises:
        NbsyncError: no such bucket, no access, no answer, wrong words.
    """
    location = parse_location(call.remote)
    bucket = Bucket(location, call.options, wait=threading.Event().wait)
    try:
        filters = Filters(call.options.filters)
        try:
            entries = list(_listed(bucket, location, filters))
        except OutOfOrder:  # it is sorted now
            entries = list(_listed(bucket, location, filters))
    except (NbsyncError, WireError, OSError) as error:
        raise translate(error, location.uri) from None
    finally:
        bucket.client.close()
    return Listing(location.uri, entries, bucket.counts.snapshot(), bucket.can.notes())


def _listed(bucket: Bucket, location: Location, filters: Filters) -> Iterator[ListedObject]:
    """What lies under REMOTE, made while the next pages are on their way; else the one object that REMOTE names."""
    admits = filters.admits if filters else None
    empty, denied = True, None
    try:
        for one in list_objects(bucket, location.prefix):
            empty = False
            if admits is None or admits(one.path):
                yield ListedObject.of(one)
    except ServiceError as error:
        if not empty or not is_denied(error):
            raise
        denied = error
    one_object = single_object(bucket, location, denied=denied) if empty else None
    if one_object is None and denied is not None:
        raise may_not_list(denied, location.uri)
    if one_object is not None and filters.admits(one_object.path):
        yield ListedObject.of(one_object)
