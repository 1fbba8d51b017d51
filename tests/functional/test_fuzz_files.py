"""Files of any name that this system takes, pushed and pulled elsewhere: the identity, or a row that says why not."""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nbsync.engine.status_board import printable
from tests.functional.plain_store import PlainStore
from tests.functional.test_fuzz_keys import EXPLORE, HORRORS, TIMES, can_be_a_file, place, pull, push
from tests.functional.world import tree

# What a Linux file system takes: any bytes but / and NUL.
NAMES = (
    st.one_of(
        st.binary(min_size=1, max_size=12),
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=10).map(str.encode),
        st.sampled_from(
            [b"a", b"A", b"b", b"dir", b"\xff", b"caf\xe9", b"\xc3\xa9", b"e\xcc\x81", b".nbsync", b".NBSYNC", b"x\\y"]
        ),
        st.integers(200, 255).map(b"n".__mul__),
        st.sampled_from(["\u00e9" * 127 + "x", "\U0001f600" * 63]).map(str.encode),
    )
    .map(lambda name: name.replace(b"/", b"").replace(b"\0", b""))
    .filter(lambda name: name not in (b"", b".", b".."))
)
PATHS = st.lists(NAMES, min_size=1, max_size=5)
KEY_ROOM = 1024 - len("p/")


def make(root: Path, paths: list[list[bytes]]) -> list[str]:
    """Files at as many of the paths as can be; their relative paths, bytes that are not UTF-8 as surrogates."""
    made = []
    for number, segments in enumerate(paths):
        if segments[0] == b".nbsync":  # the room itself: see test_names.py
            continue
        file = os.path.join(os.fsencode(root), *segments)
        with contextlib.suppress(OSError):  # too long for this system, or a file is a parent
            os.makedirs(os.path.dirname(file), exist_ok=True)
            with open(file, "xb") as out:
                out.write(b"%d" % number * (number % 3))
            made.append(os.fsdecode(os.path.relpath(file, os.fsencode(root))))
    return made


def undecodable(path: str) -> str:
    """The topmost file or folder on the way whose name is no UTF-8; else empty."""
    segments = path.split("/")
    for depth in range(1, len(segments) + 1):
        try:
            segments[depth - 1].encode()
        except UnicodeEncodeError:
            return "/".join(segments[:depth])
    return ""


def is_own(path: str) -> bool:
    return any(segment.casefold() == ".nbsync" for segment in path.split("/"))


def expected(made: list[str]) -> tuple[set[str], set[str]]:
    """(what goes up, what is reported)."""
    up, told = set(), set()
    for path in made:
        odd = undecodable(path)
        if is_own(odd.rpartition("/")[0] if odd else path):
            continue
        if odd:
            told.add(printable(odd))
        elif can_be_a_file(path) and len(path.encode()) <= KEY_ROOM:
            up.add(path)
        else:
            told.add(path)
    return up, told


@settings(EXPLORE, max_examples=60 * TIMES)
@given(paths=st.lists(PATHS, min_size=1, max_size=20))
@example(
    paths=[
        [name] for name in (b"\xff", b"\xed\xa0\x80", b"a\nb", b"\x01", b"-rf", b"x" * 255, b"\\", b"C:", b" ", b"~")
    ]
)
@example(paths=[[b"C:", b"x"], [b"n" * 250] * 5, [b"n" * 250] * 4, [b"d"] * 511 + [b"f"], [b"d"] * 512 + [b"f"]])
@example(paths=[key.encode().split(b"/") for key in HORRORS if "\0" not in key and can_be_a_file(key)])
def test_any_files_go_up_and_come_back(store: PlainStore, paths: list[list[bytes]]) -> None:
    store.objects = {}
    with place() as at, tempfile.TemporaryDirectory() as elsewhere:
        made = make(at.local, paths)
        up, told = expected(made)
        before, files = at.outside(), tree(at.local)
        result = push(at.local)
        assert result.error is None, result.error
        assert (at.outside(), tree(at.local)) == (before, files)
        assert store.objects == {f"p/{path}": files[path] for path in up}
        assert {problem.path for problem in result.problems} == told
        assert {row.path for row in result if row.status == "miss"} == up
        assert result.exit_code == (1 if told else 0)

        back = pull(Path(elsewhere))
        assert (back.error, back.exit_code) == (None, 0)
        assert tree(Path(elsewhere)) == {path: files[path] for path in up}

        again = push(at.local, delete=True, allow_empty_source=True)
        assert (again.counts["hit"], again.counts["miss"], again.counts["deleted"]) == (len(up), 0, 0)


def odd_things(root: Path) -> None:
    """One of each kind that is no regular file, beside three that are."""
    (root / "real").mkdir(parents=True)
    (root / "real" / "file").write_bytes(b"1")
    (root / "z").write_bytes(b"2")
    (root / "hard").hardlink_to(root / "z")
    os.mkfifo(root / "fifo")
    here = Path.cwd()
    os.chdir(root)  # the path of a socket may have 107 bytes
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("socket")
    os.chdir(here)
    for name, target in {
        "to-file": "z", "to-folder": "real", "dangling": "nowhere", "loop": "loop", "round-1": "round-2",
        "round-2": "round-1", "up": "..", "here": ".", "real/parent": "../real", "device": "/dev/null",
        "outside": "../beside", "deep": "real" + "/parent" * 30,
    }.items():  # fmt: skip
        (root / name).symlink_to(target)


def test_what_is_no_regular_file_is_reported(store: PlainStore) -> None:
    store.objects = {
        "p/fifo": b"protected",
        "p/dangling/x": b"protected",
        "p/to-folder/x": b"protected",
        "p/gone": b"1",
    }
    with place() as at:
        (at.sandbox / "beside").write_bytes(b"3")
        odd_things(at.local)
        before = at.outside()
        result = push(at.local, delete=True)
        kinds = {problem.path: problem.kind for problem in result.problems}
        assert kinds == {
            "fifo": "special-file", "socket": "special-file",
            **dict.fromkeys(("dangling", "loop", "round-1", "round-2"), "broken-link"),
        }  # fmt: skip
        skipped = {row.path for row in result if row.status == "skipped"} - set(kinds)
        assert skipped == {"to-file", "to-folder", "up", "here", "real/parent", "device", "outside", "deep"}
        assert {row.path for row in result if row.status == "miss"} == {"real/file", "z", "hard"}
        assert "p/gone" not in store.objects
        assert {"p/fifo", "p/dangling/x", "p/to-folder/x"} <= set(store.objects)
        assert (result.exit_code, at.outside()) == (1, before)


def test_links_that_are_followed_end_somewhere(store: PlainStore) -> None:
    store.objects = {}
    with place() as at:
        (at.sandbox / "beside").write_bytes(b"3")
        odd_things(at.local)
        (at.local / "up").unlink()  # it would lead to all of the sandbox
        result = push(at.local, follow_symlinks=True)
        kinds = {problem.path: problem.kind for problem in result.problems}
        up = {key.removeprefix("p/"): content for key, content in store.objects.items()}
        assert result.error is None
        assert up.items() >= {"to-file": b"2", "to-folder/file": b"1", "outside": b"3", "real/file": b"1"}.items()
        assert kinds["device"] == "special-file"
        assert kinds["here"] == kinds["real/parent"] == "unreadable"
        assert max(path.count("/") for path in up) < 5, "round and round"
        assert result.exit_code == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes device files")
def test_device_files_are_not_read(store: PlainStore) -> None:
    store.objects = {}
    with place() as at:
        try:
            os.mknod(at.local / "zero", 0o666 | 0o020000, os.makedev(1, 5))
        except PermissionError:
            pytest.skip("no device files in this container")
        (at.local / "f").write_bytes(b"1")
        result = push(at.local)
        assert [(problem.path, problem.kind) for problem in result.problems] == [("zero", "special-file")]
        assert list(store.objects) == ["p/f"]
