"""What the front end may ask for, and the answers. Runs in the thread that takes the panel's turns.

A message is a mapping with `do`; what it says is checked as if anybody had sent it. `cancel` is none of these: it was
obeyed when it came.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from nbsync.errors import UsageError
from nbsync.panel import form, suggestions
from nbsync.panel.controller import Session
from nbsync.s3.profiles import profile_names

MAX_WINDOW = 500
MAX_TEXT = 4096
SETTABLE = ("direction", "remote", "local", "filters", "delete", "endpoint_url", "profile", "region", "text_filter",
            "kinds", "sort")  # fmt: skip
_DURING_RUN = ("text_filter", "kinds", "sort")

Reply = dict[str, Any]
HEARD: Reply = {"kind": "heard"}  # to a command that needs no answer: the front end says when none comes


class Panel(Protocol):
    """What a command acts on; `nbsync.panel.widget.SyncPanel` is one."""

    session: Session
    lookups: suggestions.Lookups

    @property
    def class_name(self) -> str: ...

    def given(self) -> dict[str, Any]: ...

    def plan(self) -> None: ...

    def apply(self) -> None: ...


def obey(panel: Panel, message: Any) -> list[Reply]:
    """Do what a message asks for; the replies to send.

    Raises:
        UsageError: it makes no sense, or not now. TraitError: a value is not of its kind.
    """
    if not isinstance(message, Mapping):
        return []
    handler = _HANDLERS.get(str(message.get("do")))
    return list(handler(panel, message) or ()) if handler is not None else []


def looked_up(asked: suggestions.Lookups) -> Iterator[Reply]:
    """Replies to what was looked up and has come."""
    for answer in asked.answers():
        kind, view, what = answer.topic
        yield {"kind": kind, "view": view, "what": what, "value": answer.value, "error": answer.error}


def _hello(panel: Panel, message: Mapping[str, Any]) -> list[Reply]:
    return [{"kind": "hello", "view": _text(message, "view"), "class": panel.class_name}]


def _set(panel: Panel, message: Mapping[str, Any]) -> None:
    name, value = message.get("name"), message.get("value")
    if name not in SETTABLE or getattr(panel, name) == value:
        return
    if panel.session.busy and name not in _DURING_RUN:
        raise UsageError("the settings stay as they are while a job runs", "Wait for it, or cancel it")
    if isinstance(value, str) and len(value) > MAX_TEXT:
        raise UsageError("that is too long")
    setattr(panel, str(name), tuple(value) if name == "sort" and isinstance(value, list) else value)
    if name in form.FIELDS or name in ("remote", "local", "direction"):
        panel.session.tell("")


def _plan(panel: Panel, _message: Mapping[str, Any]) -> None:
    panel.plan()


def _apply(panel: Panel, _message: Mapping[str, Any]) -> None:
    panel.apply()


def _rows(panel: Panel, message: Mapping[str, Any]) -> list[Reply]:
    """A window of rows, with what they were when it was made."""
    start, count = _number(message, "start"), min(_number(message, "count"), MAX_WINDOW)
    table = panel.session.table
    return [{"kind": "rows", "view": _text(message, "view"), "revision": panel.session.changes, "order": table.order,
             "start": start, "rows": table.window(start, count)}]  # fmt: skip


def _tick(panel: Panel, message: Mapping[str, Any]) -> None:
    table = panel.session.table
    if panel.session.busy or message.get("order") != table.order:
        return  # the positions mean other rows by now
    table.tick(_number(message, "start"), _number(message, "stop"), bool(message.get("on")))
    panel.session.changes += 1


def _tick_shown(panel: Panel, message: Mapping[str, Any]) -> None:
    if not panel.session.busy:
        panel.session.table.tick_shown(bool(message.get("on")))
        panel.session.changes += 1


def _browse(panel: Panel, message: Mapping[str, Any]) -> None:
    path, token = _text(message, "path"), _text(message, "token")
    options = form.look_options(panel.given())
    panel.lookups.ask(("level", _text(message, "view"), path), lambda: suggestions.level(path, token, options))


def _suggest(panel: Panel, message: Mapping[str, Any]) -> None:
    text, what = _text(message, "text"), _text(message, "what")
    if what == "remote":
        options = form.look_options(panel.given())
        find: Callable[[], list[str]] = lambda: suggestions.remotes_like(form.without_secrets("remote", text), options)  # noqa: E731
    elif what == "profile":
        find = profile_names
    else:
        find = lambda: suggestions.folders_like(text)  # noqa: E731
    panel.lookups.ask(("suggestions", _text(message, "view"), what), find)


def _text(message: Mapping[str, Any], name: str) -> str:
    value = message.get(name, "")
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise UsageError(f"{name} is no text that is taken")
    return value


def _number(message: Mapping[str, Any], name: str) -> int:
    value = message.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 40:
        raise UsageError(f"{name} is no number that is taken")
    return value


_HANDLERS: Mapping[str, Callable[[Panel, Mapping[str, Any]], list[Reply] | None]] = {
    "hello": _hello, "set": _set, "plan": _plan, "apply": _apply, "rows": _rows, "tick": _tick,
    "tick-shown": _tick_shown, "browse": _browse, "suggest": _suggest,
}  # fmt: skip
