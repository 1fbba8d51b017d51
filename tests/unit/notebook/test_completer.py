"""Tab in IPython itself: what its completer makes of the candidates, in lines, cell bodies and assignments."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from IPython.core.completer import provisionalcompleter, rectify_completions

from nbsync.api.lookup import Surroundings
from nbsync.notebook import completer, magic
from nbsync.s3.browse import Candidates
from tests.shells import new_shell

Shell = Any
KEYS = {"": ["raw/", "read me"], "raw/": ["raw/2024/", "raw/a-b:c=d.csv"]}


class Browser:
    """One bucket `my-bucket`; says which options it was made with."""

    def __init__(self) -> None:
        self.made: list[Any] = []
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, options: Any) -> Browser:
        self.made.append(options)
        return self

    def buckets(self) -> list[str]:
        assert self.gate.wait(20)
        return ["my-bucket"]

    def candidates(self, bucket: str, prefix: str) -> Candidates:
        assert self.gate.wait(20)
        names = KEYS.get(prefix[: prefix.rfind("/") + 1], []) if bucket == "my-bucket" else []
        return Candidates([name for name in names if name.startswith(prefix)], False)


@pytest.fixture
def browser() -> Browser:
    return Browser()


@pytest.fixture
def shell(browser: Browser, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my data").mkdir()
    (tmp_path / "my-bucketful").mkdir()
    with new_shell() as made:
        made.kernel = object()
        magic.load_ipython_extension(made)
        completer.install(made, made.magics_manager.registry["S3Sync"]._defaults, Surroundings(browse=browser))  # type: ignore[arg-type]
        yield made
        magic.unload_ipython_extension(made)


def pressed(shell: Shell, source: str) -> list[str]:
    """What the cell becomes with each of the matches, when Tab is pressed at the `|`."""
    at = source.index("|")
    cell = source.replace("|", "", 1)
    with provisionalcompleter():
        found = list(rectify_completions(cell, shell.Completer.completions(cell, at)))
    return [cell[: one.start] + one.text + cell[one.end :] for one in found]


@pytest.mark.parametrize(
    ("source", "becomes"),
    [
        ("%s3sync pul|", ["%s3sync pull"]),
        ("r = %s3sync pul|", ["r = %s3sync pull"]),
        ("a, b[0]=%s3sync pul|", ["a, b[0]=%s3sync pull"]),
        ("for x in y:\n    r = %s3sync pul|\n    z", ["for x in y:\n    r = %s3sync pull\n    z"]),
        ("%%s3sync --comp|", ["%%s3sync --compare"]),
        ("%%s3sync --jobs 3\n# two\npull my-bucket/re|\npush x", None),
        ("%%s3sync\npul|", ["%%s3sync\npull"]),
        ("%%s3sync\npull my-bucket/raw/2|", ["%%s3sync\npull my-bucket/raw/2024/"]),
        ("%%s3sync\npull \\\n  --comp|", ["%%s3sync\npull \\\n  --compare"]),
        ("%s3sync pull \\\n  my-bucket/raw/2|", ["%s3sync pull \\\n  my-bucket/raw/2024/"]),
        ("%s3sync pull s3://my-b|", ["%s3sync pull s3://my-bucket/"]),
        ("%s3sync pull s3://my-bucket/ra|", ["%s3sync pull s3://my-bucket/raw/"]),
        ("%s3sync pull my-bucket/raw/a-b:c=|", ["%s3sync pull my-bucket/raw/a-b:c=d.csv"]),
        ("%s3sync pull my-bucket/raw/a-b:|", ["%s3sync pull my-bucket/raw/a-b:c=d.csv"]),
        ("%s3sync pull my-bucket/raw/2| data", ["%s3sync pull my-bucket/raw/2024/ data"]),
        ("%s3sync pull b --compare=size-|", ["%s3sync pull b --compare=size-mtime"]),
        ("%s3sync pull b --addressing-style=v|", ["%s3sync pull b --addressing-style=virtual"]),
        ("%s3sync pull b \"my da|", ["%s3sync pull b \"my data/\""]),
        ("%s3sync pull b my\\ |", ["%s3sync pull b my\\ data/"]),
        ("%s3sync pull 'my-bucket/rea|'", ["%s3sync pull 'my-bucket/read me'"]),
        ("%s3sync push my|", ["%s3sync push 'my data/'", "%s3sync push my-bucketful/"]),
    ],
)  # fmt: skip
def test_the_cell_becomes(shell: Shell, source: str, becomes: list[str] | None) -> None:
    if becomes is None:
        becomes = ["%%s3sync --jobs 3\n# two\npull 'my-bucket/read me'\npush x"]
    assert pressed(shell, source) == becomes


@pytest.mark.parametrize(
    "source",
    ["%s3sync pull nothing-|", "%s3sync pull my-bucket/nothing|", "%s3sync --nothing|", "%s3sync pull b --jobs |",
     "%s3sync push {shell}/m| my-bucket", "%s3sync undo my-bucketful/|", "%s3sync pull s3://my-bucket/|; x"],
)  # fmt: skip
def test_where_nothing_fits_no_other_names_are_offered(shell: Shell, source: str) -> None:
    assert pressed(shell, source.replace("; x", "{ x")) == []


def test_inside_an_expression_python_is_completed(shell: Shell) -> None:
    shell.user_ns["my_prefix"] = "raw"
    shell.Completer.use_jedi = False
    assert "%s3sync pull my-bucket/{my_prefix" in pressed(shell, "%s3sync pull my-bucket/{my_p|")
    assert pressed(shell, "%s3sync pull my-bucket/{my_prefix}/2|") == ["%s3sync pull my-bucket/{my_prefix}/2024/"]
    assert pressed(shell, "%s3sync pull my-bucket/$my_prefix/2|") == ["%s3sync pull my-bucket/$my_prefix/2024/"]


@pytest.mark.parametrize(
    "source",
    ["import o|", "x = 's3sync pu|", "%%time\n# %s3sync pul|", "s3sync = pul|", "%s3sync|", "%%s3syncs pul|",
     "print('%s3sync pul|", "%%s3sync\n# pul|"],
)  # fmt: skip
def test_elsewhere_ipython_is_left_alone(shell: Shell, source: str) -> None:
    ours = completer.Completer({}, dict)
    before, _, after = source.partition("|")
    assert ours.complete(before, after) is None


@pytest.mark.parametrize(
    ("source", "offered"),
    [
        ("%s3sync pull my-bucket/raw/", ["2024/", "a-b:c=d.csv"]), ("%s3sync pull s3://my-b", ["my-bucket/"]),
        ("%s3sync pull my-bucket/", ["my-bucket/raw/", "'my-bucket/read me'"]),
        ("%s3sync pull 'my-bucket/", ["raw/'", "read me'"]), ("%s3sync pu", ["pull", "push"]),
    ],
)  # fmt: skip
def test_only_the_last_segment_is_replaced_where_that_is_enough(shell: Shell, source: str, offered: list[str]) -> None:
    with pytest.warns(PendingDeprecationWarning):
        _, matches = shell.complete("", source, len(source))
    assert matches == offered


def test_the_magics_defaults_and_the_lines_own_options_say_where(shell: Shell, browser: Browser) -> None:
    shell.run_cell("%config S3Sync.profile = 'p'\n%config S3Sync.endpoint_url = 'http://x'")
    pressed(shell, '%s3sync pull "my| --profile q --region other')
    assert (browser.made[-1].profile, browser.made.pop().region) == ("q", "other")
    pressed(shell, "%%s3sync --region above\npull my| data --no-verify-ssl --endpoint-url http://y;")
    (options,) = browser.made
    assert (options.profile, options.region, options.endpoint_url) == ("p", "above", "http://y")
    assert options.no_verify_ssl


def test_a_late_answer_is_left_out_and_the_wait_is_short(shell: Shell, browser: Browser) -> None:
    browser.gate.clear()
    began = time.monotonic()
    assert pressed(shell, "%s3sync pull my|") == []
    assert time.monotonic() - began < 0.9  # of which 0.2 are ours; the rest is for a busy machine
    browser.gate.set()
    seen: list[str] = []
    while not seen and time.monotonic() - began < 20:
        seen = pressed(shell, "%s3sync pull my|")
    assert seen == ["%s3sync pull my-bucket/"]


def test_no_error_reaches_the_notebook(shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    def broken() -> dict[str, Any]:
        raise RuntimeError("never shown")

    completer.install(shell, broken)
    shell.Completer.use_jedi = False
    pressed(shell, "%s3sync pul|")
    assert capsys.readouterr() == ("", "")


def test_loading_again_and_unloading_leave_one_and_none(shell: Shell) -> None:
    def ours() -> int:
        return sum(
            getattr(one, "matcher_identifier", "") == completer.IDENTIFIER for one in shell.Completer.custom_matchers
        )

    def others(_text: str) -> list[str]:
        return []

    shell.Completer.custom_matchers.append(others)
    magic.load_ipython_extension(shell)
    assert ours() == 1
    magic.unload_ipython_extension(shell)
    assert ours() == 0
    assert shell.Completer.custom_matchers == [others]
    shell.Completer.custom_matchers.clear()
