"""The splitter of a magic line: quotes, braces, `{expr}` and `$name`."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbsync.errors import UsageError
from nbsync.grammar.split import Line, commands, expander, quote, split

NAMES = {"dest": "x", "d": {"raw data": "a b", "}": "brace"}, "spaced": "a b", "folder": Path("/data/raw"), "n": 3}


def words(line: str) -> list[str]:
    return split(line, expander(NAMES)).words


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", []),
        ("  pull   a\tb ", ["pull", "a", "b"]),
        ("'a b' \"c d\" e", ["a b", "c d", "e"]),
        ("a'b c'd\"e f\"", ["ab cde f"]),
        ("'' \"\"", ["", ""]),
        (r"a\ b \' \" \\", ["a b", "'", '"', "\\"]),
        (r'"a\"b" "\$x" "\{x\}" "\n"', ['a"b', "$x", "{x}", "\\n"]),
        ("{d[\"raw data\"]} {d['raw data']}", ["a b", "a b"]),
        ('"{d["raw data"]}/c d"', ["a b/c d"]),
        ("{dest}-bg pre{dest}post $dest.csv $dest/$n", ["x-bg", "prexpost", "x.csv", "x/3"]),
        ("$spaced '$spaced' \"$spaced\"", ["a b", "$spaced", "a b"]),
        ("{{a}} $$dest {{{dest}}} } $1 $", ["{a}", "$dest", "{x}", "}", "$1", "$"]),
        ("'{dest}' '{{' '*.{csv,parquet}'", ["{dest}", "{{", "*.{csv,parquet}"]),
        ("{d['}']} {'}'} { {1: 2}[1] } {[n for n in (1, 2)][-1]}", ["brace", "}", "2", "2"]),
        ("{f'{n:03}'} {n and {}}", ["003", "{}"]),
        ("{folder}/a {dest + 'y z'}", ["/data/raw/a", "xy z"]),
        ("{None} {len(d)}", ["None", "2"]),
        ("--include=*.csv # no comment", ["--include=*.csv", "#", "no", "comment"]),
    ],
)
def test_words(line: str, expected: list[str]) -> None:
    assert words(line) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ls b;", Line(["ls", "b"], True)),
        ("ls b ;  ", Line(["ls", "b"], True)),
        ("ls 'b;'", Line(["ls", "b;"], False)),
        (r"ls b\;", Line(["ls", "b;"], False)),
        ("ls a;b", Line(["ls", "a;b"], False)),
        ("ls {dest};", Line(["ls", "x"], True)),
        (";", Line([], True)),
    ],
)
def test_a_semicolon_at_the_end_hides_the_table(line: str, expected: Line) -> None:
    assert split(line, expander(NAMES)) == expected


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("pull {nope}", "name 'nope' is not defined"),
        ("pull $nope", "name 'nope' is not defined"),
        ("pull {nope.x + 1}", "name 'nope' is not defined"),
        ("pull $class", "name 'class' is not defined"),
        ("pull $dir {dir}", "name 'dir' is not defined"),  # not the built-in function
        ("--include *.{csv,parquet}", "name 'csv' is not defined"),
        ("pull {d['gone']}", "{d['gone']} failed: KeyError: 'gone'"),
        ("pull {1/0}", "ZeroDivisionError"),
        ("pull {1 +} {2}", "{1 +} is not a Python expression"),
        ("pull {}", "{} is not a Python expression"),
        ("pull {dest", "a { is not closed"),
        ("pull 'a b", "a ' is not closed. It opens at: 'a b"),
        ('pull a"b', 'a " is not closed. It opens at: "b'),
        ("pull a\\", "nothing stands after the last \\"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(line: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        words(line)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_expression_binds_no_name() -> None:
    names = dict(NAMES)
    assert split("{(found := 4)}", expander(names)).words == ["4"]
    assert names == NAMES


def test_expressions_run_once_and_in_order() -> None:
    seen: list[str] = []

    def expand(source: str, code: object) -> str:
        seen.append(source)
        return source.upper()

    assert split("{a}$b '{c}' {d}", expand).words == ["AB", "{c}", "D"]
    assert seen == ["a", "b", "d"]


@given(st.lists(st.text()))
def test_quoted_words_come_back(given_words: list[str]) -> None:
    assert words(" ".join(map(quote, given_words))) == given_words


@given(st.text())
def test_any_line_splits_or_is_refused(line: str) -> None:
    try:
        told = split(line, lambda source, code: source).words
    except UsageError as error:
        told = str(error)
    assert isinstance(told, list) or told.isprintable()


@given(st.text(), st.text(alphabet="ab /"))
def test_a_value_stays_one_word(value: str, glue: str) -> None:
    assert split('{value}"' + glue + '"', expander({"value": value})).words == [value + glue]


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("", []),
        ("# only\n\n   # comments\n", []),
        ("pull a\n\n  push b c\n", [(1, "pull a"), (3, "  push b c")]),
        ("pull a \\\n  b \\\n  c\nls d", [(1, "pull a    b    c"), (4, "ls d")]),
        ("# a comment goes on \\\npull a", [(2, "pull a")]),
        ("pull a\\\\\nls b", [(1, "pull a\\\\"), (2, "ls b")]),
        ("pull a \\", [(1, "pull a  ")]),
        ("pull a \\\n# b", [(1, "pull a  # b")]),
    ],
)
def test_commands_of_a_cell(cell: str, expected: list[tuple[int, str]]) -> None:
    assert commands(cell) == expected
