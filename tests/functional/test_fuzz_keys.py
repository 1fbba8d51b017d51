"""Keys of any text, pulled beside planted links: nothing outside LOCAL changes, and every key is accounted for.

`NBSYNC_FUZZ=20` does twenty times as much, by hand.
"""

from __future__ import annotations

import contextlib
import os
import random
import tempfile
import threading
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import nbsync
from nbsync import SyncResult
from nbsync.local.folding import PROBE
from tests.functional.plain_store import BUCKET, PlainStore
from tests.functional.world import snapshot, tree

TIMES = int(os.environ.get("NBSYNC_FUZZ", "1"))
EXPLORE = settings(
    deadline=None, suppress_health_check=list(HealthCheck), phases=(Phase.explicit, Phase.generate, Phase.shrink)
)
LONG = "\u00e9" * 127  # 254 bytes

HORRORS = [
    "..", "../x", "../../victim/owned", "a/../../x", "a/..", "./x", "x/.", "...", ".. /x", " ../x", "..\u200b/x", "/",
    "//", "/x", "/etc/passwd", "//x", "a//b", "a/", "a/b/", "~/x", "~root", "$HOME/x", "`id`", "$(id)", "-rf",
    "--delete", "*", "?", "[a]", "{a,b}", "%", "%2e%2e/x", "%2F", "..%2fx", "%00", "%25", "%zz", "+", "a+b", "a b",
    "a%20b", " lead", "trail ", "trail.", ".", ".hidden", "..hidden", "C:", "C:x", "C:/x", "C:\\x", "c:/x", "cc:/x",
    "\\x", "a\\..\\x", "\\\\host\\share", "con", "NUL.txt", "aux", "com1", "lpt\u00b9", "x:stream", "x::$DATA", ":",
    "nbsync~1", "NBSYNC~1/state.sqlite3", ".nbsync", ".nbsync/state.sqlite3", ".nbsync/lock", ".nbsync/stage/1",
    ".nbsync/trash/x/y", "x/.NBSYNC/state.sqlite3", ".nb\u017fync/x", ".NbSyNc", ".nbsync ", ".nbsync.",
    ".nbsync/../x", ".nbsync\0", ".nbsync2", "nbsync", "x/.nbsync", "a\0b", "\0", "a\nb", "\n", "\r\n", "a\rb", "\t",
    "\x01", "\x1b[31mred", "\x7f", "\x85", "a\u2028b", "\u2029", "\ufeff", "\ufeff.nbsync", "\u200b", "\u202egnp.exe",
    "\u2066x\u2069", "\u05e9\u05dc\u05d5\u05dd", "\u0645\u0631", "\ufffd", "\ufffe", "\uffff", "\U0010ffff", "\ue000",
    "caf\u00e9", "cafe\u0301", "\u212b", "\u00c5", "A\u030a", "\ufb01le", "file", "stra\u00dfe", "STRASSE", "\u0130",
    "i\u0307", "\u0131", "\u1e9e", "\uff0e\uff0e/x", "\u2024\u2024/x", "\uff0fx", "\u2215x", "\u29f5", "\U0001f600",
    "\U0001f468\u200d\U0001f469", "<x>", "&amp;", "&", "&#0;", "]]>", "<![CDATA[x]]>", "<!ENTITY x>", "'", '"',
    "a'b\"c", "<img src=x onerror=alert(1)>", "x" * 255, "x" * 256, LONG, LONG + "x", LONG + "xx", "\U0001f600" * 63,
    "\U0001f600" * 64, "d/" * 300 + "x", "/".join("d" * 300),
    "y" * 200 + "/" + "y" * 200 + "/" + "y" * 200 + "/" + "y" * 200 + "/" + "y" * 200, "z/" * 511 + "z", "dir",
    "dir/x", "dir/x/y", "dir-1", "dir.", "dir0", "Dir/x", "DIR", "=cmd|' /C calc'!A0", "@SUM(1)", "#", "a#b", "a?b",
    "a?versionId=1", "a;b", "a,b", "a=b", "a@b", "a|b", "a^b", "a~b",
]  # fmt: skip

SEGMENTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12),
    st.sampled_from(
        ["..", ".", "", "a", "A", "b", "dir", "x", " ", "%2e", "+", ".nbsync", ".NBSYNC", "victim", "link"]
    ),
    st.sampled_from(["a", "caf\u00e9", "\u0130", "\u212b"]).flatmap(
        lambda word: st.sampled_from([form(word) for form in (str.upper, str.lower, *_NORMAL)])
    ),
    st.text(st.characters(codec="ascii"), min_size=1, max_size=8),
    st.integers(240, 260).map("s".__mul__),
)
_NORMAL = [lambda word, form=form: unicodedata.normalize(form, word) for form in ("NFC", "NFD", "NFKC")]
KEYS = st.lists(SEGMENTS, min_size=1, max_size=6).map("/".join).filter(lambda key: key and len(key.encode()) <= 1020)

tried: set[str] = set()
planting = threading.Lock()


class Place:
    """A LOCAL in a sandbox, with a folder `victim` beside it that nothing may touch."""

    def __init__(self, home: Path) -> None:
        self.sandbox = home
        self.local = home / "local"
        self.local.mkdir()
        self.victim = home / "victim"
        (self.victim / "deep" / "empty").mkdir(parents=True)
        for path in ("file", "x", "deep/x", "lock", "state.sqlite3"):
            (self.victim / path).write_bytes(b"precious")

    def outside(self) -> dict[str, object]:
        """Everything but LOCAL, with inodes and times."""
        return {path: what for path, what in snapshot(self.sandbox).items() if path.partition("/")[0] != "local"}


@contextlib.contextmanager
def place() -> Iterator[Place]:
    with tempfile.TemporaryDirectory() as home:
        yield Place(Path(home))


def content_of(key: str, seed: int) -> bytes:
    """Its own for each key, so that one that lands elsewhere is seen; some are empty."""
    return b"" if random.Random(key).random() < 0.1 else f"{seed} {key}".encode()


def can_be_a_file(path: str) -> bool:
    """The contract's rule 7, said once more and otherwise."""
    segments = path.split("/")
    if any(segment in ("", ".", "..") or len(segment.encode()) > 255 for segment in segments):
        return False
    return "\0" not in path and "\\" not in path and not (path[0].isascii() and path[0].isalpha() and path[1:3] == ":/")


def expected(objects: dict[str, bytes]) -> tuple[dict[str, bytes], set[str]]:
    """The files that a pull of these makes, and the paths that it has to report."""
    shown = {
        path: content
        for path, content in objects.items()
        if ".nbsync" not in path.casefold().split("/") and not (path.endswith("/") and not content) and path
    }
    possible = {path: content for path, content in shown.items() if can_be_a_file(path)}
    folders = {path[:at] for path in possible for at, character in enumerate(path) if character == "/"}
    files = {path: content for path, content in possible.items() if path not in folders}
    return files, set(shown) - set(files)


def fill(store: PlainStore, keys: list[str], seed: int) -> dict[str, bytes]:
    tried.update(keys)
    store.objects = {f"p/{key}": content_of(key, seed) for key in keys}
    store.plus, store.page_keys = bool(seed % 2), (1000, 7)[seed % 2]
    return {key.removeprefix("p/"): content for key, content in store.objects.items()}


def pull(local: Path, **options: object) -> SyncResult:
    job = nbsync.pull(f"{BUCKET}/p", local, retries=0, background=True, **options)
    return job.wait(interval=0.02)


def push(local: Path, **options: object) -> SyncResult:
    job = nbsync.push(local, f"{BUCKET}/p", retries=0, background=True, **options)
    return job.wait(interval=0.02)


def only_ours(local: Path) -> None:
    """The room holds what nbsync puts there, and no more."""
    state_dir = local / ".nbsync"
    assert set(os.listdir(state_dir)) <= {".gitignore", "lock", "stage", "state.sqlite3", "syncs.json", "trash", PROBE}
    assert not os.listdir(state_dir / "stage")
    assert (state_dir / "state.sqlite3").read_bytes()[:6] == b"SQLite"


def check_pull(store: PlainStore, keys: list[str], seed: int) -> None:
    objects = fill(store, keys, seed)
    files, reported = expected(objects)
    with place() as at:
        before = at.outside()
        result = pull(at.local)
        assert result.error is None, result.error
        assert at.outside() == before
        assert tree(at.local) == files
        assert {row.path for row in result if row.status == "miss"} == set(files)
        assert {problem.path for problem in result.problems} == reported
        assert {row.path for row in result if row.status == "skipped"} == reported
        assert result.exit_code == (1 if reported else 0)
        if files:
            only_ours(at.local)
        again = pull(at.local)
        assert (again.counts["hit"], again.counts["miss"], again.requests["get"]) == (len(files), 0, 0)


def test_known_horrors(store: PlainStore) -> None:
    check_pull(store, HORRORS, 0)
    check_pull(store, HORRORS, 1)


def test_each_horror_alone(store: PlainStore) -> None:
    """Beside another it may be refused as a clash; alone it must be a file if it can be one."""
    for number, key in enumerate(HORRORS[:: 1 if TIMES > 1 else 4]):
        check_pull(store, [key], number)


@settings(EXPLORE, max_examples=90 * TIMES)
@given(keys=st.lists(KEYS, min_size=20, max_size=60, unique=True), seed=st.integers(0, 9))
def test_any_keys(store: PlainStore, keys: list[str], seed: int) -> None:
    check_pull(store, keys, seed)


LINKS = ["../victim", "../victim/file", "..", "/", "nowhere", "../victim/nowhere", ".", "link", "../local", "/dev/null"]


def plant(local: Path, path: str, target: str) -> None:
    """A link at `path`, unless a parent is one already; what stands there is moved aside."""
    link = local / path
    with planting, contextlib.suppress(OSError, ValueError):
        if any((local / above).is_symlink() for above in ancestors(path)):
            return
        link.parent.mkdir(parents=True, exist_ok=True)
        if link.is_dir() and not link.is_symlink():
            link.rename(link.parent / f"moved-{link.name}"[:255])
        elif os.path.lexists(link):
            link.unlink()
        target = target.replace("../", "../" * (path.count("/") + 1)) if target.startswith("../") else target
        link.symlink_to(target)


def ancestors(path: str) -> list[str]:
    return [path[:at] for at, character in enumerate(path) if character == "/" and at]


@settings(EXPLORE, max_examples=80 * TIMES)
@given(
    keys=st.lists(KEYS.filter(can_be_a_file), min_size=1, max_size=15, unique=True),
    delete=st.booleans(),
    data=st.data(),
)
def test_planted_links_are_never_written_through(
    store: PlainStore, keys: list[str], delete: bool, data: st.DataObject
) -> None:
    objects = fill(store, keys, 0)
    files, _ = expected(objects)
    spots = sorted({spot for path in objects for spot in (path, *ancestors(path)) if ".nbsync" not in spot.casefold()})
    with place() as at:
        planted = {}
        for spot in data.draw(st.lists(st.sampled_from(spots), max_size=4, unique=True)) if spots else ():
            planted[spot] = data.draw(st.sampled_from(LINKS))
            plant(at.local, spot, planted[spot])
        links = {path: os.readlink(at.local / path) for path in planted if (at.local / path).is_symlink()}
        before = at.outside()
        result = pull(at.local, delete=delete, allow_empty_source=True)
        assert result.error is None, result.error
        assert at.outside() == before
        for path, target in links.items():
            assert os.readlink(at.local / path) == target, "a link of the user's was replaced"
        through = {path for path in files if any(spot in links for spot in (path, *ancestors(path)))}
        done = {row.path for row in result if row.status == "miss"}
        told = {problem.path for problem in result.problems}
        assert not done & through
        assert set(files) <= done | told
        for path in done:
            assert (at.local / path).read_bytes() == objects[path]
        assert result.exit_code == (1 if told else 0)


@settings(EXPLORE, max_examples=60 * TIMES)
@given(
    keys=st.lists(KEYS.filter(can_be_a_file), min_size=2, max_size=15, unique=True),
    delete=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_links_planted_during_the_run(store: PlainStore, keys: list[str], delete: bool, seed: int) -> None:
    chance = random.Random(seed)
    objects = fill(store, keys, 0)
    spots = sorted({spot for path in objects for spot in (path, *ancestors(path)) if ".nbsync" not in spot.casefold()})
    with place() as at:
        for spot in chance.sample(spots, min(3, len(spots))):  # files that the pull replaces, or deletes
            with contextlib.suppress(OSError):
                (at.local / spot).parent.mkdir(parents=True, exist_ok=True)
                (at.local / spot).write_bytes(b"here before")
        before = at.outside()
        store.on_get = lambda _key: plant(at.local, chance.choice(spots), chance.choice(LINKS)) if spots else None
        result = pull(at.local, delete=delete, allow_empty_source=True)
        store.on_get = lambda _key: None
        assert result.error is None, result.error
        assert at.outside() == before
        assert not os.listdir(at.local / ".nbsync" / "stage") if (at.local / ".nbsync").exists() else True
        if delete:  # once more, now with all of the links at rest
            pull(at.local, delete=True)
            assert at.outside() == before
