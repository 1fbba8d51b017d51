"""SyncPanel against moto, driven from Python and by the front end's commands: what is done is what was ticked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from nbsync.panel.widget import SyncPanel
from nbsync.results.sync_result import SyncPlan
from tests.functional.world import World
from tests.servers import Server

HOSTILE = "<img src=x onerror=alert(1)>.txt"


def panel(world: World, **options: Any) -> SyncPanel:
    """A panel on the world's two sides."""
    return SyncPanel(world.remote, str(world.local), interval=0.01, **options)


def ask(made: SyncPanel, do: str, kind: str, **more: Any) -> dict[str, Any]:
    """The reply of this kind to a command of the front end."""
    sent: list[dict[str, Any]] = []
    made.send = lambda content, buffers=None: sent.append(content)
    made._handle_custom_msg({"do": do, "view": "v", **more}, [])
    while not any(reply["kind"] == kind for reply in sent):
        made.controller.poll()
    return next(reply for reply in sent if reply["kind"] == kind)


@pytest.fixture
def three(world: World) -> World:
    """a, b and c in the bucket, nothing here."""
    for path in ("a", "b", "c"):
        world.put(path, path.encode() * 1000)
    return world


def test_what_is_unticked_is_not_done(three: World) -> None:
    made = panel(three)
    made.plan()
    plan = made.wait()
    assert plan is not None
    assert (made.state, made.counts, made.selected, made.selected_bytes) == ("planned", {"download": 3}, 3, 3000)
    assert not three.local.exists(), "a plan changes nothing"
    made.untick("b")
    made.apply()
    done = made.wait()
    assert done is not None
    assert {row.path: row.status for row in done} == {"a": "miss", "c": "miss"}
    assert set(three.files()) == {"a", "c"}
    assert made.counts == {"miss": 2, "download": 1}
    made.tick("b")
    made.apply()
    made.wait()
    assert set(three.files()) == {"a", "b", "c"}
    assert (made.state, made.counts, made.can_apply) == ("done", {"miss": 3}, False)
    made.plan()
    made.wait()
    assert (made.counts, made.message) == ({"hit": 3}, "Nothing to do; 3 files up to date")


def test_deletes_that_are_unticked_are_not_done(three: World) -> None:
    assert three.run("pull").ok
    three.remove("a", "b")
    made = panel(three, delete=True)
    made.plan()
    made.wait()
    assert made.counts == {"delete-local": 2, "hit": 1}
    made.untick(["a"])
    made.apply()
    made.wait()
    assert set(three.files()) == {"a", "c"}
    assert made.counts == {"delete-local": 1, "deleted": 1, "hit": 1}


def test_a_push(world: World) -> None:
    world.write("x", b"1")
    world.write("y", b"2")
    made = panel(world, direction="push")
    made.plan()
    made.wait()
    made.untick("x")
    made.apply()
    made.wait()
    assert world.objects() == {"y": b"2"}


def test_what_changed_since_the_plan_is_a_conflict(three: World) -> None:
    made = panel(three)
    made.plan()
    made.wait()
    three.put("b", b"somebody else's")
    made.apply()
    done = made.wait()
    assert done is not None
    assert done["b"].status == "conflict"
    assert set(three.files()) == {"a", "c"}
    assert (made.state, made.tone, made.counts) == ("done", "bad", {"miss": 2, "conflict": 1})
    assert "1 conflict" in made.message


def test_cancel_and_apply_again(world: World) -> None:
    for number in range(30):
        world.put(f"{number:02}", bytes(1000))
    made = panel(world, bandwidth="15KB/s", jobs=1)
    made.plan()
    made.wait()
    made.apply()
    while made.counts.get("miss", 0) < 2:
        made.controller.poll()
    made.cancel()
    made.wait(timeout=5)
    assert made.state == "cancelled"
    done = set(world.files())
    assert 2 <= len(done) < 30
    assert made.ticked == {f"{number:02}" for number in range(30)} - done
    made.apply()
    made.wait()
    assert len(world.files()) == 30


def test_a_guard_s_refusal_is_one_line(three: World) -> None:
    three.write("mine", b"x")
    three.write("mine2", b"x")
    made = panel(three, delete=True, max_delete=1)
    made.plan()
    made.wait()
    assert (made.state, made.tone, made.can_apply) == ("failed", "bad", False)
    assert re.match(r"[^\n]*2[^\n]*delete", made.message)
    made.remote = "no-such-bucket-here/x"
    made.plan()
    made.wait()
    assert made.state == "failed"
    assert "no such bucket" in made.message


def test_the_tree_level_by_level(three: World) -> None:
    three.put("sub/deep/x")
    three.put(f"sub/{HOSTILE}")
    three.put(".nbsync/x")
    made = panel(three)
    level = ask(made, "browse", "level", path="")
    assert [f"{three.bucket}/"] * 2 in level["value"]["folders"]
    level = ask(made, "browse", "level", path=f"{three.bucket}/p/")
    assert (level["view"], level["what"], level["error"]) == ("v", f"{three.bucket}/p/", "")
    assert level["value"] == {
        "folders": [["sub/", "sub/"]], "objects": [["a", "1.0 kB"], ["b", "1.0 kB"], ["c", "1.0 kB"]], "token": "",
        "continues": False,
    }  # fmt: skip
    level = ask(made, "browse", "level", path=f"{three.bucket}/p/sub/")
    assert level["value"]["objects"] == [[HOSTILE, "0 B"]]


def test_a_long_level_comes_in_pages(world: World, fill: Any) -> None:
    fill(world, 1200)
    made = panel(world)
    first = ask(made, "browse", "level", path=f"{world.bucket}/p/")["value"]
    assert (len(first["objects"]), bool(first["token"])) == (1000, True)
    rest = ask(made, "browse", "level", path=f"{world.bucket}/p/", token=first["token"])["value"]
    assert (len(rest["objects"]), rest["token"], rest["continues"]) == (200, "", True)


def test_errors_while_looking_around_are_lines(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    made = panel(world)
    level = ask(made, "browse", "level", path="no-such-bucket-here/")
    assert "no such bucket" in level["error"]
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    level = ask(made, "browse", "level", path="")
    assert "no answer from the endpoint" in level["error"]
    assert "\n" not in level["error"]


def test_suggestions(three: World, tmp_path: Path) -> None:
    three.put("sub/x")
    three.put("other/x")
    made = panel(three)

    def suggested(what: str, text: str) -> Any:
        return ask(made, "suggest", "suggestions", what=what, text=text)["value"]

    assert suggested("remote", f"s3://{three.bucket}/p/su") == [f"s3://{three.bucket}/p/sub/"]
    assert suggested("remote", three.bucket[:-1]) == [f"{three.bucket}/"]
    assert suggested("local", f"{tmp_path}/sand") == [f"{tmp_path}/sandbox"]
    assert suggested("profile", "") == []


def test_buckets_of_nobody(moto: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    made = SyncPanel(interval=0.01)
    assert "no AWS credentials found" in ask(made, "browse", "level", path="")["error"]


def test_what_the_panel_has_planned_can_be_applied_from_python(three: World) -> None:
    made = panel(three)
    made.plan()
    plan = made.wait()
    assert isinstance(plan, SyncPlan)
    assert plan.apply().counts["miss"] == 3
