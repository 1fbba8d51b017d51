"""The notebooks that teach: they run from top to bottom, and the committed outputs are those of such a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.e2e.helpers import ROOT
from tests.e2e.notebooks import assert_clean, bundles, executed, shape

NAMES = ("03_plans_and_filters", "04_python_api_and_observers", "05_cluster")
# What a reader must have seen, in this order.
TOLD = {
    "03_plans_and_filters": (
        "17 miss", "7 miss", "23 planned", "stations/2024", "changed in REMOTE since the plan", "1 miss · 22 hit",
        "GuardRefusal - this run would delete 23 files, more than --max-delete 5", "surplus.tmp",
        "put back from the trash", "not in the bucket", "1 difference",
    ),
    "04_python_api_and_observers": (
        "24 miss", "(True,", "'missing locally'", "3000000", "maps/clouds.png",
        "[('README.txt', 'upload', 'content differs')]", "(1, 1)", "(True, 24, 'done', 24)",
        "pull: 24 of 24 files, 23 up to date", "NoSuchBucket - ", "changed in REMOTE since the last sync",
        "(1, ['stations/2024/forest.csv'])", "{'strong': 24, 'weak': 0, 'unknown': 0}", "'number,station'",
    ),
    "05_cluster": (
        "24 miss", "(24, True)", "1 LIST", "24 hit", "('results-2.csv', 'miss', 'missing in REMOTE')",
        "('stations/2024/forest.csv', 'content differs', True)", "(True, 27, [])", "(True, 54, 2)",
        "[('node-1', True, 27), ('node-2', True, 27)]", "(54,", "'get': 0",
        "[('stations/2024/forest.csv', 'miss'), ('stations/2024/forest.csv', 'miss')]",
    ),
}  # fmt: skip


def where(name: str) -> Path:
    return ROOT / "notebooks" / f"{name}.ipynb"


@pytest.fixture(scope="module", params=NAMES)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Any, Any]:
    """A notebook's name, a fresh run of it, and the committed one."""
    path = where(request.param)
    return request.param, executed(path, tmp_path_factory.mktemp("notebook")), nbformat.read(path, as_version=4)


def test_it_tells_what_it_should_and_the_committed_outputs_are_those_of_a_fresh_run(both: tuple[str, Any, Any]) -> None:
    name, fresh, committed = both
    rest = "\n".join(shape(fresh))
    for told in TOLD[name]:
        assert told in rest, told
        rest = rest.partition(told)[2]
    assert shape(committed) == shape(fresh)


def test_every_output_has_a_text(both: tuple[str, Any, Any]) -> None:
    assert all("text/plain" in data for data in bundles(both[2]))


@pytest.mark.parametrize("name", NAMES)
def test_the_committed_file_is_clean(name: str) -> None:
    assert_clean(where(name))
