"""Whatever names lie in a trash, the next run has a later one, and is a run."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbsync.core.runs import is_run, later_than, newest_first, order
from nbsync.errors import LocalError

NOW = "2026-11-24T200405Z-000000001-77"


@pytest.mark.parametrize(
    ("newest", "later"),
    [
        ("2026-11-24T200405Z-000000000-99", NOW),
        ("2026-11-24T200405Z-000000002-99", "2026-11-24T200405Z-000000002-99+000001"),
        ("2027-01-01T000000Z-000000000-1+000008", "2027-01-01T000000Z-000000000-1+000009"),
        ("2027-01-01T000000Z-000000000-1+999999", "2027-01-01T000000Z-000000001-1"),
        ("2027-01-01T000000Z-999999999-1+999999", "2027-01-01T000001Z-000000000-1"),
        ("2999-12-31T235959Z-999999999-1+999999", "2999-12-31T235960Z-000000000-1"),
    ],
)
def test_the_next_name(newest: str, later: str) -> None:
    assert later_than(NOW, [newest, "2026-01-01T000000Z-000000000-1"]) == later


@pytest.mark.parametrize(
    "name",
    [
        "9999-12-31T235959Z-999999999-1",
        "3000-01-01T000000Z-000000000-1+999999",
        NOW + "+1000000",
        NOW + "0" * 20,
        NOW + "+1",
        NOW + ".2",
        NOW + "\n",
        "٢٠٢٦-11-24T200405Z-000000001-77",
        "run",
        "",
    ],
)
def test_names_of_nobody(name: str) -> None:
    assert not is_run(name)
    assert newest_first([name, NOW, NOW]) == [NOW]


def test_the_last_name_is_told() -> None:
    with pytest.raises(LocalError, match="no name is later") as told:
        later_than(NOW, ["2999-99-99T999999Z-999999999-9+999999"])
    assert str(told.value).endswith("Remove it")


DIGITS = st.integers(0, 99).map("{:02d}".format)
PLANTED = st.builds(
    "2{}9-{}-{}T{}{}{}Z-{:09d}-{}{}".format,
    DIGITS, DIGITS, DIGITS, DIGITS, DIGITS, DIGITS, st.integers(0, 10**9 - 1), st.integers(0, 10**10 - 1),
    st.sampled_from(["", "+000000", "+000001", "+999998", "+999999"]),
)  # fmt: skip


@given(st.lists(PLANTED, max_size=5))
def test_each_run_is_the_newest(planted: list[str]) -> None:
    known = newest_first(planted)
    for _ in range(4):
        try:
            name = later_than(NOW, known)
        except LocalError:
            assert order(known[0])[0] == "2999-99-99T999999Z-999999999"
            return
        known.append(name)
        assert newest_first(known)[0] == name
