"""Options: what is taken, what is refused, and that each refusal names the option."""

from __future__ import annotations

import pytest

from nbsync.core.commands import COMMANDS, TAKEN
from nbsync.core.options import all_options, build_options, takers
from nbsync.errors import UsageError


@pytest.mark.parametrize(
    ("given", "name", "value"),
    [
        ({"jobs": "8"}, "jobs", 8),
        ({"jobs": None}, "jobs", 0),
        ({"bandwidth": "20MB/s"}, "bandwidth", 20_000_000),
        ({"bandwidth": "1.5 MiB"}, "bandwidth", 1_572_864),
        ({"bandwidth": 5_000}, "bandwidth", 5_000),
        ({"bandwidth": "500B/s"}, "bandwidth", 500),
        ({"timeout": "2.5"}, "timeout", 2.5),
        ({"delete": True, "max_delete": "0"}, "max_delete", 0),
        ({"metadata": {"a": "b"}}, "metadata", (("a", "b"),)),
        ({"metadata": ["a=b", "c=d=e"]}, "metadata", (("a", "b"), ("c", "d=e"))),
        ({"include": "*.csv", "exclude": ["*"]}, "filters", (("exclude", "*"), ("include", "*.csv"))),
        ({"filters": [("include", "a"), ("exclude", "b")]}, "filters", (("include", "a"), ("exclude", "b"))),
    ],
)
def test_a_value_is_taken_as_meant(given: dict[str, object], name: str, value: object) -> None:
    assert getattr(build_options("push" if name == "metadata" else "pull", given), name) == value


@pytest.mark.parametrize(
    ("command", "given", "words"),
    [
        ("pull", {"job": 3}, "no option 'job'"),
        ("pull", {"storage_class": "GLACIER"}, "no option 'storage_class'"),
        ("ls", {"delete": True}, "no option 'delete'"),
        ("pull", {"jobs": "many"}, "--jobs takes a whole number"),
        ("pull", {"jobs": True}, "--jobs takes a whole number"),
        ("pull", {"bandwidth": "fast"}, "--bandwidth takes a rate"),
        ("pull", {"bandwidth": "0"}, "--bandwidth takes a rate"),
        ("pull", {"bandwidth": 20}, "20 is 20 bytes a second"),
        ("pull", {"timeout": "-1"}, "--timeout takes seconds"),
        ("pull", {"timeout": "nan"}, "--timeout takes seconds"),
        ("pull", {"timeout": 10**400}, "--timeout int too large"),
        ("pull", {"bandwidth": "9" * 400}, "--bandwidth cannot convert"),
        ("pull", {"compare": "md5"}, "--compare takes one of"),
        ("pull", {"delete": "yes"}, "--delete takes True or False"),
        ("pull", {"region": 7}, "--region takes text"),
        ("push", {"acl": "a\r\nx-evil: 1"}, "--acl has a line break"),
        ("push", {"metadata": ["novalue"]}, "--metadata takes KEY=VALUE"),
        ("push", {"metadata": ["a=b\nc"]}, "--metadata takes KEY=VALUE"),
        ("push", {"sse_kms_key_id": "k"}, "needs --sse aws:kms"),
        ("pull", {"max_delete": 3}, "--max-delete needs --delete"),
        ("pull", {"existing": True, "ignore_existing": True}, "exclude each other"),
        ("pull", {"filters": [("only", "x")]}, "--filters takes pairs"),
        ("pull", {"include": 5}, "include takes a pattern"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(command: str, given: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words.replace("(", r"\(")):
        build_options(command, given)


def test_every_option_has_help_and_a_group_and_at_least_one_command() -> None:
    for name, row in all_options().items():
        assert (row.name, bool(row.help), bool(row.group)) == (name, True, True)
        assert takers(row), name
        assert set(row.of) <= {*COMMANDS, *TAKEN}, name
        assert {*row.excludes, *row.drops, *filter(None, row.needs[:1])} <= {*all_options()}, name


def test_what_options_are_for_is_said_by_commands_that_there_are() -> None:
    assert {taken for row in COMMANDS.values() for taken in row.takes} == set(TAKEN)
