"""Look-ups never hold up who asks: helper threads, a deadline, a cache with an age; and silence when they fail."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nbsync.api import background
from nbsync.api.lookup import KEPT_SECONDS, PATIENCE, LookUps, Questions, Surroundings, folders_like, remotes_like
from nbsync.core.options import Options
from nbsync.errors import AccessDenied
from nbsync.s3.browse import Candidates
from nbsync.s3.folder_page import Level


class Clock:
    """A clock that stands still until it is told."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


class Browser:
    """Remembers what it was asked; answers when `gate` is open; fails while `broken`."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.made: list[Options] = []
        self.gate = threading.Event()
        self.gate.set()
        self.broken = False
        self.complete = True

    def __call__(self, options: Options) -> Browser:
        self.made.append(options)
        return self

    def buckets(self) -> list[str]:
        return self._answer("buckets", ["one", "two"])

    def candidates(self, bucket: str, prefix: str) -> Candidates:
        return Candidates(self._answer((bucket, prefix), ["raw/", "readme"]), self.complete)

    def _answer(self, question: Any, answer: list[str]) -> list[str]:
        self.asked.append(question)
        assert self.gate.wait(20)
        if self.broken:
            raise OSError("no network")
        return answer


@pytest.fixture
def browser() -> Browser:
    return Browser()


def around(browser: Browser, clock: Clock | None = None) -> Surroundings:
    return Surroundings(now=clock or Clock(), browse=browser)  # type: ignore[arg-type]


def settled(lookups: LookUps) -> None:
    """All threads have left what they found."""
    for found in list(lookups._found.values()):
        assert found.done.wait(20)


def test_an_answer_is_kept_for_a_minute(browser: Browser) -> None:
    clock = Clock()
    here = around(browser, clock)
    assert list(here.within(5).buckets({})) == ["one", "two"]
    clock.seconds += KEPT_SECONDS - 1
    assert list(here.within(5).buckets({})) == ["one", "two"]
    assert browser.asked == ["buckets"]
    clock.seconds += 1
    assert list(here.within(5).buckets({})) == ["one", "two"]
    assert browser.asked == ["buckets"] * 2


def test_each_account_bucket_and_prefix_is_a_look_up_of_its_own(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = around(browser)
    for where in ({}, {"profile": "p"}, {"endpoint_url": "http://x"}, {"region": "r"}, {"profile": "p"}):
        here.within(5).buckets(where)
    assert len(browser.asked) == 4
    assert {options.profile for options in browser.made} == {"", "p"}
    assert {(options.retries, options.timeout) for options in browser.made} == {(0, 10.0)}
    for bucket, prefix in (("a", ""), ("b", ""), ("a", "x/"), ("a", "")):
        here.within(5).keys(bucket, prefix, {})
    assert browser.asked[4:] == [("a", ""), ("b", ""), ("a", "x/")]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "another")
    here.within(5).buckets({})
    assert browser.asked[-1] == "buckets"


def test_a_complete_folder_answers_for_every_name_in_it(browser: Browser) -> None:
    here = around(browser)
    for prefix in ("raw/", "raw/a", "raw/ab"):
        here.within(5).keys("b", prefix, {})
    assert browser.asked == [("b", "raw/")]
    browser.complete = False
    for prefix in ("big/", "big/a", "big/ab", "big/a"):
        here.within(5).keys("b", prefix, {})
    assert browser.asked[1:] == [("b", "big/"), ("b", "big/a"), ("b", "big/ab")]


def test_what_is_late_is_left_out_and_there_the_next_time(browser: Browser) -> None:
    here = around(browser)
    browser.gate.clear()
    for _ in range(3):
        assert list(here.within(0).buckets({})) == []  # the clock stands still, and so this deadline is now
    browser.gate.set()
    settled(here.remote)
    assert list(here.within(0).buckets({})) == ["one", "two"]
    assert browser.asked == ["buckets"]


def test_the_deadline_is_one_for_all_that_is_looked_up(browser: Browser) -> None:
    here = Surroundings(browse=browser)  # type: ignore[arg-type]
    browser.gate.clear()
    began = time.monotonic()
    view = here.within(0.2)
    for bucket in "abc":
        assert list(view.keys(bucket, "", {})) == []
    assert 0.2 <= time.monotonic() - began < 0.55  # and not three times as long
    browser.gate.set()


def test_a_failure_is_silent_and_tried_again_soon(browser: Browser, capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    here = around(browser, clock)
    browser.broken = True
    for _ in range(2):
        assert list(here.within(5).buckets({})) == []
    browser.broken = False
    clock.seconds += 6
    assert list(here.within(5).buckets({})) == ["one", "two"]
    assert browser.asked == ["buckets"] * 2
    assert len(browser.made) == 2, "the configuration is read anew"
    assert list(here.within(5).buckets({"addressing_style": "wrong"})) == []
    assert capsys.readouterr() == ("", "")


def test_few_threads_wait_at_once(browser: Browser) -> None:
    here = around(browser)
    browser.gate.clear()
    for number in range(20):
        here.within(0).keys(str(number), "", {})
    browser.gate.set()
    settled(here.remote)
    assert len(browser.asked) == 4
    assert list(here.within(5).keys("19", "", {})) == ["raw/", "readme"]


def test_few_answers_are_kept() -> None:
    lookups = LookUps(now=Clock())
    for number in range(200):
        assert lookups.get(number, lambda: 1, until=200.0, keep=60.0) == 1
        settled(lookups)
    assert len(lookups._found) == 64
    assert (lookups.peek(199), lookups.peek(0)) == (1, None)


def test_files_are_looked_at_each_time(tmp_path: Path, browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    here = around(browser)
    assert list(here.within(5).files("", home=True)) == []
    (tmp_path / "b").touch()
    (tmp_path / "a").mkdir()
    assert list(here.within(5).files("", home=True)) == ["a/", "b"]
    assert list(here.within(5).files("~/", home=True)) == ["a/", "b"]
    assert list(here.within(5).files("~/", home=False)) == []
    assert list(here.within(5).files("missing/", home=True)) == []


def test_profiles_come_from_both_files(home: Path, browser: Browser) -> None:
    aws = home / ".aws"
    aws.mkdir()
    (aws / "config").write_text("[default]\nregion = x\n[profile dev]\n[ profile 'my team' ]\n[sso-session corp]\n")
    (aws / "credentials").write_text("[default]\naws_access_key_id = [not a section\n[ci]\n# [commented]\n")
    assert list(around(browser).within(5).profiles()) == ["ci", "default", "dev", "my team"]


def test_without_files_there_are_no_profiles(home: Path, browser: Browser) -> None:
    assert list(around(browser).within(5).profiles()) == []
    (home / ".aws").mkdir()
    (home / ".aws" / "config").write_bytes(b"\xff\xfe[profile x]")
    assert list(around(browser).within(5).profiles()) == []


def test_background_syncs_under_way_have_numbers(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [SimpleNamespace(id=2, done=True), SimpleNamespace(id=13, done=False)]
    monkeypatch.setattr(background, "BACKGROUND", SimpleNamespace(jobs=lambda: jobs))
    assert list(around(browser).within(5).jobs()) == ["13"]
    monkeypatch.delitem(sys.modules, "nbsync.api.background")
    assert list(around(browser).within(5).jobs()) == []


# ---- a panel's questions ------------------------------------------------------------------------------


class Panel:
    """Asks questions, and knows when it was woken."""

    def __init__(self, browser: Browser, clock: Clock | None = None) -> None:
        self.woken = threading.Semaphore(0)
        self.around = around(browser, clock)
        self.questions = Questions(self.woken.release, self.around)

    def told(self) -> list[tuple[Any, str]]:
        """Value and error of what has come."""
        return [(answer.value, answer.error) for answer in self.questions.answers()]


def test_an_answer_wakes_the_panel_and_comes_with_its_topic(browser: Browser) -> None:
    panel = Panel(browser)
    panel.questions.ask_remote(("level", "v", ""), {}, lambda browser: browser.buckets())
    assert panel.woken.acquire(timeout=20)
    assert [tuple(answer) for answer in panel.questions.answers()] == [(("level", "v", ""), ["one", "two"], "")]
    assert not panel.questions.pending


@pytest.mark.parametrize(
    ("error", "told"), [(AccessDenied("no", "Ask"), "no. Ask"), (OSError("odd\n"), "OSError: odd\\n")]
)
def test_an_error_is_a_line(browser: Browser, error: Exception, told: str) -> None:
    def fail() -> None:
        raise error

    panel = Panel(browser)
    panel.questions.ask_local(("x",), fail)
    assert panel.woken.acquire(timeout=20)
    assert panel.told() == [(None, told)]


def test_a_newer_question_replaces_the_older_one(browser: Browser) -> None:
    gate, panel = threading.Event(), Panel(browser)
    panel.questions.ask_local(("suggestions",), lambda: (gate.wait(20), "old")[1])
    panel.questions.ask_local(("suggestions",), lambda: "new")
    gate.set()
    for _ in range(2):
        assert panel.woken.acquire(timeout=20)
    assert panel.told() == [("new", "")]


def test_a_late_answer_is_given_up(browser: Browser) -> None:
    clock, gate = Clock(), threading.Event()
    panel = Panel(browser, clock)
    panel.questions.ask_local(("level",), lambda: gate.wait(20))
    assert panel.told() == []
    assert panel.questions.pending
    clock.seconds += PATIENCE + 1
    assert panel.told() == [(None, "no answer within 20 s")]
    gate.set()
    assert panel.woken.acquire(timeout=20)
    assert panel.told() == []


def test_what_finds_no_thread_free_is_begun_later_and_too_much_is_refused(browser: Browser) -> None:
    gate, panel = threading.Event(), Panel(browser)
    for number in range(8):
        panel.questions.ask_local((str(number),), lambda: gate.wait(20))
    panel.questions.ask_local(("one more",), lambda: 1)
    assert panel.told() == [(None, "too much is asked at once: wait for the answers")]
    gate.set()
    answers: list[tuple[Any, str]] = []
    while panel.questions.pending:
        assert panel.woken.acquire(timeout=20)
        answers += panel.told()
    assert answers == [(True, "")] * 8


def test_a_panel_asks_anew_each_time(browser: Browser) -> None:
    panel = Panel(browser)
    for _ in range(2):
        panel.questions.ask_remote(("level",), {"retries": 1}, lambda browser: browser.buckets())
        assert panel.woken.acquire(timeout=20)
        assert panel.told() == [(["one", "two"], "")]
    assert browser.asked == ["buckets"] * 2
    assert [options.retries for options in browser.made] == [1], "one Browser for both, with the panel's patience"


@pytest.mark.parametrize(
    ("text", "asked", "found"),
    [("", ("", ""), ["raw/"]), ("ra", ("", "ra"), ["raw/"]), ("s3://b/p/r", ("b/p/", "r"), ["s3://b/p/raw/"]),
     ("b/", ("b/", ""), ["b/raw/"])],
)  # fmt: skip
def test_remotes_are_written_as_they_were_begun(text: str, asked: tuple[str, str], found: list[str]) -> None:
    class Folders:
        def level(self, path: str, *, begins: str) -> Level:
            assert (path, begins) == asked
            return Level(["raw/"], [("readme", 3)], "")

    assert remotes_like(Folders(), text) == found  # type: ignore[arg-type]


def test_local_folders(tmp_path: Path) -> None:
    for name in ("data", "data2", ".git", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "data.txt").write_text("")
    assert folders_like(f"{tmp_path}/da") == [f"{tmp_path}/data", f"{tmp_path}/data2"]
    assert f"{tmp_path}/.git" not in folders_like(f"{tmp_path}/")
    assert folders_like(f"{tmp_path}/.g") == [f"{tmp_path}/.git"]
    assert folders_like(f"{tmp_path}/nope/x") == []


def test_a_home_is_read_as_a_sync_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home" / "work").mkdir(parents=True)
    (tmp_path / "~root").mkdir()
    (tmp_path / "~" / "wrong").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    assert (folders_like(""), folders_like("~r"), folders_like("~/w")) == (["home"], [], ["~/work"])
    assert folders_like("./~") == ["./~", "./~root"]
