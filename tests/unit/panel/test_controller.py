"""The panel's state machine, with jobs that do what the test says."""

from __future__ import annotations

import pytest

from nbsync.core.call import Call
from nbsync.errors import AccessDenied, GuardRefusal, UsageError
from nbsync.panel.controller import Session
from tests.unit.panel.fakes import Engine, Job, plan, planned
from tests.unit.samples import result, row, snapshot

CALL = Call(command="plan", direction="pull", remote="b/p")


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def session(engine: Engine) -> Session:
    return Session(engine.prepare)


def with_plan(session: Session, engine: Engine) -> Session:
    session.begin_plan(CALL)
    engine.last.ends = plan(planned("a"), planned("b"), row("same", "hit"))
    assert session.poll() is False
    return session


def test_a_plan_fills_the_table(session: Session, engine: Engine) -> None:
    session.begin_plan(CALL)
    assert (session.state, session.busy, len(session.table)) == ("planning", True, 0)
    assert session.poll() is True
    engine.last.ends = plan(planned("a"), planned("b"), row("same", "hit"))
    assert session.poll() is False
    assert (session.state, session.busy, len(session.table)) == ("planned", False, 3)
    assert session.message == "Planned, nothing changed yet: 2 files to do; 1 file up to date"
    assert session.poll() is False


def test_apply_does_what_is_ticked(session: Session, engine: Engine) -> None:
    with_plan(session, engine).table.tick_paths(["b"], False)
    session.begin_apply()
    assert (session.state, engine.last.call.command, engine.last.call.only) == ("applying", "apply", {"a"})
    changes = session.table.changes
    engine.last.came.append(row("a", "miss"))
    assert session.poll() is True
    assert session.table.changes > changes
    assert session.table.counts["miss"] == 1, "rows show their outcome while the run goes on"
    engine.last.ends = result(row("a", "miss"), command="apply")
    session.poll()
    assert (session.state, session.tone) == ("done", "good")
    assert session.message == "Done: 1 file, 4.1 kB in 0.8 s"
    session.table.tick_paths(["b"], True)
    session.begin_apply()
    assert engine.last.call.only == {"b"}, "the rest of the plan can still be applied"


def test_what_was_cancelled_can_be_applied_again(session: Session, engine: Engine) -> None:
    with_plan(session, engine).begin_apply()
    engine.last.stop_when_cancelled(row("a", "miss"), row("b", "cancelled", bytes=0))
    session.cancel()
    session.poll()
    assert (session.state, session.tone) == ("cancelled", "warn")
    assert session.message == "stopped by the user. Apply again to do the rest"
    assert session.table.ticked() == {"b"}
    session.begin_apply()
    assert engine.last.call.only == {"b"}


def test_a_conflict_is_told_and_not_ticked(session: Session, engine: Engine) -> None:
    with_plan(session, engine).begin_apply()
    engine.last.ends = result(row("a", "conflict"), row("b", "miss"), command="apply")
    session.poll()
    assert (session.state, session.tone) == ("done", "bad")
    assert session.message.endswith("; 1 conflict")
    assert session.table.ticked() == frozenset()


@pytest.mark.parametrize("error", [GuardRefusal("6 to delete, 5 allowed"), AccessDenied("access denied")])
def test_a_refusal_is_one_line_and_leaves_nothing_to_apply(
    session: Session, engine: Engine, error: AccessDenied
) -> None:
    session.begin_plan(CALL)
    engine.last.ends = plan(planned("a"), error=error)
    session.poll()
    assert (session.state, session.message, session.tone) == ("failed", str(error), "bad")
    assert len(session.table) == 1, "what was refused can be looked at"
    session.table.tick_shown(True)
    assert (session.table.selected, session.table.shown_tickable) == (0, 0), "but no row looks as if it could be done"
    with pytest.raises(UsageError, match="no plan to apply"):
        session.begin_apply()


def test_a_run_that_blows_up_is_a_message(session: Session, engine: Engine) -> None:
    session.begin_plan(CALL)
    engine.last.ends = ZeroDivisionError("x")
    session.poll()
    assert (session.state, session.message) == ("failed", "internal error: ZeroDivisionError: x")
    with_plan(session, engine)
    assert session.state == "planned"


def test_commands_at_the_wrong_time(session: Session, engine: Engine) -> None:
    with pytest.raises(UsageError, match="no plan"):
        session.begin_apply()
    with_plan(session, engine).table.tick_shown(False)
    with pytest.raises(UsageError, match="nothing is ticked"):
        session.begin_apply()
    session.begin_plan(CALL)
    for command in (lambda: session.begin_plan(CALL), session.begin_apply):
        with pytest.raises(UsageError, match="still planning"):
            command()
    assert len(engine.jobs) == 2


def test_a_call_that_makes_no_sense_leaves_the_plan(session: Session, engine: Engine) -> None:
    with_plan(session, engine)
    engine.refuses = UsageError("REMOTE has no bucket")
    with pytest.raises(UsageError):
        session.begin_plan(CALL)
    assert (session.state, len(session.table)) == ("planned", 3)


def test_cancel_without_a_job_does_nothing(session: Session, engine: Engine) -> None:
    session.cancel()
    with_plan(session, engine).cancel()
    assert not engine.last.cancelled


def test_a_job_of_somebody_else(session: Session) -> None:
    job = Job(Call(command="pull"))
    job.came = [row("a", "miss")]
    session.adopt(job)
    assert (session.state, session.busy) == ("applying", True)
    assert session.table.counts == {"miss": 1}
    job.progress.apply(snapshot(state="waiting"))
    session.poll()
    assert "waiting for another nbsync run" in session.message.lower()
    job.ends = result(row("a", "miss"), row("b", "hit"))
    session.poll()
    assert (session.state, session.table.counts) == ("done", {"miss": 1, "hit": 1})
    with pytest.raises(UsageError, match="no plan"):
        session.begin_apply()


def test_nothing_to_do(session: Session, engine: Engine) -> None:
    session.begin_plan(CALL)
    engine.last.ends = plan(row("same", "hit"))
    session.poll()
    assert (session.message, session.tone) == ("Nothing to do; 1 file up to date", "good")
    session.begin_plan(CALL)
    engine.last.ends = plan(notes=["there is nothing under s3://b/p/"])
    session.poll()
    assert (session.message, session.tone) == ("Nothing to do: there is nothing under s3://b/p/", "warn")
