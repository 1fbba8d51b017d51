"""What a server is known to do, from its host name and from its answers so far. Thread-safe.

Each capability is one row in the class `Capabilities`: doctor's line on the server and the notes of results derive from
the rows. A new capability is a row and its place of use. The contract tests prove the rows against real servers; a
capability that is not known counts as unproven, and the result says so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, overload

from nbsync.core.model import Verb
from nbsync.core.parts import MAX_PARTS

T = TypeVar("T", bound="bool | None")

# Servers that can be told apart. The Server header alone is no proof of AWS: rclone sends AWS's.
AWS, RGW, MINIO, MOTO = "AWS", "Ceph RGW", "MinIO", "moto"

_AWS_HOST = re.compile(r"\.amazonaws\.com(\.cn)?$")
_CUSTOMER_ALGORITHM = "x-amz-server-side-encryption-customer-algorithm"
_BY_SERVER_HEADER = {"MinIO": MINIO, "Werkzeug": MOTO}
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


@dataclass
class Capability(Generic[T]):
    """One capability of a server: a row of `Capabilities`, where its value is an attribute.

    Attributes:
        at_first: its value as long as no answer has shown otherwise.
        meaning: what it is that the server does.
        learned: the answer that shows its value.
        known_of: the servers that have it, whatever they answer.
        unless: the attribute of Capabilities that outweighs it when true.
        condition: the requests whose If-Match and If-None-Match it is about, as results name them.
        verb: the action that sends such requests, if a result should say that they are unproven.
        note: for the user, in a result.
        note_if: the value that the note is about.
        relied_on: the attribute of Capabilities that is true once the run has relied on it; empty: it always does.
        name: of the attribute.
    """

    at_first: T
    meaning: str
    learned: str
    known_of: tuple[str, ...] = ()
    unless: str = ""
    condition: str = ""
    verb: Verb | None = None
    note: str = ""
    note_if: bool = True
    relied_on: str = ""
    name: str = field(default="", init=False)

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, can: None, owner: type) -> Capability[T]: ...
    @overload
    def __get__(self, can: Capabilities, owner: type) -> T: ...
    def __get__(self, can: Capabilities | None, owner: type) -> Any:
        if can is None:
            return self
        if self.unless and getattr(can, self.unless):
            return False
        return can.seen.get(self.name, can.server in self.known_of or self.at_first)

    def __set__(self, can: Capabilities, value: T) -> None:
        can.seen[self.name] = value

    def note_on(self, can: Capabilities) -> str:
        """The note for a run that used this server; empty if there is nothing to say."""
        matters = getattr(can, self.name) is self.note_if and (not self.relied_on or getattr(can, self.relied_on))
        said_instead = can.wrote_unconditionally and self.unless == "unconditional"
        return self.note if matters and not said_instead else ""


class Capabilities:
    """What one endpoint can do: a row for each capability, and the limits and events of this run.

    Attributes:
        server: one of those above; empty while it is unknown.
        seen: the values that answers have shown, by the capability's name.
        unconditional: why PUT, CompleteMultipartUpload and DELETE are sent without conditions, one of the reasons
            above; empty where they are sent with them.
        wrote_unconditionally: such a request was made in this run.
        max_parts: as many parts of an object as it takes, as far as is known.
        min_part_size: bytes of its smallest part but the last, if it has refused a part of S3's smallest.
        may_not_look: neither a HEAD nor a listing of an object is allowed.
        completed: objects were made of parts in this run.
        downloaded: objects were fetched in this run.

    Args:
        host: of the endpoint.
    """

    # AWS: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html and conditional-deletes.html.
    conditional_put = Capability(
        False, "honours If-Match and If-None-Match of PUT", learned="412 to a PUT",
        known_of=(AWS, RGW, MOTO), unless="unconditional", condition="PUT", verb=Verb.UPLOAD,
    )  # fmt: skip
    conditional_get = Capability(
        False, "honours If-Match of GET; rclone ignores it", learned="412 to a GET",
        known_of=(AWS, RGW, MOTO), condition="GET", note_if=False, relied_on="downloaded",
        note="conditional GET is unproven on this server: what arrives is checked against its ETag",
    )  # fmt: skip
    conditional_delete = Capability(
        False, "honours If-Match of DELETE", learned="no answer",
        known_of=(AWS,), unless="unconditional", condition="DELETE", verb=Verb.DELETE_REMOTE,
    )  # fmt: skip
    conditional_complete = Capability(
        False, "honours If-Match and If-None-Match of CompleteMultipartUpload; RGW does not", learned="no answer",
        known_of=(AWS,), unless="unconditional", condition="completion of large uploads",
        note_if=False, relied_on="completed",
        note="conditional completion of large uploads is unproven on this server: best effort",
    )  # fmt: skip
    complete_tells_etag = Capability(
        False, "answers CompleteMultipartUpload with the ETag that LIST will show; rclone and RGW do not",
        learned="no answer", known_of=(AWS,),
    )  # fmt: skip
    # https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html. s3rver and some gateways walk folders, or
    # fold case. Others are listed page by page, and an absence counts when all of it has come.
    lists_in_order = Capability(
        False, "lists keys in the order of their bytes, each once", learned="no answer",
        known_of=(AWS, RGW, MINIO, MOTO), unless="lists_out_of_order",
    )  # fmt: skip
    lists_out_of_order = Capability(
        False, "lists keys that do not ascend, or come twice", learned="a listing",
        note="this server does not list in key order, or lists a key twice: all of it was collected and sorted",
    )  # fmt: skip
    lists_without_etags = Capability(
        False, "lists objects without an ETag", learned="a listing",
        note="this server lists no ETags: objects are known by size and time, and looked at just before they are "
        "replaced or deleted (best effort)",
    )  # fmt: skip
    starts_listings_after = Capability(True, "obeys start-after of a listing", learned="a listing")
    encrypts_opaquely = Capability(
        False, "has encrypted an object so that its ETag is no digest, asked for or not", learned="any answer's headers"
    )
    ignores_customer_key = Capability(
        False, "stores objects without a word of the customer's key that it was sent", learned="answers to uploads",
        note="this server did not confirm your key (SSE-C): what was uploaded may lie there unencrypted",
    )  # fmt: skip
    versioning_untold = Capability(
        False, "does not allow to ask whether the bucket keeps versions", learned="403 to GetBucketVersioning",
        note="whether this bucket keeps versions may not be asked: what it held earlier may be incomplete",
    )  # fmt: skip
    versioning_suspended = Capability(
        False, "has kept versions in this bucket, and does not now", learned="GetBucketVersioning",
        note="versioning of this bucket is suspended: what was replaced or deleted since then is missing",
    )  # fmt: skip
    # Some servers make ETags up; S3 promises digests only for some objects, none of them encrypted by KMS or SSE-C:
    # https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html (ETag). None: unknown.
    etag_is_md5: Capability[bool | None] = Capability(
        None, "gives the MD5 of an object's content as its ETag, where that has the form of an MD5",
        learned="the ETag of known content", note_if=False,
        note="this server's ETags are not digests of the content",
    )  # fmt: skip

    keeps_part_checksums = Capability(
        True, "checks the CRC64NVME of an upload's parts", learned="the answers to an upload in parts"
    )
    confirms_part_checksums = Capability(
        False, "has confirmed the CRC64NVME of a part", learned="x-amz-checksum-crc64nvme in the answer to a part"
    )

    def __init__(self, host: str) -> None:
        self.server = AWS if _AWS_HOST.search(host) else ""
        self.seen: dict[str, bool | None] = {}
        self._versioning_told = False
        self.max_parts = _FEW_PARTS if _FEW_PARTS_HOST.search(host) else MAX_PARTS
        self.min_part_size = 0
        self.unconditional = ""
        self.wrote_unconditionally = False
        self.may_not_look = False
        self.completed = False
        self.downloaded = False
        self._checksums_told = self._checksums_missed = 0

    @classmethod
    def rows(cls) -> list[Capability[Any]]:
        """Every capability, in the order in which they are told."""
        return [row for row in vars(cls).values() if isinstance(row, Capability)]

    def conditions(self) -> list[tuple[Capability[Any], bool]]:
        """The capabilities that are about conditions, each with whether it is known of this server."""
        return [(row, getattr(self, row.name)) for row in self.rows() if row.condition]

    def observe(self, headers: Mapping[str, str]) -> None:
        """Learn from the headers of an answer."""
        if etag_is_opaque(headers):
            self.encrypts_opaquely = True
        if self.server:
            return
        if _RGW_REQUEST.match(headers.get("x-amz-request-id", "")):
            self.server = RGW
        else:
            name = headers.get("server", "")
            self.server = next((known for start, known in _BY_SERVER_HEADER.items() if name.startswith(start)), "")

    @property
    def versions_break_conditions(self) -> bool:
        """Does it honour conditions only in a bucket that never kept versions (RGW), which this one may not be?"""
        return self.server == RGW and not self._versioning_told and not self.unconditional

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
        self.conditional_put = True

    def refused_a_get(self) -> None:
        """A GET was answered with 412: conditions are honoured."""
        self.conditional_get = True

    def saw_md5_etag(self) -> None:
        """An ETag was the MD5 of content that we hold. That outweighs whatever seemed otherwise."""
        self.seen["etag_is_md5"] = True

    def recall(self, *, md5_etags: bool) -> None:
        """Take over what the record tells of earlier runs: whether an ETag was the MD5 of its content."""
        if md5_etags:
            self.saw_md5_etag()

    def saw_other_etag(self) -> bool:
        """An ETag of the form of an MD5 is proven not to be that of its content, unless others are theirs.

        Returns False in that case: then it is the content that is wrong.
        """
        return self.seen.setdefault("etag_is_md5", False) is False

    @property
    def etags_are_trusted(self) -> bool:
        """Is an unencrypted object's ETag of the form of an MD5 known to be one? (AWS says so, others show it.)"""
        return self.server == AWS or self.seen.get("etag_is_md5") is True

    def notes(self) -> list[str]:
        """What the user should know of the capabilities that this run relied on."""
        notes = [row.note_on(self) for row in self.rows()]
        if self.wrote_unconditionally:
            how = "the listing alone decided" if self.may_not_look else "each object was looked at just before"
            notes.append(f"{self.unconditional}: {how} (best effort)")
        return list(filter(None, notes))
