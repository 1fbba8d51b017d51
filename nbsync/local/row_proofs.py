"""The proof that a recorded row is this user's, of this folder and REMOTE: a keyed hash in the row. Any thread.

LOCAL may have been unpacked from anywhere, its record with it, and a row can lead a sync to delete an object, or to
replace a file without keeping it. So each row bears a keyed hash (BLAKE2b, RFC 7693) of all that it says. The key is
made of the user's secret, which no folder holds, the real path of the database and the REMOTE.

Proved is: this user recorded exactly this row, in a database at this path, of this REMOTE. That is not so of rows
that a stranger made or edited, nor of those of another folder, another REMOTE, another path or another user; of a
folder that was moved or copied, in its new place, all rows are unproved until a sync has compared them by content.
Not proved is that nothing was added or taken away since: a row that is missing is a path that was never synced, which
no run takes for deleted; and a row of an older copy of this very record, put back, is proved. What such a row can cost
at most is an object, or a file, whose content both sides held when it was recorded, and is there once more.
"""

from __future__ import annotations

import hmac
from hashlib import blake2b

from nbsync.core.model import RecordedEntry
from nbsync.local import own_secret
from nbsync.local.own_secret import NoSecret

UNPROVED = b""
_PURPOSE = "record"
_BYTES = 16
_ENDS = 3  # of texts within a row's


class RowProofs:
    """Makes and checks the proofs of one record's rows of one REMOTE; without a secret, nothing is proved.

    Args:
        path: the real path of the database.
        remote: endpoint, bucket and prefix.
        make: make the secret if there is none.
    """

    def __init__(self, path: str, remote: tuple[str, ...], *, make: bool) -> None:
        try:
            key = own_secret.key(_PURPOSE, path, *remote, make=make)
        except NoSecret:
            key = b""
        self._keyed = blake2b(key=key, digest_size=_BYTES) if key else None

    def of(self, row: RecordedEntry) -> bytes:
        """The proof of a row, as it is stored."""
        path, etag, version_id, size, mtime_ns, ctime_ns, inode, content = row
        text = f"{size} {mtime_ns} {ctime_ns} {inode} {path}\0{etag}\0{version_id}\0{content}"
        if self._keyed is None or text.count("\0") != _ENDS:  # whose text could be another row's
            return UNPROVED
        made = self._keyed.copy()
        made.update(text.encode("utf-8", "surrogatepass"))
        return made.digest()

    def holds(self, row: RecordedEntry, proof: object) -> bool:
        """Is this the proof of a row, as it is stored?"""
        return isinstance(proof, bytes) and len(proof) == _BYTES and hmac.compare_digest(proof, self.of(row))
