"""The pages of `status` and `doctor`: what they say, and that what others chose is only text in them."""

from __future__ import annotations

from nbsync._version import NAMED
from nbsync.core.call import Call
from nbsync.core.local_changes import Change, Changed
from nbsync.core.model import Problem
from nbsync.core.options import Options
from nbsync.engine.link import make
from nbsync.errors import ConfigError
from nbsync.report import answers
from nbsync.results import display
from nbsync.results.batch import SyncResults
from nbsync.results.diagnosis import Diagnosis, Finding
from nbsync.results.folder_status import Status, Synced, Trash
from nbsync.results.link import Link
from tests.unit.report.test_report import Reader
from tests.unit.samples import HOSTILE


def status() -> Status:
    """Of a folder in which a few things have changed."""
    made = Status("data")
    made.syncs = [
        Synced("s3://bucket/raw/", "https://s3", "pull", "pull", "2026-11-24T20:04:05Z", True, 0, 1_207, "--delete"),
        Synced("s3://bucket/out/", "https://s3", "apply", "push", "2026-11-23T01:02:03Z", False, 0, 1, ""),
    ]
    made.changes = {change.value: 0 for change in Change} | {"unchanged": 1_204, "added": 1, "deleted": 25, "maybe": 1}
    made.files = [Changed("a/new.csv", Change.ADDED, 3), Changed("big.bin", Change.MAYBE, 9)]
    made.files += [Changed(f"gone{number:02}", Change.DELETED, 1) for number in range(25)]
    made.trash = Trash(3, 4_100, "/data/.nbsync/trash")
    made.unfinished = {"downloads": 1, "uploads": 2}
    made.repeats = ["pull"]
    return made


def test_status() -> None:
    text = display.text(status()).splitlines()
    assert text[:6] == [
        "status data",
        "  ✓ 1 added, 25 deleted, 1 maybe modified here since the last sync · 1,204 files as last synced"
        f" · no request made · 0.0 s · {NAMED}",
        "  ↔ synced          pulled from s3://bucket/raw/ · 2026-11-24 20:04:05 UTC · 1,207 files recorded · --delete",
        "  ↔ synced          pushed to s3://bucket/out/ by a plan · 2026-11-23 01:02:03 UTC · did not come to its end"
        " · 1 file recorded",
        "  + added           a/new.csv",
        "  ? maybe modified  big.bin",
    ]
    assert text[-4:] == [
        "  …                 and 7 more: --json",
        "  · trash           3 files, 4.1 kB in /data/.nbsync/trash; put back by: undo data",
        "  ! unfinished      1 download, 2 uploads; the next sync takes them up",
        "  → next            where this is the current folder, pull without any words does the last one again",
    ]
    assert repr(status()) == "status data: ✓ 1 added, 25 deleted, 1 maybe modified here since the last sync"


def doctor() -> Diagnosis:
    """One of each."""
    made = Diagnosis("s3://bucket/raw/")
    made.findings = [
        Finding("credentials", "ok", "AKIA…MPLE from the environment"),
        Finding("clock", "warning", "100 s behind the service's", "Set this machine's clock"),
        Finding("bucket", "problem", "s3://bucket/raw/: no such bucket", "Check its name"),
    ]
    made.requests["list"] = 1
    made.error = ConfigError("s3://bucket/raw/: no such bucket", "Check its name")
    return made


def test_doctor() -> None:
    assert display.text(doctor()).splitlines() == [
        "doctor s3://bucket/raw/",
        f"  ✗ 1 problem, 1 warning · 1 LIST · 0.0 s · {NAMED}",
        "  ✓ credentials  AKIA…MPLE from the environment",
        "  ! clock        100 s behind the service's. Set this machine's clock",
        "  ✗ bucket       s3://bucket/raw/: no such bucket. Check its name",
    ]
    assert (doctor().exit_code, doctor().ok, doctor()["clock"].status) == (2, False, "warning")
    assert repr(doctor()) == "doctor s3://bucket/raw/: ✗ 1 problem, 1 warning"


def link(**options: str) -> Link:
    """To a hub, unless it is told otherwise."""
    return make(Call(command="link", remote="bucket/it's <b>", local="a&b", options=Options(**options)), {})


def test_a_link_is_its_whole_address() -> None:
    made = link(hub="https://hub.example.org", urlpath=f"lab/tree/{'x' * 2_000}")
    assert display.text(made) == str(made) == made.url
    assert made.url.endswith("x" * 2_000)
    assert repr(made) == f"link s3://bucket/it's <b>/: ✓ {made.url}"


def test_a_link_can_be_clicked() -> None:
    made = link(hub="https://hub.example.org/$a$/", endpoint="minio")
    html = display.html(made)
    assert made.url == "https://hub.example.org/$a$/hub/user-redirect/nbsync/pull?source=bucket/it%27s%20%3Cb%3E&" \
                       "target=a%26b&endpoint=minio"  # fmt: skip
    assert f'<a href="{made.url.replace("&", "&amp;")}" target="_blank" rel="noopener noreferrer">' in html
    seen = Reader(html)
    assert made.url in seen.text
    assert made.url not in seen.outside_code, "a front end may read it as a formula"
    assert seen.tags <= {"div", "b", "a", "code"}
    assert seen.attributes <= {"style", "href", "target", "rel"}


def test_a_path_alone_is_nothing_to_click() -> None:
    made = link(profile="dev")
    assert made.url in Reader(display.html(made)).text.replace("&amp;", "&")
    assert "href" not in display.html(made)
    assert display.text(made).splitlines()[0] == made.url
    assert [line.partition(":")[0] for line in display.text(made).splitlines()[1:]] == ["note", "note"]
    assert answers.together_text(SyncResults([made])).splitlines()[0] == "1 command"


def test_what_others_chose_is_only_text() -> None:
    found = Status(HOSTILE)
    found.syncs = [Synced(HOSTILE, HOSTILE, "pull", "pull", "2026-11-24T20:04:05Z", True, 0, 1, HOSTILE)]
    found.changes = {change.value: 1 for change in Change}
    found.files = [Changed(HOSTILE, Change.ADDED, 1)]
    found.trash = Trash(1, 1, HOSTILE)
    found.problems, found.notes = [Problem(HOSTILE, "no-record", HOSTILE)], [HOSTILE]
    told = Diagnosis(HOSTILE)
    told.findings, told.notes = [Finding("bucket", "problem", HOSTILE, HOSTILE)], [HOSTILE]
    several = SyncResults([found, told], file=HOSTILE)
    for item in (found, told):
        assert all(char.isprintable() or char == "\n" for char in display.text(item) + display.line(item))
    assert all(char.isprintable() or char == "\n" for char in display.text(several))
    for html in (display.html(found), display.html(told), display.html(several)):
        seen = Reader(html)
        assert seen.tags <= {"div", "b", "table", "tr", "td", "code"}
        assert seen.attributes <= {"style"}
        assert "<img src=x" in seen.text
        assert "<img src=x" not in seen.outside_code, "a front end may read it as a formula"
