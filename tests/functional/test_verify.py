"""`verify`: equal, different or unknown, from content alone; each with what it is worth."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

import nbsync
import nbsync.api.job
import nbsync.core.call
from nbsync.cli import main
from nbsync.core.parts import MiB
from nbsync.errors import LocalError, SyncProblems
from nbsync.report import text_page
from nbsync.wire.client import Client
from tests.functional.test_evidence import PART, lie_about_etags, put_parts
from tests.functional.world import World, snapshot

NO_REQUEST = {"list": 1, "head": 0, "get": 0, "put": 0, "delete": 0, "other": 0}


def verify(world: World, **options: Any) -> nbsync.VerifyResult:
    """Verified, after a check that nothing at all was changed and no state was looked at or made."""
    before, listed = snapshot(world.sandbox), world._listing()
    result = nbsync.verify(world.local, world.remote, **options)
    assert snapshot(world.sandbox) == before
    assert world._listing() == listed
    return result


def told(result: nbsync.SyncResult, path: str) -> tuple[str, str, str, str]:
    row = result[path]
    return row.status, row.reason, row.evidence, row.assurance


def test_each_kind_of_pair(world: World) -> None:
    content = os.urandom(6 * MiB)
    put_parts(world, "parts", [content[:PART], content[PART:]])
    world.write("parts", content)
    for name, here, there in (("same", b"1", b"1"), ("edited", b"1", b"2"), ("longer", b"11", b"1")):
        world.write(name, here)
        world.put(name, there)
    world.write("here", b"1")
    world.put("there", b"1")
    world.write("skip.tmp", b"1")
    world.put("skip2.tmp", b"1")

    result = verify(world, exclude="*.tmp")

    assert {row.path: told(result, row.path) for row in result} == {
        "parts": ("hit", "equal", "etag-multipart", "strong"),
        "same": ("hit", "equal", "etag-md5", "strong"),
        "edited": ("miss", "content differs", "etag-md5", "strong"),
        "longer": ("miss", "content differs", "size", "strong"),
        "here": ("miss", "missing in REMOTE", "none", "strong"),
        "there": ("miss", "missing locally", "none", "strong"),
    }
    assert {row.action for row in result} == {"none"}
    assert (result.ok, result.exit_code, result.problems, result.error) == (False, 1, [], None)
    assert result.requests == {**NO_REQUEST, "head": 1}, "one look at what is not its MD5, to be sure"
    assert result.assurance == {"strong": 6, "weak": 0, "unknown": 0}
    assert list(result.to_pandas()["assurance"]) == ["strong"] * 6
    assert not (world.local / ".nbsync").exists()
    world.unlink("edited")
    world.remove("edited")
    equal = verify(world, exclude=["*.tmp", "longer", "*here"])
    assert (equal.exit_code, equal.counts["hit"], equal.requests) == (0, 2, NO_REQUEST)


@pytest.mark.parametrize(("algorithm", "assurance"), [("CRC32", "weak"), ("CRC32C", "weak"), ("CRC64NVME", "weak"),
                                                      ("SHA1", "strong"), ("SHA256", "strong")])  # fmt: skip
def test_a_checksum_tells_where_the_etag_does_not(
    world: World, monkeypatch: pytest.MonkeyPatch, algorithm: str, assurance: str
) -> None:
    for name, there in (("same", b"content"), ("other", b"CONTENT")):
        world.put(name, there, ChecksumAlgorithm=algorithm)
        world.write(name, b"content")
    lie_about_etags(monkeypatch, "opaque-etag")

    result = nbsync.verify(world.local, world.remote)

    assert told(result, "same") == ("hit", "equal", algorithm.lower(), assurance)
    assert told(result, "other") == ("miss", "content differs", algorithm.lower(), assurance)
    assert result.requests == {**NO_REQUEST, "head": 2}


def test_an_unknown_is_no_difference_unless_it_is_strict(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.put("same", b"content")
    world.put("other", b"CONTENT")
    world.write("same", b"content")
    world.write("other", b"content")
    lie_about_etags(monkeypatch, "opaque-etag")

    result = nbsync.verify(world.local, world.remote)
    assert told(result, "same")[::3] == told(result, "other")[::3] == ("skipped", "unknown")
    assert "--download" in result["same"].reason
    assert (result.exit_code, result.assurance["unknown"], result.requests["get"]) == (0, 2, 0)
    with pytest.raises(SyncProblems, match="2 unknown in all"):
        nbsync.verify(world.local, world.remote, strict=True)

    before = snapshot(world.sandbox)
    sure = nbsync.verify(world.local, world.remote, download=True)
    assert told(sure, "same") == ("hit", "equal", "bytes", "strong")
    assert told(sure, "other") == ("miss", "content differs", "bytes", "strong")
    assert (sure.requests["get"], sure.requests["head"]) == (2, 0)
    assert snapshot(world.sandbox) == before


def test_an_encrypted_objects_etag_is_no_difference(world: World) -> None:
    """Under SSE-KMS an ETag looks like an MD5 and is none; LIST does not tell, a HEAD does."""
    world.put("f", b"content", ServerSideEncryption="aws:kms")
    world.write("f", b"content")
    world.write("f", b"CONTENT")
    assert told(verify(world), "f")[::3] == ("skipped", "unknown")
    assert told(verify(world, download=True), "f") == ("miss", "content differs", "bytes", "strong")


def test_what_was_recorded_is_no_evidence(world: World) -> None:
    world.fill_both("f")
    world.put("f", b"g")  # somebody else's; and the record says that both were equal
    (world.local / ".nbsync" / "state.sqlite3").write_bytes(b"no database")
    assert told(verify(world), "f") == ("miss", "content differs", "etag-md5", "strong")


def test_what_cannot_be_a_pair(world: World) -> None:
    world.write("file", b"1")
    (world.local / "link").symlink_to("file")
    (world.local / "broken").symlink_to("nowhere")
    os.mkfifo(world.local / "fifo")
    (world.sandbox / "other").mkdir()
    (world.local / "folder").symlink_to(world.sandbox / "other")
    for key in ("file", "link", "folder/beside", "../up", "a", "a/b", ".nbsync/x", "marker/"):
        world.put(key, b"" if key.endswith("/") else b"1")
    (world.local / ".nbsync").mkdir()

    result = verify(world)

    assert {row.path: row.status for row in result} == {
        "file": "hit", "link": "skipped", "broken": "skipped", "fifo": "skipped", "folder": "skipped",
        "folder/beside": "skipped", "../up": "skipped", "a": "skipped", "a/b": "miss",
    }  # fmt: skip
    kinds = {problem.path: problem.kind for problem in result.problems}
    assert kinds == {"broken": "broken-link", "fifo": "special-file", "../up": "unsafe-name", "a": "name-clash"}
    followed = nbsync.verify(world.local, world.remote, follow_symlinks=True)
    assert followed["link"].status == "hit"
    assert followed["folder/beside"].status == "miss"


def test_lists_and_single_objects(world: World, tmp_path: Path) -> None:
    world.fill_both("a", "b")
    world.write("b", b"c")
    (tmp_path / "list").write_text("a\nno-such\n")
    result = verify(world, files_from=tmp_path / "list")
    assert [(row.path, row.status) for row in result] == [("a", "hit")]
    assert any("no-such" in note for note in result.notes)
    one = nbsync.verify(world.local, world.remote + "b")
    assert [(row.path, row.status) for row in one] == [("b", "miss")]
    with pytest.raises(LocalError, match="no such directory"):
        nbsync.verify(tmp_path / "nowhere", world.remote)


def test_an_object_that_is_replaced_meanwhile_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.put("f", b"1" * 300_000)
    world.write("f", b"1" * 300_000)
    real = Client.request

    def request(self: Client, method: str, key: str = "", **more: Any) -> Any:
        if method == "GET" and key.endswith("f"):
            world.put("f", b"2" * 300_000)
        return real(self, method, key, **more)

    monkeypatch.setattr(Client, "request", request)
    result = nbsync.verify(world.local, world.remote, download=True)
    assert (result["f"].status, result["f"].assurance, result.exit_code) == ("failed", "unknown", 1)


def test_exit_codes_and_json_of_the_shell(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.fill_both("a")
    words = ["verify", str(world.local), world.remote]
    assert main.main(words) == 0
    out = capsys.readouterr().out
    assert "✓ all equal" in out
    assert "1 file equal" in out
    assert f"verify {world.local} ↔ {world.remote}" in out
    world.put("k", b"kms", ServerSideEncryption="aws:kms")
    world.write("k", b"KMS")
    assert main.main([*words, "--quiet"]) == 0
    assert main.main([*words, "--strict", "--quiet"]) == 1
    assert "1 unknown" in capsys.readouterr().err
    world.write("b", b"1")
    assert main.main([*words, "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["command"], document["ok"], document["assurance"]) == (
        "verify", False, {"strong": 2, "weak": 0, "unknown": 1})  # fmt: skip
    assert [row["assurance"] for row in document["files"]] == ["strong", "strong", "unknown"]
    assert main.main(["verify", "/no/such/place", world.remote]) == 2


def test_a_verify_that_takes_its_time_can_be_watched(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its state is one that the progress knows, whenever somebody looks."""
    world.fill_both("a", "b")
    job = nbsync.api.job.SyncJob(
        nbsync.core.call.Call(command="verify", direction="push", remote=world.remote, local=str(world.local))
    )
    seen = {job.progress.state}
    while not job.poll():
        seen.add(job.progress.state)
    assert job.result.ok
    from nbsync.api.progress import STATES

    assert "verifying" in STATES
    assert seen <= set(STATES)


def test_saving_a_plan_replaces_no_file_but_a_plan(world: World, tmp_path: Path) -> None:
    world.fill_both("a")
    plan = nbsync.plan("pull", world.remote, world.local)
    thesis = tmp_path / "thesis.txt"
    thesis.write_text("mine")
    with pytest.raises(LocalError, match="no plan"):
        plan.save(thesis)
    assert thesis.read_text() == "mine"
    plan.save(tmp_path / "p.jsonl")
    plan.save(tmp_path / "p.jsonl")


@pytest.mark.parametrize("filters", [[("exclude", "*")], []])
def test_nothing_to_compare_is_no_proof(world: World, filters: list[tuple[str, str]]) -> None:
    if filters:
        world.fill_both("a")
    world.local.mkdir(exist_ok=True)
    result = nbsync.verify(world.local, world.remote, filters=filters)
    assert (result.exit_code, "nothing to compare" in text_page.result_text(result)) == (0, True)
    with pytest.raises(SyncProblems, match="nothing to compare"):
        nbsync.verify(world.local, world.remote, filters=filters, strict=True)
