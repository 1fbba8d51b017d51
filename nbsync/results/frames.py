"""Columns and rows as pandas data frames. pandas is optional, and only imported here, when a frame is made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from nbsync.errors import NbsyncError

if TYPE_CHECKING:
    import pandas

# What is not here is text.
_TYPES = {"action": "category", "status": "category", "evidence": "category", "assurance": "category",
          "storage_class": "category", "worker": "category", "command": "category", "remote": "category",
          "local": "category", "bytes": "int64", "size": "int64", "seconds": "float64"}  # fmt: skip
_NO_TIME = -(2**63)  # pandas' NaT


def frame(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, time: str = "") -> pandas.DataFrame:
    """A frame of these columns and rows: words as categories, bytes and sizes as int64.

    Args:
        columns: their names.
        rows: the cells of each, in the order of the columns.
        time: the column whose numbers are ns since the epoch: a time in UTC, in full precision (NaT beyond what
            pandas can hold).

    Raises:
        NbsyncError: pandas is not installed.
    """
    library = _pandas()
    made = library.DataFrame(list(rows), columns=list(columns))
    if time:
        shown = [value if abs(value) < 2**63 else _NO_TIME for value in made[time]]
        made[time] = library.to_datetime(library.Series(shown, dtype="int64"), unit="ns", utc=True)
    return made.astype({name: _TYPES[name] for name in columns if name in _TYPES})


def _pandas() -> Any:
    try:
        import pandas
    except ImportError:
        raise NbsyncError("to_pandas needs pandas, which is not installed", "pip install pandas") from None
    return pandas
