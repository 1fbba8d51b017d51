"""Which relative paths can be files, and which are one file on some file systems."""

from __future__ import annotations

import ntpath
import os
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nbsync.core import names

ANY_TEXT = st.text(alphabet=st.characters(exclude_categories=[]), max_size=40)
TRICKY = st.text(alphabet=st.sampled_from("ab./\\:C \0~\n"), max_size=12)


@pytest.mark.parametrize(
    "path",
    [
        "a",
        "a/b.txt",
        "...",
        "a/.../b",
        ".hidden",
        "a/.b",
        "..a",
        "a..",
        "-",
        "~",
        "~/x",
        "a b+c%2F#?&'\"",
        "<img src=x onerror=alert(1)>.txt",
        "emoji 🎉",
        "שלום",
        "line\nbreak",
        "\x01\x7f",
        "C:",
        "C:x",
        "ab:/x",
        "a/C:/x",
        "a:b",
        "con",
        "x.",
        "x ",
        " ",
        "s" * 255,
        "é" * 127,
        "🎉" * 63,
        "/".join(["d" * 200] * 19),
    ],
)
def test_names_that_can_be_files(path: str) -> None:
    assert names.refusal(path) is None


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("", "empty name"),
        ("/etc/x", "absolute"),
        ("/", "absolute"),
        ("dir/", "ends in /"),
        ("a//b", "empty segment"),
        ("..", "a .. segment"),
        ("../x", "a .. segment"),
        ("a/../b", "a .. segment"),
        ("a/..", "a .. segment"),
        (".", "a . segment"),
        ("./a", "a . segment"),
        ("a/./b", "a . segment"),
        ("a/.", "a . segment"),
        ("a\0b", "NUL"),
        ("C:\\x", "drive letter"),
        ("c:/x", "drive letter"),
        ("a\\b", "backslash"),
        ("..\\x", "backslash"),
        ("a\ud800", "not valid Unicode"),
        ("a/" + "s" * 300, "segment of 300 bytes"),
        ("s" * 256, "segment of 256 bytes"),
        ("é" * 128 + "/x", "segment of 256 bytes"),
        ("🎉" * 64, "segment of 256 bytes"),
        ("/".join(["d" * 200] * 20), "is 4019 bytes long"),
        ("/".join(["é" * 100] * 20), "is 4019 bytes long"),
    ],
)
def test_names_that_cannot_be_files(path: str, reason: str) -> None:
    refusal = names.refusal(path)
    assert refusal is not None
    assert reason in refusal
    assert names.refusal(path, windows=True) == refusal


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("a:b", 'one of < > : " | ? *'),
        ("a/b?", 'one of < > : " | ? *'),
        ('say "x"', 'one of < > : " | ? *'),
        ("<b>", 'one of < > : " | ? *'),
        ("line\nbreak", "control character"),
        ("x.", "dot or space"),
        ("x /y", "dot or space"),
        ("...", "dot or space"),
        ("con", "device name"),
        ("a/NUL.txt/b", "device name"),
        ("Com1", "device name"),
        ("lpt³.log", "device name"),
        ("aux .txt", "device name"),
        ("CONIN$", "device name"),
        ("NBSYNC~1/state.db", "short name of .nbsync"),
    ],
)
def test_windows_has_rules_of_its_own(path: str, reason: str) -> None:
    assert names.refusal(path) is None
    refusal = names.refusal(path, windows=True)
    assert refusal is not None
    assert reason in refusal


@pytest.mark.parametrize("path", ["a/b.txt", "console", "com", "com10", "lpt", "nulls/aux2", "x.con", "a b", ".git"])
def test_names_that_windows_takes(path: str) -> None:
    assert names.refusal(path, windows=True) is None


@given(ANY_TEXT | TRICKY)
@example("a/../../b")
def test_an_admitted_path_stays_inside_the_root(path: str) -> None:
    if names.refusal(path) is None:
        inside = os.path.normpath(os.path.join("/root/dir", path))
        assert inside == f"/root/dir/{path}"
        assert len(os.fsencode(path)) <= names.MAX_PATH_BYTES


@given(ANY_TEXT | TRICKY)
@example("a:stream")
def test_an_admitted_path_stays_inside_the_root_on_windows(path: str) -> None:
    if names.refusal(path, windows=True) is None:
        inside = ntpath.normpath(ntpath.join("D:\\root", path))
        assert inside == "D:\\root\\" + path.replace("/", "\\")


@given(ANY_TEXT | TRICKY | st.text(max_size=300))
def test_the_fast_test_agrees_with_the_rules(path: str) -> None:
    segments = path.split("/")
    plain = all(s not in ("", ".", "..") and len(s.encode("utf-8", "surrogatepass")) <= 255 for s in segments)
    legal = not any(c in "\0\\" or unicodedata.category(c) == "Cs" for c in path)
    drive = path[:1].isascii() and path[:1].isalpha() and path[1:3] == ":/"
    assert (names.refusal(path) is None) == (plain and legal and not drive)


@pytest.mark.parametrize(
    "path",
    [".nbsync", ".nbsync/state.db", "a/.nbsync", "a/.nbsync/b", ".NBSYNC/x", "a/.NbSync", ".nb\u017fync/x", ".nbsync/"],
)
def test_own(path: str) -> None:
    assert names.is_own(path)


@pytest.mark.parametrize("path", ["", "nbsync", ".nbsync2", "a.nbsync", "a/.nbsync.txt", ".nbsync\n", "x.nbsync/y"])
def test_not_own(path: str) -> None:
    assert not names.is_own(path)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("A", "a"),
        ("Dir/x.TXT", "dir/X.txt"),
        ("caf\u00e9", "cafe\u0301"),
        ("CAF\u00c9", "cafe\u0301"),
        ("straße", "STRASSE"),
        ("\u212a", "k"),  # the Kelvin sign
        ("\u1fb3\u0301", "\u1fb4"),
    ],
)
def test_twins(one: str, other: str) -> None:
    assert names.twin_key(one) == names.twin_key(other)


@pytest.mark.parametrize(("one", "other"), [("a", "b"), ("e", "é"), ("a/b", "ab"), ("a b", "a_b")])
def test_not_twins(one: str, other: str) -> None:
    assert names.twin_key(one) != names.twin_key(other)


@given(st.text())
def test_every_normal_form_and_case_of_a_name_is_its_twin(path: str) -> None:
    key = names.twin_key(path)
    assert names.twin_key(key) == key
    for form in ("NFC", "NFD"):
        assert names.twin_key(unicodedata.normalize(form, path)) == key
    assert names.twin_key(path.casefold()) == key


@pytest.mark.parametrize(
    ("path", "size", "expected"),
    [("dir/", 0, True), ("a/b/", 0, True), ("", 0, True), ("dir/", 1, False), ("", 3, False), ("dir", 0, False)],
)
def test_folder_markers(path: str, size: int, expected: bool) -> None:
    assert names.is_folder_marker(path, size) is expected


@pytest.mark.parametrize(
    ("path", "prefix_bytes", "refused"),
    [("a" * 1024, 0, False), ("a" * 1025, 0, True), ("a" * 1000, 24, False), ("a" * 1000, 25, True),
     ("\u00e9" * 512, 0, False), ("\u00e9" * 512, 1, True), ("\U0001f600" * 256, 0, False), ("a", 1023, False),
     ("a", 1024, True)],
)  # fmt: skip
def test_keys_that_are_too_long(path: str, prefix_bytes: int, refused: bool) -> None:
    assert (names.key_refusal(path, prefix_bytes) is not None) is refused


@pytest.mark.parametrize(
    "path",
    [
        ".git",
        "a/.git/config",
        ".GIT/x",
        ".git./x",
        ".git /x",
        "git~1",
        "x/GIT~2/y",
        ".g\u200cit/x",
        "\ufeff.git",
        ".hg/hgrc",
        "a/.HG",
    ],
)
def test_what_git_or_mercurial_may_read_as_its_own(path: str) -> None:
    assert names.is_repository(path)


@pytest.mark.parametrize(
    "path", ["git", ".gitignore", "a/.gitattributes", "x.git", ".github/w", "digit~1", "g\u00efit", ".hgignore", "hg"]
)
def test_what_neither_reads_as_its_own(path: str) -> None:
    assert not names.is_repository(path)
