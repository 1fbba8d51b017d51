"""A world to sync: one prefix of a bucket and one local folder, with a checker that runs after every sync.

Every `pull` and `push` of a World is planned first, and held against its plan: the end state that the
plan predicts must equal the real listing of both sides, a plan changes nothing, nothing outside LOCAL
changes, staging is left empty, and doing it again moves nothing, sends only LISTs and opens no file.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbsync
from nbsync import SyncResult
from nbsync.core import names
from nbsync.errors import NbsyncError
from tests.servers import Server

Tree = dict[str, object]
MOVED = ("miss", "deleted", "cancelled")


class World:
    """A bucket's prefix and a folder that mean each other.

    Args:
        server: holds the bucket.
        base: a directory of the test's own; LOCAL is `base/sandbox/local`.
        bucket: shared with other worlds; else a new one.
        prefix: of REMOTE, ending in `/`, or empty for the whole bucket.
        coarse: LOCAL's clock is: files of its last tick are opened again by the next run.
    """

    def __init__(
        self, server: Server, base: Path, *, bucket: str = "", prefix: str = "p/", name: str = "local",
        coarse: bool = False,
    ) -> None:  # fmt: skip
        self._coarse = coarse
        self.server = server
        self.bucket = bucket or server.new_bucket()
        self.prefix = prefix
        self.sandbox = base / "sandbox"
        self.local = self.sandbox / name
        self.sandbox.mkdir(parents=True, exist_ok=True)
        (self.sandbox / "beside").write_bytes(b"not ours")

    @property
    def remote(self) -> str:
        """REMOTE as a user types it."""
        return f"s3://{self.bucket}/{self.prefix}"

    # ---- the remote side ------------------------------------------------------------------------

    def put(self, path: str, content: bytes = b"", **more: Any) -> str:
        """Store an object below the prefix; its ETag."""
        key = self.prefix + path
        if not more:
            return self.server.put(self.bucket, key, content).strip('"')
        answer = self.server.s3.put_object(Bucket=self.bucket, Key=key, Body=content, **more)
        return str(answer["ETag"].strip('"'))

    def get(self, path: str) -> bytes:
        """The content of an object below the prefix."""
        body: bytes = self.server.s3.get_object(Bucket=self.bucket, Key=self.prefix + path)["Body"].read()
        return body

    def head(self, path: str) -> dict[str, Any]:
        """What HEAD tells of an object below the prefix."""
        answer: dict[str, Any] = self.server.s3.head_object(Bucket=self.bucket, Key=self.prefix + path)
        return answer

    def remove(self, *paths: str) -> None:
        """Delete objects below the prefix."""
        for path in paths:
            self.server.s3.delete_object(Bucket=self.bucket, Key=self.prefix + path)

    def keys(self) -> list[str]:
        """Every key of the bucket, without the prefix."""
        return [key.removeprefix(self.prefix) for key in self._listing()]

    def objects(self) -> dict[str, bytes]:
        """Path -> content of what lies below the prefix."""
        found = self.server.contents(self.bucket)
        return {key[len(self.prefix) :]: body for key, body in found.items() if key.startswith(self.prefix)}

    def _paths(self) -> list[str]:
        return [key[len(self.prefix) :] for key in self._listing() if key.startswith(self.prefix)]

    def _listing(self) -> dict[str, str]:
        return self.server.etags(self.bucket)

    def fill_both(self, *paths: str) -> None:
        """Files that hold their own path, the same on both sides, and recorded."""
        for path in paths:
            self.put(path, path.encode())
        assert self.run("pull").ok

    # ---- the local side -------------------------------------------------------------------------

    def write(self, path: str, content: bytes = b"", *, mtime_ns: int | None = None) -> Path:
        """Make a local file, with the folders that it needs."""
        file = self.local / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        if mtime_ns is not None:
            os.utime(file, ns=(mtime_ns, mtime_ns))
        return file

    def read(self, path: str) -> bytes:
        """The content of a local file."""
        return (self.local / path).read_bytes()

    def unlink(self, path: str) -> None:
        """Delete a local file."""
        (self.local / path).unlink()

    def files(self) -> dict[str, bytes]:
        """Path -> content of the regular local files that are not nbsync's own."""
        return {path: what for path, what in tree(self.local).items() if isinstance(what, bytes)}

    def trash(self) -> list[tuple[str, bytes]]:
        """(path, content) of everything in the trash, over all runs."""
        home = self.local / ".nbsync" / "trash"
        found = [path for path in home.rglob("*") if path.is_file()] if home.is_dir() else []
        return sorted((path.relative_to(home).as_posix().partition("/")[2], path.read_bytes()) for path in found)

    # ---- syncing --------------------------------------------------------------------------------

    def run(self, direction: str, **options: Any) -> SyncResult:
        """Sync, without any check; a refusal is in the result's `error`."""
        job = nbsync.pull(self.remote, self.local, background=True, **options) if direction == "pull" else None
        job = job or nbsync.push(self.local, self.remote, background=True, **options)
        return job.wait()

    def plan(self, direction: str, **options: Any) -> SyncResult:
        """The plan, after a check that planning changed nothing at all."""
        before, listed = snapshot(self.sandbox), self._listing()
        options = {name: value for name, value in options.items() if name not in ("executor", "on", "spread")}
        if direction == "pull":
            result = nbsync.plan("pull", self.remote, self.local, **options)
        else:
            result = nbsync.plan("push", self.local, self.remote, **options)
        assert snapshot(self.sandbox) == before, "planning changed something locally"
        assert self._listing() == listed, "planning changed something in the bucket"
        return result

    def pull(self, **options: Any) -> SyncResult:
        """Plan and pull, checked."""
        return self._checked("pull", options)

    def push(self, **options: Any) -> SyncResult:
        """Plan and push, checked."""
        return self._checked("push", options)

    def refused(self, direction: str, **options: Any) -> NbsyncError:
        """The error that ends the run, after a check that nothing was changed."""
        before, listed = visible(self.sandbox), self._listing()
        result = self.run(direction, **options)
        assert result.error is not None, f"not refused: {result.counts}"
        assert visible(self.sandbox) == before, "a refused run changed something locally"
        assert self._listing() == listed, "a refused run changed something in the bucket"
        assert not [row for row in result if row.status in MOVED]
        return result.error

    def _checked(self, direction: str, options: dict[str, Any]) -> SyncResult:
        plan = self.plan(direction, **options)
        files, listing, outside = tree(self.local), self._listing(), self._outside()
        objects = self.objects()
        result = self.run(direction, **options)
        assert result.error is None, result.error
        same_rows(plan, result)
        expected_local, expected_remote = predict(plan, files, objects)
        assert tree(self.local) == expected_local, "LOCAL is not as planned"
        assert self.objects() == expected_remote, "REMOTE is not as planned"
        beyond = {key: etag for key, etag in listing.items() if not key.startswith(self.prefix)}
        assert {k: e for k, e in self._listing().items() if not k.startswith(self.prefix)} == beyond
        assert self._outside() == outside, "something beside LOCAL changed"
        self.no_staging_left()
        self.silent(direction, options, clean=result.ok)
        return result

    def _outside(self) -> Tree:
        inside = self.local.relative_to(self.sandbox).as_posix() + "/"
        return {path: what for path, what in tree(self.sandbox).items() if not path.startswith(inside)}

    def no_staging_left(self) -> None:
        """Staging is empty."""
        stage = self.local / ".nbsync" / "stage"
        assert not stage.exists() or not list(stage.iterdir())

    def silent(self, direction: str, options: dict[str, Any] | None = None, *, clean: bool = True) -> SyncResult:
        """Once more: nothing moves. If `clean`, only LISTs are sent and no file of LOCAL is opened."""
        before, listed = snapshot(self.local, own=False), self._listing()
        with opened_below(self.local) as opened:
            again = self.run(direction, **(options or {}))
        assert again.error is None, again.error
        assert not again.counts["miss"] + again.counts["deleted"], [row for row in again if row.status != "hit"]
        assert snapshot(self.local, own=False) == before
        assert self._listing() == listed
        if clean:
            count = len(self._paths())
            lists = max(1, -(-count // 1000))
            nothing = not [path for path in self._paths() if path and not path.endswith("/")]
            heads = 1 if direction == "pull" and self.prefix and nothing else 0  # might REMOTE be a single object?
            assert again.requests == {"list": lists, "head": heads, "get": 0, "put": 0, "delete": 0, "other": 0}
            assert self._coarse or not opened, f"a silent run opened {opened}"
        return again


def same_rows(plan: SyncResult, result: SyncResult) -> None:
    """Each planned row was done, and nothing else was."""
    becomes = {"download": "miss", "upload": "miss", "delete-local": "deleted", "delete-remote": "deleted"}
    expected = sorted(
        (row.path, row.action, becomes[row.action] if row.status == "planned" else row.status, row.reason, row.evidence)
        for row in plan
    )
    assert sorted((row.path, row.action, row.status, row.reason, row.evidence) for row in result) == expected
    assert sorted(plan.problems) == sorted(result.problems)


def predict(plan: SyncResult, local: Tree, remote: dict[str, bytes]) -> tuple[Tree, dict[str, bytes]]:
    """Both sides after `plan` was done, from what they are before it. Folders are not told apart from their files."""
    here, there = dict(local), dict(remote)
    for row in plan:
        if row.status != "planned":
            continue
        if row.action == "download":
            for path in list(here):
                if path.startswith(row.path + "/") or row.path.startswith(path + "/"):
                    del here[path]
            here[row.path] = remote[row.path]
        elif row.action == "delete-local":
            del here[row.path]
        elif row.action == "upload":
            content = local[row.path]
            assert isinstance(content, bytes)
            there[row.path] = content
        else:
            del there[row.path]
    return here, there


def tree(root: Path) -> Tree:
    """Path -> content of what lies below `root`, without folders and nbsync's own state directory.

    A link that leads to a file counts as its content under `root/…`; others, and special files, as a word.
    """
    found: Tree = {}
    for path, at in _walk(root):
        if stat.S_ISREG(at.st_mode):
            found[path] = (root / path).read_bytes()
        elif stat.S_ISLNK(at.st_mode):
            target = root / path
            found[path] = target.read_bytes() if target.is_file() else f"link to {os.readlink(target)}"
        elif not stat.S_ISDIR(at.st_mode):
            found[path] = f"special {stat.S_IFMT(at.st_mode)}"
    return found


def visible(root: Path) -> dict[str, object]:
    """Everything below `root` but nbsync's own state directory: folders, contents and times."""
    return snapshot(root, own=False)


def snapshot(root: Path, *, own: bool = True) -> dict[str, object]:
    """Everything below `root`, folders too: kind, size, mtime, inode and link target."""
    found: dict[str, object] = {}
    for path, at in _walk(root, own=own):
        is_folder = stat.S_ISDIR(at.st_mode)
        target = os.readlink(root / path) if stat.S_ISLNK(at.st_mode) else ""
        # A folder's own mtime moves when our room is made in it: that is no change of what it holds.
        mtime_ns = 0 if is_folder and not own else at.st_mtime_ns
        found[path] = (stat.S_IFMT(at.st_mode), 0 if is_folder else at.st_size, mtime_ns, at.st_ino, target)
    return found


def _walk(root: Path, *, own: bool = False) -> Iterator[tuple[str, os.stat_result]]:
    for parent, folders, files in os.walk(root):
        if not own:
            folders[:] = [name for name in folders if not names.is_own(name)]
        for name in [*folders, *files]:
            if not own and names.is_own(name):
                continue
            path = os.path.join(parent, name)
            yield os.path.relpath(path, root), os.lstat(path)


_watched: list[tuple[str, list[str]]] = []


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "open" or not _watched or not isinstance(arguments[0], str):
        return
    for root, opened in _watched:
        if arguments[0].startswith(root) and "/.nbsync" not in arguments[0]:
            opened.append(arguments[0])


sys.addaudithook(_watch)  # cannot be taken away again: it does nothing while nobody watches


@contextmanager
def opened_below(root: Path) -> Iterator[list[str]]:
    """Collects what this process opens below `root`, but for `.nbsync` (Python's audit event `open`)."""
    opened: list[str] = []
    watch = (f"{root}/", opened)
    _watched.append(watch)
    try:
        yield opened
    finally:
        _watched.remove(watch)
