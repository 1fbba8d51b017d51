"""Any order of edits, renames, touches and deletes on both sides, pulled and pushed: a Hypothesis state machine.

Every sync is held against its plan and repeated (see world.py). Besides: whatever a local file held that
was never synced is still somewhere (local, remote or trash), and what a push replaces was either recorded
and unmoved, or is reported.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from nbsync import SyncResult
from nbsync.core.decide import NEVER_SYNCED
from tests.functional.world import World
from tests.servers import Server

# `a` clashes with `a/b`, and `a-b` sorts between them.
PATHS = ["a", "a-b", "a/b", "z"]
CHANGES = ["edit here", "edit there", "same on both", "touch", "edit and put the time back", "remove here",
           "remove there", "rename here"]  # fmt: skip


class Sides(RuleBasedStateMachine):
    """The two sides: each step changes a few things and syncs."""

    server: Server

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self.world = World(self.server, Path(self._folder.name))
        self.unsynced: set[bytes] = set()  # contents that a local file has and no sync has seen
        self.known: dict[str, bytes] = {}  # what the last sync left on both sides
        self._count = 0

    def teardown(self) -> None:
        self._folder.cleanup()

    @initialize()
    def begin(self) -> None:
        for path in ("a-b", "a/b", "z"):
            self.world.put(path, self._new())
        self._took(self.world.pull())

    def _new(self) -> bytes:
        """Content of its own, so that a loss is seen, of a size that others have."""
        self._count += 1
        return b"%05d" % self._count if self._count % 4 else b"longer %05d" % self._count

    def _change(self, what: str, path: str) -> None:
        file = self.world.local / path
        content = file.read_bytes() if file.is_file() else None
        if what == "edit there":
            self.world.put(path, self._new())
        elif what == "remove there":
            self.world.remove(path)
        elif what == "edit here" and not file.is_dir() and not file.parent.is_file():
            self._write(path, self._new())
        elif what == "same on both" and not file.is_dir() and not file.parent.is_file():
            self._write(path, self._new())
            self.world.put(path, file.read_bytes())
        elif content is not None:
            self._change_file(what, file, content)

    def _change_file(self, what: str, file: Path, content: bytes) -> None:
        at = file.stat()
        if what == "touch":
            os.utime(file, ns=(1, self._count))
        elif what == "edit and put the time back":
            self._write(file.relative_to(self.world.local).as_posix(), content[::-1])
            os.utime(file, ns=(at.st_atime_ns, at.st_mtime_ns))
        elif what == "remove here":
            self.unsynced.discard(content)  # the user's own doing
            file.unlink()
            if file.parent != self.world.local:
                file.parent.rmdir()
        elif what == "rename here" and not (self.world.local / "a").exists():
            file.rename(self.world.local / "a")

    def _write(self, path: str, content: bytes) -> None:
        file = self.world.local / path
        if file.exists():
            self.unsynced.discard(file.read_bytes())
        self.world.write(path, content)
        self.unsynced.add(content)

    @rule(
        changes=st.lists(st.tuples(st.sampled_from(CHANGES), st.sampled_from(PATHS)), min_size=1, max_size=5),
        sync=st.sampled_from(["pull", "push", "push"]),
        delete=st.booleans(),
        careless=st.integers(0, 5).map(lambda n: n == 5),
        forget=st.integers(0, 7).map(lambda n: n == 7),
    )
    def change_and_sync(
        self, changes: list[tuple[str, str]], sync: str, delete: bool, careless: bool, forget: bool
    ) -> None:
        for what, path in changes:
            self._change(what, path)
        if forget:
            (self.world.local / ".nbsync" / "state.sqlite3").unlink()
            self.known.clear()
        if sync == "pull":
            self._took(self.world.pull(delete=delete, allow_empty_source=delete))
        else:
            self._push(delete, careless)

    def _push(self, delete: bool, overwrite: bool) -> None:
        before = self.world.objects()
        result = self.world.push(delete=delete, allow_empty_source=delete, overwrite_remote=overwrite)
        after = self.world.objects()
        for path, content in before.items():
            if after.get(path) != content and not overwrite:
                seen = self.known.get(path) == content
                unrecorded = path not in self.known
                told = path not in after or result[path].reason == NEVER_SYNCED
                assert seen or (unrecorded and told), f"{path} overwritten unseen"
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
        # What is gone from both sides is forgotten, and what others put there later was never seen.
        self.known = {path: content for path, content in self.known.items() if path in here or path in there}


@pytest.mark.usefixtures("moto")
def test_any_order_of_changes_and_syncs(moto_server: Server) -> None:
    machine = type("Machine", (Sides,), {"server": moto_server})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=7,
            stateful_step_count=10,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.explicit, Phase.reuse, Phase.generate),  # shrinking a failure would take minutes
        ),
    )
