"""Which relative paths can be files on this side and keys on the other. Pure; any thread.

A key is untrusted text: it may climb out of LOCAL, be absolute, or be no file name at all. What is
refused here is reported and skipped, and the rest of the run goes on.
"""

from __future__ import annotations

import re
import unicodedata

OWN = ".nbsync"
MAX_SEGMENT_BYTES = 255  # NAME_MAX on ext4, XFS, APFS and NTFS (which counts UTF-16 units: never more than bytes)
MAX_PATH_BYTES = 4000  # PATH_MAX is 4096 on Linux: leaves room for LOCAL itself when it is short
MAX_KEY_BYTES = 1024  # Amazon S3 User Guide, "Naming Amazon S3 objects"

# The one test that an ordinary name costs. 63 characters are at most 252 bytes of UTF-8; a longer
# segment is not refused by it, only looked at more closely.
_SEGMENT = r"(?!\.\.?(?:/|\Z))[^/\\\0\ud800-\udfff]{1,63}"
_ORDINARY = re.compile(rf"(?![A-Za-z]:/){_SEGMENT}(?:/{_SEGMENT})*")
_ORDINARY_LENGTH = MAX_PATH_BYTES // 4

_RULES = tuple(
    (re.compile(pattern), reason)
    for pattern, reason in (
        (r"\A\Z", "has an empty name"),
        (r"\A/", "begins with / (an absolute path)"),
        (r"\A[A-Za-z]:[/\\]", "begins with a drive letter (an absolute path on Windows)"),
        (r"\\", "has a backslash (a folder separator on Windows, so not the same file everywhere)"),
        (r"\0", "has a NUL character"),
        (r"[\ud800-\udfff]", "is not valid Unicode"),
        (r"/\Z", "ends in / (the name of a folder, not of a file)"),
        (r"//", "has an empty segment (//)"),
        (r"(?:\A|/)\.\.(?:/|\Z)", "has a .. segment"),
        (r"(?:\A|/)\.(?:/|\Z)", "has a . segment"),
    )
)

# "Naming Files, Paths, and Namespaces" in Microsoft's Win32 documentation; the device names are
# those of CPython's ntpath.isreserved.
_WINDOWS_RULES = tuple(
    (re.compile(pattern, re.IGNORECASE), reason)
    for pattern, reason in (
        (r"[\x01-\x1f]", "has a control character, which Windows does not allow"),
        (r'[<>:"|?*]', 'has one of < > : " | ? *, which Windows does not allow'),
        (r"[. ](?:/|\Z)", "has a segment that ends in a dot or space, which Windows drops"),
        (
            r"(?:\A|/)(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[1-9\u00b9\u00b2\u00b3]) *(?:[./]|\Z)",
            "has a segment that is a device name on Windows",
        ),
        # The 8.3 alias under which NTFS would open our own state directory.
        (r"(?:\A|/)nbsync~\d", "has a segment that may be a short name of .nbsync on Windows"),
    )
)


def refusal(path: str, *, windows: bool = False) -> str | None:
    """Why `path` cannot be a file, in words that follow the path ("has a .. segment"); None if it can.

    Control characters, newlines and colons are legal names and stay as they are, except on Windows.
    A backslash or a leading drive is refused everywhere: a bucket must mean the same files on every
    system.

    Args:
        path: relative, `/`-separated; any text.
        windows: LOCAL is on a Windows flavour, whose own rules come on top.
    """
    if not (len(path) <= _ORDINARY_LENGTH and _ORDINARY.fullmatch(path)):
        reason = _first(_RULES, path) or _too_long(path)
        if reason:
            return reason
    return _first(_WINDOWS_RULES, path) if windows else None


def _first(rules: tuple[tuple[re.Pattern[str], str], ...], path: str) -> str | None:
    return next((reason for pattern, reason in rules if pattern.search(path)), None)


def _too_long(path: str) -> str | None:
    longest = max(len(segment.encode()) for segment in path.split("/"))
    if longest > MAX_SEGMENT_BYTES:
        return f"has a segment of {longest} bytes (at most {MAX_SEGMENT_BYTES} are possible)"
    total = len(path.encode())
    if total > MAX_PATH_BYTES:
        return f"is {total} bytes long (at most {MAX_PATH_BYTES} are possible)"
    return None


def place_refusal(path: str, root_bytes: int, limit: int) -> str | None:
    """Why no file can have this path below a folder whose own path has so many bytes; None if one can.

    Args:
        path: relative.
        root_bytes: of the folder's absolute path.
        limit: the longest absolute path that the system takes, in bytes.
    """
    if root_bytes + len(path) * 4 < limit:
        return None
    total = root_bytes + 1 + len(path.encode())
    return (
        f"is too long with LOCAL before it: {total:,} bytes (at most {limit:,} are possible)" if total > limit else None
    )


def key_refusal(path: str, prefix_bytes: int) -> str | None:
    """Why no object can have this name below a prefix of so many bytes; None if one can."""
    if len(path) * 4 + prefix_bytes <= MAX_KEY_BYTES:
        return None
    total = prefix_bytes + len(path.encode())
    return f"makes a key of {total:,} bytes (S3 takes at most {MAX_KEY_BYTES:,})" if total > MAX_KEY_BYTES else None


def is_own(path: str) -> bool:
    """True if a segment of `path` is `.nbsync` in whatever case: nbsync's own state directory, never synced."""
    folded = path.casefold()  # not lower(): APFS takes U+017F for an s
    return OWN in folded and OWN in folded.split("/")


_REPOSITORY = re.compile(r"(?:\.git|\.hg|git~\d+|hg~\d+)[. ]*", re.IGNORECASE)
# What HFS+ ignores in a name; see is_hfs_dotgit in git's utf8.c.
_IGNORABLE = re.compile("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")


# Default_Ignorable_Code_Point, of which the tags and unassigned ones are left out.
_IGNORED = re.compile("[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
                      "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8]")  # fmt: skip


def is_repository(path: str) -> bool:
    """True if a segment of `path` is `.git` or `.hg` on some file system: what lies there, git and Mercurial run."""
    if path.isascii() and "git" not in path.lower() and "hg" not in path.lower():
        return False
    return any(_REPOSITORY.fullmatch(_IGNORABLE.sub("", segment)) for segment in path.split("/"))


def twin_key(path: str) -> str:
    """The same text for all paths that some file system may take for one file; only it knows which of them it does.

    File systems fold by tables of their own: APFS and ext4 as Unicode's caseless match, without the characters that
    it ignores; NTFS and exFAT by upper case, letter by letter. This is coarser than any of them.
    """
    if path.isascii():
        return path.lower()
    plain = _IGNORED.sub("", unicodedata.normalize("NFD", path))
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", plain.upper()).casefold())


def one_form(path: str) -> str:
    """The same text for all paths that a file system which tells case apart may take for one file."""
    return path if path.isascii() else unicodedata.normalize("NFC", path)


def is_folder_marker(key_path: str, size: int) -> bool:
    """True for the empty objects that consoles make for folders: zero bytes, a name ending in `/`.

    Args:
        key_path: the key below the prefix; empty when the prefix itself is the marker.
        size: of the object, in bytes.
    """
    return size == 0 and (not key_path or key_path.endswith("/"))


def printable(path: str) -> str:
    """`path` as text that can be encoded: bytes of a name that are not UTF-8 become `\\xNN`."""
    return path if path.isascii() else path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
