"""How outcomes become rows, counts, problems and records."""

from __future__ import annotations

from typing import Any

from nbsync.core.model import Evidence, Outcome, RecordedEntry, Status, Verb
from nbsync.engine.status_board import OutcomeCounter, StatusBoard
from nbsync.local.action_spool import ActionSpool
from nbsync.local.clocks import Fresh
from nbsync.results.sync_result import Place, SyncPlan, SyncResult, VerifyResult
from tests.unit.core.entries import row
from tests.unit.engine.sides import do


class Written:
    """A record in memory, and clocks that judge everything at once."""

    def __init__(self) -> None:
        self.rows: dict[str, RecordedEntry] = {}

    def record(self, entries: list[RecordedEntry], forget: list[str]) -> None:
        for path in forget:
            self.rows.pop(path, None)
        self.rows |= {one.path: one for one in entries}

    def judge_all(self, rows: list[Fresh]) -> list[RecordedEntry]:
        return [one for one, _ in rows]


def tally_of(kind: type[SyncResult]) -> tuple[OutcomeCounter, Any, StatusBoard]:
    result, board = kind(command="pull", remote="s3://b/p/", local="data"), StatusBoard()
    return OutcomeCounter(result, board), result, board


def end(path: str, status: Status, verb: Verb = Verb.NONE, **more: Any) -> Outcome:
    return Outcome(path, verb, status, "because", Evidence.NONE)._replace(**more)


def test_what_is_recorded_and_what_is_forgotten() -> None:
    tally, _, _ = tally_of(SyncResult)
    written = Written()
    written.rows = {"gone": row("gone"), "wrong": row("wrong")}
    tally.recorder.open(written, written)  # type: ignore[arg-type]
    tally.take(end("a", Status.HIT, record=row("a")))
    tally.take(end("gone", Status.DELETED, Verb.DELETE_LOCAL, forget=True))
    tally.take(end("failed", Status.FAILED, Verb.DOWNLOAD, problem="failed", error="no"))
    tally.disown("wrong", "is not what it should be")
    tally.recorder.finish()

    assert written.rows == {"a": row("a")}
    assert tally.failed


def test_a_remark_of_many_files_is_met_once() -> None:
    tally, _, _ = tally_of(SyncResult)
    for path in "ab":
        tally.take(end(path, Status.MISS, note="this disk is odd"))

    assert tally.met == ["this disk is odd"]


def test_a_plan_keeps_what_it_would_do() -> None:
    tally, plan, _ = tally_of(SyncPlan)
    plan.begin(Place("/data", "http://e", "", "", ""), ActionSpool())
    for path, trash in (("a", True), ("b", False)):
        action = do(Verb.DOWNLOAD, path, trash=trash)
        tally.take(end(path, Status.PLANNED, Verb.DOWNLOAD, planned=action))
    tally.take(end("h", Status.HIT))

    assert plan.trashing == 1
    assert plan.counts["planned"] == 2


def test_how_sure_a_verify_is() -> None:
    tally, found, _ = tally_of(VerifyResult)
    tally.take(end("a", Status.HIT, evidence=Evidence.SHA256))
    tally.take(end("b", Status.HIT, evidence=Evidence.CRC32))
    tally.take(end("c", Status.SKIPPED))

    assert [one.assurance for one in found.files] == ["strong", "weak", "unknown"]
    assert found.assurance == {"strong": 1, "weak": 1, "unknown": 1}
    tally.begin_again(changed=False)
    assert (found.files, found.assurance) == ([], {"strong": 0, "weak": 0, "unknown": 0})


def test_when_all_is_listed_again_what_was_done_stays_done() -> None:
    tally, result, board = tally_of(SyncResult)
    tally.take(end("hit", Status.HIT, saved=5))
    tally.take(end("caf\udce9", Status.MISS, Verb.DOWNLOAD))
    tally.take(end("bad", Status.FAILED, Verb.DOWNLOAD, problem="failed", error="no"))

    assert tally.begin_again(changed=True) == {"caf\\xe9", "bad"}
    assert (result.counts["hit"], result.counts["miss"], result.counts["failed"]) == (0, 1, 1)
    assert (board.files_done, result.bytes["saved"], len(result.problems)) == (2, 0, 1)
