"""What each test server is declared to be able to do is what it does: one probe for each word.

A wrong word in tests/servers/*.py, either way, fails here; so does a new release of a server that
learns or forgets something.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import http.client
import zlib
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

from tests.servers import CAPABILITIES, Server

PART_BYTES = 5 * 1024 * 1024  # S3's smallest part but the last
OTHER_ETAG = "0" * 32
OLD = datetime.timedelta(days=1)
ODD_KEYS = ("../x", "./y", "/lead", "a/../b", "a//b", "bell\x07", "cr\rx", "esc\x1bx", "nl\nx", "tab\tx")

Probe = Callable[[Server, str], bool]
PROBES: dict[str, Probe] = {}


def probe(word: str) -> Callable[[Probe], Probe]:
    def register(function: Probe) -> Probe:
        PROBES[word] = function
        return function

    return register


@pytest.mark.parametrize("word", CAPABILITIES)
def test_declared_capability_is_what_the_server_does(server: Server, bucket: str, word: str) -> None:
    seen, said = _try(PROBES[word], server, bucket)
    assert seen == server.can(word), f"{server.name}: {CAPABILITIES[word]}: {'yes' if seen else 'no'} {said}"


def _try(function: Probe, server: Server, bucket: str) -> tuple[bool, str]:
    """What a probe saw; a request that the server refuses, or answers with nonsense, is a no."""
    try:
        return function(server, bucket), ""
    except (ClientError, ResponseParserError) as error:
        return False, str(error)


def test_every_server_lists_in_byte_order_and_decodes(server: Server, bucket: str) -> None:
    # No capability: all of these do, and those that do not are sorted (tests/quirks).
    keys = ["B", "a b", "a+b", "a-b", "a/b", "a0", "per%25cent", "z", "é", "\uffee", "🌦"]
    for key in reversed(keys):
        server.s3.put_object(Bucket=bucket, Key=key, Body=b"")
    assert _keys(server, bucket) == keys


def _keys(server: Server, bucket: str) -> list[str]:
    return [item["Key"] for item in server.s3.list_objects_v2(Bucket=bucket).get("Contents", ())]


def _status(call: Callable[..., Any], **arguments: Any) -> int:
    try:
        return int(call(**arguments)["ResponseMetadata"]["HTTPStatusCode"])
    except ClientError as error:
        return int(error.response["ResponseMetadata"]["HTTPStatusCode"])


def _parts() -> Iterator[bytes]:
    yield b"a" * PART_BYTES
    yield b"b" * 100


def _upload_parts(server: Server, bucket: str) -> dict[str, Any]:
    """The arguments of a CompleteMultipartUpload of key `k`."""
    upload_id = server.s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    where = {"Bucket": bucket, "Key": "k", "UploadId": upload_id}
    etags = [server.s3.upload_part(**where, PartNumber=n, Body=b)["ETag"] for n, b in enumerate(_parts(), 1)]
    parts = [{"PartNumber": n, "ETag": etag} for n, etag in enumerate(etags, 1)]
    return {**where, "MultipartUpload": {"Parts": parts}}


@probe("signatures")
def _signatures(server: Server, bucket: str) -> bool:
    forger = Server(name="forger", endpoint_url=server.endpoint_url, capabilities=frozenset(), secret_key="WRONG")
    return _status(forger.s3.list_objects_v2, Bucket=bucket) == 403


@probe("unsigned-payload")
def _unsigned_payload(server: Server, bucket: str) -> bool:
    return server.request("PUT", f"/{bucket}/k", body=b"hello", sha256="UNSIGNED-PAYLOAD").status == 200


@probe("trailing-checksums")
def _trailing_checksums(server: Server, bucket: str) -> bool:
    checksum = base64.b64encode(zlib.crc32(b"hello").to_bytes(4, "big")).decode()
    body = f"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:{checksum}\r\n\r\n".encode()
    headers = {
        "Content-Encoding": "aws-chunked",
        "x-amz-decoded-content-length": "5",
        "x-amz-trailer": "x-amz-checksum-crc32",
    }
    target = f"/{bucket}/k"
    sent = server.request("PUT", target, headers=headers, body=body, sha256="STREAMING-UNSIGNED-PAYLOAD-TRAILER")
    return sent.status == 200 and server.request("GET", target).body == b"hello"


@probe("checks-content-md5")
def _checks_content_md5(server: Server, bucket: str) -> bool:
    wrong = base64.b64encode(hashlib.md5(b"other").digest()).decode()
    return _status(server.s3.put_object, Bucket=bucket, Key="k", Body=b"hello", ContentMD5=wrong) == 400


@probe("checks-checksum")
def _checks_checksum(server: Server, bucket: str) -> bool:
    return _status(server.s3.put_object, Bucket=bucket, Key="k", Body=b"hello", ChecksumCRC32="AAAAAA==") == 400


@probe("stores-checksums")
def _stores_checksums(server: Server, bucket: str) -> bool:
    checksum = base64.b64encode(zlib.crc32(b"hello").to_bytes(4, "big")).decode()
    server.s3.put_object(Bucket=bucket, Key="k", Body=b"hello", ChecksumAlgorithm="CRC32", ChecksumCRC32=checksum)
    head = server.s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    return bool(head.get("ChecksumCRC32") == checksum)


@probe("conditional-put")
def _conditional_put(server: Server, bucket: str) -> bool:
    put, where = server.s3.put_object, {"Bucket": bucket, "Key": "k"}
    assert _status(put, **where, Body=b"1", IfNoneMatch="*") == 200
    etag = server.s3.head_object(**where)["ETag"].strip('"')
    refused = [
        _status(put, **where, Body=b"2", IfNoneMatch="*"),
        _status(put, **where, Body=b"2", IfMatch=OTHER_ETAG),
    ]
    unharmed = server.s3.get_object(**where)["Body"].read() == b"1"
    return refused == [412, 412] and unharmed and _status(put, **where, Body=b"3", IfMatch=etag) == 200


@probe("quoted-if-match")
def _quoted_if_match(server: Server, bucket: str) -> bool:
    put, where = server.s3.put_object, {"Bucket": bucket, "Key": "k"}
    etag = put(**where, Body=b"1")["ETag"]
    assert etag.startswith('"')
    wrong = _status(put, **where, Body=b"2", IfMatch=f'"{OTHER_ETAG}"')
    return wrong == 412 and _status(put, **where, Body=b"2", IfMatch=etag) == 200


@probe("conditional-get")
def _conditional_get(server: Server, bucket: str) -> bool:
    where = {"Bucket": bucket, "Key": "k"}
    etag = server.s3.put_object(**where, Body=b"hello")["ETag"]
    calls = (server.s3.get_object, server.s3.head_object)
    assert [_status(call, **where, IfMatch=etag) for call in calls] == [200, 200]
    ranged = _status(server.s3.get_object, **where, IfMatch=f'"{OTHER_ETAG}"', Range="bytes=0-1")
    return ranged == 412 and all(_status(call, **where, IfMatch=f'"{OTHER_ETAG}"') == 412 for call in calls)


@probe("conditional-delete")
def _conditional_delete(server: Server, bucket: str) -> bool:
    where = {"Bucket": bucket, "Key": "k"}
    etag = server.s3.put_object(**where, Body=b"hello")["ETag"]
    refused = _status(server.s3.delete_object, **where, IfMatch=f'"{OTHER_ETAG}"') == 412
    if not refused:
        return False
    kept = _keys(server, bucket) == ["k"]
    return kept and _status(server.s3.delete_object, **where, IfMatch=etag) == 204 and not _keys(server, bucket)


@probe("conditional-complete-new")
def _conditional_complete_new(server: Server, bucket: str) -> bool:
    server.s3.put_object(Bucket=bucket, Key="k", Body=b"there first")
    complete = _upload_parts(server, bucket)
    return _status(server.s3.complete_multipart_upload, **complete, IfNoneMatch="*") == 412


@probe("conditional-complete")
def _conditional_complete(server: Server, bucket: str) -> bool:
    server.s3.put_object(Bucket=bucket, Key="k", Body=b"there first")
    complete = _upload_parts(server, bucket)
    return _status(server.s3.complete_multipart_upload, **complete, IfMatch=OTHER_ETAG) == 412


@probe("versions")
def _versions(server: Server, bucket: str) -> bool:
    server.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    first = server.s3.put_object(Bucket=bucket, Key="k", Body=b"1")["VersionId"]
    server.s3.put_object(Bucket=bucket, Key="k", Body=b"2")
    return bool(server.s3.get_object(Bucket=bucket, Key="k", VersionId=first)["Body"].read() == b"1")


@probe("put-etag-is-md5")
def _put_etag_is_md5(server: Server, bucket: str) -> bool:
    md5 = hashlib.md5(b"hello").hexdigest()
    answered = server.s3.put_object(Bucket=bucket, Key="k", Body=b"hello")["ETag"]
    return md5 == answered.strip('"') == _listed_etag(server, bucket)


def _listed_etag(server: Server, bucket: str) -> str:
    return str(server.s3.list_objects_v2(Bucket=bucket)["Contents"][0]["ETag"]).strip('"')


@probe("multipart-md5-etag")
def _multipart_md5_etag(server: Server, bucket: str) -> bool:
    server.s3.complete_multipart_upload(**_upload_parts(server, bucket))
    digests = b"".join(hashlib.md5(body).digest() for body in _parts())
    return _listed_etag(server, bucket) == f"{hashlib.md5(digests).hexdigest()}-2"


@probe("complete-tells-etag")
def _complete_tells_etag(server: Server, bucket: str) -> bool:
    told = server.s3.complete_multipart_upload(**_upload_parts(server, bucket)).get("ETag", "").strip('"')
    return bool(told == _listed_etag(server, bucket))


@probe("part-head")
def _part_head(server: Server, bucket: str) -> bool:
    server.s3.complete_multipart_upload(**_upload_parts(server, bucket))
    head = server.s3.head_object(Bucket=bucket, Key="k", PartNumber=1)
    return (head["ContentLength"], head.get("PartsCount")) == (PART_BYTES, 2)


@probe("any-key")
def _any_key(server: Server, bucket: str) -> bool:
    for key in ODD_KEYS:
        server.s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    if _keys(server, bucket) != list(ODD_KEYS):
        return False
    return all(server.s3.get_object(Bucket=bucket, Key=k)["Body"].read() == k.encode() for k in ODD_KEYS)


@probe("file-and-folder")
def _file_and_folder(server: Server, bucket: str) -> bool:
    for key in ("a", "a/b"):
        server.s3.put_object(Bucket=bucket, Key=key, Body=b"hello")
    return _keys(server, bucket) == ["a", "a/b"]


@probe("last-modified-is-put-time")
def _last_modified_is_put_time(server: Server, bucket: str) -> bool:
    server.s3.put_object(Bucket=bucket, Key="k", Body=b"hello", Metadata={"mtime": "1000000000.123456789"})
    listed = server.s3.list_objects_v2(Bucket=bucket)["Contents"][0]["LastModified"]
    return bool(abs(datetime.datetime.now(datetime.timezone.utc) - listed) < OLD)


@probe("precise-last-modified")
def _precise_last_modified(server: Server, bucket: str) -> bool:
    for key in "abcd":  # four times in a row exactly on the second: no
        server.s3.put_object(Bucket=bucket, Key=key, Body=b"hello")
    times = [item["LastModified"] for item in server.s3.list_objects_v2(Bucket=bucket)["Contents"]]
    return any(time.microsecond for time in times)


@probe("keep-alive")
def _keep_alive(server: Server, bucket: str) -> bool:
    url = urlsplit(server.endpoint_url)
    connection = http.client.HTTPConnection(str(url.hostname), url.port, timeout=60)
    try:
        connection.request("GET", "/")
        answer = connection.getresponse()
        answer.read()
        return not answer.will_close
    finally:
        connection.close()


@probe("stores-headers")
def _stores_headers(server: Server, bucket: str) -> bool:
    headers = {
        "ContentType": "text/x-odd",
        "ContentEncoding": "gzip",
        "ContentDisposition": "attachment",
        "ContentLanguage": "de",
        "CacheControl": "max-age=5",
    }
    metadata = {"mtime": "1000000000.123456789"}
    server.s3.put_object(Bucket=bucket, Key="k", Body=b"hello", Metadata=metadata, **headers)
    head = server.s3.head_object(Bucket=bucket, Key="k")
    # Names of metadata have no case in S3, and rclone capitalizes them.
    kept = {name.lower(): value for name, value in head["Metadata"].items()}
    return kept == metadata and {name: head.get(name) for name in headers} == headers


@probe("tags")
def _tags(server: Server, bucket: str) -> bool:
    server.s3.put_object(Bucket=bucket, Key="k", Body=b"hello", Tagging="team=a%20b")
    return bool(server.s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [{"Key": "team", "Value": "a b"}])


@probe("storage-class")
def _storage_class(server: Server, bucket: str) -> bool:
    server.s3.put_object(Bucket=bucket, Key="k", Body=b"hello", StorageClass="STANDARD_IA")
    return bool(server.s3.list_objects_v2(Bucket=bucket)["Contents"][0]["StorageClass"] == "STANDARD_IA")


@probe("sse-c")
def _sse_c(server: Server, bucket: str) -> bool:
    where, key = {"Bucket": bucket, "Key": "k"}, {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": b"k" * 32}
    server.s3.put_object(**where, **key, Body=b"hello")
    if _status(server.s3.get_object, **where) != 400:
        return False
    return bool(server.s3.get_object(**where, **key)["Body"].read() == b"hello")


@probe("sse")
def _sse(server: Server, bucket: str) -> bool:
    answer = server.s3.put_object(Bucket=bucket, Key="k", Body=b"hello", ServerSideEncryption="AES256")
    return bool(answer.get("ServerSideEncryption") == "AES256")
