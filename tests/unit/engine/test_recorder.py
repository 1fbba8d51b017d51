"""What a run records is written in batches; what is too young for its clock waits for the next one."""

from __future__ import annotations

from nbsync.core.model import RecordedEntry
from nbsync.engine.recorder import Recorder
from nbsync.errors import LocalError
from nbsync.local.clocks import Fresh

ROW = RecordedEntry("b", "e", "", 5, 1, 2, 3, "md5:x")


class Written:
    """A record that notes how much is written to it at a time."""

    def __init__(self, *, full: bool = False) -> None:
        self.calls: list[tuple[int, list[str]]] = []
        self.full = full

    def record(self, entries: list[RecordedEntry], forget: list[str]) -> None:
        if self.full:
            raise LocalError("the disk is full", "")
        self.calls.append((len(entries), list(forget)))


class LateClocks:
    """Takes the youngest row for too young until the end."""

    def judge(self, rows: list[Fresh]) -> tuple[list[RecordedEntry], list[Fresh]]:
        return [row for row, _ in rows[:-1]], rows[-1:]

    def judge_all(self, rows: list[Fresh]) -> list[RecordedEntry]:
        return [row for row, _ in rows]


def test_rows_are_written_in_batches_and_what_is_gone_is_forgotten() -> None:
    state, clock = Written(), iter(range(0, 10_000))
    recorder = Recorder(now=lambda: next(clock) / 1e6)
    recorder.remember(ROW, installed=True)  # before it is open: a plan
    recorder.forget("gone")
    recorder.open(state, LateClocks())  # type: ignore[arg-type]
    for _ in range(2_500):
        recorder.remember(ROW, installed=True)
    recorder.forget("c")
    recorder.finish()
    recorder.finish()

    assert state.calls == [(1_999, ["gone"]), (501, ["c"])]


def test_the_last_word_on_a_path_counts() -> None:
    """Also where its row waits for the next batch: a download that turns out wrong on a coarse clock."""
    state = Written()
    recorder = Recorder(now=lambda: 0.0)
    recorder.open(state, LateClocks())  # type: ignore[arg-type]
    for _ in range(2_000):
        recorder.remember(ROW, installed=True)  # the last one is too young to be judged
    recorder.forget("b")
    recorder.finish()
    recorder.forget("b")
    recorder.remember(ROW, installed=True)
    recorder.finish()

    assert state.calls == [(1_999, []), (0, ["b"]), (1, [])]


def test_a_record_that_cannot_be_written_is_given_up() -> None:
    recorder = Recorder()
    recorder.open(Written(full=True), LateClocks())  # type: ignore[arg-type]
    recorder.remember(ROW, installed=True)
    recorder.finish()
    recorder.remember(ROW, installed=True)
    recorder.finish()
    assert str(recorder.failure) == "the disk is full"
