"""The grammar that the shell and the notebook share."""

from __future__ import annotations

import re
import shlex

import pytest

from nbsync.api import functions
from nbsync.core.call import Call
from nbsync.core.options import OPTIONS, Options, flag, takers
from nbsync.errors import UsageError
from nbsync.grammar.help import commands
from nbsync.grammar.parse import HelpRequested, Invocation, parse, parse_defaults


def call(line: str, **more: object) -> Call:
    found = parse(shlex.split(line), **more)  # type: ignore[arg-type]
    assert found.call is not None
    return found.call


def test_pull_push_plan_ls() -> None:
    assert call("pull b/p") == Call(command="pull", remote="b/p", direction="pull")
    assert call("pull b/p data") == Call(command="pull", remote="b/p", local="data", direction="pull")
    assert call("push data b/p") == Call(command="push", remote="b/p", local="data", direction="push")
    assert call("plan push data b/p") == Call(command="plan", remote="b/p", local="data", direction="push")
    assert call("plan pull b/p") == Call(command="plan", remote="b/p", direction="pull")
    assert call("verify data b/p") == Call(command="verify", remote="b/p", local="data")
    assert call("apply plan.jsonl") == Call(command="apply", file="plan.jsonl")
    assert call("plan pull b --save f").options.save == call("plan push d b --save f").options.save == "f"
    assert call("ls b/p") == Call(command="ls", remote="b/p")
    assert call("status") == Call(command="status")
    assert call("status data") == Call(command="status", local="data")
    assert call("link b/p") == Call(command="link", remote="b/p")
    asked = Options(hub="https://h", urlpath="lab", endpoint="minio")
    line = "link b/p data --hub https://h --urlpath lab --endpoint minio"
    assert call(line) == Call(command="link", remote="b/p", local="data", options=asked)


def test_a_pull_or_push_without_words_is_the_last_one_again() -> None:
    assert call("pull") == Call(command="pull", direction="pull", again=True)
    assert call("push -n --json") == Call(
        command="push", direction="push", again=True, options=Options(dry_run=True, json=True)
    )
    assert not call("pull b").again


def test_what_was_asked_is_told_from_the_defaults_of_the_face() -> None:
    found = call("apply f --jobs 3", notebook=True, defaults={"endpoint_url": "http://x", "delete": True})
    assert (found.options.endpoint_url, found.options.jobs, found.options.delete) == ("http://x", 3, False)
    assert found.asked == {"jobs"}


@pytest.mark.parametrize(
    "line",
    [
        "pull --delete --jobs 3 b/p data",
        "pull b/p data --delete --jobs 3",
        "pull b/p --jobs=3 data --delete",
        "--jobs 3 pull b/p --delete data",
        "pull --delete --jobs 3 -- b/p data",
    ],
)
def test_options_stand_anywhere(line: str) -> None:
    options = Options(delete=True, jobs=3)
    assert call(line) == Call(command="pull", remote="b/p", local="data", direction="pull", options=options)


def test_includes_and_excludes_keep_their_order() -> None:
    filters = call("pull --exclude * b --include *.csv --exclude=tmp/* -n").options.filters
    assert filters == (("exclude", "*"), ("include", "*.csv"), ("exclude", "tmp/*"))


def test_what_may_be_given_again_adds_up() -> None:
    options = call("push d b --metadata a=1 --tag t=1 --metadata b=2=3").options
    assert (options.metadata, options.tag) == ((("a", "1"), ("b", "2=3")), (("t", "1"),))


def test_after_two_dashes_everything_is_a_word() -> None:
    assert call("pull b -- --delete").local == "--delete"


def test_short_dry_run() -> None:
    assert call("pull b -n").options.dry_run


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (
            "--json",
            "no command. It is one of: pull, push, sync, plan, apply, verify, undo, status, run, doctor, link, ls,"
            " demo",
        ),
        ("pul b", "unknown command 'pul'. Did you mean pull?"),
        ("statu a", "unknown command 'statu'. Did you mean status?"),
        ("jobs", "jobs is for notebooks. There: %s3sync jobs"),
        ("status a b", "status does not take the word 'b'"),
        ("status --delete", "status has no option --delete. It belongs to: pull, push"),
        ("link", "link needs REMOTE. It is: link REMOTE [LOCAL]"),
        ("link b --delete", "link has no option --delete. It belongs to: pull, push"),
        ("link b --hub https://a --server https://b", "--hub and --server exclude each other"),
        ("pull b --urlpath lab", "pull has no option --urlpath. It belongs to: link"),
        ("pull b --endpoint minio", "pull has no option --endpoint. It belongs to: link"),
        ("verify b/p", "verify needs REMOTE. It is: verify LOCAL REMOTE"),
        ("apply", "apply needs FILE. It is: apply FILE"),
        ("apply p.jsonl --delete", "apply has no option --delete. It belongs to: pull, push"),
        ("pull b --save f", "pull has no option --save. It belongs to: plan"),
        ("push d b --download", "push has no option --download. It belongs to: verify"),
        ("plan pull", "plan pull needs REMOTE. It is: plan pull REMOTE [LOCAL]"),
        ("push data", "push needs REMOTE. It is: push LOCAL REMOTE"),
        ("ls a b", "ls does not take the word 'b'"),
        ("plan b", "plan needs to know what for"),
        ("plan push b", "plan push needs REMOTE. It is: plan push LOCAL REMOTE"),
        ("pull ''", "REMOTE is empty"),
        ("pull b --delet", "unknown option --delet. Did you mean --delete?"),
        ("pull b --dryrun", "unknown option --dryrun. Did you mean --dry-run?"),
        ("pull b --force", "unknown option --force"),
        ("pull b --recursive", "unknown option --recursive. pull and push are always recursive"),
        ("pull b -r", "unknown option -r. pull and push are always recursive"),
        ("pull b -v", "unknown option -v. Did you mean --verbose?"),
        ("cp b d", "unknown command 'cp'. Write pull (from S3) or push (to S3)"),
        ("help", "unknown command 'help'. Did you mean --help?"),
        ("pull b --follow-symlinks", "pull has no option --follow-symlinks. It belongs to: push"),
        ("plan pull b --overwrite-remote", "plan pull has no option --overwrite-remote. It belongs to: push"),
        ("push d b --preserve-mtime", "push has no option --preserve-mtime. It belongs to: pull"),
        ("pull b --includ=x", "unknown option --includ. Did you mean --include?"),
        ("pull b -x", "unknown option -x"),
        ("pull b -o r", "unknown option -o"),
        ("pull b --background", "unknown option --background. That is for notebooks; in a shell, end the line with &"),
        ("pull b '--delete x'", "unknown option --delete x"),
        ("pull b --jobs", "--jobs needs a value"),
        ("pull b --jobs many", "--jobs takes a whole number, not 'many'"),
        ("pull b --exclude -x", "One that begins with - is written with =, e.g. --exclude=-x*"),
        ("pull b --delete=yes", "--delete: ignored explicit argument 'yes'"),
        ("pull b --compare md5", "--compare takes one of content, size-mtime, size, not 'md5'"),
        ("pull b --sse AES256", "pull has no option --sse. It belongs to: push"),
        ("plan pull b --sse AES256", "plan pull has no option --sse. It belongs to: push"),
        ("ls b --delete", "ls has no option --delete. It belongs to: pull, push"),
        ("pull b --lab", "pull has no option --lab. It belongs to: nbsync demo"),
        ("pull b --serve", "pull has no option --serve. It belongs to: nbsync demo"),
        ("demo --lab --serve", "--lab and --serve exclude each other"),
        ("pull b --max-delete 3", "--max-delete needs --delete"),
        ("demo --json", "demo has no option --json"),
        ("demo now", "demo does not take the word 'now'"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(line: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(shlex.split(line))
    assert told in str(caught.value)


def test_demo_is_for_the_shell() -> None:
    assert parse(["demo"]) == Invocation("demo", None)
    assert parse(["demo", "--lab"]) == Invocation("demo", None, lab=True)
    assert parse(["demo", "--serve"]) == Invocation("demo", None, serve=True)
    with pytest.raises(UsageError, match=r"demo runs in a shell\. There: nbsync demo"):
        parse(["demo"], notebook=True)


def test_panel_is_for_notebooks() -> None:
    found = parse(shlex.split("panel b/p data --delete --jobs 3 --sse AES256 -o p"), notebook=True)
    assert found.call is not None
    assert (found.command, found.call.remote, found.call.local, found.output_name) == ("panel", "b/p", "data", "p")
    assert (found.call.options.delete, found.call.options.jobs, found.call.options.sse) == (True, 3, "AES256")
    assert parse(["panel"], notebook=True).call is not None
    with pytest.raises(UsageError, match=r"panel is for notebooks\. There: %s3sync panel"):
        parse(["panel"])
    for words in ("panel b --json", "panel b --dry-run", "panel b --show all", "panel b --save f"):
        with pytest.raises(UsageError, match="panel has no option"):
            parse(shlex.split(words), notebook=True)
    with pytest.raises(HelpRequested, match=r"usage: %s3sync panel \[REMOTE \[LOCAL\]\]"):
        parse(["panel", "--help"], notebook=True)


def test_a_notebook_names_and_shows() -> None:
    found = parse(["pull", "b", "-o", "r", "--show", "all"], notebook=True)
    assert (found.output_name, found.show) == ("r", "all")
    assert parse(["pull", "b"], notebook=True).show == "changed"
    assert parse(["pull", "b", "--verbose"], notebook=True).show == "all"


@pytest.mark.parametrize("words", [["-o", "a b"], ["-o", "class"], ["-o", ""], ["--show", "some"], ["--lab"]])
def test_a_notebook_refuses_what_cannot_be(words: list[str]) -> None:
    with pytest.raises(UsageError):
        parse(["pull", "b", *words], notebook=True)


def test_defaults_stand_behind_what_is_given() -> None:
    defaults = parse_defaults(shlex.split("--jobs 2 --exclude * --delete --show all --sse AES256"))
    options = call("pull b --jobs 5 --include *.csv", notebook=True, defaults=defaults).options
    assert (options.jobs, options.delete, options.sse) == (5, True, "")
    assert options.filters == (("exclude", "*"), ("include", "*.csv"))
    assert call("push d b", notebook=True, defaults=defaults).options.sse == "AES256"
    assert call("ls b", notebook=True, defaults=defaults).options.filters == (("exclude", "*"),)
    assert parse(["ls", "b"], notebook=True, defaults=defaults).show == "all"
    assert defaults["filters"] == [("exclude", "*")]  # untouched by the lines that used it


@pytest.mark.parametrize("words", [["pull"], ["-o", "r"], ["--nope"]])
def test_defaults_are_options_only(words: list[str]) -> None:
    with pytest.raises(UsageError):
        parse_defaults(words)
    assert parse_defaults([]) == {}


@pytest.mark.parametrize("command", list(commands(notebook=False)))
def test_a_commands_help_has_each_of_its_options_once(command: str) -> None:
    with pytest.raises(HelpRequested) as asked:
        parse([command, "--help"])
    lines = asked.value.text.splitlines()
    for name, spec in OPTIONS.items():
        if name == "filters":
            continue
        told = [line for line in lines if re.match(rf"  (-n, )?{flag(name)}( |$)", line)]
        assert len(told) == (command in takers(spec)), name
    assert max(map(len, lines)) <= 120


@pytest.mark.parametrize(
    ("words", "option"),
    [(("pull", "b"), "content_type"), (("pull", "b"), "follow_symlinks"), (("push", "d", "b"), "preserve_mtime")],
)
def test_python_refuses_a_plan_what_it_refuses_the_run(words: tuple[str, ...], option: str) -> None:
    value = "text/csv" if option == "content_type" else True
    with pytest.raises(UsageError, match=f"{words[0]} has no option '{option}'"):
        functions.plan(*words, **{option: value})


def test_help_lists_what_there_is_and_nothing_else() -> None:
    with pytest.raises(HelpRequested) as asked:
        parse(["--help"])
    text = asked.value.text
    assert all(row.does in text for row in commands(notebook=False).values())
    assert not any(f"\n  {later} " in text for later in ("panel", "jobs"))
    with pytest.raises(HelpRequested, match="%s3sync COMMAND"):
        parse([], notebook=True)
    with pytest.raises(HelpRequested, match=r"^nbsync "):
        parse(["--version"])
