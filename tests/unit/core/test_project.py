"""`nbsync.toml`: what each folder comes to, and what is wrong with its line."""

from __future__ import annotations

from typing import Any

import pytest

from nbsync.core.project import Folder, Project, identity, needs_trust, read_project
from nbsync.errors import UsageError

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

RAW = '[folder.raw]\nremote = "s3://my-bucket/raw"\n'


def read(text: str) -> Project:
    return read_project(tomllib.loads(text), text, "nbsync.toml")


def only(text: str) -> Folder:
    (folder,) = read(text).folders
    return folder


def test_a_folder_pulls_into_a_directory_of_its_name() -> None:
    assert only(RAW) == Folder("raw", "s3://my-bucket/raw/", "raw", "pull", {}, (), 1)


def test_all_that_a_folder_may_say() -> None:
    folder = only(
        '[defaults]\nprofile = "lab"\njobs = 4\nexclude = ["*.bak"]\n\n[folder.out]\nremote = "b/out"\n'
        'local = "data/./out/"\nway = "push"\nstorage-class = "STANDARD_IA"\ngroups = ["small", "mine"]\n'
        'include = ["*.csv"]\nexclude = "*"\nmetadata = { by = "me" }\n'
    )
    assert folder == Folder(
        "out", "s3://b/out/", "data/out", "push",
        {"profile": "lab", "jobs": 4, "storage_class": "STANDARD_IA", "metadata": {"by": "me"},
         "filters": [("exclude", "*.bak"), ("exclude", "*"), ("include", "*.csv")]},
        ("small", "mine"), 6,
    )  # fmt: skip


def test_defaults_hold_where_a_command_takes_them() -> None:
    text = (
        '[defaults]\nstorage_class = "STANDARD_IA"\ndelete = true\n' + RAW + '[folder.up]\nremote = "b"\nway = "push"\n'
    )
    down, up = read(text).folders
    assert (down.options, up.options) == ({"delete": True}, {"storage_class": "STANDARD_IA", "delete": True})


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ('name = "x"', 1, "there is no 'name'"),
        ('[folders.raw]\nremote = "b"', 1, "Did you mean folder?"),
        ("[folder.raw]", 1, "needs its remote"),
        ("[folder]\nraw = 3", 2, "a folder is a table"),
        ("folder.raw.remote = 3", 1, "remote is text in quotes"),
        ('[folder.raw]\nremote = "gs://b"', 2, "gs://"),
        ('[folder."a b"]\nremote = "b"', 1, "cannot name a folder"),
        (RAW + 'way = "bth"', 3, "one of pull, push, both"),
        (RAW + 'loca = "x"', 3, "Did you mean local?"),
        (RAW + "delet = true", 3, "Did you mean delete?"),
        (RAW + 'storage_class = "x"', 3, "pull takes no option"),
        (RAW + "groups = [3]", 3, "list of names"),
        (RAW + 'max_delete = "many"', 3, "--max-delete takes a whole number"),
        (RAW + "delete = 1", 3, "--delete takes True or False"),
        (RAW + "exclude = [3]", 3, "exclude takes a pattern"),
        (RAW + "max_delete = 3", 1, "--max-delete needs --delete"),
        ('[defaults]\n# a comment\nbandwith = "20MB/s"\n' + RAW, 3, "Did you mean bandwidth?"),
        ('[defaults]\nbandwidth = "fast"\n' + RAW, 2, "takes a rate"),
        (RAW + '[folder.b]\nremote = "b"\nlocal = "raw"', 3, "is also raw of raw"),
        (RAW + '[folder.b]\nremote = "b"\nlocal = "raw/more"', 3, "raw/more of b lies in raw of raw"),
        (RAW + '[folder.b]\nremote = "b"\nlocal = "."', 1, "raw of raw lies in . of b"),
    ],
)
def test_a_mistake_is_told_with_its_line(text: str, line: int, said: str) -> None:
    with pytest.raises(UsageError) as error:
        read(text)
    assert f"nbsync.toml, line {line}: " in str(error.value)
    assert said in str(error.value)


@pytest.mark.parametrize(
    "local", ["/data", "..", "a/../../b", "../b", "", "a\\b", ".git/hooks", "x/.GIT", "a/.nbsync/b"]
)
def test_a_local_that_leaves_the_project_is_refused(local: str) -> None:
    with pytest.raises(UsageError, match=r"nbsync\.toml, line 3: local"):
        read(f"{RAW}local = '{local}'")


@pytest.mark.parametrize(
    ("option", "value"),
    [("log-file", "'x'"), ("sse-c-key-file", "'x'"), ("ca-bundle", "'x'"), ("no-verify-ssl", "true"), ("json", "true"),
     ("no_conditions", "true"), ("files-from", "'x'"), ("on", "'dask://x'"), ("dry_run", "true")],
)  # fmt: skip
@pytest.mark.parametrize("where", ["[defaults]\n{}\n" + RAW, RAW + "{}"])
def test_what_leads_elsewhere_or_weakens_cannot_stand_in_a_file(where: str, option: str, value: str) -> None:
    with pytest.raises(UsageError, match=f"{option} cannot stand in a project file"):
        read(where.format(f"{option} = {value}"))


TWO = RAW + 'groups = ["small"]\n[folder.results]\nremote = "b/results"\nway = "push"\n'


def test_folders_are_chosen_by_name_and_by_group_in_the_order_of_the_file() -> None:
    project = read(TWO)
    assert [folder.name for folder in project.chosen(["results", "raw"])] == ["raw", "results"]
    assert [folder.name for folder in project.chosen(group="small")] == ["raw"]
    for names, group, said in ((["rau"], "", "Did you mean raw?"), ([], "smal", "Did you mean small?")):
        with pytest.raises(UsageError, match=said.replace("?", r"\?")):
            project.chosen(names, group)


@pytest.mark.parametrize(
    ("more", "command", "needed"),
    [
        ("", "pull", False), ("", "verify", False), ("", "status", False), ("", "push", True), ("", "sync", True),
        ('endpoint_url = "http://x"', "pull", True), ('profile = "lab"', "verify", True),
        ("delete = true", "pull", False), ('region = "eu-central-1"', "pull", False),
    ],
)  # fmt: skip
def test_what_sends_and_what_asks_elsewhere_needs_trust(more: str, command: str, needed: bool) -> None:
    assert needs_trust(only(RAW + more), command) is needed


@pytest.mark.parametrize(
    ("more", "same"),
    [("jobs = 3", True), ('bandwidth = "1MB/s"', True), ("timeout = 5", True), ("retries = 1", True),
     ('groups = ["x"]', True), ("delete = true", False), ('way = "push"', False), ('local = "other"', False),
     ('exclude = ["x"]', False), ('region = "eu-central-1"', False)],
)  # fmt: skip
def test_any_change_but_of_pace_and_groups_is_another_identity(more: str, same: bool) -> None:
    changed: list[Any] = identity(only(RAW + more), "/p")
    assert (changed == identity(only(RAW), "/p")) is same
    assert identity(only(RAW), "/q") != identity(only(RAW), "/p")
