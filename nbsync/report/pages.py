"""What is shown of answers that are no tables of files: `status`, `doctor`. Chosen once for text and HTML. Pure."""

from __future__ import annotations

from functools import singledispatch
from typing import NamedTuple

from nbsync import _version
from nbsync.core.local_changes import Change
from nbsync.core.model import Direction
from nbsync.report import formats
from nbsync.results.diagnosis import OK, PROBLEM, WARNING, Diagnosis
from nbsync.results.folder_status import CHANGES, Status, Synced

MAX_SYNCS = 10
MAX_CHANGED = 20
_SIGNS = {
    Change.ADDED: ("+", formats.GREEN), Change.MODIFIED: ("*", formats.BLUE), Change.DELETED: ("-", formats.AMBER),
    Change.MAYBE: ("?", formats.GREY),
}  # fmt: skip
_MARKS = {OK: ("✓", formats.GREEN), WARNING: ("!", formats.AMBER), PROBLEM: ("✗", formats.RED)}
_WORDS = {Change.MAYBE.value: "maybe modified"}


class Line(NamedTuple):
    """One line of a page: a sign with its colour, what it is about, and what is said of it (untrusted text)."""

    sign: str
    tint: str
    name: str
    text: str


class Page(NamedTuple):
    """The parts of a page, in their order. All texts may hold what others chose."""

    title: str
    good: bool
    verdict: str
    facts: list[str]
    lines: list[Line]
    notes: list[str]


@singledispatch
def page(found: object) -> Page:
    """The page of an answer that has one."""
    raise TypeError(f"{type(found).__name__} has no page")


@page.register
def _(found: Diagnosis) -> Page:
    lines = [Line(*_MARKS[one.status], one.name, f"{one.found}. {one.advice}" if one.advice else one.found)
             for one in found.findings]  # fmt: skip
    bad = [formats.number(len(found.problems), "problem")] if found.problems else []
    bad += [formats.number(len(found.warnings), "warning")] if found.warnings else []
    sent = [f"{count:,} {kind.upper()}" for kind, count in found.requests.items() if count]
    facts = [" ".join(sent) or "no request made", formats.duration(found.seconds), _version.NAMED]
    title = f"doctor {found.remote}".rstrip()
    return Page(title, found.ok, ", ".join(bad) or "nothing stands in the way", facts, lines, found.notes)


@page.register
def _(found: Status) -> Page:
    lines = [Line("↔", formats.GREY, "synced", _synced(sync)) for sync in found.syncs[:MAX_SYNCS]]
    more = len(found.syncs) - MAX_SYNCS
    lines += [Line("…", formats.GREY, "", f"and {more:,} more: --json")] if more > 0 else []
    lines += [Line("!", formats.RED, "record", problem.message) for problem in found.problems]
    shown = found.files[:MAX_CHANGED]
    lines += [Line(*_SIGNS[one.change], _WORDS.get(one.change.value, one.change.value), one.path) for one in shown]
    hidden = found.changed - len(shown)
    lines += [Line("…", formats.GREY, "", f"and {hidden:,} more: --json")] if hidden else []
    lines += _room(found)
    return Page(f"status {found.local}", found.ok, _verdict(found), _facts(found), lines, found.notes)


def _verdict(found: Status) -> str:
    if not found.ok:
        return "what was recorded cannot be used"
    if not found.syncs:
        return "never synced"
    if found.changes is None:
        return "nothing is recorded"
    told = [f"{found.changes[one.value]:,} {_WORDS.get(one.value, one.value)}" for one in CHANGES
            if found.changes[one.value]]  # fmt: skip
    return f"{', '.join(told)} here since the last sync" if told else "nothing changed here since the last sync"


def _facts(found: Status) -> list[str]:
    facts = []
    if found.changes is not None:
        facts.append(f"{formats.number(found.changes[Change.NONE.value], 'file')} as last synced")
        left_out = found.changes[Change.LEFT_OUT.value]
        facts += [f"{left_out:,} left out by the filters"] if left_out else []
    return [*facts, "no request made", formats.duration(found.seconds), _version.NAMED]


def _synced(sync: Synced) -> str:
    """One REMOTE with when and how, in words."""
    ways = {
        Direction.PULL.value: f"pulled from {sync.remote}", Direction.PUSH.value: f"pushed to {sync.remote}",
        Direction.BOTH.value: f"synced both ways with {sync.remote}",
    }  # fmt: skip
    way = ways.get(sync.direction, f"with {sync.remote}, by an earlier nbsync")
    told = [f"{way} by a plan" if sync.command == "apply" else way]
    if sync.began:
        told.append(f"{sync.began[:10]} {sync.began[11:19]} UTC")
    if not sync.finished:
        told.append("did not come to its end")
    elif sync.problems:
        told.append(formats.number(sync.problems, "problem"))
    told.append(f"{formats.number(sync.files, 'file')} recorded")
    if sync.command and not sync.proved:
        told.append("unproved: not by you in this directory")
    return " · ".join([*told, sync.words] if sync.words else told)


def _room(found: Status) -> list[Line]:
    lines = []
    if found.trash.files:
        held = f"{formats.number(found.trash.files, 'file')}, {formats.size(found.trash.bytes)} in {found.trash.place}"
        lines.append(Line("·", formats.GREY, "trash", f"{held}; put back by: undo {found.local}"))
    begun = [formats.number(count, kind[:-1]) for kind, count in found.unfinished.items() if count]
    if begun:
        lines.append(Line("!", formats.AMBER, "unfinished", f"{', '.join(begun)}; the next sync takes them up"))
    if found.repeats:
        text = (
            f"where this is the current folder, {' or '.join(found.repeats)} without any words does the last one again"
        )
        lines.append(Line("→", formats.GREY, "next", text))
    return lines
