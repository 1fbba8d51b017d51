"""Runs on clusters that are watched while they go on: until something is done, and then something is killed."""

from __future__ import annotations

from typing import Any

import nbsync
from nbsync import SyncResult
from tests.functional.world import World

_SECONDS = 60.0


class Grip:
    """A run under way in the background."""

    def __init__(self, world: World, direction: str, **options: Any) -> None:
        if direction == "pull":
            self.job = nbsync.pull(world.remote, world.local, background=True, **options)
        else:
            self.job = nbsync.push(world.local, world.remote, background=True, **options)

    def until_some_is_done(self, count: int = 1) -> None:
        """Return as soon as so many files have moved; the run must not end before."""
        for _ in range(int(_SECONDS / 0.02)):
            try:
                result = self.job.wait(0.02)
            except TimeoutError:
                if self.job.counts["miss"] >= count:
                    return
            else:
                raise AssertionError(f"it ended too early: {result!r}, {result.notes}")
        raise AssertionError("nothing was done")

    def end(self) -> SyncResult:
        """Its result."""
        return self.job.wait(_SECONDS)


def kinds(result: SyncResult) -> set[str]:
    """The statuses that its rows have, of which there is one a path."""
    assert len({row.path for row in result}) == len(result)
    return {row.status for row in result}


def versioned(world: World) -> None:
    """From now on, the bucket keeps every version: nothing that is uploaded twice stays unseen."""
    told = {"Status": "Enabled"}
    world.server.s3.put_bucket_versioning(Bucket=world.bucket, VersioningConfiguration=told)


def one_version_each(world: World) -> None:
    """Each object was stored once."""
    pages = world.server.s3.get_paginator("list_object_versions").paginate(Bucket=world.bucket)
    keys = [version["Key"] for page in pages for version in page.get("Versions", ())]
    assert sorted(keys) == sorted(set(keys)), "something was uploaded twice"
