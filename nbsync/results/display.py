"""How an answer is shown: its summary, text, HTML and print by its type, as `report` registers them.

An answer is data: it knows neither a picture of itself nor who draws it. The package's face names the report, which is
loaded when the first answer is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import singledispatch
from html import escape
from typing import Any, NamedTuple

_loaders: list[Callable[[], object]] = []


def load_with(loader: Callable[[], object]) -> None:
    """Let `loader` register how answers are shown, when the first one is."""
    _loaders.append(loader)


def _load() -> bool:
    """Run the loaders, once; True if there were any. A thread that comes meanwhile waits, as for any import."""
    waiting = tuple(_loaders)
    for loader in waiting:
        loader()
    _loaders.clear()
    return bool(waiting)


class Summary(NamedTuple):
    """An answer in a few words. `good`: None while it goes on."""

    title: str
    good: bool | None
    words: str


@singledispatch
def summary(answer: object) -> Summary:
    """What the answer is about, and what it says."""
    if _load():
        return summary(answer)
    return Summary(type(answer).__name__, None, "no report is loaded to show it")


def line(answer: object) -> str:
    """The answer in one line: `status data: ✓ nothing changed here since the last sync`."""
    told = summary(answer)
    mark = "" if told.good is None else "✓ " if told.good else "✗ "
    return f"{told.title}: {mark}{told.words}"


@singledispatch
def text(answer: object) -> str:
    """The answer as a table or page of plain text."""
    if _load():
        return text(answer)
    return line(answer)


@singledispatch
def html(answer: object) -> str:
    """The answer as HTML that needs no script and no style sheet."""
    if _load():
        return html(answer)
    return f"<pre>{escape(text(answer))}</pre>"


class Printed(NamedTuple):
    """What a shell prints of an answer.

    Attributes:
        lines: on standard output.
        remarks: on standard error.
        is_data: the lines are what was asked for, with `--quiet` too; else a page to look at.
    """

    lines: Iterable[str]
    remarks: Sequence[str] = ()
    is_data: bool = False


@singledispatch
def printed(answer: object) -> Printed:
    """The answer as a shell prints it."""
    if _load():
        return printed(answer)
    return Printed([text(answer)])


class Displayed:
    """An answer that a notebook shows as HTML, and a terminal as one line."""

    def __repr__(self) -> str:
        return line(self)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/html": html(self), "text/plain": text(self)}
