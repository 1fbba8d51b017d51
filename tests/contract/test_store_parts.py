"""A multipart upload when its last request goes wrong: the answer is lost, is an error in disguise, or is no MD5.

On moto, with one answer changed on its way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nbsync.core.model import Status, Verb
from nbsync.transfer import push_actions
from nbsync.transfer.context import Context
from nbsync.transfer.upload_outcome import FailedAfterUpload
from nbsync.wire.errors import ConnectionLost, ServiceError, service_error
from nbsync.wire.response_reader import Response
from tests.contract.store import Activity, MiB, Store, action, content, unfinished
from tests.servers import Server

BODY = content(33 * MiB)
Change = Callable[[Callable[[], Response]], Response]


@pytest.fixture
def moto(moto_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A new bucket on moto."""
    for name, value in moto_server.env().items():
        monkeypatch.setenv(name, value)
    made = Store(moto_server, moto_server.new_bucket(), tmp_path / "local")
    yield made
    made.close()


def changing(ctx: Context, monkeypatch: pytest.MonkeyPatch, method: str, changes: list[Change]) -> None:
    """Let each of `changes` deal with one request: the completion for POST, or the HEAD after it."""
    send = ctx.bucket.client.request

    def request(sent: str, key: str = "", **more: Any) -> Response:
        names = [name for name, _ in more.get("query", ())]
        if sent == method and names in ([], ["uploadId"]) and changes:
            return changes.pop(0)(lambda: send(sent, key, **more))
        return send(sent, key, **more)

    monkeypatch.setattr(ctx.bucket.client, "request", request)


def lose(pass_on: Callable[[], Response]) -> Response:
    """It is done, and nobody hears of it."""
    pass_on()
    raise ConnectionLost("the answer was lost")


def gone(_pass_on: Callable[[], Response]) -> Response:
    """The upload ended with an earlier try (moto forgives, AWS after a while does not)."""
    raise ServiceError(404, "NoSuchUpload")


def disguise(_pass_on: Callable[[], Response]) -> Response:
    """An error under a status of 200, and nothing is done."""
    raise service_error(200, {}, b"<Error><Code>InternalError</Code><Message>try again</Message></Error>")


def by_kms(pass_on: Callable[[], Response]) -> Response:
    """Encrypted with a KMS key: an ETag of that form, and not made of MD5s."""
    answer = pass_on()
    headers = {**answer.headers, "x-amz-server-side-encryption": "aws:kms", "etag": f'"{"a" * 32}-3"'}
    return answer._replace(headers=headers)


@pytest.mark.parametrize(
    ("method", "changes"), [("POST", [lose, gone]), ("POST", [lose]), ("POST", [disguise]), ("HEAD", [by_kms])]
)
def test_the_file_is_stored_once_and_the_row_says_so(
    moto: Store, monkeypatch: pytest.MonkeyPatch, method: str, changes: list[Change]
) -> None:
    ctx = moto.context(retries=2)
    changing(ctx, monkeypatch, method, list(changes))
    outcome = push_actions.upload(ctx, action(Verb.UPLOAD, moto.file("a", BODY), None), Activity())
    assert (outcome.status, outcome.error) == (Status.MISS, None)
    assert moto.body("a") == BODY
    assert unfinished(moto) == []


def test_other_bytes_than_were_sent_are_a_failure(moto: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    ctx = moto.context(retries=0)

    def stored_otherwise(pass_on: Callable[[], Response]) -> Response:
        kept = moto.server.s3.head_object(Bucket=moto.name, Key="a")["Metadata"]
        moto.put("a", b"?" + BODY[1:], Metadata=kept)
        return pass_on()

    # Of each try, the first HEAD looks before the completion, the second at what was made.
    changing(ctx, monkeypatch, "HEAD", [lambda pass_on: pass_on(), stored_otherwise] * 9)
    with pytest.raises(FailedAfterUpload) as failed:
        push_actions.upload(ctx, action(Verb.UPLOAD, moto.file("a", BODY), None), Activity())
    assert "other bytes" in str(failed.value.__cause__)


def test_a_lost_answer_over_somebody_elses_object_is_a_conflict(moto: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    ctx = moto.context(retries=2)

    def taken(pass_on: Callable[[], Response]) -> Response:
        moto.put("a", b"somebody else's")
        return pass_on()

    changing(ctx, monkeypatch, "POST", [taken])
    outcome = push_actions.upload(ctx, action(Verb.UPLOAD, moto.file("a", BODY), None), Activity())
    assert outcome.status is Status.CONFLICT
    assert moto.body("a") == b"somebody else's"
    assert unfinished(moto) == []
