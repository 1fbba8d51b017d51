"""Service error codes and connection failures -> nbsync errors, in one table.

Source of the codes: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

from __future__ import annotations

import re

from nbsync.errors import AccessDenied, ConfigError, EndpointUnreachable, NbsyncError, NoSuchBucket, RemoteError
from nbsync.s3.sse_c import NEEDED, PERHAPS_NEEDED, REFUSED
from nbsync.wire.errors import PROXY_REFUSED, ServiceError, TransientError
from nbsync.wire.response_reader import Response

_CREDENTIALS = "Check the profile or the AWS_* variables; --profile NAME chooses another"

_REGION = ("AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "PermanentRedirect")
_REDIRECTS = (301, 302, 303, 307, 308)

_TABLE: dict[str, tuple[type[NbsyncError], str, str]] = {
    "NoSuchBucket": (NoSuchBucket, "no such bucket", "Check its name, the endpoint and the profile"),
    "InvalidBucketName": (NoSuchBucket, "not a bucket name that the service takes", "Check its spelling"),
    "AccessDenied": (
        AccessDenied,
        "access denied",
        "The credentials need s3:ListBucket, s3:GetObject and s3:PutObject",
    ),
    "AllAccessDisabled": (AccessDenied, "all access to this bucket is disabled", ""),
    "AccountProblem": (AccessDenied, "there is a problem with the account", ""),
    "Forbidden": (AccessDenied, "access denied", "Check the credentials and the bucket's policy"),
    "InvalidAccessKeyId": (ConfigError, "the service does not know this access key", _CREDENTIALS),
    "SignatureDoesNotMatch": (ConfigError, "the service refused the signature: the secret key is wrong", _CREDENTIALS),
    **dict.fromkeys(
        ("ExpiredToken", "ExpiredTokenException", "SecurityTokenExpired", "RequestExpired"),
        (ConfigError, "the credentials have expired", "Log in again (aws sso login, or new keys), then do it again"),
    ),
    **dict.fromkeys(
        ("InvalidToken", "InvalidTokenId", "InvalidClientTokenId", "UnrecognizedClientException"),
        (ConfigError, "the session token or its key is not valid", _CREDENTIALS),
    ),
    "TokenRefreshRequired": (ConfigError, "the session token has to be renewed", _CREDENTIALS),
    "RequestTimeTooSkewed": (ConfigError, "this machine's clock is too far from the service's", "Set the clock"),
    **dict.fromkeys(_REGION, (ConfigError, "the bucket is in another region", "Give its --region")),
    NEEDED: (RemoteError, "encrypted with a customer's key (SSE-C): give it by --sse-c-key-file", ""),
    PERHAPS_NEEDED: (
        RemoteError,
        "the service answered 400; if the object is encrypted with a customer's key (SSE-C), give --sse-c-key-file",
        "",
    ),
    REFUSED: (AccessDenied, "access denied, or --sse-c-key-file holds another key than the object's", ""),
    "NotImplemented": (RemoteError, "this server cannot do that", ""),
}


def is_about_region(error: ServiceError) -> bool:
    """May it be that the request was signed for another region than the bucket's? A HEAD is refused without words."""
    told_by_head = error.status == 400 and not error.body and bool(region_told(error))
    return error.status in _REDIRECTS or error.code in _REGION or told_by_head


def region_told(answer: ServiceError | Response) -> str:
    """The bucket's region as an answer tells it, or empty."""
    found = re.search(rb"<Region>([^<]*)</Region>", answer.body)
    region = answer.headers.get("x-amz-bucket-region", "") or (found[1].strip().decode("latin-1") if found else "")
    return region if re.fullmatch(r"[A-Za-z0-9-]{1,63}", region) else ""


def _elsewhere(error: ServiceError) -> NbsyncError | None:
    """What to say of a redirect or of another region, naming where to; None for other errors."""
    region, host = region_told(error), error.redirected_to
    if is_about_region(error) and region:
        return ConfigError(f"the bucket is in the region {region} ({error.code})", f"Give --region {region}")
    if host:
        told = f"the service sends requests on to {host} ({error.status} {error.code})"
        return ConfigError(told, "If you trust it, give it as --endpoint-url")
    return None


# 400 is the answer to many things; these say which, and it is no condition.
_NO_CONDITION = frozenset({
    "EntityTooLarge", "EntityTooSmall", "IncompleteBody", "InvalidDigest", "InvalidEncryptionAlgorithmError",
    "InvalidPart", "InvalidPartOrder", "InvalidStorageClass", "InvalidTag", "KeyTooLongError", "MalformedXML",
    "MetadataTooLarge",
})  # fmt: skip


class SentWithCondition(ServiceError):
    """A refusal of a request that had a condition, which may be what was refused."""

    @classmethod
    def of(cls, error: ServiceError) -> ServiceError:
        """The error, as one of these if its answer leaves room for that."""
        told = error.may_pass or is_about_region(error) or error.code in _NO_CONDITION
        vague = error.status == 400 and not told
        if not vague and not (error.status == 403 and is_denied(error)):
            return error
        return cls(error.status, error.code, error.message, error.headers, error.body)


def is_denied(error: ServiceError) -> bool:
    """Is this request not allowed, although the service knows who makes it?"""
    return error.status in (401, 403) and (error.code in ("AccessDenied", "Forbidden") or error.code not in _TABLE)


def may_not_list(error: ServiceError, place: str) -> NbsyncError:
    """What to say of a folder that may not be listed."""
    hint = "It needs s3:ListBucket. One object that may be read can be had without it: name that one exactly"
    return AccessDenied(f"{place}: access denied: it may not be listed ({error.code})", hint)


def translate(error: Exception, place: str) -> NbsyncError:
    """The error that a user should read, for what went wrong at `place` (a bucket's or an object's URI)."""
    if isinstance(error, NbsyncError):
        return error
    if isinstance(error, ServiceError):
        return _from_service(error, place)
    if isinstance(error, TransientError):
        hint = "Check the endpoint's address, the network and --timeout"
        return EndpointUnreachable(f"{place}: no answer from the endpoint ({error})", hint)
    return RemoteError(f"{place}: {type(error).__name__}: {error}")


def _from_service(error: ServiceError, place: str) -> NbsyncError:
    if error.code == PROXY_REFUSED:
        hint = "Check HTTPS_PROXY, HTTP_PROXY (http://user:password@host:port) and NO_PROXY"
        return EndpointUnreachable(f"{place}: {error.message} ({error.status})", hint)
    elsewhere = _elsewhere(error)
    if elsewhere is not None:
        return type(elsewhere)(f"{place}: {elsewhere.message}", elsewhere.hint)
    code = error.code
    if code not in _TABLE and error.status in (401, 403):
        code = "AccessDenied"
    if code in _TABLE:
        kind, words, hint = _TABLE[code]
        return kind(f"{place}: {words} ({error.code})", hint)
    said = f": {error.message}" if error.message else ""
    return RemoteError(f"{place}: the service answered {error.status} {error.code}{said}")


def words(error: Exception) -> str:
    """One clause on a failure of one file, for its row."""
    if isinstance(error, ServiceError):
        elsewhere = _elsewhere(error)
        if elsewhere is not None:
            return elsewhere.message
        known = _TABLE.get(error.code)
        if error.code in (NEEDED, PERHAPS_NEEDED, REFUSED):  # our own codes say nothing more
            return known[1] if known else error.code
        said = f"{known[1]} ({error.code})" if known else f"{error.status} {error.code} {error.message}".strip()
        perhaps = "; if only its condition is refused here: --no-conditions"
        return said + perhaps if isinstance(error, SentWithCondition) else said
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
