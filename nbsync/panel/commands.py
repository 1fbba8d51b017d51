"""What the front end may ask for: each message is checked as if anybody had sent it, and then done.

A message is a mapping with `do`. Runs in the thread that moves the panel. `cancel` is none of these: it was obeyed
when it came.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from traitlets import TraitError

from nbsync.api import lookup
from nbsync.core.names import printable
from nbsync.errors import NbsyncError, UsageError
from nbsync.panel import form
from nbsync.panel.controller import Controller, Reply
from nbsync.report import formats
from nbsync.s3.profiles import profile_names

MAX_WINDOW = 500
MAX_TEXT = 4096
MAX_NAME = 120
_DURING_RUN = ("text_filter", "kinds", "sort")
SETTABLE = ("direction", "remote", "local", *form.FIELDS, *_DURING_RUN)
HEARD: Reply = {"kind": "heard"}  # to a command that needs no answer: the front end says when none comes


def obey(panel: Controller, message: Any) -> list[Reply]:
    """Do what a message asks for, and give the replies to send. What makes no sense, or not now, the panel tells."""
    replies: list[Reply] = []
    handler = _HANDLERS.get(str(message.get("do"))) if isinstance(message, Mapping) else None
    try:
        replies = (handler(panel, message) or []) if handler is not None else []
    except NbsyncError as error:
        panel.session.fail(error)
    except TraitError:
        panel.session.tell("that value is not taken", "bad")
    return replies or [HEARD]


def _hello(panel: Controller, message: Mapping[str, Any]) -> list[Reply]:
    return [{"kind": "hello", "view": _text(message, "view"), "class": panel.face.class_name}]


def _set(panel: Controller, message: Mapping[str, Any]) -> None:
    name, value = message.get("name"), message.get("value")
    if name not in SETTABLE or getattr(panel.face, name) == value:
        return
    if panel.session.busy and name not in _DURING_RUN:
        raise UsageError("the settings stay as they are while a job runs", "Wait for it, or cancel it")
    if isinstance(value, str) and len(value) > MAX_TEXT:
        raise UsageError("that is too long")
    setattr(panel.face, str(name), tuple(value) if name == "sort" and isinstance(value, list) else value)
    if name in form.FIELDS or name in ("remote", "local", "direction"):
        panel.session.tell("")


def _rows(panel: Controller, message: Mapping[str, Any]) -> list[Reply]:
    """A window of rows, with what they were when it was made."""
    start, count = _number(message, "start"), min(_number(message, "count"), MAX_WINDOW)
    table = panel.session.table
    return [{"kind": "rows", "view": _text(message, "view"), "revision": table.changes, "order": table.order,
             "start": start, "rows": table.window(start, count)}]  # fmt: skip


def _tick(panel: Controller, message: Mapping[str, Any]) -> None:
    table = panel.session.table
    if panel.session.busy or message.get("order") != table.order:
        return  # the positions mean other rows by now
    table.tick(_number(message, "start"), _number(message, "stop"), bool(message.get("on")))


def _tick_shown(panel: Controller, message: Mapping[str, Any]) -> None:
    if not panel.session.busy:
        panel.session.table.tick_shown(bool(message.get("on")))


def _browse(panel: Controller, message: Mapping[str, Any]) -> None:
    """One level of the tree. Folders are pairs: the name, and how it is shown; of an object, that and its size."""
    path, token = _text(message, "path"), _text(message, "token")

    def level(browser: Any) -> dict[str, Any]:
        found = browser.level(path, token=token)
        objects = [[formats.clean(name, MAX_NAME), formats.size(size)] for name, size in found.objects]
        folders = [[printable(name), formats.clean(name, MAX_NAME)] for name in found.folders]
        return {"folders": folders, "objects": objects, "token": found.token, "continues": bool(token)}

    topic = ("level", _text(message, "view"), path)
    panel.questions.ask_remote(topic, form.look_where(panel.given()), level)


def _suggest(panel: Controller, message: Mapping[str, Any]) -> None:
    text, what = _text(message, "text"), _text(message, "what")
    topic = ("suggestions", _text(message, "view"), what)
    if what == "remote":

        def remotes(browser: Any) -> list[str]:
            return [printable(name) for name in lookup.remotes_like(browser, form.without_secrets("remote", text))]

        panel.questions.ask_remote(topic, form.look_where(panel.given()), remotes)
    elif what == "profile":
        panel.questions.ask_local(topic, profile_names)
    else:
        panel.questions.ask_local(topic, lambda: [printable(name) for name in lookup.folders_like(text)])


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


_HANDLERS: Mapping[str, Callable[[Controller, Mapping[str, Any]], list[Reply] | None]] = {
    "hello": _hello, "set": _set, "plan": lambda panel, _: panel.plan(), "apply": lambda panel, _: panel.apply(),
    "rows": _rows, "tick": _tick, "tick-shown": _tick_shown, "browse": _browse, "suggest": _suggest,
}  # fmt: skip
