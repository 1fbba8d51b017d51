"""In which order things are done: compared, guarded, streamed; deletes last. Workers in memory, no service."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nbsync.core.guard import NO_LIMITS, Limits
from nbsync.core.model import Action, Active, Direction, Joined, Outcome, Status, Verb
from nbsync.engine.deciders import Record
from nbsync.engine.disk_need import Need
from nbsync.engine.executor import Execution
from nbsync.engine.source import Seen
from nbsync.engine.status_board import OutcomeCounter, StatusBoard
from nbsync.errors import GuardRefusal, NbsyncError
from nbsync.results.sync_result import SyncPlan, SyncResult
from tests.unit.engine.sides import do

ENDS = {Verb.DOWNLOAD: Status.MISS, Verb.UPLOAD: Status.MISS, Verb.DELETE_LOCAL: Status.DELETED,
        Verb.DELETE_REMOTE: Status.DELETED}  # fmt: skip


def hit(path: str) -> Action:
    return do(Verb.NONE, path, status=Status.HIT, reason="up to date")


class Runner:
    """Does each Action when it is submitted, by what the test says."""

    full = False

    def __init__(
        self, log: list[str], what: str, act: Callable[[Action], Any], failure: Exception | None = None
    ) -> None:
        self._log, self._what, self._act, self._done = log, what, act, list[Any]()
        self.failure = failure

    def submit(self, action: Action) -> None:
        self._log.append(f"{self._what} {action.path}")
        self._done.append(self._act(action))

    def drain(self) -> Iterator[Any]:
        return iter(())

    def finish(self) -> Iterator[Any]:
        yield from self._done

    def active(self) -> tuple[Active, ...]:
        return ()

    def bytes_moved(self) -> int:
        return 0


class Workers:
    """In memory. `fails`: paths that end so; `differs`: paths whose content does, where that is asked."""

    def __init__(self, *, dry_run: bool = False, fails: str = "", differs: str = "", doubts: str = "") -> None:
        self.dry_run, self._fails, self._differs, self._doubts = dry_run, fails, differs, doubts
        self.log: list[str] = []
        self.stopped_after = 1_000_000
        self.failure: Exception | None = None
        self.etags_are_md5 = False

    def cancelled(self) -> bool:
        return len(self.log) >= self.stopped_after

    def compare(self) -> Runner:
        return Runner(self.log, "compare", self._resolve)

    def change(self) -> Runner:
        self.log.append("change")
        return Runner(self.log, "do", self._perform, self.failure)

    def settle_doubts(self) -> Iterator[Outcome]:
        for path in self._doubts:
            yield self._end(do(Verb.DOWNLOAD, path))._replace(doubtful=True)
        self._doubts = ""

    def _resolve(self, action: Action) -> Action:
        same = action.path not in self._differs
        return action._replace(check=False, **({"status": Status.HIT, "verb": Verb.NONE} if same else {}))

    def _perform(self, action: Action) -> Outcome:
        action = self._resolve(action) if action.check else action
        if action.status is Status.HIT or self.dry_run:
            return Outcome(action.path, action.verb, action.status, action.reason, action.evidence)
        if action.path in self._doubts:
            return Outcome(action.path, action.verb, action.status, action.reason, action.evidence, doubtful=True)
        return self._end(action)

    def _end(self, action: Action) -> Outcome:
        status = Status.FAILED if action.path in self._fails else ENDS[action.verb]
        return Outcome(action.path, action.verb, status, action.reason, action.evidence, action.bytes)


class Decider:
    """Says what a test says of deletes and refusals."""

    as_planned, direction = False, Direction.PULL

    def __init__(self, *, may_delete: bool = False, refusal: str = "") -> None:
        self.may_delete, self._refusal = may_delete, refusal
        self.asked: list[int] = []

    def admits(self, path: str) -> bool:
        return True

    def begin(self, only: str, record: Record) -> None: ...

    def forgets(self, path: str) -> bool:
        return True

    def decide(self, one: Joined) -> Action | None:
        return None

    def rest(self) -> Iterator[Action]:
        return iter(())

    def refusal(self, seen: Seen, deletes: int) -> NbsyncError | None:
        self.asked.append(deletes)
        return GuardRefusal(self._refusal) if self._refusal else None


class Scene:
    """An Execution in memory; `rows`: (path, status) as the result has them."""

    def __init__(
        self, root: Path, workers: Workers, decider: Decider | None = None, limits: Limits = NO_LIMITS,
        free: int | None = None, kind: type[SyncResult] = SyncResult,
    ) -> None:  # fmt: skip
        self.result, self.board = kind(command="pull", remote="s3://b/p/", local="data"), StatusBoard()
        self.seen, self.workers = Seen(remote=1, local=1), workers
        self._root, self._free = root, free
        self._run = Execution(
            workers, self.board, OutcomeCounter(self.result, self.board), decider or Decider(), self._need, limits
        )

    def _need(self) -> Need:
        need = Need(str(self._root), 0)
        need.free = need.free if self._free is None else self._free
        return need

    def run(self, *actions: Action) -> list[str]:
        """Do them; what was done, in order."""
        self._run.run(iter(actions), self.seen)
        return self.workers.log

    @property
    def rows(self) -> list[tuple[str, str]]:
        return [(one.path, one.status) for one in self.result.files]


UP, DOWN = do(Verb.UPLOAD, "u"), do(Verb.DOWNLOAD, "d")
GONE_HERE, GONE_THERE = do(Verb.DELETE_LOCAL, "x"), do(Verb.DELETE_REMOTE, "y")


@pytest.mark.parametrize(
    ("actions", "may_delete", "order"),
    [
        # Nothing can be deleted and there is room: as they come, without a look at all of them first.
        ([DOWN, hit("h"), UP], False, ["change", "do d", "do u"]),
        ([do(Verb.DOWNLOAD, "q", check=True), DOWN], False, ["change", "do q", "do d"]),
        # With deletes, every question is answered before anything is changed, and deletes come last: on both sides.
        ([GONE_HERE, do(Verb.DOWNLOAD, "q", check=True), GONE_THERE, UP, DOWN], True,
         ["compare q", "change", "do u", "do d", "do q", "change", "do x", "do y"]),
        # A file whose name is another's comes when that is in its place, and before the deletes.
        ([do(Verb.DOWNLOAD, "t", namesake="T"), GONE_HERE, DOWN], True,
         ["change", "do d", "change", "do t", "change", "do x"]),
        ([], True, ["change"]),
    ],
)  # fmt: skip
def test_the_order(tmp_path: Path, actions: list[Action], may_delete: bool, order: list[str]) -> None:
    scene = Scene(tmp_path, Workers(differs="q"), Decider(may_delete=may_delete))

    assert scene.run(*actions) == order


@pytest.mark.parametrize(
    ("fails", "unread", "why"),
    [("", "", ""), ("d", "", "a transfer failed"), ("", "z", "z could not be read"), ("d", "z", "z could not be read")],
)
def test_nothing_is_deleted_if_something_went_wrong_on_the_way(
    tmp_path: Path, fails: str, unread: str, why: str
) -> None:
    scene = Scene(tmp_path, Workers(fails=fails), Decider(may_delete=True))
    scene.seen.unread = unread
    scene.run(GONE_HERE, DOWN, GONE_THERE)

    expected = ("cancelled", f"not deleted: {why}") if why else ("deleted", "because")
    ends = [(one.status, one.reason) for one in scene.result.files if one.path in ("x", "y")]
    assert ends == [expected, expected]


def test_a_refusal_changes_nothing_and_knows_all_deletes(tmp_path: Path) -> None:
    decider = Decider(may_delete=True, refusal="too many")
    scene = Scene(tmp_path, Workers(), decider)
    (tmp_path / "w").mkdir()
    for name in "ab":
        (tmp_path / "w" / name).write_bytes(b"")
    with pytest.raises(GuardRefusal, match="too many"):
        scene.run(GONE_HERE, do(Verb.DOWNLOAD, "w", in_the_way="w", check=True), do(Verb.DOWNLOAD, "v", in_the_way="w"))

    assert scene.workers.log == ["compare w"]
    assert decider.asked == [3]  # what is in the way counts file by file, and once
    assert scene.rows == []


def test_what_was_refused_can_be_looked_at(tmp_path: Path) -> None:
    scene = Scene(tmp_path, Workers(dry_run=True), Decider(may_delete=True, refusal="no"), kind=SyncPlan)
    with pytest.raises(GuardRefusal):
        scene.run(DOWN, GONE_HERE)

    assert scene.rows == [("d", "planned"), ("x", "planned")]


def test_a_plan_asks_only_what_is_open_and_knows_two_names_of_one_file(tmp_path: Path) -> None:
    scene = Scene(tmp_path, Workers(dry_run=True, differs="q"))
    scene.run(DOWN, do(Verb.DOWNLOAD, "q", check=True), do(Verb.DOWNLOAD, "t", namesake="T"), hit("h"))

    assert scene.workers.log == ["change", "do q"]
    assert sorted(scene.rows) == [("d", "planned"), ("h", "hit"), ("q", "planned"), ("t", "skipped")]


@pytest.mark.parametrize(
    ("limits", "free", "refused"),
    [
        (Limits(files=1), None, "more than the 1 files"),
        (Limits(files=2), None, ""),
        (Limits(bytes=1), None, "more than the 1 bytes"),
        (NO_LIMITS, 100, "has room for 100 bytes"),
    ],
)
def test_limits_and_room_are_asked_before_the_first_change(
    tmp_path: Path, limits: Limits, free: int | None, refused: str
) -> None:
    absent = {"local": None, "recorded": None}
    scene = Scene(tmp_path, Workers(), limits=limits, free=free)
    actions = [do(Verb.DOWNLOAD, path, **absent) for path in "ab"]
    if refused:
        with pytest.raises(GuardRefusal, match=refused):
            scene.run(*actions)
        assert scene.workers.log == []
    else:
        assert scene.run(*actions) == ["change", "do a", "do b"]


def test_uploads_need_no_room_here(tmp_path: Path) -> None:
    assert Scene(tmp_path, Workers(), free=0).run(UP) == ["change", "do u"]


def test_a_stop_leaves_the_rest_undone(tmp_path: Path) -> None:
    workers = Workers()
    workers.stopped_after = 2
    scene = Scene(tmp_path, workers, Decider(may_delete=False))

    assert scene.run(DOWN, UP, hit("h"), GONE_HERE) == ["change", "do d"]
    assert scene.rows == [("d", "miss")]


def test_what_ended_the_workers_ends_the_run_after_their_last_outcomes(tmp_path: Path) -> None:
    workers = Workers()
    workers.failure = NbsyncError("credentials ran out")
    scene = Scene(tmp_path, workers)
    with pytest.raises(NbsyncError, match="ran out"):
        scene.run(DOWN, GONE_HERE)

    assert scene.rows == [("d", "miss")]


@pytest.mark.parametrize("md5", [False, True])
def test_what_was_in_doubt_is_kept_unless_etags_turn_out_to_be_digests(tmp_path: Path, md5: bool) -> None:
    workers = Workers(doubts="d")
    workers.etags_are_md5 = md5
    scene = Scene(tmp_path, workers)
    scene.run(DOWN, UP)

    assert sorted(scene.rows) == [("d", "miss"), ("u", "miss")]
    assert [problem.path for problem in scene.result.problems] == (["d"] if md5 else [])


def test_files_are_counted_again_for_the_second_phase(tmp_path: Path) -> None:
    scene = Scene(tmp_path, Workers(), Decider(may_delete=True))
    scene.run(DOWN, UP, GONE_HERE)

    assert (scene.board.files_total, scene.board.files_done, scene.board.state) == (1, 1, "deleting")
    assert scene.result.counts["miss"] == 2
    assert scene.result.bytes["moved"] == 2
