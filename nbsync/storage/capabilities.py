"""What a server is known to honour, told from where it is and what it has answered so far. Thread-safe.

Proven against the real servers by the contract tests; what is not known is unproven, and said in the
result. The Server header alone is no proof of AWS: rclone sends AWS's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_AWS_HOST = re.compile(r"\.amazonaws\.com(\.cn)?$")
_RGW_REQUEST = re.compile(r"tx[0-9a-f]{20,}-")  # Ceph's transaction id


class Capabilities:
    """What one endpoint can do.

    Args:
        host: of the endpoint.
    """

    def __init__(self, host: str) -> None:
        self._aws = bool(_AWS_HOST.search(host))
        self._conditional_put = self._aws

    def observe(self, headers: Mapping[str, str]) -> None:
        """Learn from the headers of an answer."""
        if self._conditional_put:
            return
        is_rgw = _RGW_REQUEST.match(headers.get("x-amz-request-id", ""))
        self._conditional_put = bool(is_rgw) or headers.get("server", "").startswith("Werkzeug")

    def refused_a_condition(self) -> None:
        """A PUT was answered with 412: conditions are honoured."""
        self._conditional_put = True

    @property
    def conditional_put(self) -> bool:
        """Is PUT with If-Match and If-None-Match known to be honoured?"""
        return self._conditional_put

    @property
    def conditional_delete(self) -> bool:
        """Is DELETE with If-Match known to be honoured?

        AWS: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-deletes.html.
        """
        return self._aws

    @property
    def complete_tells_etag(self) -> bool:
        """Is the ETag that CompleteMultipartUpload answers the one that LIST will show? (Not on rclone and RGW.)"""
        return self._aws
