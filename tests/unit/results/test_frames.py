"""Results as data frames: a row a file, types that can be computed with; and a clear word where pandas is missing."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pandas
import pytest

from nbsync.core.model import Row
from nbsync.errors import NbsyncError
from nbsync.results.batch import SyncResults
from nbsync.results.listing import ListedObject, Listing
from nbsync.results.sync_result import SyncPlan, SyncResult, VerifyResult

ROWS = [Row("a", "none", "hit", "up to date", "state", 0, 0.0, None),
        Row("b", "download", "miss", "missing locally", "none", 5 * 10**9, 0.5, None)]  # fmt: skip
CATEGORIES = {"action", "status", "evidence", "assurance", "storage_class", "command", "remote", "local"}


def made(kind: type[SyncResult] = SyncResult, rows: list[Row] = ROWS) -> Any:
    result = kind(command="pull", remote="s3://b/p/", local="data")
    result.files = rows
    return result


def listing(*times: int) -> Listing:
    entries = [ListedObject(f"p/{n}", str(n), n, ns, "e", "STANDARD") for n, ns in enumerate(times)]
    return Listing("s3://b/p/", entries, {})


@pytest.mark.parametrize("rows", [ROWS, []], ids=["rows", "empty"])
@pytest.mark.parametrize("kind", [SyncResult, SyncPlan, VerifyResult])
def test_a_row_a_file_with_sensible_types(kind: type[SyncResult], rows: list[Row]) -> None:
    result = made(kind, rows)
    frame = result.to_pandas()
    assert list(frame.columns) == list(result.columns)
    assert list(frame["path"]) == [row.path for row in rows]
    types = {name: str(kind) for name, kind in frame.dtypes.items()}
    assert types["bytes"] == "int64"
    assert types["seconds"] == "float64"
    assert {name for name, kind in types.items() if kind == "category"} == CATEGORIES & set(frame.columns)


def test_it_can_be_computed_with() -> None:
    frame = made().to_pandas()
    assert frame.groupby("status", observed=True)["bytes"].sum().to_dict() == {"hit": 0, "miss": 5 * 10**9}
    assert frame.loc[frame["status"] == "miss", "path"].tolist() == ["b"]
    assert frame["error"].isna().all()


def test_several_results_say_whose_rows_they_are() -> None:
    frame = SyncResults([made(), made(VerifyResult, [ROWS[0]._replace(assurance="strong")]), listing(1)]).to_pandas()
    assert list(frame["path"]) == ["a", "b", "a"]
    assert list(frame.columns[:4]) == ["command", "remote", "local", "path"]
    assert list(frame["assurance"]) == ["", "", "strong"]
    assert str(frame["bytes"].dtype) == "int64"
    assert SyncResults().to_pandas().empty


def test_a_listing_has_times() -> None:
    frame = listing(1_700_000_000_123_456_789, 10**30).to_pandas()
    assert list(frame.columns) == ["key", "path", "size", "last_modified", "etag", "storage_class"]
    assert str(frame["last_modified"].dtype) == "datetime64[ns, UTC]"
    assert frame["last_modified"][0] == pandas.Timestamp("2023-11-14T22:13:20.123456789Z")
    assert frame["last_modified"][1] is pandas.NaT
    assert (str(frame["size"].dtype), str(frame["storage_class"].dtype)) == ("int64", "category")
    assert str(listing().to_pandas()["last_modified"].dtype) == "datetime64[ns, UTC]"


@pytest.mark.parametrize("make", [made, listing, lambda: SyncResults([made()])], ids=["result", "listing", "several"])
def test_without_pandas_it_says_what_to_install(make: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(NbsyncError, match=r"to_pandas needs pandas, which is not installed. pip install pandas"):
        make().to_pandas()
