"""Looking around: answers come from helper threads, late ones are given up, levels are read from the XML."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from nbsync.errors import AccessDenied, ListingError
from nbsync.panel.suggestions import PATIENCE, Lookups, folders_like
from nbsync.s3.folder_page import parse_level


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_answer_comes_with_its_topic() -> None:
    came = threading.Event()
    asked = Lookups(came.set)
    asked.ask(("level", "v", "b/"), lambda: [1])
    assert came.wait(5)
    assert [tuple(answer) for answer in asked.answers()] == [(("level", "v", "b/"), [1], "")]
    assert not asked.pending


@pytest.mark.parametrize(
    ("error", "told"), [(AccessDenied("no", "Ask"), "no. Ask"), (OSError("odd\n"), "OSError: odd\\n")]
)
def test_an_error_is_a_line(error: Exception, told: str) -> None:
    def fail() -> None:
        raise error

    came = threading.Event()
    asked = Lookups(came.set)
    asked.ask(("x",), fail)
    assert came.wait(5)
    assert [answer.error for answer in asked.answers()] == [told]


def test_a_newer_question_replaces_the_older_one() -> None:
    gate, came = threading.Event(), threading.Semaphore(0)
    asked = Lookups(came.release)
    asked.ask(("suggestions",), lambda: (gate.wait(5), "old")[1])
    asked.ask(("suggestions",), lambda: "new")
    gate.set()
    assert came.acquire(timeout=5)
    assert came.acquire(timeout=5)
    assert [answer.value for answer in asked.answers()] == ["new"]


def test_a_late_answer_is_given_up() -> None:
    clock, gate, came = Clock(), threading.Event(), threading.Event()
    asked = Lookups(came.set, clock)
    asked.ask(("level",), lambda: gate.wait(30))
    assert list(asked.answers()) == []
    assert asked.pending
    clock.now = PATIENCE + 1
    assert [answer.error for answer in asked.answers()] == ["no answer within 20 s"]
    gate.set()
    assert came.wait(5)
    assert list(asked.answers()) == []


def test_not_too_many_at_once() -> None:
    gate = threading.Event()
    asked = Lookups(lambda: None)
    for number in range(8):
        asked.ask((str(number),), lambda: gate.wait(30))
    asked.ask(("one more",), lambda: 1)
    assert [answer.error for answer in asked.answers()] == ["too much is asked at once: wait for the answers"]
    gate.set()


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


PAGE = """<ListBucketResult><Prefix>p/</Prefix><EncodingType>url</EncodingType><IsTruncated>{more}</IsTruncated>{token}
<Contents><Key>p/</Key><Size>0</Size><LastModified>2024-01-01T00:00:00Z</LastModified></Contents>
<Contents><Key>{key}</Key><Size>3</Size><LastModified>2024-01-01T00:00:00Z</LastModified></Contents>
<CommonPrefixes><Prefix>p/sub%20dir/</Prefix></CommonPrefixes>
<CommonPrefixes><Prefix>p/.nbsync/</Prefix></CommonPrefixes></ListBucketResult>"""


def test_a_level() -> None:
    body = PAGE.format(more="true", token="<NextContinuationToken>t</NextContinuationToken>", key="p/a%2Bb")
    assert parse_level(body.encode(), "p/") == (["sub dir/"], [("a+b", 3)], "t")
    body = PAGE.format(more="false", token="", key="p/x")
    assert parse_level(body.encode(), "p/").token == ""
    with pytest.raises(ListingError):
        parse_level(PAGE.format(more="false", token="", key="elsewhere").encode(), "p/")
