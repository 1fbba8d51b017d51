"""What was filled in becomes a call; what may be a secret is not kept."""

from __future__ import annotations

import pytest

from nbsync.errors import UsageError
from nbsync.panel import form


def test_a_plan_call_takes_what_its_direction_takes() -> None:
    given = {"delete": True, "storage_class": "STANDARD_IA", "preserve_mtime": True, "filters": (("exclude", "x"),)}
    call = form.plan_call("pull", " s3://b/p ", "", given)
    assert (call.command, call.direction, call.remote, call.local) == ("plan", "pull", "s3://b/p", "")
    assert (call.options.delete, call.options.preserve_mtime, call.options.storage_class) == (True, True, "")
    call = form.plan_call("push", "b", "data", given)
    assert (call.options.preserve_mtime, call.options.storage_class) == (False, "STANDARD_IA")


@pytest.mark.parametrize(
    ("words", "told"), [(("pull", " ", "d"), "REMOTE is empty"), (("push", "b", ""), "needs LOCAL")]
)
def test_missing_words(words: tuple[str, str, str], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        form.plan_call(*words, {})


def test_looking_around_is_quick_and_goes_where_the_sync_goes() -> None:
    where = form.look_where({"profile": "p", "endpoint_url": "http://h", "delete": True, "as_of": "2024-01-01"})
    assert where == {"profile": "p", "endpoint_url": "http://h", "retries": 1}
    assert form.look_where({"timeout": 3})["timeout"] == 3
    with pytest.raises(UsageError):
        form.look_where({"timeout": "soon"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("endpoint_url", "https://u:p@h"),
        ("remote", "KEY:SECRET@bucket/x"),
        ("remote", "s3://KEY:SECRET@bucket/x"),
        ("remote", "https://b.s3.amazonaws.com/x?X-Amz-Signature=1&y"),
    ],
)
def test_secrets_are_refused(name: str, value: str) -> None:
    with pytest.raises(UsageError):
        form.without_secrets(name, value)


@pytest.mark.parametrize(
    "value", ["", "s3://b/mail@home/x", "b/a@b", "arn:aws:s3:eu-west-1:123456789012:accesspoint/n/p"]
)
def test_what_is_no_secret_is_kept(value: str) -> None:
    assert form.without_secrets("remote", value) == value


def test_filters_keep_their_order_and_empty_ones_do_not_count() -> None:
    assert form.as_filters({"include": ["b"], "exclude": "a"}) == [["exclude", "a"], ["include", "b"]]
    assert form.pairs([["include", "x"], ["exclude", ""], ["exclude", "y"]]) == (("include", "x"), ("exclude", "y"))
