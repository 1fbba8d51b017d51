"""Ordered include and exclude patterns as aws-cli reads them, and --files-from."""

from __future__ import annotations

import pickle
from types import SimpleNamespace

import pytest
from awscli.customizations.s3 import filters as s3_filters
from hypothesis import given
from hypothesis import strategies as st

from nbsync.core.filters import Filters, read_files_from
from nbsync.errors import UsageError


def ordered(words: str) -> list[tuple[str, str]]:
    """`-*.csv +a*` -> exclude `*.csv`, include `a*`."""
    return [("exclude" if word[0] == "-" else "include", word[1:]) for word in words.split()]


@pytest.mark.parametrize(
    ("words", "path", "admitted"),
    [
        ("", "a/b", True),
        ("-*", "a", False),
        ("-* +*.csv", "a/b.csv", True),
        ("-* +*.csv", "a/b.txt", False),
        ("+*.csv -*", "b.csv", False),
        ("-*.csv +keep* -*.tmp", "keep.csv", True),
        ("-*.csv +keep* -*.tmp", "keep.tmp", False),
        ("+*.csv", "a.txt", True),  # an include alone includes nothing more
        ("-data/*", "data/a/b", False),  # * crosses /
        ("-data/*", "x/data/a", True),  # from the root only
        ("-*.csv", "a/b/c.csv", False),  # at any depth
        ("-data", "data/a", True),  # the whole path
        ("-data", "data", False),
        ("-a?c", "abc", False),
        ("-a?c", "a/c", False),
        ("-a?c", "ac", True),
        ("-[ab].txt", "b.txt", False),
        ("-[!ab].txt", "b.txt", True),
        ("-[!ab].txt", "c.txt", False),
        ("-[a-c]", "b", False),
        ("-*.CSV", "a.csv", True),
        ("-*.csv", "a.CSV", True),
        ("-*.{csv,parquet}", "a.csv", True),
        ("-*.{csv,parquet}", "a.{csv,parquet}", False),
        ("-a.b", "axb", True),
        ("-[", "[", False),
        ("-[a", "[a", False),
        ("-/a", "a", True),
        ("-*", "line\nbreak", False),
        ("-a", "a\n", True),
    ],
)
def test_the_last_match_wins(words: str, path: str, admitted: bool) -> None:
    assert Filters(ordered(words)).admits(path) is admitted


@pytest.mark.parametrize(
    ("words", "admitted"),
    [
        ("", True),
        ("-*", False),
        ("-lost+found/*", False),
        ("-lost+found*", False),
        ("-*/lost+found/*", True),  # elsewhere
        ("-lost+found", True),  # the folder's own name is no file's
        ("-lost+found/a*", True),
        ("-lost+found/*.csv", True),
        ("-*found/*", False),
        ("-l?st[+]found/*", False),
        ("-* +*.csv", True),
        ("-* +data/*", False),
        ("-* +lost+found/keep/*", True),
        ("-* +lost*", True),
        ("+*.csv -lost+found/*", False),
        ("-lost+found/* +other", False),
    ],
)
def test_what_may_take_part_below_a_folder_that_nobody_can_look_into(words: str, admitted: bool) -> None:
    assert Filters(ordered(words)).may_admit_below("lost+found") is admitted


@given(
    st.lists(st.tuples(st.sampled_from(["include", "exclude"]), st.text("ab/*?", max_size=5)), max_size=4),
    st.sampled_from(["a", "a/b", "b"]),
    st.text("ab/", min_size=1, max_size=4),
)
def test_what_is_said_to_be_excluded_is(filters: list[tuple[str, str]], folder: str, name: str) -> None:
    found = Filters(filters)
    assert found.may_admit_below(folder) or not found.admits(f"{folder}/{name}")


def test_filters_that_nothing_matched_are_known() -> None:
    filters = Filters(ordered("-*.tmp -b/* +c -closed/*"))
    for path in ("a.tmp", "c", "d"):
        filters.admits(path)
    assert not filters.may_admit_below("closed")
    assert filters.unmatched() == [("exclude", "b/*")]


def test_filter_counts_as_matched_where_a_later_one_decides() -> None:
    filters = Filters(ordered("-*.tmp +a.tmp"))
    filters.admits("a.tmp")
    assert filters.unmatched() == []


def test_no_filters_are_false() -> None:
    assert not Filters()
    assert Filters([("include", "*")])


def test_filters_travel_to_other_processes() -> None:
    filters = pickle.loads(pickle.dumps(Filters(ordered("-* +*.csv"))))
    assert filters.admits("a.csv")
    assert not filters.admits("a.txt")


def test_another_word_is_refused() -> None:
    with pytest.raises(UsageError, match="include or exclude, not 'omit'"):
        Filters([("omit", "*")])


def test_many_stars_take_no_exponential_time() -> None:
    assert Filters([("exclude", "*a" * 20 + "b")]).admits("a" * 200)


PATTERNS = st.text(alphabet=st.sampled_from("ab/*?[]!-"), max_size=6)
FILTERS = st.lists(st.tuples(st.sampled_from(["include", "exclude"]), PATTERNS), max_size=5)
SEGMENT = st.text(alphabet=st.sampled_from("ab[]!-"), min_size=1, max_size=3)
PATHS = st.lists(SEGMENT, min_size=1, max_size=4)


@given(FILTERS, PATHS)
def test_aws_cli_admits_the_same_paths(filters: list[tuple[str, str]], segments: list[str]) -> None:
    path = "/".join(segments)
    theirs = s3_filters.Filter(filters, "bucket/", "bucket/")
    object_below = SimpleNamespace(src=f"bucket/{path}", src_type="s3")
    assert Filters(filters).admits(path) == bool(list(theirs.call([object_below])))


def test_files_from() -> None:
    lines = ["a/b.txt\n", "./c\r\n", "\n", "   \n", "# no comment\n", "././d", " spaced \n", "./\n", "..a/b..\n"]
    assert read_files_from(lines) == {"a/b.txt", "c", "# no comment", "d", " spaced ", "..a/b.."}


@pytest.mark.parametrize(
    "line", ["/etc/passwd", ".//x", "..", "../x", "a/../b", "a/..", "./../x", "C:\\x", "c:/x", "a\\..\\b"]
)
def test_files_from_refuses_paths_that_are_not_below(line: str) -> None:
    with pytest.raises(UsageError, match="line 2: ") as caught:
        read_files_from(["fine\n", f"{line}\n"])
    assert "not a path below" in str(caught.value)
