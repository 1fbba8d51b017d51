"""REMOTE as typed (`s3://bucket/prefix`, `bucket/prefix`, access point ARN) <-> Location. Pure; any thread."""

from __future__ import annotations

import re
from typing import NamedTuple, NoReturn

from nbsync.core import names
from nbsync.errors import ListingError, UsageError

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
# Lenient: old buckets and S3-compatible servers have upper case, `_`, and names beyond 63 characters.
_BUCKET = re.compile(r"(?!\.\.?\Z)[A-Za-z0-9._-]{1,255}")
# "Amazon S3 User Guide, Referencing access points": the ARN takes the place of the bucket's name.
_ACCESS_POINT = re.compile(
    r"(arn:aws[a-z-]*:s3:[a-z0-9-]+:\d{12}:accesspoint)[:/]([A-Za-z0-9-]{1,63})(?:/(.*))?", re.DOTALL
)
_LOCAL_LOOKING = re.compile(r"/|~|\.\.?(?:[/\\]|\Z)|[A-Za-z]:(?:[/\\]|\Z)|[^/]*\\|(?i:file):")
_NOT_A_DIRECTORY_NAME = re.compile(r"[\x00-\x1f\x7f-\x9f]|\A[A-Za-z]:")

# Suffixes that S3 reserves ("General purpose bucket naming rules") for what needs another protocol.
_REFUSED_SUFFIXES = {
    "--x-s3": "directory buckets (S3 Express One Zone)",
    "--xa-s3": "access points of directory buckets (S3 Express One Zone)",
    "--op-s3": "S3 on Outposts",
    "--ol-s3": "S3 Object Lambda access points",
    "--table-s3": "S3 Tables buckets",
}
_REFUSED_ARNS = {
    "s3express": "directory buckets (S3 Express One Zone)",
    "s3-outposts": "S3 on Outposts",
    "s3-object-lambda": "S3 Object Lambda access points",
    "s3tables": "S3 Tables buckets",
}


class Location(NamedTuple):
    """A folder of keys: those that begin with `prefix`, which is empty or ends in `/`."""

    bucket: str  # a name or an access point ARN
    prefix: str

    @property
    def uri(self) -> str:
        """`s3://bucket/prefix/`; parse_location gives the same Location back."""
        return f"s3://{self.bucket}/{self.prefix}"

    @property
    def name(self) -> str:
        """The last name in REMOTE, for the default LOCAL: last segment, else bucket or access point.

        Raises:
            UsageError: that name is no safe name for a directory below the current one.
        """
        name = self.single_key.rpartition("/")[2] if self.prefix else re.split("[:/]", self.bucket)[-1]
        if names.refusal(name) or names.is_own(name) or _NOT_A_DIRECTORY_NAME.search(name):
            raise UsageError(f"the last name in {self.uri} cannot name a directory", "Name LOCAL as well")
        return name

    @property
    def has_empty_segment(self) -> bool:
        """Is there a `//` after the bucket's name?"""
        return "//" in f"/{self.prefix}"

    @property
    def single_key(self) -> str:
        """The key that is meant if nothing lies below the prefix; empty for a whole bucket."""
        return self.prefix[:-1]

    def parent(self) -> Location:
        """The folder that holds `single_key`; a whole bucket is its own parent."""
        return self._replace(prefix=self.single_key[: self.single_key.rfind("/") + 1])

    def key(self, path: str) -> str:
        """The key of a relative path."""
        return self.prefix + path

    def path(self, key: str) -> str:
        """The relative path of a key; empty for the prefix's own folder marker.

        Raises:
            ListingError: the key is not below the prefix, so the server listed something else.
        """
        if not key.startswith(self.prefix):
            raise ListingError(f"the server listed {key!r}, which is not below {self.uri}")
        return key[len(self.prefix) :]


def parse_location(text: str) -> Location:
    """REMOTE as a Location. A trailing `/` changes nothing; `//` inside a prefix is kept.

    Raises:
        UsageError: not a REMOTE, or one that nbsync does not support; says which and what to write.
    """
    bucket, prefix = _split(_without_scheme(text))
    if prefix and not prefix.endswith("/"):
        prefix += "/"
    if re.search("[\ud800-\udfff]", prefix):
        raise UsageError("REMOTE is not valid Unicode", "Keys are UTF-8")
    if names.is_own(prefix):
        raise UsageError(f"REMOTE has a segment {names.OWN}, which is nbsync's own state directory and never synced")
    return Location(bucket, prefix)


def _without_scheme(text: str) -> str:
    if not text.strip():
        raise UsageError("REMOTE is empty", "Write s3://bucket/prefix")
    if re.match(r"s3:?/", text, re.IGNORECASE) and not text.lower().startswith("s3://"):
        raise UsageError("REMOTE begins with something like s3:// that is not it", "Write s3://bucket/prefix")
    scheme = _SCHEME.match(text)
    if scheme is None:
        if _LOCAL_LOOKING.match(text):
            _local_path(text)
        return text
    if scheme[1].lower() == "s3":
        return text[scheme.end() :]
    if scheme[1].lower() == "file":
        _local_path(text)
    # Only the scheme is repeated: a URL may carry a password or a signature.
    raise UsageError(
        f"REMOTE begins with {scheme[1]}://, which is no S3 location",
        "Write s3://bucket/prefix, and for a server other than AWS --endpoint-url https://HOST",
    )


def _local_path(text: str) -> NoReturn:
    raise UsageError(
        f"{text} looks like a local path where REMOTE (s3://bucket/prefix) belongs",
        "Are REMOTE and LOCAL swapped? pull takes REMOTE LOCAL, push takes LOCAL REMOTE",
    )


def _split(rest: str) -> tuple[str, str]:
    if rest.startswith("arn:"):
        return _split_arn(rest)
    bucket, _, prefix = rest.partition("/")
    if not bucket:
        raise UsageError("REMOTE has no bucket", "Write s3://bucket/prefix")
    if not _BUCKET.fullmatch(bucket):
        # `KEY:SECRET@bucket` is a form that other tools take: never repeat it.
        shown = "what stands before the first /" if re.search("[:@]", bucket) else repr(bucket)
        raise UsageError(
            f"REMOTE has no bucket: {shown} cannot be a bucket's name",
            "Write s3://bucket/prefix; names have letters, digits, '.', '-' and '_'",
        )
    for suffix, what in _REFUSED_SUFFIXES.items():
        if bucket.endswith(suffix):
            raise UsageError(f"{bucket}: {what} are not supported yet", "Use a general purpose bucket")
    return bucket, prefix


def _split_arn(rest: str) -> tuple[str, str]:
    found = _ACCESS_POINT.fullmatch(rest)
    if found:
        # Both spellings mean one access point; one spelling, so that what is recorded of it is found again.
        return f"{found[1]}/{found[2]}", found[3] or ""
    fields = rest.split(":", 5)
    service = fields[2] if len(fields) == 6 else ""
    if service in _REFUSED_ARNS:
        raise UsageError(f"{_REFUSED_ARNS[service]} are not supported yet", "Use a general purpose bucket")
    if service == "s3" and fields[3:5] == ["", ""]:
        raise UsageError("REMOTE is the ARN of a bucket", "Write s3://bucket/prefix instead")
    if service == "s3" and not fields[3]:
        raise UsageError("multi-Region access points are not supported yet", "Use the bucket or its own access point")
    raise UsageError(
        "REMOTE is an ARN, but not of an access point",
        "Write s3://bucket/prefix or arn:aws:s3:REGION:ACCOUNT:accesspoint/NAME/prefix",
    )
