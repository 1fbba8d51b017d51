"""What a server is known to do: each capability is a row, and all that is said of it derives from the row."""

from __future__ import annotations

import pytest

from nbsync.core.model import Row, Verb
from nbsync.engine import notes
from nbsync.s3.capabilities import AWS, MINIO, MOTO, RGW, Capabilities, Capability

RGW_ID = "tx00000f27eb1a4d0c8c5c1-0065f1a2b3-1234-default"


@pytest.mark.parametrize("row", Capabilities.rows(), ids=lambda row: row.name)
def test_a_row_tells_what_it_means_and_how_it_is_learned(row: Capability[bool]) -> None:
    can = Capabilities("localhost")

    assert row.meaning
    assert row.learned
    assert getattr(can, row.name) == row.at_first
    assert all(hasattr(can, name) for name in (row.unless, row.relied_on) if name)


@pytest.mark.parametrize(
    ("host", "headers", "server", "puts", "sorts"),
    [
        ("b.s3.eu-west-1.amazonaws.com", {}, AWS, True, True),
        ("s3.cn-north-1.amazonaws.com.cn", {}, AWS, True, True),
        ("amazonaws.com.example", {"server": "AmazonS3"}, "", False, False),
        ("localhost", {"x-amz-request-id": RGW_ID}, RGW, True, True),
        ("localhost", {"server": "MinIO"}, MINIO, False, True),
        ("localhost", {"server": "Werkzeug/3.0"}, MOTO, True, True),
        ("localhost", {}, "", False, False),
    ],
)
def test_what_is_known_of_a_server(host: str, headers: dict[str, str], server: str, puts: bool, sorts: bool) -> None:
    can = Capabilities(host)
    can.observe(headers)

    assert (can.server, can.conditional_put, can.lists_in_order) == (server, puts, sorts)


def test_what_an_answer_shows_outweighs_what_is_known() -> None:
    can = Capabilities("s3.amazonaws.com")
    can.lists_out_of_order = True
    can.blame_conditions("conditions fail here")

    assert not can.lists_in_order
    assert not can.conditional_put
    assert can.conditional_get  # which nobody blamed


def test_a_note_is_said_once_the_run_has_relied_on_what_is_unproven() -> None:
    can = Capabilities("localhost")
    assert can.notes() == []

    can.completed = can.downloaded = True
    assert [note.split(" is unproven")[0] for note in can.notes()] == [
        "conditional GET", "conditional completion of large uploads",
    ]  # fmt: skip

    can.refused_a_get()
    can.blame_conditions("conditions fail here")
    assert can.notes() == ["conditions fail here: each object was looked at just before (best effort)"]


def test_a_new_capability_is_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else lists capabilities: results tell of one that was made up here."""
    row = Capability(False, "copies on a condition", learned="412 to a copy", known_of=(MINIO,), condition="COPY",
                     verb=Verb.UPLOAD, note="copies are unproven", note_if=False)  # fmt: skip
    row.__set_name__(Capabilities, "conditional_copy")
    monkeypatch.setattr(Capabilities, "conditional_copy", row, raising=False)
    can = Capabilities("localhost")
    sent = [Row("f", "upload", "miss", "", "none", 0, 0.0, None)]

    assert "copies are unproven" in can.notes()
    assert "conditional COPY is unproven on this server: best effort" in notes.best_effort(sent, can)
    can.observe({"server": "MinIO"})
    assert (row, True) in can.conditions()
    assert "copies are unproven" not in can.notes()
