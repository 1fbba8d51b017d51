"""Listings of the in-memory S3, as AWS writes them: objects, versions, uploads, parts, buckets."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape

from tests.servers.memory.messages import Answer, xml
from tests.servers.memory.store import Bucket, Stored

_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


def iso_time(seconds: float) -> str:
    """A time as S3 lists it: whole seconds, like AWS's."""
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(seconds))


def in_order(keys: Iterable[str]) -> list[str]:
    """Keys as S3 sorts them: by the bytes of their UTF-8."""
    return sorted(keys, key=lambda key: key.encode("utf-8", "surrogateescape"))


def _writer(query: Mapping[str, str], plus: bool) -> Callable[[str], str]:
    """How keys are written: URL-encoded where that was asked for, a space as `+` if `plus`."""
    if query.get("encoding-type") != "url":
        return escape
    encode = quote_plus if plus else quote
    return lambda text: encode(text, safe="/", errors="surrogateescape")


def _document(root: str, fields: Mapping[str, object], rest: str) -> Answer:
    head = "".join(f"<{name}>{value}</{name}>" for name, value in fields.items() if value != "")
    return xml(f'<{root} xmlns="{_NAMESPACE}">{head}{rest}</{root}>')


def list_objects(
    bucket: Bucket, query: Mapping[str, str], *, page_keys: int = 1000, plus: bool = True,
    order: Callable[[Iterable[str]], list[str]] = in_order,
) -> Answer:  # fmt: skip
    """ListObjectsV2, or the older ListObjects."""
    is_v2, prefix, delimiter = "list-type" in query, query.get("prefix", ""), query.get("delimiter", "")
    after = bytes.fromhex(query.get("continuation-token", "")).decode("utf-8", "surrogateescape")
    after = after or query.get("start-after", "") or query.get("marker", "")
    size = min(int(query.get("max-keys", 1000)), page_keys)
    names = order(key for key in list(bucket.keys) if key.startswith(prefix) and bucket.current(key) is not None)
    if delimiter:
        names = list(dict.fromkeys(_cut(name, len(prefix), delimiter) for name in names))
    if after and order is in_order:
        begun = after.encode("utf-8", "surrogateescape")
        names = [name for name in names if name.encode("utf-8", "surrogateescape") > begun]
    elif after in names:
        names = names[names.index(after) + 1 :]
    page, more = names[:size], len(names) > size
    write = _writer(query, plus)
    rows = []
    for name in page:
        found = bucket.current(name)
        if delimiter and delimiter in name[len(prefix) :]:
            rows.append(f"<CommonPrefixes><Prefix>{write(name)}</Prefix></CommonPrefixes>")
        elif found is not None:
            rows.append(f"<Contents>{_row(write(name), found)}</Contents>")
    token = page[-1].encode("utf-8", "surrogateescape").hex() if page and more else ""
    fields = {
        "Name": "b", "Prefix": write(prefix), "Delimiter": write(delimiter), "MaxKeys": size,
        "EncodingType": query.get("encoding-type", ""), "KeyCount": len(page) if is_v2 else "",
        "IsTruncated": str(more).lower(), "NextContinuationToken": token if is_v2 else "",
        "NextMarker": write(page[-1]) if more and page and not is_v2 else "",
    }  # fmt: skip
    return _document("ListBucketResult", fields, "".join(rows))


def _cut(key: str, start: int, delimiter: str) -> str:
    """The key, or the folder below the prefix that it lies in."""
    found = key.find(delimiter, start)
    return key if found < 0 else key[: found + len(delimiter)]


def _row(key: str, found: Stored) -> str:
    etag = f"<ETag>&quot;{found.etag}&quot;</ETag>" if found.etag else ""
    return (
        f"<Key>{key}</Key><LastModified>{iso_time(found.modified)}</LastModified>{etag}"
        f"<Size>{len(found.body)}</Size><StorageClass>{found.storage_class}</StorageClass>"
    )


def list_versions(bucket: Bucket, query: Mapping[str, str], *, page_keys: int = 1000, plus: bool = True) -> Answer:
    """ListObjectVersions: the newest of each key first."""
    prefix, write = query.get("prefix", ""), _writer(query, plus)
    size = min(int(query.get("max-keys", 1000)), page_keys)
    every = [
        (key, version)
        for key in in_order(key for key in list(bucket.keys) if key.startswith(prefix))
        for version in reversed(bucket.keys[key])
    ]
    marker = query.get("key-marker", ""), query.get("version-id-marker", "")
    at = next((n + 1 for n, (key, one) in enumerate(every) if (key, one.version_id) == marker), 0)
    if marker[0] and not marker[1]:
        at = sum(1 for key, _ in every if in_order([key, marker[0]])[0] == key)
    page, more = every[at : at + size], len(every) > at + size
    rows = []
    for key, version in page:
        newest = str(version is bucket.keys[key][-1]).lower()
        about = f"<VersionId>{version.version_id}</VersionId><IsLatest>{newest}</IsLatest>"
        if version.deleted:
            rows.append(f"<DeleteMarker><Key>{write(key)}</Key>"
                        f"<LastModified>{iso_time(version.modified)}</LastModified>{about}</DeleteMarker>")  # fmt: skip
        else:
            rows.append(f"<Version>{_row(write(key), version)}{about}</Version>")
    fields = {
        "Name": "b", "Prefix": write(prefix), "MaxKeys": size, "EncodingType": query.get("encoding-type", ""),
        "IsTruncated": str(more).lower(), "NextKeyMarker": write(page[-1][0]) if more else "",
        "NextVersionIdMarker": page[-1][1].version_id if more else "",
    }  # fmt: skip
    return _document("ListVersionsResult", fields, "".join(rows))


def list_uploads(bucket: Bucket, query: Mapping[str, str], *, plus: bool = True) -> Answer:
    """ListMultipartUploads, in one page."""
    prefix, write = query.get("prefix", ""), _writer(query, plus)
    rows = [
        f"<Upload><Key>{write(one.key)}</Key><UploadId>{name}</UploadId>"
        f"<Initiated>{iso_time(one.started)}</Initiated></Upload>"
        for name, one in list(bucket.uploads.items()) if one.key.startswith(prefix)
    ]  # fmt: skip
    fields = {"Bucket": "b", "EncodingType": query.get("encoding-type", ""), "IsTruncated": "false"}
    return _document("ListMultipartUploadsResult", fields, "".join(rows))


def list_parts(bucket: Bucket, key: str, name: str) -> Answer:
    """ListParts, in one page. Raises: Refusal."""
    upload = bucket.upload(key, name)
    rows = [
        f"<Part><PartNumber>{number}</PartNumber><ETag>&quot;{upload.etag(body)}&quot;</ETag><Size>{len(body)}</Size></Part>"
        for number, body in sorted(upload.parts.items())
    ]
    fields = {"Key": escape(key), "UploadId": name, "IsTruncated": "false"}
    return _document("ListPartsResult", fields, "".join(rows))


def list_buckets(names: Iterable[str]) -> Answer:
    """ListBuckets."""
    rows = "".join(
        f"<Bucket><Name>{name}</Name><CreationDate>{iso_time(0)}</CreationDate></Bucket>" for name in sorted(names)
    )
    return xml(f'<ListAllMyBucketsResult xmlns="{_NAMESPACE}"><Buckets>{rows}</Buckets></ListAllMyBucketsResult>')
