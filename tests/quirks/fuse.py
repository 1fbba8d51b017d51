"""A FUSE file system with quirks: it passes a folder through, and speaks to /dev/fuse itself. Run as a process.

    python -m tests.quirks.fuse FOLDER MOUNT_POINT QUIRK...

Quirks: `ci` (case-insensitive), `upper` (so too, but by letters), `nfd` (stores decomposed names), `inode1` (every
inode is 1), `eperm` (chmod and utime are refused), `nolink` (no hard links), `shortw` (writes take half), `sec1`,
`sec2` (times of 1 s, 2 s), `fail` (see `mounts.Mount.fail`). It needs root. Source of the protocol: Linux,
include/uapi/linux/fuse.h, version 7.31.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import signal
import stat
import struct
import sys
import time
import unicodedata
from collections.abc import Callable
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_ATTR_VALID_SECONDS = (0, 0, 0)  # the kernel caches nothing: what another process changes behind it is seen
_NO_REPLY = (2, 36, 42)  # FORGET, INTERRUPT, BATCH_FORGET
_INIT = 26
_MAX_WRITE = 1 << 17

# The bits of SETATTR's `valid`.
_MODE, _UID, _GID, _SIZE, _ATIME, _MTIME, _FH, _ATIME_NOW, _MTIME_NOW = 1, 2, 4, 8, 16, 32, 64, 128, 256


class _Node:
    """A path that the kernel knows by a number; `gone` once it is removed, while `fds` may still be open."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.fds: list[int] = []
        self.gone = False


class FileSystem:
    """What is mounted: the folder `root`, with quirks."""

    def __init__(self, root: str, fd: int, quirks: set[str]) -> None:
        self._root, self._fd, self._quirks = root, fd, quirks
        self._nodes, self._ids = {1: _Node("")}, {"": 1}
        self._fold = _fold if "ci" in self._quirks else _upper if "upper" in self._quirks else None
        self._folders: dict[int, list[str]] = {}
        self._last_folder = 0
        self._order = ""
        self._seen = 0
        self._calls: dict[int, Callable[[int, int, bytes], bytes]] = {
            1: self._lookup, 3: self._getattr, 4: self._setattr, 5: self._readlink, 6: self._symlink, 8: self._mknod,
            9: self._mkdir, 10: self._unlink, 11: self._rmdir, 12: self._rename, 13: self._link, 14: self._open,
            15: self._read, 16: self._write, 17: self._statfs, 18: self._release, 20: self._fsync, 25: self._nothing,
            27: self._opendir, 28: self._readdir, 29: self._releasedir, 30: self._nothing, 34: self._access,
            35: self._create, 38: self._nothing, 45: self._rename2, 50: self._nothing,
        }  # fmt: skip

    def run(self) -> None:
        """Answer the kernel until the mount is taken away."""
        while True:
            try:
                request = os.read(self._fd, _MAX_WRITE + (1 << 16))
            except OSError as error:
                if error.errno in (errno.EINTR, errno.ENOENT, errno.EAGAIN):
                    continue
                return
            _, code, unique, node, uid = struct.unpack_from("<IIQQI", request)
            if code in _NO_REPLY:
                continue
            failed = 0
            try:
                answer = self._init() if code == _INIT else self._answer(code, node, uid, request[40:])
            except OSError as error:
                answer, failed = b"", -(error.errno or errno.EIO)
            with contextlib.suppress(OSError):
                os.write(self._fd, struct.pack("<IiQ", 16 + len(answer), failed, unique) + answer)

    def _init(self) -> bytes:
        granularity = 10**9 if self._quirks & {"sec1", "sec2"} else 1
        return struct.pack("<IIIIHHIIHHI28x", 7, 31, _MAX_WRITE, 1 << 5, 12, 10, _MAX_WRITE, granularity, 0, 0, 0)

    def _answer(self, code: int, node: int, uid: int, body: bytes) -> bytes:
        call = self._calls.get(code)
        if call is None:
            raise OSError(errno.ENOSYS, "")
        return call(node, uid, body)

    # ---- names ----------------------------------------------------------------------------------

    def _real(self, path: str) -> str:
        """Where `path` lies in the folder behind."""
        if not self._quirks & {"ci", "upper", "nfd"}:
            return self._root + path
        current = self._root
        for segment in path.split("/")[1:]:
            name = unicodedata.normalize("NFD", segment) if "nfd" in self._quirks else segment
            full = f"{current}/{name}"
            if self._fold is not None and not os.path.lexists(full):
                with contextlib.suppress(OSError):
                    same = (other for other in os.listdir(current) if self._fold(other) == self._fold(name))
                    full = f"{current}/{next(same, name)}"
            current = full
        return current

    def _id(self, path: str) -> int:
        if path not in self._ids:
            self._ids[path] = max(self._nodes) + 1
            self._nodes[self._ids[path]] = _Node(path)
        return self._ids[path]

    def _forget(self, path: str) -> None:
        number = self._ids.pop(path, None)
        if number is not None:
            self._nodes[number].gone = True

    def _below(self, node: int, name: bytes) -> str:
        return f"{self._nodes[node].path}/{os.fsdecode(name)}"

    def _trouble(self, call: str, path: str) -> None:
        """Raise the error that Mount.fail ordered for the k-th of these calls below a folder of that name."""
        if "fail" not in self._quirks:
            return
        try:
            text = Path(self._root + ".fail").read_text()
        except OSError:
            return
        if text != self._order:
            self._order, self._seen = text, 0
        order = json.loads(text)
        if call not in order["calls"] or order["within"] not in path.split("/"):
            return
        self._seen += 1
        if self._seen == order["number"]:
            Path(self._root + ".fired").write_text(f"{call} {path}")
            raise OSError(order["errno"], "")

    # ---- what a path is ---------------------------------------------------------------------------

    def _attributes(self, at: os.stat_result) -> bytes:
        unit = 2 * 10**9 if "sec2" in self._quirks else 10**9 if "sec1" in self._quirks else 1
        times = [value // unit * unit for value in (at.st_atime_ns, at.st_mtime_ns, at.st_ctime_ns)]
        inode = 1 if "inode1" in self._quirks else at.st_ino
        seconds, nanoseconds = [value // 10**9 for value in times], [value % 10**9 for value in times]
        who = (at.st_mode, at.st_nlink, at.st_uid, at.st_gid, at.st_rdev & 0xFFFFFFFF, 4096, 0)
        numbers = (inode, at.st_size, at.st_blocks, *seconds, *nanoseconds, *who)
        return struct.pack("<QQQqqqIIIIIIIIII", *numbers)

    def _stat(self, node: _Node) -> os.stat_result:
        if node.gone and not node.fds:
            raise OSError(errno.ESTALE, "")
        return os.fstat(node.fds[-1]) if node.gone else os.lstat(self._real(node.path))

    def _entry(self, path: str) -> bytes:
        at = os.lstat(self._real(path))
        return struct.pack("<QQQQII", self._id(path), 0, 0, 0, 0, 0) + self._attributes(at)

    def _lookup(self, node: int, _uid: int, body: bytes) -> bytes:
        path = self._below(node, body[:-1])
        self._trouble("lookup", path)
        return self._entry(path)

    def _getattr(self, node: int, _uid: int, _body: bytes) -> bytes:
        return struct.pack("<QII", *_ATTR_VALID_SECONDS) + self._attributes(self._stat(self._nodes[node]))

    def _setattr(self, number: int, _uid: int, body: bytes) -> bytes:
        node = self._nodes[number]
        valid, _, handle, size = struct.unpack_from("<IIQQ", body)
        atime, mtime, _, atime_ns, mtime_ns, _, mode, _, uid, gid = struct.unpack_from("<QQQIIIIIII", body, 32)
        at: int | str = node.fds[-1] if node.gone and node.fds else self._real(node.path)
        times = _ATIME | _MTIME | _ATIME_NOW | _MTIME_NOW
        if "eperm" in self._quirks and valid & (_MODE | times) and not valid & _SIZE:
            raise OSError(errno.EPERM, "")
        if valid & _SIZE:
            os.truncate(handle if valid & _FH else at, size)
        if valid & (_UID | _GID):
            os.chown(at, uid if valid & _UID else -1, gid if valid & _GID else -1, **_no_link(at))
        if valid & _MODE:
            os.chmod(at, mode & 0o7777)
        if valid & (_ATIME | _MTIME) and "eperm" not in self._quirks:
            was, now = self._stat(node), time.time_ns()
            access = now if valid & _ATIME_NOW else _ns(atime, atime_ns) if valid & _ATIME else was.st_atime_ns
            change = now if valid & _MTIME_NOW else _ns(mtime, mtime_ns) if valid & _MTIME else was.st_mtime_ns
            os.utime(at, ns=(access, change), **_no_link(at))
        return self._getattr(number, 0, b"")

    def _access(self, node: int, _uid: int, _body: bytes) -> bytes:
        os.lstat(self._real(self._nodes[node].path))
        return b""

    def _statfs(self, _node: int, _uid: int, _body: bytes) -> bytes:
        disk = os.statvfs(self._root)
        blocks = (disk.f_blocks, disk.f_bfree, disk.f_bavail, disk.f_files, disk.f_ffree)
        return struct.pack("<QQQQQIIII24x", *blocks, disk.f_bsize, disk.f_namemax, disk.f_frsize, 0)

    def _nothing(self, _node: int, _uid: int, _body: bytes) -> bytes:
        return b""

    # ---- making, removing, renaming ---------------------------------------------------------------

    def _made(self, path: str, uid: int) -> bytes:
        if uid:
            os.chown(self._real(path), uid, -1, follow_symlinks=False)
        return self._entry(path)

    def _mknod(self, node: int, uid: int, body: bytes) -> bytes:
        path = self._below(node, body[16:-1])
        os.mknod(self._real(path), *struct.unpack_from("<II", body))
        return self._made(path, uid)

    def _mkdir(self, node: int, uid: int, body: bytes) -> bytes:
        path = self._below(node, body[8:-1])
        os.mkdir(self._real(path), *struct.unpack_from("<I", body))
        return self._made(path, uid)

    def _readlink(self, node: int, _uid: int, _body: bytes) -> bytes:
        return os.fsencode(os.readlink(self._real(self._nodes[node].path)))

    def _symlink(self, node: int, uid: int, body: bytes) -> bytes:
        name, target = body.split(b"\0")[:2]
        path = self._below(node, name)
        os.symlink(target, os.fsencode(self._real(path)))
        return self._made(path, uid)

    def _link(self, node: int, _uid: int, body: bytes) -> bytes:
        if "nolink" in self._quirks:
            raise OSError(errno.EPERM, "")
        source = self._nodes[struct.unpack_from("<Q", body)[0]].path
        path = self._below(node, body[8:-1])
        os.link(self._real(source), self._real(path))
        return self._entry(path)

    def _unlink(self, node: int, _uid: int, body: bytes) -> bytes:
        path = self._below(node, body[:-1])
        os.unlink(self._real(path))
        self._forget(path)
        return b""

    def _rmdir(self, node: int, _uid: int, body: bytes) -> bytes:
        path = self._below(node, body[:-1])
        os.rmdir(self._real(path))
        self._forget(path)
        return b""

    def _rename(self, node: int, _uid: int, body: bytes) -> bytes:
        return self._renamed(node, struct.unpack_from("<Q", body)[0], body[8:], 0)

    def _rename2(self, node: int, _uid: int, body: bytes) -> bytes:
        to, flags = struct.unpack_from("<QI", body)
        return self._renamed(node, to, body[16:], flags)

    def _renamed(self, node: int, to: int, names: bytes, flags: int) -> bytes:
        old, new = names.split(b"\0")[:2]
        first, second = self._below(node, old), self._below(to, new)
        source, target = self._real(first), self._real(second)
        if source == target and first != second:  # another spelling of the same name
            target = f"{os.path.dirname(target)}/{os.fsdecode(new)}"
        if not flags:
            os.rename(source, target)
        elif _LIBC.renameat2(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), flags):
            raise OSError(ctypes.get_errno(), "")
        exchange = bool(flags & _RENAME_EXCHANGE)
        moved: dict[str, str] = {}
        for was, becomes in ((first, second), (second, first)) if exchange else ((first, second),):
            below = [path for path in self._ids if path == was or path.startswith(was + "/")]
            moved.update({path: becomes + path[len(was) :] for path in below})
        ids = {path: self._ids.pop(path) for path in moved}
        if not exchange:
            self._forget(second)
        for path, number in ids.items():
            self._ids[moved[path]] = number
            self._nodes[number].path = moved[path]
        return b""

    # ---- files ------------------------------------------------------------------------------------

    def _open(self, number: int, _uid: int, body: bytes) -> bytes:
        node = self._nodes[number]
        self._trouble("open", node.path)
        flags = struct.unpack_from("<I", body)[0]
        passed = flags & ~(os.O_APPEND | os.O_DIRECT | os.O_NOFOLLOW | os.O_CREAT | os.O_EXCL)
        fd = os.dup(node.fds[-1]) if node.gone and node.fds else os.open(self._real(node.path), passed)
        node.fds.append(fd)
        return struct.pack("<QII", fd, 0, 0)

    def _create(self, node: int, uid: int, body: bytes) -> bytes:
        flags, mode = struct.unpack_from("<II", body)
        path = self._below(node, body[16:-1])
        real = self._real(path)
        is_new = not os.path.lexists(real)
        fd = os.open(real, flags & ~(os.O_APPEND | os.O_DIRECT) | os.O_CREAT, mode)
        entry = self._made(path, uid if is_new else 0)
        self._nodes[self._ids[path]].fds.append(fd)
        return entry + struct.pack("<QII", fd, 0, 0)

    def _read(self, _node: int, _uid: int, body: bytes) -> bytes:
        fd, offset, size = struct.unpack_from("<QQI", body)
        return os.pread(fd, size, offset)

    def _write(self, _node: int, _uid: int, body: bytes) -> bytes:
        fd, offset, size = struct.unpack_from("<QQI", body)
        data = body[40 : 40 + size]
        if "shortw" in self._quirks and size > 1:
            data = data[: size // 2]
        return struct.pack("<II", os.pwrite(fd, data, offset), 0)

    def _fsync(self, _node: int, _uid: int, body: bytes) -> bytes:
        os.fsync(struct.unpack_from("<Q", body)[0])
        return b""

    def _release(self, node: int, _uid: int, body: bytes) -> bytes:
        fd = struct.unpack_from("<Q", body)[0]
        os.close(fd)
        with contextlib.suppress(ValueError):
            self._nodes[node].fds.remove(fd)
        return b""

    # ---- folders ----------------------------------------------------------------------------------

    def _opendir(self, number: int, _uid: int, _body: bytes) -> bytes:
        node = self._nodes[number]
        self._trouble("opendir", node.path)
        self._last_folder += 1
        self._folders[self._last_folder] = [".", "..", *os.listdir(self._real(node.path))]
        return struct.pack("<QII", self._last_folder, 0, 0)

    def _readdir(self, node: int, _uid: int, body: bytes) -> bytes:
        handle, offset, size = struct.unpack_from("<QQI", body)
        folder, answer = self._real(self._nodes[node].path), b""
        for number, name in list(enumerate(self._folders[handle]))[offset:]:
            try:
                at = os.lstat(folder if name in (".", "..") else f"{folder}/{name}")
            except OSError:
                continue
            raw = os.fsencode(name)
            inode = 1 if "inode1" in self._quirks else at.st_ino
            entry = struct.pack("<QQII", inode, number + 1, len(raw), stat.S_IFMT(at.st_mode) >> 12) + raw
            entry += b"\0" * (-len(entry) % 8)
            if len(answer) + len(entry) > size:
                break
            answer += entry
        return answer

    def _releasedir(self, _node: int, _uid: int, body: bytes) -> bytes:
        self._folders.pop(struct.unpack_from("<Q", body)[0], None)
        return b""


def _upper(name: str) -> str:
    """As exFAT and NTFS: letter by letter, none becomes two, and accents stay as they are."""
    return "".join(letter.upper() if len(letter.upper()) == 1 else letter for letter in name)


def _fold(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _ns(seconds: int, nanoseconds: int) -> int:
    signed = seconds - (1 << 64) if seconds >> 63 else seconds
    return signed * 10**9 + nanoseconds


def _no_link(at: int | str) -> dict[str, bool]:
    return {} if isinstance(at, int) else {"follow_symlinks": False}


def main(root: str, mount_point: str, *quirks: str) -> None:
    """Mount, say `up` on standard output, and serve; or say why not."""
    os.umask(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal: the tests end it
    fd = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={fd},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions"
    nosuid_nodev = 2 | 4
    if _LIBC.mount(b"quirks", os.fsencode(mount_point), b"fuse", nosuid_nodev, options.encode()):
        sys.exit(f"mount: {os.strerror(ctypes.get_errno())}")
    print("up", flush=True)
    FileSystem(root, fd, set(quirks)).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
