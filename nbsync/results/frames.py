"""Results and listings as pandas data frames. pandas is optional, and only imported here, when a frame is made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from nbsync.errors import NbsyncError

if TYPE_CHECKING:
    import pandas

    from nbsync.results.listing import ListedObject
    from nbsync.results.sync_result import SyncResult

# What is not here is text.
_TYPES = {"action": "category", "status": "category", "evidence": "category", "assurance": "category",
          "storage_class": "category", "worker": "category", "command": "category", "remote": "category",
          "local": "category", "bytes": "int64", "size": "int64", "seconds": "float64"}  # fmt: skip
_NO_TIME = -(2**63)  # pandas' NaT


def result_frame(result: SyncResult) -> pandas.DataFrame:
    """One row a file, columns as in `--json`.

    Raises:
        NbsyncError: pandas is not installed.
    """
    return _frame(result.columns, map(result.cells, result.files))


def results_frame(results: Iterable[SyncResult]) -> pandas.DataFrame:
    """The rows of several results below each other, each with its command, remote and local.

    Raises: as result_frame.
    """
    several = list(results)
    names = list(dict.fromkeys(name for result in several for name in result.columns))
    rows = []
    for result in several:
        head = (result.command, result.remote, result.local)
        missing = dict.fromkeys(names, "")  # such as the assurance, which only a verify has
        rows += [(*head, *{**missing, **dict(zip(result.columns, result.cells(row), strict=True))}.values())
                 for row in result.files]  # fmt: skip
    return _frame(("command", "remote", "local", *names), rows)


def listing_frame(entries: Sequence[ListedObject]) -> pandas.DataFrame:
    """One row an object; `last_modified` is a time in UTC, in full precision (NaT beyond what pandas can hold).

    Raises: as result_frame.
    """
    columns = ("key", "path", "size", "last_modified", "etag", "storage_class")
    frame = _frame(columns, entries)
    times = [one.last_modified_ns if abs(one.last_modified_ns) < 2**63 else _NO_TIME for one in entries]
    pandas = _pandas()
    frame["last_modified"] = pandas.to_datetime(pandas.Series(times, dtype="int64"), unit="ns", utc=True)
    return frame


def _frame(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> pandas.DataFrame:
    pandas = _pandas()
    frame = pandas.DataFrame(list(rows), columns=list(columns))
    return frame.astype({name: _TYPES[name] for name in columns if name in _TYPES})


def _pandas() -> Any:
    try:
        import pandas
    except ImportError:
        raise NbsyncError("to_pandas needs pandas, which is not installed", "pip install pandas") from None
    return pandas
