"""A world of one `Store` and one LOCAL, and runs of the command line in it, as a user has them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.quirks.store import Request, Store, serving

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIATEST",
    "AWS_SECRET_ACCESS_KEY": "SECRETTEST",
    "AWS_DEFAULT_REGION": "us-east-1",
}


class Ran:
    """How a run ended.

    Attributes:
        code: its exit code.
        counts: of its rows, without zeros.
        error: what it was refused for; empty if it was not.
        words: all that it said: error, notes, problems, reasons.
    """

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err
        try:
            self.json: dict[str, Any] = json.loads(out)
        except ValueError:
            self.json = {}
        self.counts: dict[str, int] = {name: count for name, count in self.json.get("counts", {}).items() if count}
        self.error: str = str(self.json.get("error") or "")
        self.notes: list[str] = self.json.get("notes", [])
        self.problems: list[dict[str, str]] = self.json.get("problems", [])
        self.files: list[dict[str, Any]] = self.json.get("files", [])
        self.requests: dict[str, int] = self.json.get("requests", {})
        said = [one["message"] for one in self.problems] + [
            f"{row.get('error')} {row.get('reason')}" for row in self.files
        ]
        self.words = " ".join([self.error, *self.notes, *said])

    @property
    def crashed(self) -> bool:
        """Did it show a traceback, or call its error an internal one?"""
        return any(word in self.err + self.out for word in ("Traceback", "internal error"))

    def row(self, path: str) -> dict[str, Any]:
        """The row of one path; empty if there is none."""
        return next((row for row in self.files if row["path"] == path), {})

    def __repr__(self) -> str:
        problems = [one["message"] for one in self.problems][:3]
        return f"exit {self.code}, {self.counts}, {self.error!r}, {problems}, {self.err.strip()[-300:]!r}"


def nbsync(*words: object, env: Mapping[str, str] | None = None, timeout: float = 60, **more: Any) -> Ran:
    """Run the command line with `--json`, in a process; a variable that is set to an empty text in `env` is unset."""
    environment = {**os.environ, **CREDENTIALS, **(env or {})}
    environment = {name: value for name, value in environment.items() if value}
    command = [sys.executable, "-m", "nbsync", *map(str, words), "--json"]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, env=environment, timeout=timeout, check=False, **more
    )
    return Ran(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))


def tree(root: Path) -> dict[str, bytes]:
    """Path -> content of the files below `root` that are not nbsync's own."""
    if not root.is_dir():
        return {}
    found = {path.relative_to(root): path for path in sorted(root.rglob("*")) if path.is_file()}
    return {path.as_posix(): file.read_bytes() for path, file in found.items() if ".nbsync" not in path.parts}


class World:
    """Bucket `b`, keys below `p/`, and LOCAL.

    Attributes:
        top: a folder of its own, beside LOCAL's.
        local: LOCAL, which is not there yet.
    """

    def __init__(self, store: Store, top: Path, home: Path) -> None:
        self.store, self.top, self.local = store, top, home / "local"

    def put(self, path: str, body: bytes = b"x", **more: Any) -> None:
        """Store an object below the prefix."""
        self.store.put("p/" + path, body, **more)

    def drop(self, path: str) -> None:
        """Delete an object below the prefix."""
        self.store.keys.pop("p/" + path, None)

    def remote(self) -> dict[str, bytes]:
        """Path -> content of the objects below the prefix."""
        return {key[2:]: found.body for key, found in self.store.keys.items() if key.startswith("p/")}

    def write(self, path: str, body: bytes = b"x") -> Path:
        """Make a local file, with the folders that it needs."""
        file = self.local / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(body)
        return file

    def files(self) -> dict[str, bytes]:
        """Path -> content of the local files."""
        return tree(self.local)

    def trash(self) -> dict[str, bytes]:
        """Path in the trash -> content."""
        home = self.local / ".nbsync" / "trash"
        return tree(home) if home.is_dir() else {}

    def everywhere(self) -> list[bytes]:
        """Every content that LOCAL, its trash or REMOTE holds."""
        return [*self.files().values(), *self.trash().values(), *self.remote().values()]

    def run(self, *words: object, **more: Any) -> Ran:
        """Run the command line against this store, whose log begins anew."""
        self.store.log.clear()
        return nbsync(*words, "--endpoint-url", self.store.url, **more)

    def pull(self, *words: object, **more: Any) -> Ran:
        """`nbsync pull s3://b/p LOCAL`."""
        return self.run("pull", "s3://b/p", self.local, *words, **more)

    def push(self, *words: object, **more: Any) -> Ran:
        """`nbsync push LOCAL s3://b/p`."""
        return self.run("push", self.local, "s3://b/p", *words, **more)

    def undo(self, *words: object, **more: Any) -> Ran:
        """`nbsync undo LOCAL`."""
        return nbsync("undo", self.local, *words, **more)


@contextmanager
def world(within: Path | None = None, kind: type[Request] = Request) -> Iterator[World]:
    """A world whose LOCAL lies in a new folder, `within` a mount if one is given."""
    with tempfile.TemporaryDirectory(prefix="nbsync-world-") as top, serving(kind) as store:
        home = Path(tempfile.mkdtemp(dir=within)) if within else Path(top)
        yield World(store, Path(top), home)


def to_the_next_second() -> None:
    """Return just after a whole second of the clock has begun, so that what follows falls into it."""
    time.sleep(1.02 - time.time() % 1)
