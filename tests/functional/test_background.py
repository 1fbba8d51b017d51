"""Background syncs with a real service: on an event loop, one after the other, stopped; and next steps."""

from __future__ import annotations

import asyncio
import re
import shlex
from typing import Any

import nbsync
from nbsync.api import functions
from nbsync.cli import main as cli
from nbsync.core.call import Call
from nbsync.errors import Interrupted
from tests.functional.test_undo import capture_output, shell
from tests.functional.world import World


def test_an_asyncio_program_awaits_two_at_once(world: World) -> None:
    world.fill_both("a", "b")

    async def main() -> tuple[list[Any], set[str]]:
        jobs = [nbsync.pull(world.remote, world.sandbox / name, background=True) for name in ("one", "two")]
        states = set()
        for job in jobs:
            job.progress.observe(lambda change: states.add(change.new), names=["state"])
        return [await job for job in jobs], states

    results, states = asyncio.run(main())
    assert [result.counts["miss"] for result in results] == [2, 2]
    assert "done" in states


def test_it_is_listed_and_found_by_its_number(world: World) -> None:
    job = nbsync.pull(world.remote, world.local, background=True)
    assert job in nbsync.jobs()
    assert nbsync.jobs()[-1].id == job.id
    job.wait()
    assert f"{job.id}" in repr(nbsync.jobs())


def test_a_pull_and_then_a_push_of_the_same_folder(world: World) -> None:
    """Side by side, the second would find the folder taken, or push what the first has not brought yet."""
    world.put("a", b"1")
    here, copy = str(world.local), f"s3://{world.bucket}/copy"
    first = functions.begin(Call(command="pull", direction="pull", remote=world.remote, local=here))
    second = functions.begin(Call(command="push", direction="push", remote=copy, local=here), first)
    assert second.wait().counts["miss"] == 1
    assert first.done
    refused = functions.begin(
        Call(command="pull", direction="pull", remote="s3://no-such-bucket-here/x", local=f"{here}-x")
    )
    never = functions.begin(Call(command="pull", direction="pull", remote=world.remote, local=f"{here}-y"), refused)
    assert "not begun" in str(never.wait().error)


def test_a_job_that_is_stopped_leaves_what_a_second_run_takes_up(world: World) -> None:
    for number in range(20):
        world.put(f"{number}", bytes(1000))
    with shell() as ip, capture_output():
        job = ip.run_line_magic("s3sync", f"pull {world.remote} {world.local} --background --bandwidth 4KB/s --jobs 1")
        while job.progress.files_done < 1:
            job.poll()
        ip.run_line_magic("s3sync", f"cancel {job.id}")
        assert isinstance(job.result.error, Interrupted)
    world.no_staging_left()
    assert world.run("pull").counts["miss"] == 20 - job.counts["miss"]


def test_the_next_step_of_a_conflict_resolves_it(world: World, capsys: Any) -> None:
    world.fill_both("a b", "c")
    world.put("a b", b"theirs")
    world.write("a b", b"mine")
    assert cli.main(["push", str(world.local), world.remote, "--exclude", "c*"]) == 1
    (command,) = re.findall(r"next, to replace [^:]*: nbsync (.*)", capsys.readouterr().out)
    assert "--exclude 'c*' --overwrite-remote" in command
    assert cli.main(shlex.split(command)) == 0
    assert world.get("a b") == b"mine"
