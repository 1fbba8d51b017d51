"""Is what arrived to be kept, to be fetched once more, or refused? Worker threads."""

from __future__ import annotations

from nbsync.core.evidence import Digest, content_name
from nbsync.core.model import RemoteEntry
from nbsync.core.parts import bare_etag, looks_like_md5, parse_multipart_etag
from nbsync.s3.capabilities import etag_is_opaque
from nbsync.transfer.context import Context
from nbsync.transfer.evidence import Content, Corrupted, coded, prove
from nbsync.transfer.headers import recorded_md5
from nbsync.transfer.staged import Staged
from nbsync.wire.errors import ServiceError


class DownloadCheck:
    """Judges what arrives of one object, each time that it does."""

    def __init__(self, ctx: Context, remote: RemoteEntry) -> None:
        self._ctx, self._remote = ctx, remote
        self._seen = ""  # the last digest that nothing could confirm, and how many times in a row it came
        self._refuted = ""  # the last digest that a checksum of the service has refuted
        self._times = 0
        self._doubtful = False

    def judge(self, headers: dict[str, str], digest: Digest, value: str, fd: int) -> Staged | None:
        """The file, without its path; None if it must come once more. That is no failure, and costs no retry.

        Args:
            headers: of the GET's answer, with checksum mode on.
            digest: what was computed on its way, and its `value`.
            fd: what arrived, an open file.

        Raises:
            Corrupted: it is not the object. InterruptedError: cancelled. OSError.
            ServiceError: 412, as a server that honours If-Match would have answered: it is another object.
        """
        self._ctx.bucket.can.downloaded = True
        self._ctx.bucket.can.observe(headers)
        if not self._remote.etag:  # of what was listed; the answer may tell it all the same
            self._remote = self._remote._replace(etag=bare_etag(headers.get("etag", "")))
        content = Content(self._ctx, fd, {digest: value})
        try:
            proof = prove(self._ctx, self._remote, headers, content)
        except Corrupted:
            refuted, self._refuted = self._refuted, value
            if digest.checksum is None or refuted != value:
                raise
            raise Corrupted(
                f"the same bytes arrived again, and the server's own {digest.checksum} does not fit them"
            ) from None
        if proof is None and not self._came_often(headers, value):
            return None
        name = content_name(content.values, self._remote.etag)
        return Staged("", headers, name, proof, proof is None and self._doubtful, proof and digest.checksum)

    def _came_often(self, headers: dict[str, str], value: str) -> bool:
        """Nothing the server says confirms what came. Where the ETag should have, the same bytes must come again.

        Twice is enough for parts that nobody told of; after three times, an ETag that looks like an MD5 may be none:
        the other objects of the endpoint tell, some of which may still be on their way.

        Raises:
            Corrupted: other bytes came than the time before, or the same although ETags here are MD5s.
            ServiceError: 412, as a server that honours If-Match would have answered: it is another object.
        """
        etag, can = self._remote.etag, self._ctx.bucket.can
        came = bare_etag(headers.get("etag", ""))
        if etag and came and came != etag:
            raise ServiceError(412, "PreconditionFailed", "the object was replaced", headers)
        like_md5 = looks_like_md5(etag)
        no_digest = etag_is_opaque(headers) or not (like_md5 or parse_multipart_etag(etag)) or can.etag_is_md5 is False
        self._doubtful = like_md5 and not etag_is_opaque(headers)
        if no_digest and not recorded_md5(headers):
            return True
        seen, self._seen = self._seen, value
        if seen and seen != value:
            self._times = 1
            raise Corrupted("other bytes arrived each time, and the object's ETag confirms none of them")
        self._times += 1
        if no_digest:  # the uploader recorded another MD5: who comes twice is right
            return self._times == 2
        if self._times < (3 if like_md5 else 2):
            return False
        if like_md5 and can.etag_is_md5:
            raise Corrupted(f"what arrived does not have the object's MD5{coded(headers)}")
        return True
