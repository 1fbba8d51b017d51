"""One behaviour, three faces: what a function, the magic and the shell do with the same words is the same."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

import nbsync
from nbsync.errors import NbsyncError
from nbsync.ui import cli, magic
from tests.functional.world import World

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
    InteractiveShell.clear_instance()
    made = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    magic.load_ipython_extension(made)
    yield made
    magic.unload_ipython_extension(made)
    InteractiveShell.clear_instance()


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
        code = cli.main([*as_words(command, words, options), "--json"])
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
