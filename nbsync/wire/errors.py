"""What can go wrong on the wire. Pure; plain exceptions that the packages above translate for people.

    WireError
    ├── TransientError        another attempt may succeed
    │   ├── ConnectionLost    no connection, no answer, or an answer that makes no sense
    │   └── Aborted           this side gave up (cancel); never tried again
    ├── ServiceError          the service answered with an error; `retryable` says whether to try again
    ├── Untrusted             the server's certificate does not hold
    ├── Unsendable            a value that HTTP cannot carry
    └── SourceChanged         the file that is being sent is shorter than it was

All are picklable, because a worker may run in another process. What a service says is kept raw in
`code` and `message`; `str()` of an error is one safe line.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping

from nbsync.errors import one_line
from nbsync.wire.misdirected import redirected_to, wants_tls


class WireError(Exception):
    """An exchange with the service failed."""

    def __str__(self) -> str:
        return one_line(str(self.args[0])) if self.args else ""


class TransientError(WireError):
    """The exchange failed in a way that another attempt may not."""


class ConnectionLost(TransientError):
    """No connection, a connection that broke or went silent, or bytes that are no HTTP answer.

    Args:
        message: what happened, with the host.
        refused: nothing listens there.
        unresolved: the host's name has no address.
        unanswered: the connection ended before one byte of the answer (not: a time-out).
    """

    def __init__(self, message: str, refused: bool = False, unresolved: bool = False, unanswered: bool = False) -> None:
        super().__init__(message, refused, unresolved, unanswered)
        self.refused = refused
        self.unresolved = unresolved
        self.unanswered = unanswered
        self.unreachable = False  # set by the client: refused or unresolved, by an endpoint that never answered


class Aborted(TransientError):
    """This side gave the request up."""


class Untrusted(WireError):
    """The server's certificate is not valid for it, or its issuer is not trusted."""


class Unsendable(WireError, ValueError):
    """A value that would end its line, or that no HTTP header can hold; nothing was sent."""


class SourceChanged(WireError):
    """The file that is being sent ended before the promised length; nothing of it was stored."""


WANTS_TLS = "it speaks HTTPS there, and was sent plain HTTP: write https:// in the endpoint's URL"

# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html; a HEAD has no body to read the code from
_CODE_OF_STATUS = {
    301: "PermanentRedirect",
    304: "NotModified",
    307: "TemporaryRedirect",
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    407: "ProxyAuthenticationRequired",
    408: "RequestTimeout",
    409: "Conflict",
    412: "PreconditionFailed",
    416: "InvalidRange",
    429: "SlowDown",
    500: "InternalError",
    501: "NotImplemented",
    502: "BadGateway",
    503: "SlowDown",
    504: "GatewayTimeout",
}
PROXY_REFUSED = "ProxyRefused"  # our code: it is not the service that answered
# The other way, for an error under a status of 200: the body alone says what it is.
_STATUS_OF_CODE = {
    "AccessDenied": 403, "ConditionalRequestConflict": 409, "EntityTooLarge": 400, "EntityTooSmall": 400,
    "ExpiredToken": 400, "InvalidArgument": 400, "InvalidPart": 400, "InvalidPartOrder": 400, "InvalidRequest": 400,
    "MalformedXML": 400, "TooManyParts": 400, "InvalidAccessKeyId": 403,
    "InvalidToken": 400, "MethodNotAllowed": 405, "NoSuchBucket": 404, "NoSuchKey": 404, "NoSuchUpload": 404,
    "NoSuchVersion": 404, "NotImplemented": 501, "OperationAborted": 409, "PreconditionFailed": 412,
    "RequestTimeTooSkewed": 403, "ServiceUnavailable": 503, "SignatureDoesNotMatch": 403, "SlowDown": 503,
}  # fmt: skip
_RETRYABLE_STATUS = frozenset({408, 429, 500, 502, 503, 504})
_RETRYABLE_CODE = frozenset({
    "BadDigest", "ConditionalRequestConflict", "InternalError", "OperationAborted", "RequestTimeout",
    "RequestTimeoutException", "ServiceUnavailable", "SlowDown", "Throttling", "ThrottlingException",
    "XAmzContentSHA256Mismatch",  # damaged on its way (RGW says so of trailing checksums too: none are sent)
})  # fmt: skip
_FINAL_CODE = frozenset({"RequestTimeTooSkewed"})
# The keys are of no use any more, whatever is asked for. Not SignatureDoesNotMatch: some services err on odd keys.
_CREDENTIAL_CODE = frozenset({
    "ExpiredToken", "ExpiredTokenException", "InvalidAccessKeyId", "InvalidClientTokenId", "InvalidToken",
    "InvalidTokenId", "RequestExpired", "SecurityTokenExpired", "TokenRefreshRequired", "UnrecognizedClientException",
})  # fmt: skip
_SLOW_CODE = frozenset({"SlowDown", "Throttling", "ThrottlingException"})


class ServiceError(WireError):
    """The service answered with a status that was not asked for.

    Args:
        status: of HTTP.
        code: S3's word for it; without a body, the word that S3 uses for the status.
        message: the service's; untrusted text.
        headers: of the answer, names in lower case.
        body: of the answer, at most 1 MiB; may hold more facts, as `<Region>`.
    """

    def __init__(
        self, status: int, code: str, message: str = "", headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> None:
        headers = dict(headers or {})
        super().__init__(status, code, message, headers, body)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers
        self.body = body

    def __str__(self) -> str:
        return one_line(
            f"{self.code} ({self.status}): {self.message}" if self.message else f"{self.code} ({self.status})"
        )

    @property
    def retryable(self) -> bool:
        """Another attempt may succeed."""
        if self.code in _FINAL_CODE or self.refuses_credentials:
            return False
        return self.status in _RETRYABLE_STATUS or self.code in _RETRYABLE_CODE

    @property
    def refuses_credentials(self) -> bool:
        """The keys are refused, not what was asked for: no request that they sign can succeed."""
        return self.code in _CREDENTIAL_CODE

    @property
    def may_pass(self) -> bool:
        """The same may succeed later: by another attempt, or in another run with other keys."""
        return self.retryable or self.refuses_credentials

    @property
    def speaks_no_s3(self) -> bool:
        """Its body is of another kind than S3's errors, and no header of it is S3's: somebody else answered."""
        foreign = bool(self.body) and not _CODE.search(self.body)
        return foreign and not any(name.startswith("x-amz-") for name in self.headers)

    @property
    def redirected_to(self) -> str:
        """Where a redirect sends; nothing for other errors."""
        is_redirect = 300 <= self.status < 400 and self.status != 304
        return redirected_to(self.headers, self.body) if is_redirect else ""

    @property
    def slow_down(self) -> bool:
        """The service asks for fewer requests."""
        return self.status in (429, 503) or self.code in _SLOW_CODE


# What matches has one way to do so: a body of nothing but blanks takes no longer than any other.
_ERROR_ROOT = re.compile(rb"(?:<\?xml[^>]*\?>)?\s*<Error[\s>]")
_MOST_WORDS = 1000  # bytes of a code or a message: it stands in a row for each file
_CODE = re.compile(rb"<Code>([^<]*)</Code>")
_MESSAGE = re.compile(rb"<Message>([^<]*)</Message>")


def service_error(status: int, headers: Mapping[str, str], body: bytes) -> ServiceError:
    """The error that an answer stands for: its words from the body if it has them, else from the status.

    Under a status of 200 (see error_in_body), the status too is that of the code; 500 for an unknown one.
    """
    code = _text(_CODE, body)
    if 200 <= status < 300:
        status = _STATUS_OF_CODE.get(code, 500)
    code = code or _CODE_OF_STATUS.get(status, f"Http{status}")
    message = _text(_MESSAGE, body) or (WANTS_TLS if status == 400 and wants_tls(body) else "")
    return ServiceError(status, code, message, headers, body)


def error_in_body(body: bytes) -> tuple[str, str] | None:
    """(code, message) if `body` is an `<Error>` document, which S3 may send under a status of 200.

    CompleteMultipartUpload, CopyObject and UploadPartCopy begin to answer before they know how it
    ends (their API pages say so), with white space in front; gateways do so in listings and deletes too. The code
    is empty if the document has none.
    """
    if not _ERROR_ROOT.match(body.removeprefix(b"\xef\xbb\xbf").lstrip()):
        return None
    return _text(_CODE, body), _text(_MESSAGE, body)


def _text(pattern: re.Pattern[bytes], body: bytes) -> str:
    found = pattern.search(body)
    return html.unescape(found[1].strip()[:_MOST_WORDS].decode("utf-8", "replace")) if found else ""
