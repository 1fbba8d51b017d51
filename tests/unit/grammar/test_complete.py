"""Which words fit at the cursor: tables of what is typed and what is offered, in a world that is written down."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from nbsync.core.options import OPTIONS, flag
from nbsync.grammar import help as texts
from nbsync.grammar.complete import Candidate, Typed, Where, candidates
from nbsync.grammar.parse import taken_by
from nbsync.grammar.split import completed, split, split_unfinished

KEYS = {"raw/": ["raw/", "raw/2024/", "raw/a.csv", "raw/my data/", "raw/it's", "raw/x\x1b[31m", "raw/\u202egpj",
                 "raw/.nbsync/", "raw/$x {y}.csv"], "": ["raw/", "readme"]}  # fmt: skip


class World:
    """Two buckets, one of them with keys; a few files; remembers what was asked and of whom."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def profiles(self) -> Iterable[str]:
        return ["default", "dev", "my team"]

    def jobs(self) -> Iterable[str]:
        return ["3", "12"]

    def buckets(self, where: Where) -> Iterable[str]:
        self.asked.append((dict(where),))
        return ["data-lake", "dumps", "s3-logs"]

    def keys(self, bucket: str, prefix: str, where: Where) -> Iterable[str]:
        self.asked.append((bucket, prefix, dict(where)))
        return KEYS[prefix[: prefix.rfind("/") + 1]] if bucket == "dumps" else []

    def files(self, folder: str, *, home: bool) -> Iterable[str]:
        self.asked.append((folder, home))
        return {"": [".git/", ".nbsync/", "-x/", "~root/", "~x", "data/", "data.csv", "my data/"],
                "data/": ["a/", "b.txt"], "~/": ["work/", "~root/"], "./": ["~root/"]}.get(folder, [])  # fmt: skip


def offered(line: str, after: str = "", **more: Any) -> list[str]:
    """What is offered at the end of `line`, each as it would be written there."""
    return [text for text, _ in found(line, after, **more)]


def found(line: str, after: str = "", world: World | None = None, **more: Any) -> list[tuple[str, str]]:
    names = {"bucket": "dumps", "where": None}.get
    typed = split_unfinished(line, names)
    if typed is None or typed.value is None:
        return []
    behind = split_unfinished(f"{typed.quote}{after} ", names)
    assert behind is not None
    seen = candidates(Typed(typed.words, typed.value, behind.words, **more), world or World())
    written = [(completed(typed, one.text, after), one) for one in seen]
    for text, one in written:
        whole = line[: len(line) - len(typed.raw)] + text + after
        assert words_of(whole)[len(typed.words)] == one.text
    return [(text, one.kind) for text, one in written]


def words_of(line: str) -> list[str]:
    return split(line, lambda source, _code: {"bucket": "dumps"}.get(source, "?")).words


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("pu", ["pull", "push"]), ("ver", ["verify"]), ("li", ["link"]), ("link dum", ["dumps/"]),
        ("link b --url", ["--urlpath"]), ("link b --endpoint", ["--endpoint", "--endpoint-url"]),
        ("pull b --urlp", []), ("link b --delete", []), ("link dumps/raw da", ["data/"]), ("nothing", []),
        ("plan ", ["pull", "push", "sync"]), ("plan pul", ["pull"]), ("--profile dev pul", ["pull"]),
        ("pull --comp", ["--compare"]), ("pull --compare ", ["content", "size-mtime", "size"]),
        ("pull --compare si", ["size-mtime", "size"]),
        ("pull --compare=si", ["--compare=size-mtime", "--compare=size"]),
        ("pull --show ", ["summary", "changed", "all"]), ("ls --addressing-style v", ["virtual"]),
        ("push d b/p --sse aws", ["aws:kms", "aws:kms:dsse"]), ("pull --sse", ["--sse-c-key-file"]),
        ("pull --compare size --comp", []), ("pull --exclude x --excl", ["--exclude"]),
        ("push --tag a=b --ta", ["--tag"]), ("push --metadata a=b --met", ["--metadata"]), ("pull --met", []),
        ("plan push a b --met", ["--metadata"]), ("plan pull a b --met", []), ("plan pull --sav", ["--save"]),
        ("pull -n --dry", []), ("pull --dry-run -n", []), ("pull -", None), ("pull --he", ["--help"]),
        ("pull --profile ", ["default", "dev", "'my team'"]), ("ls --profile d", ["default", "dev"]),
        ("pull --jobs ", []), ("pull --exclude ", []), ("ls b --jobs", []), ("pull -- --comp", []),
        ("pull b d ", None), ("pull b d x", []), ("unknown --", ["--help"]),
        ("cancel ", ["3", "12"]), ("cancel 1", ["12"]),
    ],
)  # fmt: skip
def test_words_of_the_grammar(line: str, expected: list[str] | None) -> None:
    if expected is None:
        assert "--compare" in offered(line)
    else:
        assert offered(line) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("pull ", ["s3://data-lake/", "s3://dumps/", "s3://s3-logs/"]),
        ("pull d", ["data-lake/", "dumps/"]), ("pull s3://d", ["s3://data-lake/", "s3://dumps/"]),
        ("pull S3://du", ["S3://dumps/"]), ("pull s3:/", ["s3://data-lake/", "s3://dumps/", "s3://s3-logs/"]),
        ("pull s", ["s3://data-lake/", "s3://dumps/", "s3://s3-logs/", "s3-logs/"]),
        ("pull dumps/", ["dumps/raw/", "dumps/readme"]), ("pull s3://dumps/re", ["s3://dumps/readme"]),
        ("pull dumps/raw/2", ["dumps/raw/2024/"]), ("push data dumps/r", ["dumps/raw/"]),
        ("plan push data dumps/r", ["dumps/raw/"]), ("plan pull dumps/r", ["dumps/raw/", "dumps/readme"]),
        ("verify data s3://dumps/ra", ["s3://dumps/raw/"]), ("ls data-lake/", []),
        ("pull dumps/raw/m", ["'dumps/raw/my data/'"]), ("pull 'dumps/raw/m", ["'dumps/raw/my data/'"]),
        ('pull "dumps/raw/m', ['"dumps/raw/my data/"']), ("pull dumps/raw/i", ['"dumps/raw/it\'s"']),
        ("pull 'dumps/raw/i", ["'dumps/raw/it'\\''s'"]), ("pull dumps/raw/$", []), ("pull 'dumps/raw/'", None),
        ("pull dumps/raw/\\$", []), ("pull 'dumps/raw/$", ["'dumps/raw/$x {y}.csv'"]),
        ("pull {bucket}/re", ["{bucket}/readme"]), ("pull $bucket/raw/m", ["$bucket/raw/m'y data/'"]),
        ("pull {bucket", []), ("pull $buck", []), ("pull {bucket + '/'}re", []), ("pull {where}/", []),
        ("pull dumps/raw/x", []), ("pull arn:aws:s3:eu-west-1:123456789012:accesspoint/", []),
    ],
)  # fmt: skip
def test_remotes(line: str, expected: list[str] | None) -> None:
    if expected is None:
        assert offered(line) == ["'dumps/raw/2024/'", "'dumps/raw/a.csv'", "'dumps/raw/my data/'",
                                 "'dumps/raw/it'\\''s'", "'dumps/raw/$x {y}.csv'"]  # fmt: skip
    else:
        assert offered(line) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("pull b ", ["data/", "'my data/'"]), ("pull b .", [".git/"]), ("pull b data/", ["data/a/"]),
        ("push my", ["'my data/'"]), ("push 'my", ["'my data/'"]), ('push "my da', ['"my data/"']),
        ("apply ", ["~root/", "~x", "data/", "data.csv", "'my data/'"]), ("apply data/", ["data/a/", "data/b.txt"]),
        ("pull b --files-from da", ["data/", "data.csv"]), ("pull b --files-from=da", None),
        ("undo da", ["data/"]), ("undo ~", ["~/"]), ("undo ~/w", ["~/work/"]),
        ("apply ~", ["~root/", "~x"]), ("undo ~r", []), ("push ./~", ["./~root/"]), ("push ~/~", ["~/~root/"]),
    ],
)  # fmt: skip
def test_local_places(line: str, expected: list[str] | None) -> None:
    assert offered(line) == (["--files-from=data/", "--files-from=data.csv"] if expected is None else expected)


def test_a_closing_mark_that_stands_there_is_not_written_twice() -> None:
    assert offered("push 'my", "'") == ["'my data/"]
    assert offered('push "my da', '" b/p') == ['"my data/']


def test_the_kind_is_told() -> None:
    kinds = {line: {kind for _, kind in found(line)} for line in ("pu", "pull --c", "pull d", "pull dumps/", "apply d")}
    assert kinds == {"pu": {"command"}, "pull --c": {"option"}, "pull d": {"bucket"},
                     "pull dumps/": {"folder", "object"}, "apply d": {"folder", "file"}}  # fmt: skip


@pytest.mark.parametrize("command", sorted(texts.commands(notebook=True)))
def test_every_command_is_offered_exactly_the_options_that_it_takes(command: str) -> None:
    taken = taken_by(command)
    known = {flag(name) for name in taken & OPTIONS.keys() if name != "filters"}
    seen = set(offered(f"{command} --"))
    assert known <= seen
    assert not {flag(name) for name in OPTIONS.keys() - taken} & seen


def test_what_is_typed_before_and_behind_and_above_says_where() -> None:
    world = World()
    head, defaults = ["--region", "above", "--no-sign-request"], {"profile": "p", "ca_bundle": "c", "jobs": 4}
    behind = " data --endpoint-url http://x --region r --jobs 3"
    found("--profile dev pull d", behind, world, head=head, defaults=defaults)
    where = {"profile": "dev", "endpoint_url": "http://x", "region": "r", "no_sign_request": True, "ca_bundle": "c"}
    assert world.asked == [(where,)]


@pytest.mark.parametrize(("line", "after"), [("pull --profile {where} d", ""), ("pull d", " --endpoint-url $where")])
def test_nobody_is_asked_when_it_is_not_known_whom(line: str, after: str) -> None:
    world = World()
    assert offered(line, after, world=world) == []
    assert world.asked == []


def test_an_option_that_stands_behind_the_cursor_is_given_too() -> None:
    assert "--delete" not in offered("pull --d", " b --delete")


def test_the_first_line_of_a_cell_takes_options() -> None:
    assert "--profile" in offered("", only_options=True)
    assert offered("--comp", only_options=True) == ["--compare"]
    assert offered("pu", only_options=True) == []
    assert offered("-o", only_options=True) == []


def test_what_cannot_be_printed_is_not_offered() -> None:
    class Hostile(World):
        def buckets(self, where: Where) -> Iterable[str]:
            return ["good", "b\x1b[2Jad", "b\u202ead", "b\udc80ad", "b\nad"]

    assert candidates(Typed(["pull"], "s3://"), Hostile()) == [Candidate("s3://good/", "bucket")]


AFTER = ["", "'", '"', " x", "' y"]


@given(st.text(" ab'\"\\{}$;/.-=é\t#", max_size=12), st.text(" ab'\"\\{}$;?#/é", max_size=6), st.sampled_from(AFTER))
def test_whatever_is_typed_a_candidate_is_read_as_it_is_meant(line: str, rest: str, after: str) -> None:
    typed = split_unfinished(line, {"a": "known", "b": "two words"}.get)
    if typed is None or typed.value is None:
        return
    assert line.endswith(typed.raw)
    value = typed.value + rest
    assume(value)
    written = completed(typed, value, after)
    closes = typed.quote and after.startswith(typed.quote)
    whole = line[: len(line) - len(typed.raw)] + written + (after if closes else "")
    words = split(whole, lambda source, _code: {"a": "known", "b": "two words"}.get(source, "?")).words
    assert words[len(typed.words)] == value
