"""A plan as JSON Lines: what is written is read back, and nothing else is taken for a plan."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbsync.core import names, planfile
from nbsync.core.model import Action, Evidence, Status, Verb
from nbsync.core.planfile import Header
from nbsync.errors import UsageError
from tests.unit.core.entries import here, there

HEADER = Header("pull", "s3://b/p/", "/data", "http://h:1", "us-east-1", "me", {"delete": True}, False, {"planned": 1},
                1, "2026-11-24T00:00:00Z", "0.1.0")  # fmt: skip
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
COUNT = st.integers(0, 2**64 - 1)
TIME = st.integers(-(2**90), 2**90)


def is_safe(path: str) -> bool:
    return not {"", ".", ".."} & set(path.split("/")) and "\0" not in path and not names.is_own(path)


@st.composite
def items(draw: st.DrawFn) -> Action:
    """Any thing to do, as a plan has it."""
    path = draw(TEXT.filter(is_safe))
    verb = draw(st.sampled_from([verb for verb in Verb if verb is not Verb.NONE]))
    local = here(path, size=draw(COUNT), mtime_ns=draw(TIME), ctime_ns=draw(TIME), inode=draw(COUNT))
    remote = there(path, key="", size=draw(COUNT), etag=draw(TEXT), last_modified_ns=draw(TIME), version_id=draw(TEXT))
    on_remote = verb in (Verb.DOWNLOAD, Verb.DELETE_REMOTE)
    return Action(
        path, verb, Status.PLANNED, draw(TEXT), draw(st.sampled_from(list(Evidence))),
        local if not on_remote or draw(st.booleans()) else None, remote if on_remote or draw(st.booleans()) else None,
        in_the_way=draw(st.sampled_from(["", path, path.partition("/")[0]])),
    )  # fmt: skip


@given(st.lists(items(), max_size=5), TEXT)
def test_what_is_written_is_read_back(planned: list[Action], text: str) -> None:
    header = HEADER._replace(items=len(planned), profile=text, options={"filters": [["exclude", text]]})
    written = list(planfile.lines(header, planned))
    assert all(line.isascii() and line.count("\n") == 1 for line in written)
    assert planfile.read_header(written[0], "f") == header
    assert list(planfile.read_items(written[1:], header, "f")) == planned


def changed(**more: Any) -> str:
    item = Action("a/b", Verb.DOWNLOAD, Status.PLANNED, "missing locally", Evidence.NONE, None, there("a/b"))
    document = json.loads(list(planfile.lines(HEADER, [item]))[1])
    return json.dumps({key: value for key, value in {**document, **more}.items() if value is not ...})


ODD: list[tuple[dict[str, Any], str]] = [
    *(({"path": path}, "would leave LOCAL") for path in (
        "", "/etc/x", "../x", "a/../x", "a//b", "a/", "./a", "a\0b", "\ud800", ".nbsync/state.sqlite3", "a/.NBSYNC/x")),
    ({"path": 3}, "something odd in 'path'"),
    ({"path": ...}, "has no 'path'"),
    ({"action": "none"}, "something odd in 'action'"),
    ({"action": "upload"}, r"does not say what its action works on \(local\)"),
    ({"remote": None}, r"works on \(remote\)"),
    ({"remote": {}}, "has no"),
    ({"remote": []}, "something odd in 'remote'"),
    ({"local": {"size": -1, "mtime_ns": 0, "ctime_ns": 0, "inode": 0}}, "where a number belongs"),
    ({"local": {"size": True, "mtime_ns": 0, "ctime_ns": 0, "inode": 0}}, "where a number belongs"),
    ({"local": {"size": 1, "mtime_ns": 2**101, "ctime_ns": 0, "inode": 0}}, "where a number belongs"),
    ({"local": {"size": 1.5, "mtime_ns": 0, "ctime_ns": 0, "inode": 0}}, "something odd in 'size'"),
    ({"in_the_way": "../x"}, "in the way that is not above"),
    ({"in_the_way": "a/b/c"}, "in the way that is not above"),
    ({"evidence": "hearsay"}, "something odd in 'evidence'"),
]  # fmt: skip


@pytest.mark.parametrize(("more", "told"), ODD)
def test_an_odd_line_is_refused_with_its_number(more: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=f"plan.jsonl, line 3: .*{told}"):
        list(planfile.read_items([changed(), changed(**more)], HEADER, "plan.jsonl"))


@pytest.mark.parametrize("line", ["", "{", "[]", "null", "1" * 5000, "[" * 100_000, '{"path":', "\udcff"])
def test_what_is_no_json_of_a_plan_is_refused(line: str) -> None:
    for read in (lambda: planfile.read_header(line, "f"), lambda: list(planfile.read_items([line], HEADER, "f"))):
        with pytest.raises(UsageError, match=r"f, line [12]: "):
            read()


@given(st.text(max_size=40) | st.binary(max_size=40).map(lambda raw: raw.decode("utf-8", "surrogateescape")))
def test_any_text_is_refused(line: str) -> None:
    with pytest.raises(UsageError):
        planfile.read_header(line, "f")
    with pytest.raises(UsageError):
        list(planfile.read_items([line], HEADER, "f"))


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"format": 2}, "written by a newer nbsync"),
        ({"format": "1"}, "something odd in 'format'"),
        ({"kind": "other"}, "is not a plan of nbsync"),
        ({"direction": "sideways"}, "something odd in 'direction'"),
        ({"local": "data"}, "not an absolute path"),
        ({"local": "/a\0b"}, "not an absolute path"),
        ({"options": []}, "something odd in 'options'"),
        ({"counts": {"hit": "x"}}, "where a number belongs"),
        ({"items": -1}, "where a number belongs"),
    ],
)
def test_an_odd_header_is_refused(more: dict[str, Any], told: str) -> None:
    document = json.loads(next(planfile.lines(HEADER, [])))
    with pytest.raises(UsageError, match=f"f, line 1: .*{told}"):
        planfile.read_header(json.dumps({**document, **more}), "f")


@pytest.mark.parametrize("count", [0, 2])
def test_a_file_that_was_cut_short_is_refused(count: int) -> None:
    with pytest.raises(UsageError, match="cut short or edited"):
        list(planfile.read_items([changed()], HEADER._replace(items=count), "f"))


def test_bucket_and_prefix_are_told_apart() -> None:
    for remote, bucket, prefix in (
        ("s3://b/p/q/", "b", "p/q/"),
        ("s3://b/", "b", ""),
        ("s3://arn:aws:s3:r:1:accesspoint/n/p/", "arn:aws:s3:r:1:accesspoint/n", "p/"),
    ):
        document = json.loads(next(planfile.lines(HEADER._replace(remote=remote), [])))
        assert (document["bucket"], document["prefix"]) == (bucket, prefix)
