"""One behaviour, three faces: what a function, the magic and the shell do with the same words is the same."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.error import UsageError as IPythonUsageError

import nbsync
from nbsync.cli import main
from nbsync.errors import NbsyncError
from nbsync.notebook import magic
from tests.functional.world import World
from tests.shells import new_shell

Face = Callable[..., dict[str, Any]]


def in_python(command: str, *words: str, **options: Any) -> dict[str, Any]:
    verb = getattr(nbsync, command)
    try:
        document: dict[str, Any] = verb(*words, **options).to_dict()
    except NbsyncError as error:
        return {"error": str(error), "code": error.exit_code}
    return document


def as_words(command: str, words: tuple[str, ...], options: dict[str, Any]) -> list[str]:
    line = [command, *words]
    for name, value in options.items():
        line += [f"--{name.replace('_', '-')}"] if value is True else [f"--{name.replace('_', '-')}", str(value)]
    return line


@pytest.fixture
def shell() -> Iterator[Any]:
    with new_shell() as made:
        magic.load_ipython_extension(made)
        yield made
        magic.unload_ipython_extension(made)


@pytest.fixture(params=["function", "magic", "shell"])
def face(request: pytest.FixtureRequest, shell: Any, capsys: pytest.CaptureFixture[str]) -> Face:
    """A command with its words and options -> the document that it comes to."""

    def in_magic(command: str, *words: str, **options: Any) -> dict[str, Any]:
        line = shlex.join(as_words(command, words, options))
        try:
            document: dict[str, Any] = shell.run_line_magic("s3sync", f"{line};").to_dict()
        except NbsyncError as error:
            return {"error": str(error), "code": error.exit_code}
        return document

    def in_shell(command: str, *words: str, **options: Any) -> dict[str, Any]:
        capsys.readouterr()
        code = main.main([*as_words(command, words, options), "--json"])
        document: dict[str, Any] = json.loads(capsys.readouterr().out)
        return {"error": document["error"], "code": code} if "error" in document else document

    faces: dict[str, Face] = {"function": in_python, "magic": in_magic, "shell": in_shell}
    return faces[request.param]


def rows(document: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {row["path"]: (row["action"], row["status"]) for row in document["files"]}


def test_a_plan_is_saved_looked_at_applied_and_verified(face: Face, world: World, tmp_path: Path) -> None:
    world.fill_both("same", "old")
    world.remove("old")
    world.put("new", b"1")
    here, file = str(world.local), str(tmp_path / "plan.jsonl")

    assert rows(face("verify", here, world.remote)) == {
        "same": ("none", "hit"), "old": ("none", "miss"), "new": ("none", "miss")}  # fmt: skip
    planned = face("plan", "pull", world.remote, here, delete=True, save=file)
    assert rows(planned) == {
        "same": ("none", "hit"), "old": ("delete-local", "planned"), "new": ("download", "planned")}  # fmt: skip
    shown = face("apply", file, dry_run=True)
    assert (shown["command"], shown["dry_run"], set(world.files())) == ("apply", True, {"same", "old"})
    assert rows(shown) == {path: row for path, row in rows(planned).items() if path != "same"}
    done = face("apply", file)
    assert rows(done) == {"old": ("delete-local", "deleted"), "new": ("download", "miss")}
    equal = face("verify", here, world.remote, strict=True)
    assert (equal["ok"], equal["assurance"]) == (True, {"strong": 2, "weak": 0, "unknown": 0})


def test_what_is_refused_is_refused_with_the_same_words(face: Face, world: World, tmp_path: Path) -> None:
    file = tmp_path / "plan.jsonl"
    file.write_text("no plan\n")
    for words in (("apply", str(file)), ("apply", str(tmp_path / "none")), ("verify", str(tmp_path / "none"), "b")):
        document = face(*words)
        assert document == in_python(*words)
        assert document["code"] == 2


def test_a_default_of_the_notebook_does_not_lead_a_plan_elsewhere(shell: Any, world: World, tmp_path: Path) -> None:
    world.put("a", b"1")
    file = tmp_path / "plan.jsonl"
    nbsync.plan("pull", world.remote, world.local).save(file)
    shell.run_line_magic("config", "S3Sync.endpoint_url = 'http://127.0.0.1:9'")
    shell.run_line_magic("config", "S3Sync.region = 'eu-west-1'")
    with pytest.raises(NbsyncError, match="the plan was made for"):
        shell.run_line_magic("s3sync", f"apply {file};")
    assert not world.local.exists()
    line = f"apply {file} --endpoint-url {world.server.endpoint_url} --region us-east-1;"
    assert shell.run_line_magic("s3sync", line).counts["miss"] == 1


def test_status_and_the_last_sync_again(face: Face, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.put("a", b"1")
    world.put("b.tmp", b"2")
    assert face("pull", world.remote, str(world.local), exclude="*.tmp")["counts"]["miss"] == 1
    world.write("mine", b"3")
    found = face("status", str(world.local))
    assert (found["command"], found["remote"], found["ok"]) == ("status", world.remote, True)
    assert [(one["path"], one["change"]) for one in found["files"]] == [("mine", "added")]
    assert found["syncs"][0]["words"] == "--exclude '*.tmp'"

    monkeypatch.chdir(world.local)
    world.put("c", b"4")
    again = face("pull")
    assert rows(again) == {"a": ("none", "hit"), "c": ("download", "miss")}
    assert again["notes"][0].endswith(f"pull {world.remote} . --exclude '*.tmp'")
    refused = face("push")
    assert refused["code"] == 2
    assert f"To push all the same, write: push . {world.remote}" in refused["error"]
    assert face("status")["repeats"] == ["pull"]


def test_a_file_of_commands(face: Face, world: World, tmp_path: Path) -> None:
    world.put("a", b"1")
    here, file = world.local, tmp_path / "jobs.txt"
    copy = f"{world.bucket}/copy"
    file.write_text(f"# all of it\npull {world.remote} {here}\n\npush {here} \\\n  {copy}\nls {world.remote}\n")
    done = face("run", str(file), jobs=2)
    assert (done["command"], done["ok"], [one["command"] for one in done["results"]]) == (
        "run", True, ["pull", "push", "ls"])  # fmt: skip
    assert (done["counts"]["miss"], done["bytes"]["moved"], done["requests"]["put"]) == (2, 2, 1)
    file.write_text(f"push {here} {world.bucket}/other\npull {{nothing}}\n")
    assert "line 2: " in refusal(face, "run", str(file))
    assert world.server.s3.list_objects_v2(Bucket=world.bucket, Prefix="other/")["KeyCount"] == 0


def test_doctor(face: Face, world: World) -> None:
    found = face("doctor", world.remote)
    assert {one["name"]: one["status"] for one in found["findings"]}["bucket"] == "ok"
    assert "no such bucket" in refusal(face, "doctor", "no-such-bucket-here")


def refusal(face: Face, *words: str) -> str:
    """What a refused command says, whichever way the face tells it."""
    try:
        document = face(*words)
    except IPythonUsageError as error:
        return str(error)
    assert document.get("code", 2) == 2
    return str(document["error"])


def test_link(face: Face) -> None:
    hub = {"hub": "https://hub.example.org", "urlpath": "lab/tree/a b.ipynb", "exclude": "*.tmp"}
    made = face("link", "bucket/my data", "x&y", **hub)
    assert (made["command"], made["ok"], made["local"], made["notes"]) == ("link", True, "x&y", [])
    assert made["url"] == (
        "https://hub.example.org/hub/user-redirect/nbsync/pull?source=bucket/my%20data&target=x%26y&exclude=*.tmp"
        "&urlpath=lab/tree/a%20b.ipynb"
    )
    assert "target '../x' has a .. segment" in refusal(face, "link", "bucket/raw", "../x")
