"""What the bench makes of runs on workers: speed-ups, and costs that the model reads again."""

from __future__ import annotations

import pytest

from tests.bench import cluster, model
from tests.bench.cluster import Used, beside_the_model, derive, row_bytes, speedups
from tests.bench.contest import Outcome, Verdict
from tests.bench.measure import Measured
from tests.bench.table import document


def runs(*walls: float) -> list[Measured]:
    return [Measured(wall, 1.0, 1.0) for wall in walls]


def test_speedups_are_of_the_same_round() -> None:
    found = speedups({"1 worker": runs(10, 20, 30), "2 workers": runs(5, 20, 15), "4 workers": runs(4, 5, 10)})
    assert found == [
        Verdict("2 workers, times as fast as one", 2.0, None), Verdict("4 workers, times as fast as one", 3.0, None)
    ]  # fmt: skip


def test_walls_stand_beside_what_the_model_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "RATE", cluster.FILE_BYTES / 2)  # a file a connection in two seconds
    found = beside_the_model({"1 worker": runs(60), "2 workers": runs(25), "4 workers": runs(15)}, 100)
    assert [one.value for one in found] == pytest.approx([60 / 50, 25 / 25, 15 / 12.5])
    assert [one.limit for one in found] == [None] * 3


def pair(coordinator: float, workers: float) -> list[Used]:
    """Two runs; the second does 1,000 objects more, for so many seconds more. Starting takes one second."""
    return [Used(9.0, 1.0, 1.0), Used(9.0, 1.0 + coordinator, 1.0 + workers)]


def test_costs_are_differences_so_that_starting_is_not_in_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "row_bytes", lambda: 200.0)
    found = derive(1_000, [pair(0.2, 0.4), pair(0.3, 0.4), pair(9.0, 0.4)], [pair(0.01, 0.0)], [pair(0.02, 5.0)],
                   [Used(9.0, 1.0, 4.0)], 2_000)  # fmt: skip
    assert found._asdict() == pytest.approx({
        "coordinator_object": 0.3e-3, "coordinator_hit": 0.01e-3, "worker_object": 0.4e-3, "worker_byte": 2e-3,
        "relay_object": 0.02e-3, "row_bytes": 200.0,
    })  # fmt: skip


def test_what_the_bench_writes_the_model_reads() -> None:
    costs = model.COSTS._replace(coordinator_object=321e-6, worker_byte=4.5e-9)
    verdicts = [Verdict(f"{name}, {model.UNITS[name][0]}", value / model.UNITS[name][1], None)
                for name, value in costs._asdict().items()]  # fmt: skip
    written = document([Outcome("CPU", {}, verdicts)], [])
    assert model.measured_costs(written)._asdict() == pytest.approx(costs._asdict())
    assert model.measured_costs({"jobs": []}) == model.COSTS


def test_a_row_in_memory_is_a_few_hundred_bytes() -> None:
    assert 100 < row_bytes() < 1_000
