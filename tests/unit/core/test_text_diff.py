"""Unified diffs: `patch` makes the new text of the old one by them."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbsync.core.text_diff import text_of, unified

A = "".join(f"line {n}\n" for n in range(20))


def test_a_change_is_shown_with_three_lines_around_it() -> None:
    assert "".join(unified(A, A.replace("line 9\n", "line nine\n"), "s3://b/x", "x")) == (
        "--- s3://b/x\n+++ x\n@@ -7,7 +7,7 @@\n"
        " line 6\n line 7\n line 8\n-line 9\n+line nine\n line 10\n line 11\n line 12\n"
    )


@pytest.mark.parametrize(
    ("old", "new", "body"),
    [
        ("", "a\n", "@@ -0,0 +1 @@\n+a\n"),
        ("a\n", "", "@@ -1 +0,0 @@\n-a\n"),
        ("a\nb", "a\nb\n", "@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+b\n"),
        ("a\r\n", "a\n", "@@ -1 +1 @@\n-a\r\n+a\n"),
        ("a\x0cb\n", "a\x0cc\n", "@@ -1 +1 @@\n-a\x0cb\n+a\x0cc\n"),
    ],
)
def test_ends_of_files_and_of_lines(old: str, new: str, body: str) -> None:
    assert "".join(unified(old, new, "old", "new")) == f"--- old\n+++ new\n{body}"
    assert list(unified(new, new, "old", "new")) == []


@pytest.mark.parametrize(
    ("content", "text"),
    [(b"a\n", "a\n"), (b"", ""), (b"\xef\xbb\xbfa", "a"), ("ü".encode(), "ü"), (b"a\0b", None), (b"\xff\xfe", None)],
)
def test_what_is_text(content: bytes, text: str | None) -> None:
    assert text_of(content) == text


_TEXTS = st.lists(st.sampled_from(["a\n", "b\n", "\n", "ü x\n", "c"]), max_size=30).map("".join)


@given(_TEXTS, _TEXTS)
def test_the_new_text_is_made_of_the_old_one(old: str, new: str) -> None:
    assert _patched(old, list(unified(old, new, "old", "new"))) == new


def _patched(old: str, diff: list[str]) -> str:
    """The old text with the hunks of a diff carried out, as patch(1) does."""
    source = old.split("\n")
    lines = [f"{line}\n" for line in source[:-1]] + ([source[-1]] if source[-1] else [])
    made: list[str] = []
    at = 0
    for number, line in enumerate(diff[2:], 2):
        if line.startswith("@@"):
            first, _, count = line.split()[1][1:].partition(",")
            begins = int(first) - (count != "0")
            made += lines[at:begins]
            at = begins
        elif line.startswith("\\"):
            continue
        else:
            text = line[1:-1] if diff[number + 1 : number + 2] == ["\\ No newline at end of file\n"] else line[1:]
            if line[0] in " -":
                assert lines[at] == text
                at += 1
            if line[0] in " +":
                made.append(text)
    return "".join([*made, *lines[at:]])


def test_a_long_text_with_one_change_costs_little() -> None:
    old = "".join(f"{n % 7}\n" for n in range(400_000))
    began = time.process_time()
    found = list(unified(old, old[:400_000] + "x\n" + old[400_000:], "old", "new"))
    assert len(found) == 10
    assert time.process_time() - began < 5
