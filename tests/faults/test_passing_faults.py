"""Every fault that passes: a sync that meets it once is right in the end, and says what it took.

Pull and push, small files and such as travel in ranges or parts; on moto, and a part of it on RGW.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest

from tests.faults.world import LARGE, SMALL, FaultyWorld, content
from tests.servers.faults import (
    At,
    Changed,
    ChangedUpload,
    Close,
    Refusal,
    Reset,
    Stall,
    WrongLength,
    begun_now,
    flipped,
    slow_down,
)  # fmt: skip
from tests.servers.proxy import Fault

TIMEOUT = 0.3  # seconds: how long a silence is listened to
# Answers that an attempt more may mend: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
PASSING = {
    "503": slow_down(),
    "503-retry-after": slow_down("7"),
    "500": Refusal(500, "InternalError"),
    "502": Refusal(502, "BadGateway"),
    "408": Refusal(400, "RequestTimeout"),
    "409-busy": Refusal(409, "OperationAborted"),
    "reset-at-head": Reset(At.REQUEST_HEAD),
    "reset-in-request": Reset(At.REQUEST_BODY, 1000),
    "reset-after-request": Reset(At.REQUEST_END),
    "closed-after-request": Close(At.REQUEST_END),
    "answer-lost": Reset(At.ANSWER),
    "answer-lost-in-order": Close(At.ANSWER),
    "reset-in-answer-head": Reset(At.ANSWER_HEAD, 40),
    "closed-in-answer-head": Close(At.ANSWER_HEAD, 40),
    "silent-from-the-start": Stall(At.REQUEST_HEAD),
    "silent-after-the-work": Stall(At.ANSWER),
    "silent-in-answer-head": Stall(At.ANSWER_HEAD, 30),
}
DOWNLOADS = {
    "reset-in-body": Reset(At.ANSWER_BODY, 1000),
    "cut-in-body": Close(At.ANSWER_BODY, 1000),
    "cut-at-the-last-byte": Close(At.ANSWER_BODY, SMALL - 1),
    "silent-in-body": Stall(At.ANSWER_BODY, 2000),
    "length-too-small": WrongLength(-1),
    "length-too-large": WrongLength(1),
    "first-byte-flipped": Changed(flipped(0)),
    "last-byte-flipped": Changed(flipped(1 << 40)),
    "body-too-long": Changed(lambda body: body + b"!"),
    "body-empty": Changed(lambda _body: b""),
}
UPLOADS = {
    "byte-flipped": ChangedUpload(flipped(10)),
}
MOVES = {"pull": ["GetObject"], "push": ["PutObject", "UploadPart"]}
ON_RGW = {"503", "reset-in-request", "answer-lost", "cut-in-body", "first-byte-flipped", "byte-flipped"}


class Case(NamedTuple):
    direction: str
    operation: str
    name: str
    fault: Fault
    size: int

    def __str__(self) -> str:
        return f"{self.direction}-{self.operation}-{self.name}-{'large' if self.size == LARGE else 'small'}"


def cases(on_rgw: bool) -> list[Case]:
    """Each fault at each request of a pull and of a push."""
    large_too = {"503", "answer-lost", "reset-after-request", "silent-after-the-work"}
    found = [
        Case("pull", "GetObject", name, fault, size)
        for name, fault in {**PASSING, **DOWNLOADS}.items()
        for size in (SMALL, LARGE)
        if size == SMALL or name in large_too or name in DOWNLOADS
    ]
    found += [Case("push", "PutObject", name, fault, SMALL) for name, fault in {**PASSING, **UPLOADS}.items()]
    parts = {**PASSING, **UPLOADS}
    found += [Case("push", "UploadPart", name, fault, LARGE) for name, fault in parts.items()]
    others = [("push", "CreateMultipartUpload", LARGE), ("push", "CompleteMultipartUpload", LARGE)]
    others += [("pull", "ListObjectsV2", SMALL), ("push", "ListObjectsV2", SMALL)]
    found += [
        Case(direction, operation, name, PASSING[name], size)
        for direction, operation, size in others
        for name in ("503", "500", "reset-after-request", "answer-lost", "silent-after-the-work")
    ]
    return [case for case in found if not on_rgw or case.name in ON_RGW]


@pytest.mark.usefixtures("waits")
@pytest.mark.parametrize("case", cases(on_rgw=False), ids=str)
def test_met_once(world: FaultyWorld, case: Case) -> None:
    right_in_the_end(world, case)


@pytest.mark.usefixtures("waits")
@pytest.mark.parametrize("case", cases(on_rgw=True), ids=str)
def test_met_once_on_rgw(rgw_world: FaultyWorld, case: Case) -> None:
    right_in_the_end(rgw_world, case)


def right_in_the_end(world: FaultyWorld, case: Case) -> None:
    files = {"a": content(SMALL, "a"), "b/large": content(case.size, "b"), "c": b""}
    world.fill_source(case.direction, files)
    key = "*" if case.operation == "ListObjectsV2" else "*large"
    if world.server.name == "moto":
        world.proxy.on(Changed(begun_now), "ListMultipartUploads", times=-1)
    rule = world.proxy.on(case.fault, case.operation, key)

    result = world.run(case.direction, timeout=TIMEOUT if "silent" in case.name else 20)

    assert rule.hits == 1, "the fault was not met: the test shows nothing"
    assert result.ok, (result.error, result.problems)
    assert world.target(case.direction) == files
    assert [row.status for row in result] == ["miss"] * 3
    world.counted(result)
    world.tidy()
    world.mended(case.direction, files)
