"""Two machines and one bucket: whatever they do, no version is lost, and quiet syncs make all equal."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

import nbsync
from nbsync.wire.errors import ConnectionLost
from tests.functional.memory_world import MemoryWorld
from tests.servers.memory import Answer, MemoryServer, Request, Send, reachable

NAMES = st.sampled_from(["a", "b", "dir/a", "dir/b"])
MACHINES = st.integers(0, 1)
BUCKET = 2
CHANGES = st.lists(st.tuples(st.integers(0, BUCKET), NAMES, st.booleans()), min_size=1, max_size=5)
ENDS = st.sampled_from(["report", "local", "remote", "both"])


class Machine(RuleBasedStateMachine):
    """Edits, deletes and syncs on both machines and, by other tools, in the bucket.

    A version is a text that nobody writes twice. Until somebody replaces or deletes it, a file, an object or the
    trash of a machine has it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self._server = MemoryServer()
        self._reached = reachable(self._server.store)
        self._reached.__enter__()
        bucket = self._server.new_bucket()
        base = Path(self._folder.name)
        self.worlds = [MemoryWorld(self._server, base / str(n), bucket=bucket) for n in range(2)]
        self._number = 0
        self.ended: set[bytes] = set()  # versions that somebody has replaced or deleted
        self.written: set[bytes] = set()

    def teardown(self) -> None:
        self._reached.__exit__(None, None, None)
        self._folder.cleanup()

    def _new(self) -> bytes:
        self._number += 1
        text = b"%08d" % self._number  # all of one size: content decides
        self.written.add(text)
        return text

    @initialize()
    def both_begin_empty(self) -> None:
        for world in self.worlds:
            world.local.mkdir(parents=True)

    def _change(self, where: int, name: str, deletes: bool) -> None:
        """Somebody edits or deletes a file on a machine, or, with another tool, an object."""
        world = self.worlds[where % 2]
        if where == BUCKET:
            if name in list(world.keys()):
                self.ended.add(world.get(name))
                world.remove(name)
            if not deletes:
                world.put(name, self._new())
            return
        path = world.local / name
        path.parent.mkdir(exist_ok=True)
        if path.exists():
            self.ended.add(path.read_bytes())
            path.unlink()
        if not deletes:
            path.write_bytes(self._new())

    @rule(changes=CHANGES, machine=MACHINES, end=ENDS)
    def change_and_sync(self, changes: list[tuple[int, str, bool]], machine: int, end: str) -> None:
        for change in changes:
            self._change(*change)
        self._sync(machine, on_conflict=end)

    @rule(changes=CHANGES, machine=MACHINES, end=ENDS, after=st.integers(0, 5))
    def change_and_sync_cut_off(self, changes: list[tuple[int, str, bool]], machine: int, end: str, after: int) -> None:
        """The service is gone from some request on."""
        count = 0

        def hook(request: Request, send: Send) -> Answer | bytes:
            nonlocal count
            count += 1
            if count > after:
                raise ConnectionLost("cut off")
            return send(request)

        for change in changes:
            self._change(*change)
        with self._server.store.hooked(hook):
            self._sync(machine, on_conflict=end, retries=0)

    def _sync(self, machine: int, **options: object) -> None:
        world = self.worlds[machine]
        with suppress(nbsync.NbsyncError):
            where = self._server.endpoint_url
            nbsync.sync(world.local, world.remote, endpoint_url=where, allow_empty_source=True, **options)

    @invariant()
    def nothing_is_lost(self) -> None:
        found = set(self.ended)
        for world in self.worlds:
            found |= {
                path.read_bytes() for path in world.local.rglob("*") if path.is_file() and path.stat().st_size == 8
            }
        found |= {self.worlds[0].get(key) for key in list(self.worlds[0].keys())}
        assert self.written <= found, self.written - found

    @rule()
    def quiet_syncs_make_all_equal(self) -> None:
        for _ in range(3):
            for machine in range(2):
                self._sync(machine, on_conflict="both")
        files = [self._files(world) for world in self.worlds]
        objects = {key: self.worlds[0].get(key) for key in list(self.worlds[0].keys())}
        assert files[0] == files[1] == objects

    @staticmethod
    def _files(world: MemoryWorld) -> dict[str, bytes]:
        return {
            str(path.relative_to(world.local)): path.read_bytes() for path in world.local.rglob("*")
            if path.is_file() and ".nbsync" not in path.parts
        }  # fmt: skip


def test_no_version_is_lost(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in (("AWS_ACCESS_KEY_ID", "k"), ("AWS_SECRET_ACCESS_KEY", "s"), ("XDG_STATE_HOME", str(tmp_path))):
        monkeypatch.setenv(name, value)
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
    run_state_machine_as_test(
        Machine, settings=settings(max_examples=60, stateful_step_count=8, deadline=None, suppress_health_check=checks)
    )
