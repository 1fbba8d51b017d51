"""What came as a file is not believed: plans that others made or edited. (Folders: test_trust_folders.py.)"""

from __future__ import annotations

import json
import os
import shlex
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nbsync
from nbsync.cli import main
from nbsync.core.options import OPTIONS
from nbsync.core.saved_options import HARMLESS, SAVED
from nbsync.errors import GuardRefusal
from nbsync.notebook import magic
from tests.functional.trap import Trap
from tests.functional.world import World
from tests.shells import new_shell


@pytest.fixture
def plan(world: World, tmp_path: Path) -> Path:
    """A push of one file, planned by this user here."""
    world.write("a", b"mine")
    file = tmp_path / "plan.jsonl"
    nbsync.plan("push", world.local, world.remote).save(file)
    return file


@pytest.fixture
def lab(world: World, home: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A World that the profile `lab` has the keys of."""
    (home / "config").write_text(
        f"[profile lab]\naws_access_key_id = {world.server.access_key}\n"
        f"aws_secret_access_key = {world.server.secret_key}\nregion = us-east-1\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(home / "config"))
    world.write("a", b"mine")
    return world


def edit(file: Path, *, items: Callable[[str], str] = lambda line: line, options: Any = None, **header: Any) -> None:
    """Change a plan's header (its options too) and its items, as an editor does."""
    first, *rest = file.read_text().splitlines()
    document = {**json.loads(first), **header}
    document["options"] = {**document["options"], **(options or {})}
    lines = [json.dumps(document, separators=(",", ":")), *map(items, rest)]
    file.write_text("".join(f"{line}\n" for line in lines))


def refused(file: Path, **options: Any) -> str:
    """The one line in which a plan is refused, by a dry run too."""
    for more in ({"dry_run": True}, {}):
        with pytest.raises(GuardRefusal) as error:
            nbsync.apply(file, **options, **more)
        assert error.value.exit_code == 3
        assert "\n" not in str(error.value)
    return str(error.value)


NAMED: list[tuple[dict[str, Any], str]] = [
    ({"on": "dask://HOST"}, "--on dask://HOST"),
    ({"on": "ipyparallel:x", "jobs": 4}, "--on ipyparallel:x"),
    ({"spread": "each"}, "--spread each"),
    ({"endpoint_url": "http://HOST"}, "--endpoint-url http://HOST"),
    ({"endpoint_url": "http://me:hush@HOST"}, "--endpoint-url http://...@HOST"),
    ({"endpoint_url": ["http://HOST"]}, "--endpoint-url"),
    ({"endpoint_url": "http://[HOST"}, "--endpoint-url"),
    ({"profile": "lab"}, "--profile lab"),
    ({"sse_c_key_file": "/etc/hostname"}, "--sse-c-key-file /etc/hostname"),
    ({"sse_kms_key_id": "arn:aws:kms:x", "sse": "aws:kms"}, "--sse-kms-key-id arn:aws:kms:x"),
    ({"ca_bundle": "/etc/hostname"}, "--ca-bundle /etc/hostname"),
    ({"no_verify_ssl": True}, "--no-verify-ssl True"),
    ({"log_file": "/tmp/x"}, "--log-file /tmp/x"),
    ({"save": "/tmp/x"}, "--save /tmp/x"),
    ({"files_from": "/etc/passwd"}, "--files-from /etc/passwd"),
    ({"follow_symlinks": True}, "--follow-symlinks True"),
    ({"trash_days": 0}, "--trash-days 0"),
    ({"acl": "public-read"}, "--acl public-read"),
    ({"request_payer": True}, "--request-payer True"),
    ({"hub": "http://HOST"}, "--hub http://HOST"),
    ({"log_file": "\x1b[2J\n/tmp/x"}, r"--log-file \x1b[2J\n/tmp/x"),
]


@pytest.mark.parametrize(("options", "told"), NAMED, ids=["-".join(options) for options, _ in NAMED])
def test_an_edited_plan_leads_nowhere(world: World, plan: Path, trap: Trap, options: dict[str, Any], told: str) -> None:
    text = json.dumps(options).replace("HOST", trap.address)
    edit(plan, options=json.loads(text))
    message = refused(plan)
    assert told.replace("HOST", trap.address) in message
    assert "hush" not in message
    assert "nbsync plan push ... --save FILE" in message
    hint = message.partition("To do it")[2] + message.partition("If you know")[2]
    assert hint
    assert trap.address not in hint
    assert not trap.met
    assert world.keys() == []


def test_every_option_is_harmless_or_asked_for() -> None:
    """What is new is asked for until somebody has thought about it."""
    assert set(SAVED) >= HARMLESS
    assert HARMLESS.isdisjoint({name for options, _ in NAMED for name in options} - {"jobs", "sse"})
    files = {name for name, row in OPTIONS.items() if row.metavar in ("FILE", "URL", "ENGINE", "PATH")}
    assert HARMLESS.isdisjoint(files)


@pytest.mark.parametrize("more", [[], ["--json"], ["--dry-run"]])
def test_the_shell_refuses_in_one_line(
    world: World, plan: Path, trap: Trap, more: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    edit(plan, options={"on": f"dask://{trap.address}"})
    capsys.readouterr()
    assert main.main(["apply", str(plan), *more]) == 3
    out, err = capsys.readouterr()
    assert (err.count("\n"), f"--on dask://{trap.address}" in err) == (1, True)
    if out:
        document = json.loads(out)
        assert (document["ok"], trap.address in document["error"]) == (False, True)
    assert not trap.met
    assert world.keys() == []


@pytest.mark.parametrize("line", ["apply FILE", "apply FILE --dry-run", "apply FILE --background"])
def test_a_notebook_refuses_in_one_line(world: World, plan: Path, trap: Trap, line: str) -> None:
    edit(plan, options={"on": f"dask://{trap.address}"})
    with new_shell() as shell:
        magic.load_ipython_extension(shell)
        words = line.replace("FILE", shlex.quote(str(plan)))
        with pytest.raises(GuardRefusal, match=f"--on dask://{trap.address}"):
            shell.run_line_magic("s3sync", words)
    assert not trap.met
    assert world.keys() == []


def test_a_run_file_names_its_plans_and_no_more(world: World, plan: Path, trap: Trap, tmp_path: Path) -> None:
    edit(plan, options={"endpoint_url": f"http://{trap.address}"})
    (tmp_path / "run").write_text(f"apply {shlex.quote(str(plan))}\n")
    with pytest.raises(GuardRefusal):
        nbsync.run(tmp_path / "run")
    assert not trap.met
    assert world.keys() == []


def test_ones_own_plan_goes_on_without_words(lab: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = lab.server.endpoint_url
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    options = {"endpoint_url": endpoint, "profile": "lab", "no_verify_ssl": True, "trash_days": 3, "acl": "private"}
    nbsync.plan("push", lab.local, lab.remote, save=tmp_path / "plan", **options)
    result = nbsync.apply(tmp_path / "plan")
    assert (result.counts["miss"], result.exit_code) == (1, 0)
    assert not [note for note in result.notes if "not known" in note]
    assert "saved to" in nbsync.plan("push", lab.local, lab.remote, save=tmp_path / "plan", **options).notes[-1]


def test_an_edit_of_anything_makes_it_somebody_elses(world: World, tmp_path: Path, trap: Trap) -> None:
    world.write("a", b"mine")
    world.write("b", b"too")
    file, endpoint = tmp_path / "plan", world.server.endpoint_url
    nbsync.plan("push", world.local, world.remote, save=file, acl="private")
    text = file.read_text()
    lines = text.splitlines(keepends=True)
    for changed in (
        text.replace('"path":"b"', '"path":"c"'), text.replace('"size":4', '"size":5'),
        text.replace("s3://", "s3://x"),
        text.replace('"acl":"private"', '"acl":"public-read"'), lines[0] + lines[2] + lines[1],
        text.replace('"planned_at":"2', '"planned_at":"3'), text + "\n",
        text.replace(endpoint, f"http://{trap.address}"),
    ):  # fmt: skip
        assert changed != text
        file.write_text(changed)
        assert "--acl" in refused(file)
    assert not trap.met
    document = json.loads(lines[0])
    proof = document.pop("proof")
    assert len(proof) == 64
    for other in ("", "0" * 64, proof[:-1], None, 5, [proof], "é" * 64):
        file.write_text("".join([json.dumps({**document, "proof": other}) + "\n", *lines[1:]]))
        refused(file)
    file.write_text(text)
    assert nbsync.apply(file).counts["miss"] == 2


def test_an_older_plan_that_names_nothing_is_applied(world: World, plan: Path, elsewhere: Callable[[], Any]) -> None:
    first, *rest = plan.read_text().splitlines()
    older = json.loads(first)
    assert older.pop("proof")
    plan.write_text("\n".join([json.dumps(older, separators=(",", ":")), *rest]) + "\n")
    with elsewhere():
        assert nbsync.apply(plan, dry_run=True).counts["planned"] == 1
    result = nbsync.apply(plan)
    assert (result.counts["miss"], world.get("a")) == (1, b"mine")
    assert result.notes[0].startswith(f"{plan} is not known to be your own plan")


@pytest.mark.parametrize("how", ["command line", "environment", "another user's"])
def test_who_names_the_same_may_go_there(
    lab: World, tmp_path: Path, elsewhere: Callable[[], Any], how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint, file = lab.server.endpoint_url, tmp_path / "plan"
    with elsewhere():
        nbsync.plan("push", lab.local, lab.remote, save=file, endpoint_url=endpoint, profile="lab")
    assert "--profile lab" in refused(file)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert f"--endpoint-url {endpoint}, --profile lab" in refused(file)
    if how == "environment":
        monkeypatch.setenv("AWS_PROFILE", "lab")
        assert "--profile lab" not in refused(file)
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint + "/")
        result = nbsync.apply(file)
    elif how == "command line":
        assert f"--endpoint-url {endpoint}" in refused(file, profile="lab", endpoint_url="http://127.0.0.1:9")
        result = nbsync.apply(file, profile="lab", endpoint_url=endpoint)
    else:
        with elsewhere():
            result = nbsync.apply(file)
    assert result.counts["miss"] == 1


@pytest.mark.usefixtures("moto")
def test_the_place_that_a_strangers_plan_was_made_for_is_no_word(
    world: World, plan: Path, elsewhere: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the header says of itself is named, too: nothing of it is dropped unsaid."""
    with elsewhere():
        nbsync.plan("push", world.local, world.remote, save=plan)
    other = world.server.endpoint_url.replace("127.0.0.1", "localhost")
    monkeypatch.setenv("AWS_ENDPOINT_URL", other)
    assert f"--endpoint-url {world.server.endpoint_url}" in refused(plan)
    monkeypatch.setenv("AWS_ENDPOINT_URL", world.server.endpoint_url)
    edit(plan, profile="theirs")
    assert "--profile theirs" in refused(plan)
    edit(plan, profile="default")
    assert nbsync.apply(plan).counts["miss"] == 1


def test_a_key_is_given_by_the_user(world: World, tmp_path: Path, elsewhere: Callable[[], Any]) -> None:
    key, file = tmp_path / "key", tmp_path / "plan"
    key.write_bytes(b"k" * 32)
    world.put("a", b"1")
    with elsewhere():
        nbsync.plan("pull", world.remote, world.local, sse_c_key_file=key, ca_bundle=key).save(file)
    (tmp_path / "link").symlink_to(key)
    assert f"--sse-c-key-file {key}" in refused(file, ca_bundle=key)
    assert f"--ca-bundle {key}" in refused(file, sse_c_key_file=tmp_path / "link")
    assert nbsync.apply(file, dry_run=True, sse_c_key_file=tmp_path / "link", ca_bundle=key).ok


def test_without_a_secret_the_plan_says_that_it_is_not_known(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / f"nbsync-{os.geteuid()}").write_bytes(b"somebody else's")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    world.write("a", b"mine")
    plan = nbsync.plan("push", world.local, world.remote, save=tmp_path / "plan")
    assert any("apply will not know this plan as yours: " in note for note in plan.notes)
    assert nbsync.apply(tmp_path / "plan").counts["miss"] == 1
    assert plan.apply().ok, "it never left this process"
