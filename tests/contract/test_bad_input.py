"""Whatever is wrong with the words, the place or the keys: one line that says what to do, and nothing is changed.

Every case runs as a process, in a directory of its own with something in it that must stay as it is.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.cli import Done, nbsync
from tests.servers import Server
from tests.servers.base import free_port

KEYS = {"data/a.txt": b"remote a", "data/b/c.txt": b"remote c"}
UNSET = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
WRONG_SECRET = "ThisSecretIsWrong"


class Place:
    """A bucket with objects, and a directory with files, both of which have to stay as they are."""

    def __init__(self, server: Server, home: Path) -> None:
        self.server, self.home = server, home
        self.bucket = server.new_bucket()
        for key, body in KEYS.items():
            server.s3.put_object(Bucket=self.bucket, Key=key, Body=body)
        (home / "full").mkdir()
        (home / "full" / "mine.txt").write_text("mine")
        (home / "file").write_text("a file")
        self._before = self._now()

    @property
    def remote(self) -> str:
        """Where the objects are."""
        return f"s3://{self.bucket}/data"

    def _now(self) -> tuple[dict[str, bytes | None], dict[str, str]]:
        local = {str(path): path.read_bytes() if path.is_file() else None for path in self.home.rglob("*")}
        listed = self.server.s3.list_objects_v2(Bucket=self.bucket).get("Contents", ())
        return local, {item["Key"]: item["ETag"] + str(item["LastModified"]) for item in listed}

    def refused(self, code: int, said: str, *words: str, **env: str) -> str:
        """The one line of a run of `words` that is refused; nothing is changed by it."""
        done = nbsync(self.server, *words, "--json", cwd=self.home, **env)
        line = one_line(done)
        assert done.code == code, done
        assert line.startswith("nbsync: ")
        assert said in line
        assert line.isprintable()
        assert WRONG_SECRET not in done.stdout + done.stderr
        document = done.document
        assert document["ok"] is False
        assert f"nbsync: {document['error']}" == line
        assert self._now() == self._before
        return line


def one_line(done: Done) -> str:
    """What stands on standard error, which is one line."""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


@pytest.fixture
def place(moto_server: Server, tmp_path: Path) -> Place:
    """On moto, which starts at once."""
    return Place(moto_server, tmp_path)


@pytest.fixture
def guarded(rgw_server: Server, tmp_path: Path) -> Place:
    """On RGW, which checks who asks."""
    return Place(rgw_server, tmp_path)


def both_ways(remote: str) -> list[tuple[str, ...]]:
    """Every command that needs `remote`."""
    return [
        ("pull", remote, "new"),
        ("pull", remote, "full"),
        ("push", "full", remote),
        ("plan", "pull", remote, "new"),
        ("plan", "push", "full", remote),
        ("ls", remote),
    ]


WAYS = range(len(both_ways("")))
FEW = [0, 2, 5]
NAMES = ["pull-new", "pull-full", "push", "plan-pull", "plan-push", "ls"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("pull", "s3://no-such-bucket-here/x", "new"), 2),
        (("ls", "s3://no-such-bucket-here/x"), 2),
        (("push", "full", "s3://bucket/x", "--delte"), 2),
        (("pull", "s3://bucket/x", "new", "--profile", "nobody"), 2),
    ],
)
def test_without_json_there_is_that_line_and_nothing_else(place: Place, words: tuple[str, ...], code: int) -> None:
    done = nbsync(place.server, *words, cwd=place.home)
    assert (done.code, done.stdout) == (code, "")
    assert place.refused(code, "", *words) == one_line(done)


@pytest.mark.parametrize("way", WAYS, ids=NAMES)
def test_no_credentials(place: Place, way: int) -> None:
    line = place.refused(2, "no AWS credentials", *both_ways(place.remote)[way], **UNSET)
    assert "--profile" in line


@pytest.mark.parametrize("way", FEW, ids=[NAMES[way] for way in FEW])
def test_no_such_bucket(place: Place, way: int) -> None:
    line = place.refused(2, "no such bucket", *both_ways("s3://no-such-bucket-here/data")[way])
    assert "Check its name" in line


@pytest.mark.parametrize("way", FEW, ids=[NAMES[way] for way in FEW])
def test_an_endpoint_that_is_not_there(place: Place, way: int) -> None:
    port = free_port()
    words = (*both_ways(place.remote)[way], "--endpoint-url", f"http://127.0.0.1:{port}", "--retries", "0")
    line = place.refused(2, "no answer from the endpoint", *words)
    assert str(port) in line
    assert "Check the endpoint" in line


@pytest.fixture
def silent() -> Iterator[str]:
    """An endpoint that accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("way", FEW, ids=[NAMES[way] for way in FEW])
def test_an_endpoint_that_stays_silent(place: Place, silent: str, way: int) -> None:
    words = (*both_ways(place.remote)[way], "--endpoint-url", silent, "--timeout", "1", "--retries", "0")
    assert "--timeout" in place.refused(2, "no answer from the endpoint", *words)


def test_an_unknown_profile(place: Place) -> None:
    place.refused(2, "Profiles on this machine: none", "pull", place.remote, "new", "--profile", "nobody")
    place.refused(2, "nobody", "pull", place.remote, "new", AWS_PROFILE="nobody")


def test_a_profile_of_another_name_is_named(place: Place, tmp_path_factory: pytest.TempPathFactory) -> None:
    config = tmp_path_factory.mktemp("aws") / "config"
    config.write_text("[profile work]\nregion = eu-west-1\n")
    words = ("pull", place.remote, "new", "--profile", "wrk")
    place.refused(2, "Profiles on this machine: work", *words, AWS_CONFIG_FILE=str(config))


def test_a_broken_configuration(place: Place, tmp_path_factory: pytest.TempPathFactory) -> None:
    config = tmp_path_factory.mktemp("aws") / "config"
    config.write_text("[profile work\nregion")
    place.refused(2, "configuration", "pull", place.remote, "new", AWS_CONFIG_FILE=str(config))


@pytest.mark.parametrize("way", FEW, ids=[NAMES[way] for way in FEW])
def test_a_wrong_secret(guarded: Place, way: int) -> None:
    words = both_ways(guarded.remote)[way]
    line = guarded.refused(2, "the secret key is wrong", *words, AWS_SECRET_ACCESS_KEY=WRONG_SECRET)
    assert "--profile" in line


@pytest.mark.parametrize("way", WAYS, ids=NAMES)
def test_nobody_may_not(guarded: Place, way: int) -> None:
    words = (*both_ways(guarded.remote)[way], "--no-sign-request")
    assert "s3:ListBucket" in guarded.refused(2, "access denied", *words, **UNSET)


def test_nobody_may_read_but_not_write(guarded: Place) -> None:
    guarded.server.s3.put_bucket_acl(Bucket=guarded.bucket, ACL="public-read")
    words = ("push", "full", guarded.remote, "--no-sign-request", "--json")
    done = nbsync(guarded.server, *words, cwd=guarded.home, **UNSET)
    assert (done.code, done.document["ok"], done.document["counts"]["failed"]) == (1, False, 1)
    assert "access denied" in done.document["files"][0]["error"]
    assert "Traceback" not in done.stderr
    listed = guarded.server.s3.list_objects_v2(Bucket=guarded.bucket)["Contents"]
    assert [item["Key"] for item in listed] == list(KEYS)


@pytest.mark.parametrize(
    "words",
    [
        ("pull", "{remote}", "file"),
        ("pull", "{remote}", "file/below"),
        ("push", "file", "{remote}"),
        ("push", "nowhere", "{remote}"),
        ("plan", "pull", "{remote}", "file"),
        ("plan", "push", "nowhere", "{remote}"),
    ],
    ids=" ".join,
)
def test_a_local_that_is_no_directory(place: Place, words: tuple[str, ...]) -> None:
    line = place.refused(2, "director", *(word.format(remote=place.remote) for word in words))
    assert "LOCAL" in line


def test_a_local_that_cannot_be_written(place: Place) -> None:
    if os.geteuid() == 0:
        place.refused(2, "cannot be made", "pull", place.remote, "/proc/nbsync-test")
    else:
        (place.home / "full").chmod(0o500)
        place.refused(2, "cannot be written", "pull", place.remote, "full")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("pull", "{remote}", "new", "--exlude", "*"), "Did you mean --exclude?"),
        (("pull", "{remote}", "new", "--dryrun"), "Did you mean --dry-run?"),
        (("pull", "{remote}", "new", "--frobnicate"), "unknown option --frobnicate"),
        (("pull", "{remote}", "new", "--storage-class", "X"), "--storage-class"),
        (("pul", "{remote}", "new"), "Did you mean pull?"),
        (("pull",), "nothing was synced here before"),
        (("push", "full"), "push needs REMOTE"),
        (("pull", "{remote}", "new", "more"), "more"),
        (("plan", "{remote}", "new"), "plan"),
        (("pull", "{remote}", "new", "--jobs", "many"), "--jobs"),
        (("pull", "{remote}", "new", "--timeout", "0"), "--timeout"),
        (("pull", "{remote}", "new", "--bandwidth", "fast"), "--bandwidth"),
        (("pull", "{remote}", "new", "--compare", "md5"), "--compare"),
        (("pull", "{remote}", "new", "--max-delete", "3"), "--delete"),
        (("push", "full", "{remote}", "--metadata", "novalue"), "--metadata"),
        (("push", "full", "{remote}", "--metadata", "a b=c"), "--metadata"),
        (("push", "full", "{remote}", "--metadata", "a=é"), "x-amz-meta-a"),
        (("push", "full", "{remote}", "--cache-control", "a\nb: c"), "--cache-control"),
        (("push", "full", "{remote}", "--sse", "rot13"), "--sse"),
        (("pull", "{remote}", "new", "--files-from", "nowhere"), "--files-from nowhere"),
        (("pull", "{remote}", "new", "--ca-bundle", "nowhere"), "--ca-bundle nowhere"),
        (("pull", "{remote}", "new", "--endpoint-url", "localhost:9000"), "--endpoint-url"),
        (("pull", "{remote}", "new", "--include"), "--include"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_words_that_are_not_in_the_grammar(place: Place, words: tuple[str, ...], said: str) -> None:
    place.refused(2, said, *(word.format(remote=place.remote) for word in words))


@pytest.mark.parametrize(
    ("remote", "said"),
    [
        ("", "REMOTE"),
        ("s3://", "no bucket"),
        ("s3:///data", "no bucket"),
        ("./data", "looks like a local path"),
        ("/data", "looks like a local path"),
        ("https://host/bucket", "--endpoint-url"),
        ("gs://bucket/data", "no S3 location"),
        ("buc ket/data", "cannot be a bucket's name"),
        (f"KEY:{WRONG_SECRET}@bucket/data", "cannot be a bucket's name"),
        ("bucket--x-s3/data", "directory buckets"),
        ("s3://bucket/.nbsync/x", ".nbsync"),
        ("arn:aws:s3:::bucket/data", "s3://bucket/prefix"),
        ("s3://bucket/\x1b[31mred\ndata/..", "director"),
    ],
)
def test_a_remote_that_is_none(place: Place, remote: str, said: str) -> None:
    place.refused(2, said, "pull", remote)


def test_keys_that_would_leave_local_are_reported_and_the_rest_arrives(guarded: Place) -> None:
    unsafe = ["data/../../up", "data//root", "data/x/../../y", "data/back\\slash", "data/./dot", "data/" + "s" * 300]
    for key in [*unsafe, "data/\x1b[31mred"]:
        guarded.server.s3.put_object(Bucket=guarded.bucket, Key=key, Body=b"x")
    done = nbsync(guarded.server, "pull", guarded.remote, "new", "--json", cwd=guarded.home)
    assert done.code == 1
    assert "Traceback" not in done.stderr
    document = done.document
    assert document["ok"] is False
    assert "error" not in document
    assert sorted(problem["path"] for problem in document["problems"]) == sorted(key[5:] for key in unsafe)
    assert {problem["kind"] for problem in document["problems"]} == {"unsafe-name"}
    assert document["counts"]["miss"] == 3
    new = guarded.home / "new"
    arrived = {path.relative_to(new).as_posix() for path in new.rglob("*") if path.is_file()}
    assert {path for path in arrived if not path.startswith(".nbsync/")} == {"a.txt", "b/c.txt", "\x1b[31mred"}
    assert {path.name for path in guarded.home.iterdir()} == {"new", "full", "file"}
    shown = nbsync(guarded.server, "pull", guarded.remote, "new", cwd=guarded.home)
    assert shown.code == 1
    assert "\x1b[31mred" not in shown.stdout + shown.stderr
    listed = nbsync(guarded.server, "ls", guarded.remote, cwd=guarded.home)
    assert listed.code == 0
    assert "\x1b" not in listed.stdout


def test_an_empty_prefix_is_no_error(place: Place) -> None:
    done = nbsync(place.server, "pull", f"{place.bucket}/nothing", "new", cwd=place.home)
    assert done.code == 0
    assert "nothing under" in done.stdout + done.stderr


def test_an_unknown_option_is_told_before_credentials_are_looked_for(place: Place) -> None:
    place.refused(2, "Did you mean --delete?", "pull", place.remote, "new", "--delte", **UNSET)
