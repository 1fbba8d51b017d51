"""Which files take part: filters, lists, --existing. Scenario 10."""

from __future__ import annotations

from pathlib import Path

import pytest

import nbsync
from nbsync.errors import UsageError
from nbsync.local import scan
from tests.functional.world import World

TREE = ["a.csv", "a.txt", "sub/b.csv", "sub/b.txt", "sub/deep/c.csv"]
FILTERS: list[tuple[list[tuple[str, str]], list[str]]] = [
    ([], TREE),
    ([("exclude", "*")], []),
    ([("exclude", "*"), ("include", "*.csv")], ["a.csv", "sub/b.csv", "sub/deep/c.csv"]),
    ([("include", "*.csv"), ("exclude", "*")], []),
    ([("exclude", "sub/*")], ["a.csv", "a.txt"]),
    ([("exclude", "*"), ("include", "sub/*.txt")], ["sub/b.txt"]),
    ([("exclude", "*.csv"), ("include", "sub/deep/*")], ["a.txt", "sub/b.txt", "sub/deep/c.csv"]),
    ([("exclude", "[ab].csv")], ["a.txt", "sub/b.csv", "sub/b.txt", "sub/deep/c.csv"]),
    ([("exclude", "*.{csv,txt}")], TREE),
]


@pytest.mark.parametrize(("filters", "admitted"), FILTERS)
@pytest.mark.parametrize("direction", ["pull", "push"])
def test_filters(world: World, direction: str, filters: list[tuple[str, str]], admitted: list[str]) -> None:
    for path in TREE:
        world.put(path, b"1") if direction == "pull" else world.write(path, b"1")
    world.local.mkdir(exist_ok=True)

    result = world.pull(filters=filters) if direction == "pull" else world.push(filters=filters)

    assert sorted(row.path for row in result) == sorted(admitted)


@pytest.mark.parametrize("direction", ["pull", "push"])
def test_filtered_files_are_neither_moved_nor_deleted(world: World, direction: str) -> None:
    world.fill_both("both.txt", "both.csv")
    world.put("there.txt", b"1")
    world.put("there.csv", b"1")
    world.write("here.txt", b"1")
    world.write("here.csv", b"1")
    filters = [("exclude", "*.txt")]

    if direction == "pull":
        world.pull(filters=filters, delete=True)
        assert sorted(world.files()) == ["both.csv", "both.txt", "here.txt", "there.csv"]
    else:
        world.push(filters=filters, delete=True)
        assert sorted(world.keys()) == ["both.csv", "both.txt", "here.csv", "there.txt"]


def test_files_from(world: World) -> None:
    world.fill_both("a", "b", "listed and gone")
    world.remove("listed and gone")
    world.put("new", b"1")
    world.put("not listed", b"1")
    world.write("mine", b"1")
    listed = world.sandbox / "list"
    listed.write_text("./a\n\nnew\nlisted and gone\nnever was\n")

    result = world.pull(files_from=str(listed), delete=True)

    assert sorted((row.path, row.status) for row in result) == [
        ("a", "hit"), ("listed and gone", "deleted"), ("new", "miss")]  # fmt: skip
    assert sorted(world.files()) == ["a", "b", "mine", "new"]


@pytest.mark.parametrize("direction", ["pull", "push"])
def test_existing_and_ignore_existing(world: World, direction: str) -> None:
    world.fill_both("differs", "same")
    world.put("there", b"1")
    world.write("here", b"1")
    new = "there" if direction == "pull" else "here"
    world.put("differs", b"longer now") if direction == "pull" else world.write("differs", b"longer now")
    done = world.pull if direction == "pull" else world.push

    assert sorted((r.path, r.status) for r in done(ignore_existing=True)) == [(new, "miss")]
    world.unlink(new) if direction == "pull" else world.remove(new)
    assert sorted((r.path, r.status) for r in done(existing=True)) == [("differs", "miss"), ("same", "hit")]


@pytest.fixture
def closed(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """A folder `lost+found` in LOCAL that nobody may look into (asked through os.access: root may), and its keys."""
    world.fill_both("kept", "gone here")
    world.write("lost+found/x", b"1")
    world.put("lost+found/x", b"another")
    (world.local / "gone here").unlink()
    access = scan.os.access
    monkeypatch.setattr(
        scan.os, "access", lambda path, mode: not str(path).endswith("lost+found") and access(path, mode)
    )
    return world


@pytest.mark.parametrize("pattern", ["lost+found/*", "lost+found*", "*"])
def test_what_cannot_be_read_and_is_excluded_stops_nothing(closed: World, pattern: str) -> None:
    filters = [("exclude", pattern), ("include", "gone here"), ("include", "kept")]
    result = nbsync.push(closed.local, closed.remote, delete=True, filters=filters)
    assert (result.counts["deleted"], result.problems, result.ok) == (1, [], True)
    assert not any(pattern in note for note in result.notes), "it has matched"
    assert sorted(closed.keys()) == ["kept", "lost+found/x"]
    assert nbsync.verify(closed.local, closed.remote, filters=filters).ok


@pytest.mark.parametrize("pattern", ["lost+found/*.csv", "other/*"])
def test_what_cannot_be_read_and_may_be_in_scope_stops_deletes(closed: World, pattern: str) -> None:
    result = nbsync.push(closed.local, closed.remote, delete=True, exclude=[pattern])
    assert (result.counts["deleted"], [one.kind for one in result.problems]) == (0, ["unreadable"])
    assert sorted(closed.keys()) == ["gone here", "kept", "lost+found/x"]


def test_filters_that_match_nothing_are_said(world: World) -> None:
    world.put("a.csv", b"1")
    filters = [("exclude", "*.tmp"), ("exclude", "*.csv"), ("exclude", "/a.csv")]
    result = nbsync.pull(world.remote, world.local, filters=filters, dry_run=True)
    assert "nothing matched --exclude '*.tmp'" in result.notes
    told = [note for note in result.notes if note.startswith("nothing can match")]
    assert len(told) == 1
    assert "--exclude '/a.csv'" in told[0]


def test_list_from_standard_input(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    world.put("a", b"1")
    world.put("é", b"1")
    (tmp_path / "list").write_text("é\n", encoding="utf-8")
    with open(tmp_path / "list") as piped:
        monkeypatch.setattr("sys.stdin", piped)
        assert nbsync.pull(world.remote, world.local, files_from="-").counts["miss"] == 1
    assert sorted(world.files()) == ["é"]
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(UsageError, match="nothing is piped"):
        nbsync.pull(world.remote, world.local, files_from="-")


@pytest.mark.parametrize("prefix", ["..", ".", "../x", "a/../b", "a/.", "a\\b"])
def test_push_makes_no_key_that_a_pull_would_refuse(world: World, prefix: str) -> None:
    world.write("a", b"1")
    with pytest.raises(UsageError, match="no pull of the bucket"):
        nbsync.push(world.local, f"s3://{world.bucket}/{prefix}")
    assert nbsync.pull(f"s3://{world.bucket}/{prefix}", world.local).error is None


def test_empty_segment_of_a_prefix_is_said(world: World) -> None:
    world.write("a", b"1")
    result = nbsync.push(world.local, f"s3://{world.bucket}//p")
    assert result.counts["miss"] == 1
    assert any(f"s3://{world.bucket}//p/" in note for note in result.notes)
