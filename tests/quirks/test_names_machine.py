"""Any order of edits, renames and deletes of names that clash, pulled and pushed on a file system that ignores case.

A Hypothesis state machine, as `functional.test_machine`, which knows only names that are told apart. Nothing is lost:
content of LOCAL's that no REMOTE ever held is in LOCAL, REMOTE or the trash. No object that a file stands in the place
of is replaced or deleted, a push makes no second key of a name, and a run that is done again does nothing.

`NBSYNC_FUZZ=20` does twenty times as much, by hand.
"""

from __future__ import annotations

import os
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from nbsync import SyncResult
from nbsync.core.decide import NEVER_SYNCED
from tests.quirks.mounts import quirk
from tests.quirks.store import Store, serving
from tests.quirks.test_name_clashes import Sides, moved
from tests.quirks.world import CREDENTIALS

TIMES = int(os.environ.get("NBSYNC_FUZZ", "1"))
PATHS = ["A", "a", "a", "A/b", "Dir/x", "dir/x", "Dir/y", "dir/Y", "caf\u00e9", "CAFE\u0301"]
CHANGES = ["edit here", "edit there", "edit there", "remove here", "remove there", "rename here", "rename there"]


class Clashes(RuleBasedStateMachine):
    """One REMOTE and one LOCAL: each step changes a few things and syncs."""

    mount: ClassVar[Path]
    store: ClassVar[Store]
    done: ClassVar[Counter[str]]
    fold: ClassVar[Callable[[str], str]]

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory(dir=self.mount)
        self.store.keys.clear()
        self.sides = Sides(self.store, Path(self._folder.name, "local"))
        self.sides.local.mkdir()
        self._count = 0
        self._was_there: set[bytes] = set()  # contents that REMOTE has held
        self._was_here: set[bytes] = set()  # contents that LOCAL has held

    def teardown(self) -> None:
        self._folder.cleanup()

    def _new(self) -> bytes:
        self._count += 1
        return b"%05d" % self._count

    def _change(self, what: str, path: str) -> None:
        file, key = self.sides.local / path, f"p/{path}"
        with suppress(OSError):  # what cannot be done is not done
            if what == "edit here":
                file.parent.mkdir(exist_ok=True)
                file.write_bytes(self._new())
            elif what == "edit there":
                self.store.put(key, self._new())
            elif what == "remove here":
                file.unlink()
            elif what == "remove there":
                self.store.keys.pop(key, None)
            elif what == "rename here":
                os.rename(file, file.with_name(file.name.swapcase()))
            elif key in self.store.keys and f"p/{path.swapcase()}" not in self.store.keys:
                self.store.keys[f"p/{path.swapcase()}"] = self.store.keys.pop(key)

    @rule(
        changes=st.lists(st.tuples(st.sampled_from(CHANGES), st.sampled_from(PATHS)), min_size=1, max_size=5),
        verb=st.sampled_from(["pull", "pull", "push"]),
        delete=st.booleans(),
    )
    def change_and_sync(self, changes: list[tuple[str, str]], verb: str, delete: bool) -> None:
        for what, path in changes:
            self._change(what, path)
        sides = self.sides
        here, there = sides.files(), sides.remote()
        self._was_there |= set(there.values())
        result = sides.run(verb, delete=delete, allow_empty_source=True)
        self.done[verb] += 1
        self.done["clashes"] += sum(problem.kind == "name-clash" for problem in result.problems)
        assert {problem.kind for problem in result.problems} <= {"name-clash", "conflict"}
        self._nothing_lost(here, there, result)
        if not (result.counts["deleted"] and result.problems):  # what clashed with it is by itself now
            self._once_more(verb, delete, result)

    def _nothing_lost(self, here: dict[str, bytes], there: dict[str, bytes], result: SyncResult) -> None:
        sides = self.sides
        files, objects = sides.files(), sides.remote()
        trash = {file.read_bytes() for file in (sides.local / ".nbsync").glob("trash/**/*") if file.is_file()}
        held = {*files.values(), *objects.values(), *trash}
        assert set(here.values()) - self._was_there <= held, "local work was lost"
        for key, content in there.items():
            stood = any(self.fold(name) == self.fold(key) for name in here)
            if stood and content not in self._was_here | set(here.values()) and objects.get(key) != content:
                assert result[key].reason == NEVER_SYNCED, f"{key} was replaced or deleted unseen"
        made = set(objects) - set(there)
        for key in made:
            same = [other for other in objects if self.fold(other) == self.fold(key)]
            assert same == [key], f"{key} is a second"
        self._was_here |= set(files.values())
        self._was_there |= set(objects.values())

    def _once_more(self, verb: str, delete: bool, before: SyncResult) -> None:
        here, there = self.sides.files(), self.sides.remote()
        again = self.sides.run(verb, delete=delete, allow_empty_source=True)
        assert moved(again) == [f"conflict {row.path}" for row in again if row.status == "conflict"]
        assert sum(self.store.sent(method) for method in ("GET", "PUT", "DELETE")) == 0
        assert (self.sides.files(), self.sides.remote()) == (here, there)
        assert sorted(again.problems) == sorted(before.problems)


@pytest.mark.timeout(300 * TIMES)
@pytest.mark.parametrize("quirks", ["ci", "nfd"])
def test_any_order_of_changes_and_syncs(quirks: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    done: Counter[str] = Counter()
    fold = staticmethod(lambda path: unicodedata.normalize("NFC", path.casefold() if quirks == "ci" else path))
    phases = (Phase.explicit, Phase.reuse, Phase.generate)
    with quirk(quirks) as mounted, serving() as store:
        machine = type("Machine", (Clashes,), {"mount": mounted.path, "store": store, "done": done, "fold": fold})
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=3 * TIMES, stateful_step_count=5, deadline=None,
                suppress_health_check=list(HealthCheck), phases=phases if TIMES == 1 else (*phases, Phase.shrink),
            ),
        )  # fmt: skip
    print(dict(done))
    assert done["pull"] > 0  # how often the others come is up to chance
