"""The values that travel between the packages. Pure; immutable; picklable.

Entries are named tuples, not dataclasses: a run makes up to a million of each, and a tuple is made
four times faster. Paths are relative, `/`-separated, and sorted as Python compares strings, which
for valid Unicode is the UTF-8 byte order in which S3 lists keys.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class _Word(str, Enum):
    """An enum whose members print as the contract's words."""

    def __str__(self) -> str:
        return str(self.value)


class Direction(_Word):
    """Which side is made to hold what the other holds."""

    PULL = "pull"
    PUSH = "push"
    BOTH = "sync"

    @property
    def changes_local(self) -> bool:
        """Are files of LOCAL made, replaced or deleted? Then REMOTE is a source."""
        return self is not Direction.PUSH

    @property
    def changes_remote(self) -> bool:
        """Are objects of REMOTE made, replaced or deleted? Then LOCAL is a source."""
        return self is not Direction.PULL


class Verb(_Word):
    """What is done for one path: the `action` of a row."""

    DOWNLOAD = "download"
    UPLOAD = "upload"
    DELETE_LOCAL = "delete-local"
    DELETE_REMOTE = "delete-remote"
    NONE = "none"


DELETES = (Verb.DELETE_LOCAL, Verb.DELETE_REMOTE)


class Status(_Word):
    """How it ended for one path: the `status` of a row."""

    HIT = "hit"
    MISS = "miss"
    PLANNED = "planned"
    DELETED = "deleted"
    CONFLICT = "conflict"
    SKIPPED = "skipped"
    FAILED = "failed"
    CANCELLED = "cancelled"


STRONG, WEAK, UNKNOWN = "strong", "weak", "unknown"
ASSURANCES = (STRONG, WEAK, UNKNOWN)


class Evidence(_Word):
    """How sameness or difference was established: a row each, and nowhere else a list of them.

    A further checksum of the service is a row here and a hasher in `transfer.checksums`. The first that an answer
    has counts.

    Attributes:
        strength: of a comparison by it: `strong` by a digest of the whole content or the bytes, `weak` by few bits
            or somebody's word, else `unknown`.
        says: what the service calls it, where it is something that the service tells of an object.
        header: which carries it in answers, where it is a checksum that the service computes of the whole content.
        names_content: it has bits enough to tell a content from all others: the record may know a content by it.
            Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html.
    """

    strength: str
    says: str
    header: str
    names_content: bool

    def __new__(
        cls, word: str, strength: str = UNKNOWN, says: str = "", header: str = "", names_content: bool = False
    ) -> Evidence:
        kind = str.__new__(cls, word)
        kind._value_ = word
        kind.strength, kind.says, kind.header, kind.names_content = strength, says, header, names_content
        return kind

    SIZE = "size", STRONG
    STATE = "state", STRONG
    ETAG_MD5 = "etag-md5", STRONG, "MD5"
    ETAG_MULTIPART = "etag-multipart", STRONG, "multipart ETag"
    CRC64NVME = "crc64nvme", WEAK, "crc64nvme", "x-amz-checksum-crc64nvme", True
    SHA256 = "sha256", STRONG, "sha256", "x-amz-checksum-sha256", True
    SHA1 = "sha1", STRONG, "sha1", "x-amz-checksum-sha1", True
    CRC32C = "crc32c", WEAK, "crc32c", "x-amz-checksum-crc32c"
    CRC32 = "crc32", WEAK, "crc32", "x-amz-checksum-crc32"
    BYTES = "bytes", STRONG  # all of them, fetched and compared
    METADATA = "metadata", WEAK  # the uploader's word
    NONE = "none", UNKNOWN


class Kind(_Word):
    """What a directory entry is."""

    FILE = "file"
    SYMLINK = "symlink"
    BROKEN_LINK = "broken-link"
    SPECIAL = "special"  # FIFO, socket, device
    UNREADABLE = "unreadable"  # a file that cannot be looked at, or whose name is not Unicode
    UNREADABLE_FOLDER = "unreadable-folder"


class Problem(NamedTuple):
    """Something about one path that the user should know: a refused name, a failure, a conflict."""

    path: str
    kind: str  # unsafe-name, name-clash, special-file, unreadable, archived, conflict, failed, ...
    message: str


class LocalEntry(NamedTuple):
    """One path below LOCAL as `lstat` (or, following links, `stat`) shows it. Sizes in bytes, times in ns."""

    path: str
    kind: Kind
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    message: str = ""  # for UNREADABLE: why


BY_TIME = "modified:"  # begins a mark that is no ETag


class RemoteEntry(NamedTuple):
    """One object as ListObjectsV2 shows it. `etag` without its quotes; time in ns since the epoch."""

    path: str
    key: str
    size: int
    etag: str
    last_modified_ns: int
    storage_class: str = ""
    version_id: str = ""
    restored: bool = False  # an archived object with a restored copy
    refused: str = ""  # why this cannot be a file here, or EXCLUDED

    @property
    def mark(self) -> str:
        """What tells this object from others of its key: its ETag or, with its size, its time, which is no ETag."""
        return self.etag or f"{BY_TIME}{self.last_modified_ns}"

    @property
    def query(self) -> tuple[tuple[str, str], ...]:
        """What a GET or HEAD of exactly this object asks for: its version, where the listing told one."""
        return (("versionId", self.version_id),) if self.version_id else ()


EXCLUDED = "excluded"  # by the user's filters: neither moved nor deleted, and not reported


class RecordedEntry(NamedTuple):
    """What the last sync with this REMOTE recorded of a path: both sides, when they were the same.

    `content` names the content by a digest that was computed from the local bytes
    (`md5:HEX`, `etag:HEX-N:PART_SIZE`, `crc64nvme:BASE64`, or empty when nothing was computed).
    `etag` is the object's mark.
    """

    path: str
    etag: str
    version_id: str
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    content: str


class Joined(NamedTuple):
    """One path with what each side says of it, and whether it clashes with paths above or below it."""

    path: str
    local: LocalEntry | None
    remote: RemoteEntry | None
    recorded: RecordedEntry | None
    local_below: bool = False  # LOCAL has something under `path/`
    remote_below: bool = False  # REMOTE has a key under `path/`
    local_above: LocalEntry | None = None  # LOCAL has a non-directory at a parent of `path`
    remote_above: RemoteEntry | None = None  # REMOTE has an object named as a parent of `path`
    spelled: str = ""  # the local file's name, where LOCAL's file system takes it for `path` and spells it otherwise
    above_stays: bool = False  # what stands at a parent's name is not just deleted on the other side
    below_stays: bool = False  # nor is something below
    clash: str = ""  # the key that has this name in LOCAL, so that this one cannot be there
    namesake: str = ""  # missing in LOCAL: the key that may be the same file; or the name that the file has got


class Action(NamedTuple):
    """What to do for one path, and why. An Action with a `check` is decided when its content was read.

    `verb` is what happens if the contents differ (or at once, without a check).
    """

    path: str
    verb: Verb
    status: Status  # PLANNED for work to do, else how it already ended (HIT, SKIPPED, CONFLICT, FAILED)
    reason: str
    evidence: Evidence
    local: LocalEntry | None = None
    remote: RemoteEntry | None = None
    recorded: RecordedEntry | None = None
    check: bool = False  # the contents must be compared first: equal is a hit
    conflict_if_different: str = ""  # after the check, a difference is a conflict for this reason, not a transfer
    unedited: tuple[Verb, str] | None = None  # what is done instead, and why, if the file still has what was recorded
    trash: bool = False  # the local file that is replaced goes to the trash
    copy: str = ""  # the path at which a local file that a download replaces stays; such a file is uploaded later
    rescue: bool = False  # the object that is replaced is fetched first, into LOCAL's trash
    in_the_way: str = ""  # a local path that must go to the trash just before the download
    problem: str = ""  # kind of the Problem that this row is, if it is one
    record: RecordedEntry | None = None  # what to remember of a hit
    digest: str = ""  # the local content's name, when the check computed it
    namesake: str = ""  # as in Joined: a download is not begun, a rename's delete not refused, for it; see `copy`

    @property
    def bytes(self) -> int:
        """Bytes that would travel."""
        if self.verb is Verb.DOWNLOAD and self.remote:
            return self.remote.size
        if self.verb is Verb.UPLOAD and self.local:
            return self.local.size
        return 0


class Outcome(NamedTuple):
    """How one Action ended. `bytes` is what moved (0 for a hit); `saved` what a hit did not have to move."""

    path: str
    verb: Verb
    status: Status
    reason: str
    evidence: Evidence
    bytes: int = 0
    seconds: float = 0.0
    error: str | None = None
    problem: str = ""
    saved: int = 0
    record: RecordedEntry | None = None  # what to remember
    forget: bool = False  # what was recorded of this path no longer holds
    planned: Action | None = None  # what a plan would have done
    worker: str = ""  # of an engine, which did it; empty on this machine
    note: str = ""  # what the user should know of the place or the server that it met; said once in a run
    doubtful: bool = False  # what arrived is not as its ETag, if that is an MD5; still PLANNED: it is held back


class Row(NamedTuple):
    """One line of a result, as `--json` prints it."""

    path: str
    action: str
    status: str
    reason: str
    evidence: str
    bytes: int
    seconds: float
    error: str | None
    assurance: str = ""  # of `verify`
    worker: str = ""  # of an engine, which did it


class NodeResult(NamedTuple):
    """What one node came to that has its own copy. `complete`: it holds all that REMOTE held."""

    host: str
    local: str
    worker: str
    complete: bool
    counts: dict[str, int]
    bytes: dict[str, int]
    error: str | None


class Active(NamedTuple):
    """A file on its way: bytes done so far, of `size`."""

    path: str
    verb: Verb
    done: int
    size: int


class Snapshot(NamedTuple):
    """A run at one moment, for drawing. Bytes, seconds since the start, bytes a second."""

    command: str
    remote: str
    local: str
    state: str  # starting, waiting (for another run), syncing, deleting, done, cancelled, failed
    counts: dict[str, int]  # by status, as in the contract
    listing_done: bool  # files_total and bytes_total are final
    files_done: int
    files_total: int
    bytes_done: int
    bytes_total: int
    rate: float
    eta_seconds: float | None
    seconds: float
    active: tuple[Active, ...]
    problems: tuple[Problem, ...]
    requests: dict[str, int]
    direction: str = "pull"
