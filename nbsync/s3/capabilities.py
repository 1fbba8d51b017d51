"""What a server is known to honour, told from where it is and what it has answered so far. Thread-safe.

Proven against the real servers by the contract tests; what is not known is unproven, and said in the
result. The Server header alone is no proof of AWS: rclone sends AWS's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from nbsync.core.parts import MAX_PARTS

_AWS_HOST = re.compile(r"\.amazonaws\.com(\.cn)?$")
_CUSTOMER_ALGORITHM = "x-amz-server-side-encryption-customer-algorithm"
_SORTING = ("MinIO", "Werkzeug")  # servers known to list in key order, beside AWS and RGW
# Scaleway takes 1,000 parts: https://www.scaleway.com/en/docs/object-storage/api-cli/multipart-uploads/.
_FEW_PARTS_HOST = re.compile(r"\.scw\.cloud$")
_FEW_PARTS = 1000
_FEW_LOOKS = 4
_RGW_REQUEST = re.compile(r"tx[0-9a-f]{20,}-")  # Ceph's transaction id

# Why a run writes without conditions; each begins a note.
AS_ASKED = "conditions were left out (--no-conditions)"
REFUSED = "this server refuses conditional writes"
ANSWERED_WRONGLY = "this server answers conditional writes wrongly"
# RGW 16 answers If-Match with 412 whatever it says, and overwrites in spite of If-None-Match: *; in a bucket whose
# versioning is suspended, it refuses both for objects of the time before (tests/contract/test_store_versions.py).
BY_VERSIONS = "Ceph RGW is known to break conditional writes in a bucket that keeps, or has kept, versions"


def etag_is_opaque(headers: Mapping[str, str]) -> bool:
    """Does the encryption that an answer tells of make the object's ETag something else than a digest?

    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html (ETag).
    """
    by_kms = headers.get("x-amz-server-side-encryption", "").startswith("aws:kms")
    return by_kms or _CUSTOMER_ALGORITHM in headers


class Capabilities:
    """What one endpoint can do.

    Attributes:
        unconditional: why PUT, CompleteMultipartUpload and DELETE are sent without conditions, one of the reasons
            above; empty where they are sent with them.
        wrote_unconditionally: such a request was made in this run.
        max_parts: as many parts of an object as it takes, as far as is known.
        min_part_size: bytes of its smallest part but the last, if it has refused a part of S3's smallest.
        may_not_look: neither a HEAD nor a listing of an object is allowed.
        completed: objects were made of parts in this run.
        downloaded: objects were fetched in this run.
        encrypts_opaquely: an object was encrypted in a way that makes its ETag no digest, asked for or not.
        lists_without_etags: an object was listed without an ETag.
        lists_out_of_order: keys were seen not to ascend, or to come twice, in a listing.
        starts_listings_after: False once it was seen to ignore `start-after` of a listing.
        ignores_customer_key: it stored an object without a word of the customer's key that it was sent.
        versioning_untold: whether the bucket keeps versions may not be asked.
        versioning_suspended: it has kept versions, and does not now.
        keeps_part_checksums: False once an upload in parts has shown that it does not check their CRC64NVME.
        confirms_part_checksums: it has confirmed that of a part.

    Args:
        host: of the endpoint.
    """

    def __init__(self, host: str) -> None:
        self._aws = bool(_AWS_HOST.search(host))
        self._conditional_put = self._conditional_get = self._aws
        self._etag_is_md5: bool | None = None
        self._is_rgw = self._versioning_told = False
        self.max_parts = _FEW_PARTS if _FEW_PARTS_HOST.search(host) else MAX_PARTS
        self.min_part_size = 0
        self.unconditional = ""
        self.wrote_unconditionally = False
        self.may_not_look = False
        self.completed = False
        self.downloaded = False
        self.encrypts_opaquely = False
        self.lists_without_etags = False
        self.lists_out_of_order = False
        self._sorts = self._aws
        self.starts_listings_after = True
        self.ignores_customer_key = False
        self.versioning_untold = False
        self.versioning_suspended = False
        self.keeps_part_checksums, self.confirms_part_checksums = True, False
        self._checksums_told = self._checksums_missed = 0

    def observe(self, headers: Mapping[str, str]) -> None:
        """Learn from the headers of an answer."""
        if not self.encrypts_opaquely and etag_is_opaque(headers):
            self.encrypts_opaquely = True
        if not self._sorts:
            known = headers.get("server", "").startswith(_SORTING)
            self._sorts = known or bool(_RGW_REQUEST.match(headers.get("x-amz-request-id", "")))
        if self._conditional_put:
            return
        self._is_rgw = _RGW_REQUEST.match(headers.get("x-amz-request-id", "")) is not None
        if self._is_rgw or headers.get("server", "").startswith("Werkzeug"):
            self._conditional_put = self._conditional_get = True

    @property
    def versions_break_conditions(self) -> bool:
        """Does it honour conditions only in a bucket that never kept versions (RGW), which this one may not be?"""
        return self._is_rgw and not self._versioning_told and not self.unconditional

    def blame_conditions(self, why: str) -> None:
        """Learn from a write that went well without its condition after it was refused with it; `why`, empty if not."""
        if why:
            self.unconditional, self.wrote_unconditionally = self.unconditional or why, True

    def told_versioning(self, status: str | None) -> None:
        """Learn from the bucket's versioning: empty if it never kept versions, None if that may not be asked."""
        if self.versions_break_conditions and status != "":
            self.unconditional = BY_VERSIONS
        self._versioning_told = True

    def stored_under_key(self, headers: Mapping[str, str]) -> None:
        """An upload under a customer's key was answered so: S3 confirms the key's algorithm in every such answer."""
        if _CUSTOMER_ALGORITHM not in headers:
            self.ignores_customer_key = True

    @property
    def may_tell_checksums(self) -> bool:
        """Is it worth a HEAD to ask for an object's checksum? Not where the first few objects had none."""
        return self._checksums_told > 0 or self._checksums_missed < _FEW_LOOKS

    def told_checksum(self, told: bool) -> None:
        """Learn from a HEAD that asked for an object's checksum: has it told one?"""
        self._checksums_told += told
        self._checksums_missed += not told

    def refused_a_condition(self) -> None:
        """A PUT was answered with 412: conditions are honoured."""
        self._conditional_put = True

    def refused_a_get(self) -> None:
        """A GET was answered with 412: conditions are honoured."""
        self._conditional_get = True

    def saw_md5_etag(self) -> None:
        """An ETag was the MD5 of content that we hold. That outweighs whatever seemed otherwise."""
        self._etag_is_md5 = True

    def recall(self, *, md5_etags: bool) -> None:
        """Take over what the record tells of earlier runs: whether an ETag was the MD5 of its content."""
        if md5_etags:
            self.saw_md5_etag()

    def saw_other_etag(self) -> bool:
        """An ETag of the form of an MD5 is proven not to be that of its content, unless others are theirs.

        Returns False in that case: then it is the content that is wrong.
        """
        if self._etag_is_md5 is None:
            self._etag_is_md5 = False
        return self._etag_is_md5 is False

    @property
    def etag_is_md5(self) -> bool | None:
        """Are ETags of the form of an MD5, of objects that are not encrypted, the MD5 of their content? None: unknown.

        Some servers make them up; S3 promises them only for some objects
        (https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html, ETag).
        """
        return self._etag_is_md5

    @property
    def etags_are_trusted(self) -> bool:
        """Is an unencrypted object's ETag of the form of an MD5 known to be one? (AWS says so, others show it.)"""
        return self._aws or self._etag_is_md5 is True

    @property
    def lists_in_order(self) -> bool:
        """Is it known to list keys in the order of their bytes, each once?

        AWS: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html. s3rver and some gateways walk
        folders, or fold case. Others are listed page by page, and an absence counts when all of it has come.
        """
        return self._sorts and not self.lists_out_of_order

    @property
    def conditional_put(self) -> bool:
        """Is PUT with If-Match and If-None-Match known to be honoured?"""
        return self._conditional_put and not self.unconditional

    @property
    def conditional_get(self) -> bool:
        """Is GET with If-Match known to be honoured? (rclone ignores it.)"""
        return self._conditional_get

    @property
    def conditional_complete(self) -> bool:
        """Is CompleteMultipartUpload with If-Match and If-None-Match known to be honoured? (Not by RGW.)

        AWS: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html.
        """
        return self._aws and not self.unconditional

    @property
    def conditional_delete(self) -> bool:
        """Is DELETE with If-Match known to be honoured?

        AWS: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-deletes.html.
        """
        return self._aws and not self.unconditional

    @property
    def complete_tells_etag(self) -> bool:
        """Is the ETag that CompleteMultipartUpload answers the one that LIST will show? (Not on rclone and RGW.)"""
        return self._aws

    def notes(self) -> list[str]:
        """What the user should know of the things that this run relied on."""
        notes = []
        if self.lists_out_of_order:
            notes.append(
                "this server does not list in key order, or lists a key twice: all of it was collected and sorted"
            )
        if self.lists_without_etags:
            notes.append(
                "this server lists no ETags: objects are known by size and time, and looked at just before they are "
                "replaced or deleted (best effort)"
            )
        if self.ignores_customer_key:
            notes.append("this server did not confirm your key (SSE-C): what was uploaded may lie there unencrypted")
        if self.versioning_untold:
            notes.append("whether this bucket keeps versions may not be asked: what it held earlier may be incomplete")
        if self.versioning_suspended:
            notes.append("versioning of this bucket is suspended: what was replaced or deleted since then is missing")
        if self.wrote_unconditionally:
            how = "the listing alone decided" if self.may_not_look else "each object was looked at just before"
            notes.append(f"{self.unconditional}: {how} (best effort)")
        if self.completed and not self.conditional_complete and not self.wrote_unconditionally:
            notes.append("conditional completion of large uploads is unproven on this server: best effort")
        if self.downloaded and not self.conditional_get:
            notes.append("conditional GET is unproven on this server: what arrives is checked against its ETag")
        if self._etag_is_md5 is False:
            notes.append("this server's ETags are not digests of the content")
        return notes
