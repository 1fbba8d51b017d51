"""Any order of edits, renames, touches and deletes on both sides, pulled and pushed: a Hypothesis state machine.

Every sync is held against its plan and repeated (see world.py). Besides: whatever a local file held that
was never synced is still somewhere (local, remote or trash), and what a push replaces was either recorded
and unmoved, or is reported.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from nbsync import SyncResult
from nbsync.core.decide import NEVER_SYNCED
from tests.functional.world import World
from tests.servers import Server

# `a` clashes with `a/b`, `a-b` sorts between them, and few contents of few sizes meet each other often.
PATHS = st.sampled_from(["a", "a-b", "a/b", "a/c/d", "a0", "z"])
CONTENTS = st.sampled_from([b"", b"1", b"2", b"3", b"long one", b"long two"])


class Sides(RuleBasedStateMachine):
    """The two sides, edited and synced at random."""

    server: Server

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self.world = World(self.server, Path(self._folder.name))
        self.world.local.mkdir()
        self.unsynced: set[bytes] = set()  # contents that a local file had and no sync has seen
        self.known: dict[str, bytes] = {}  # what the last sync left on both sides
        self._count = 0

    def teardown(self) -> None:
        self._folder.cleanup()

    def _new(self, content: bytes) -> bytes:
        """Mostly content of its own, so that a loss is seen; sometimes one that the other side has too."""
        self._count += 1
        return content if self._count % 3 == 0 else content + b"#%d" % self._count

    @rule(path=PATHS, content=CONTENTS)
    def edit_local(self, path: str, content: bytes) -> None:
        content = self._new(content)
        with contextlib.suppress(NotADirectoryError, IsADirectoryError, FileExistsError):
            file = self.world.local / path
            old = file.read_bytes() if file.is_file() else None
            self.world.write(path, content)
            self.unsynced.discard(old or b"")  # the user's own doing
            self.unsynced.add(content)

    @rule(path=PATHS, content=CONTENTS)
    def edit_remote(self, path: str, content: bytes) -> None:
        self.world.put(path, self._new(content))

    @rule(path=PATHS)
    def touch(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            os.utime(self.world.local / path, ns=(1, 1 + self._count))

    @rule(path=PATHS)
    def edit_and_restore_the_time(self, path: str) -> None:
        file = self.world.local / path
        if file.is_file():
            at, content = file.stat(), file.read_bytes()
            changed = bytes(b ^ 1 for b in content)
            file.write_bytes(changed)
            os.utime(file, ns=(at.st_atime_ns, at.st_mtime_ns))
            self.unsynced.discard(content)
            self.unsynced.add(changed)

    @rule(path=PATHS)
    def remove_local(self, path: str) -> None:
        file = self.world.local / path
        if file.is_file():
            self.unsynced.discard(file.read_bytes())
            file.unlink()

    @rule(path=PATHS)
    def remove_remote(self, path: str) -> None:
        self.world.remove(path)

    @rule(path=PATHS, to=PATHS)
    def rename_local(self, path: str, to: str) -> None:
        here, there = self.world.local / path, self.world.local / to
        if here.is_file() and not there.exists() and there.parent.is_dir():
            here.rename(there)

    @rule(path=PATHS)
    def forget(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            (self.world.local / ".nbsync" / "state.sqlite3").unlink()
        self.known.clear()

    @rule(delete=st.booleans())
    def pull(self, delete: bool) -> None:
        self._took(self.world.pull(delete=delete, allow_empty_source=delete))

    @rule(delete=st.booleans())
    def pull_by_one(self, delete: bool) -> None:
        self._took(self.world.pull(delete=delete, allow_empty_source=delete, jobs=1))

    @rule(delete=st.booleans(), overwrite=st.booleans())
    def push(self, delete: bool, overwrite: bool) -> None:
        before = self.world.objects()
        result = self.world.push(delete=delete, allow_empty_source=delete, overwrite_remote=overwrite)
        after = self.world.objects()
        for path, content in before.items():
            if after.get(path) != content and not overwrite:
                seen = self.known.get(path) == content
                deleted_unrecorded = path not in after and path not in self.known
                assert seen or deleted_unrecorded or result[path].reason == NEVER_SYNCED, f"{path} overwritten unseen"
        self._took(result)

    def _took(self, result: SyncResult) -> None:
        here, there = self.world.files(), self.world.objects()
        kept = {*here.values(), *there.values(), *(content for _, content in self.world.trash())}
        assert self.unsynced <= kept, "local work was lost"
        for row in result:
            if row.status in ("hit", "miss"):
                assert here[row.path] == there[row.path]
                self.known[row.path] = here[row.path]
                self.unsynced.discard(here[row.path])
            elif row.status == "deleted":
                self.known.pop(row.path, None)

    @precondition(lambda self: self.unsynced)
    @invariant()
    def nothing_is_lost(self) -> None:
        kept = {*self.world.files().values(), *(content for _, content in self.world.trash())}
        assert self.unsynced <= kept


@pytest.mark.usefixtures("moto")
def test_any_order_of_changes_and_syncs(moto_server: Server) -> None:
    machine = type("Machine", (Sides,), {"server": moto_server})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=12, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
