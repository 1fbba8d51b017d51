"""SyncResult as a value: counts, views, exit codes, JSON."""

from __future__ import annotations

import json

import pytest

from nbsync.core.model import Evidence, Outcome, Status, Verb
from nbsync.engine.status_board import OutcomeCounter, StatusBoard
from nbsync.errors import GuardRefusal, SyncProblems
from nbsync.results.batch import SyncResults
from nbsync.results.sync_result import SyncResult


def made(*outcomes: Outcome) -> SyncResult:
    result = SyncResult(command="pull", remote="s3://b/p/", local="data")
    tally = OutcomeCounter(result, StatusBoard())
    for outcome in outcomes:
        tally.take(outcome)
    return result


HIT = Outcome("a", Verb.NONE, Status.HIT, "up to date", Evidence.STATE, saved=7)
MISS = Outcome("b", Verb.DOWNLOAD, Status.MISS, "missing locally", Evidence.NONE, bytes=5)
FAILED = Outcome("c", Verb.DOWNLOAD, Status.FAILED, "no", Evidence.NONE, error="no", problem="failed")
SKIPPED_LINK = Outcome("d", Verb.NONE, Status.SKIPPED, "a symbolic link", Evidence.NONE)


def test_views_and_sums() -> None:
    result = made(HIT, MISS, FAILED)

    assert (result.counts["hit"], result.counts["miss"], result.counts["failed"]) == (1, 1, 1)
    assert result.bytes == {"moved": 5, "saved": 7}
    assert [row.path for row in result.hits] == ["a"]
    assert [row.path for row in result.changed] == ["b"]
    assert [row.path for row in result.failed] == ["c"]
    assert result["b"].bytes == 5
    assert len(result) == len(list(result)) == 3
    with pytest.raises(KeyError):
        result["x"]


@pytest.mark.parametrize(("outcomes", "code"), [([HIT, MISS], 0), ([], 0), ([HIT, FAILED], 1), ([SKIPPED_LINK], 0)])
def test_the_exit_code_says_how_it_went(outcomes: list[Outcome], code: int) -> None:
    result = made(*outcomes)

    assert result.exit_code == code
    assert result.ok is (code == 0)


def test_raise_for_problems_names_the_first_and_the_refusal_itself() -> None:
    with pytest.raises(SyncProblems, match="c: no"):
        made(HIT, FAILED).raise_for_problems()
    made(HIT).raise_for_problems()
    refused = made()
    refused.error = GuardRefusal("too many")
    assert refused.exit_code == 3
    with pytest.raises(GuardRefusal):
        refused.raise_for_problems()


def test_the_document_is_plain_json_with_the_contract_s_keys() -> None:
    document = json.loads(json.dumps(made(HIT, MISS, FAILED).to_dict()))

    expected = {"command", "remote", "local", "ok", "dry_run", "counts", "bytes", "requests", "seconds", "files",
                "problems", "notes"}  # fmt: skip
    assert set(document) == expected
    assert set(document["counts"]) == {status.value for status in Status}
    assert document["files"][1] == {
        "path": "b", "action": "download", "status": "miss", "reason": "missing locally", "evidence": "none",
        "bytes": 5, "seconds": 0.0, "error": None,
    }  # fmt: skip
    assert document["problems"] == [{"path": "c", "kind": "failed", "message": "no"}]


def test_a_very_large_run_leaves_hit_rows_out_and_says_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nbsync.engine.status_board.MAX_HIT_ROWS", 3)
    document = made(*(HIT._replace(path=f"h{n}") for n in range(5)), MISS).to_dict()

    assert document["hits_omitted"] == 2
    assert document["counts"]["hit"] == 5
    assert [row["path"] for row in document["files"]] == ["h0", "h1", "h2", "b"]


def test_a_name_that_is_no_text_can_be_printed_and_encoded() -> None:
    result = made(FAILED._replace(path=b"caf\xe9".decode("utf-8", "surrogateescape")))

    assert result.files[0].path == "caf\\xe9"
    assert result.problems[0].path == "caf\\xe9"


def test_several_results_combine() -> None:
    both = SyncResults([made(HIT, MISS), made(FAILED)])

    assert not both.ok
    assert both.counts["failed"] == 1
    assert both.counts["hit"] == 1
