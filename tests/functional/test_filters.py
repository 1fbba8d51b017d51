"""Which files take part: filters, lists, --existing. Scenario 10."""

from __future__ import annotations

import pytest

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
