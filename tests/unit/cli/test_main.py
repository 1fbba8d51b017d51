"""The command line with a fake engine: what goes where, and the exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from nbsync.cli import main
from nbsync.core.call import Call
from nbsync.engine.link import make
from nbsync.errors import AccessDenied, GuardRefusal, SyncProblems, UsageError
from nbsync.grammar.parse import parse
from tests.unit.samples import HOSTILE, Engine, listed, listing, mixed, result, row, snapshot

Captured = pytest.CaptureFixture[str]


def clean() -> Engine:
    return Engine(result(row("a.csv", "miss"), row("b.csv", "hit")))


def run(line: str, engine: Any = None) -> int:
    return main.main(line.split(), engine=engine or clean())


def test_a_table_on_standard_output(capsys: Captured) -> None:
    engine = clean()
    assert run("pull b/p data --jobs 3", engine) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[0] == "pull s3://bucket/raw/ → data"
    assert "+ miss" in out
    assert err == ""
    assert (engine.calls[0].remote, engine.calls[0].options.jobs) == ("b/p", 3)


def test_failures_exit_1(capsys: Captured) -> None:
    assert run("pull b", Engine(mixed())) == 1
    out, err = capsys.readouterr()
    assert "locked.bin" in out
    assert err == ""


def test_json_is_alone_on_standard_output(capsys: Captured) -> None:
    assert run("pull b --json") == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["counts"]["miss"] == 1
    assert out.count("\n") == 1
    assert err == ""


def test_quiet_says_nothing_unless_it_failed(capsys: Captured) -> None:
    assert run("pull b --quiet") == 0
    assert capsys.readouterr() == ("", "")
    assert run("pull b --quiet", Engine(mixed())) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("nbsync: pull s3://bucket/raw/ → data: ✗ 4 problems: ")
    assert run("pull b --quiet --json") == 0
    assert json.loads(capsys.readouterr().out)["ok"]


def test_verbose_shows_every_row(capsys: Captured) -> None:
    assert run("pull b --verbose", Engine(result(*(row(f"f{i}", "hit") for i in range(500))))) == 0
    assert "f499" in capsys.readouterr().out


def test_a_link_is_alone_on_standard_output(capsys: Captured) -> None:
    line = "link bucket/raw data --exclude *.tmp"
    url = "/nbsync/pull?source=bucket/raw&target=data&exclude=*.tmp"
    engine = clean()
    engine.found = make(parse(line.split()).call or Call(command=""), {})
    for words, notes in ((line, 1), (f"{line} --quiet", 0)):
        assert run(words, engine) == 0
        out, err = capsys.readouterr()
        assert out == f"{url}\n"
        assert (err.count("\n"), err.count("note: this goes behind a server's address")) == (notes, notes)
    assert run(f"{line} --json", engine) == 0
    out, err = capsys.readouterr()
    assert (json.loads(out)["command"], json.loads(out)["url"], err) == ("link", url, "")


def test_no_link_exits_2(capsys: Captured) -> None:
    assert main.main(["link", "bucket/raw", "../up", "--json"]) == 2
    out, err = capsys.readouterr()
    assert (json.loads(out)["command"], json.loads(out)["ok"]) == ("link", False)
    assert "target '../up' has a .. segment" in json.loads(out)["error"]
    assert err.startswith("nbsync: target '../up'")


@pytest.mark.parametrize(
    ("error", "code"), [(AccessDenied("no right", "Ask for s3:ListBucket."), 2), (GuardRefusal("too many"), 3)]
)
def test_refused_before_it_ran(capsys: Captured, error: Any, code: int) -> None:
    assert run("pull b data", Engine(refuse=error)) == code
    assert capsys.readouterr() == ("", f"nbsync: {error}\n")
    assert run("push data b --json --dry-run", Engine(refuse=error)) == code
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert (document["ok"], document["error"], document["command"]) == (False, str(error), "push")
    assert (document["remote"], document["local"], document["dry_run"]) == ("s3://b/", "data", True)
    assert err == f"nbsync: {error}\n"
    assert run("ls b", Engine(refuse=error)) == code


def test_refused_while_it_ran(capsys: Captured) -> None:
    assert run("pull b", Engine(result(error=GuardRefusal("too many")))) == 3
    assert capsys.readouterr() == ("", "nbsync: too many\n")
    assert run("pull b", Engine(result(row("a", "miss"), error=AccessDenied("no more")))) == 2
    out, err = capsys.readouterr()
    assert "+ miss" in out
    assert "no more" not in out  # once is enough
    assert err == "nbsync: no more\n"


@pytest.mark.parametrize("line", ["ls", "pull b --nope", "nope", "pull b --jobs x"])
def test_wrong_words_exit_2_and_start_nothing(capsys: Captured, line: str) -> None:
    engine = clean()
    assert run(line, engine) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("nbsync: ")
    assert err.count("\n") == 1
    assert engine.calls == []
    assert run(f"{line} --json", engine) == 2
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] is False
    assert document["error"]


def test_help(capsys: Captured) -> None:
    assert run("--help") == 0
    out, err = capsys.readouterr()
    assert "usage: nbsync COMMAND" in out
    assert err == ""
    assert main.main([]) == 2
    assert "usage: nbsync COMMAND" in capsys.readouterr().err
    assert run("--version") == 0
    assert capsys.readouterr().out.startswith("nbsync ")


def test_ls_prints_time_size_key(capsys: Captured) -> None:
    engine = clean()
    engine.found = listing(listed("raw/" + HOSTILE, "x", 4100, 1_700_000_000 * 10**9), listed("raw/b", "b", 1, 0))
    assert run("ls b/raw", engine) == 0
    out, err = capsys.readouterr()
    first, second = out.splitlines()
    assert first.startswith("2023-11-14 22:13:20         4100 raw/<img")
    assert first.isprintable()
    assert second == "1970-01-01 00:00:00            1 raw/b"
    assert err == "2 objects, 4.1 kB; times are UTC\n"
    assert run("ls b/raw --json", engine) == 0
    assert json.loads(capsys.readouterr().out)["command"] == "ls"
    assert run("ls b/raw --quiet", engine) == 0
    assert capsys.readouterr().err == ""


def test_ctrl_c_cancels_and_shows_what_was_done(capsys: Captured) -> None:
    engine = Engine(result(row("a", "miss"), row("b", "cancelled")), interrupts=1)
    assert run("pull b", engine) == 130
    out, err = capsys.readouterr()
    assert engine.started[0].cancelled
    assert "interrupted" in out
    assert "cancelled" in out
    assert err == "nbsync: interrupted\n"
    engine = Engine(result(row("a", "miss")), interrupts=1)
    assert run("pull b --json", engine) == 130
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] is False
    assert document["counts"]["miss"] == 1


def test_a_second_ctrl_c_leaves_at_once(capsys: Captured) -> None:
    assert run("pull b", Engine(interrupts=2)) == 130
    assert capsys.readouterr() == ("", "nbsync: interrupted\n")


def test_sigterm_is_ctrl_c(capsys: Captured) -> None:
    class Terminated(Engine):
        def prepare(self, call: Any) -> Any:
            os.kill(os.getpid(), signal.SIGTERM)
            return super().prepare(call)

    before = signal.getsignal(signal.SIGTERM)
    assert run("pull b", Terminated()) == 130
    assert signal.getsignal(signal.SIGTERM) is before


def test_what_nobody_foresaw_is_one_line(capsys: Captured) -> None:
    class Broken(Engine):
        def prepare(self, call: Any) -> Any:
            raise ZeroDivisionError("by\nzero")

    assert run("pull b", Broken()) == 2
    line = r"nbsync: internal error: ZeroDivisionError: by\nzero; run with --verbose for the traceback"
    assert capsys.readouterr() == ("", line + "\n")
    assert run("pull b --verbose", Broken()) == 2
    assert "Traceback" in capsys.readouterr().err


def test_too_little_memory_is_one_line(capsys: Captured) -> None:
    class Broken(Engine):
        def prepare(self, call: Any) -> Any:
            raise MemoryError

    assert run("pull b", Broken()) == 2
    assert capsys.readouterr() == ("", "nbsync: there is not enough memory; what was done is kept\n")


def test_log_file(tmp_path: Path, capsys: Captured) -> None:
    log = tmp_path / "log.txt"
    words = ["pull", "b", "--quiet", "--log-file", str(log)]
    ended = result(row("a b\n", "miss"), row("c", "failed", error="no"))
    for _ in range(2):
        main.main(words, engine=Engine(ended), clock=lambda: datetime(2026, 11, 23, 6, 49, 9, tzinfo=timezone.utc))
    assert (
        log.read_text().splitlines()
        == [
            "2026-11-23T06:49:09Z\tpull\tmiss\tdownload\t4100\ta b\\n\tmissing locally",
            "2026-11-23T06:49:09Z\tpull\tfailed\tdownload\t0\tc\tcontent differs: no",
        ]
        * 2
    )
    ended.on_workers = True
    ended.files[0] = ended.files[0]._replace(worker="10.0.0.1:1")
    main.main(words, engine=Engine(ended))
    assert log.read_text().splitlines()[-2].endswith("\tmissing locally\t10.0.0.1:1")
    capsys.readouterr()
    engine = clean()
    assert main.main(["pull", "b", "--log-file", str(tmp_path / "none" / "log")], engine=engine) == 2
    assert "No such file or directory" in capsys.readouterr().err
    assert engine.calls == []


def test_sync_problems_and_usage_from_the_engine(capsys: Captured) -> None:
    assert run("pull b", Engine(refuse=SyncProblems("some failed"))) == 1
    assert run("pull b", Engine(refuse=UsageError("REMOTE is odd"))) == 2
    assert capsys.readouterr().err == "nbsync: some failed\nnbsync: REMOTE is odd\n"


SCRIPT = """
import sys
from tests.unit.samples import Engine, listed, listing
from nbsync.cli import main
engine = Engine()
engine.found = listing(*(listed("k\\udc80→" + str(i), "k", 1, 0) for i in range(int(sys.argv[2]))))
code = main.main([sys.argv[1], "b"], engine=engine)
heavy = {"IPython", "rich", "boto3", "ipywidgets"} & set(sys.modules)
assert not heavy, heavy
sys.exit(code)
"""


def python(*words: str, **env: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", SCRIPT, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            env={**os.environ, **env}, cwd=Path(__file__).parents[3])  # fmt: skip


def test_waiting_is_told_on_standard_error_unless_a_program_reads(capsys: Captured) -> None:
    for words, told in (
        ("", "nbsync: waiting for another nbsync run in this folder\n"),
        ("--json", ""),
        ("--quiet", ""),
    ):
        ended = Engine(result(row("a.csv", "miss")), snapshots=[snapshot(state="waiting")] * 2)
        assert run(f"pull b {words}", ended) == 0
        assert capsys.readouterr().err == told


@pytest.mark.parametrize(("words", "code"), [("ls 1", 0), ("pull 0", 1)])
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_streams_change_no_exit_code(words: str, code: int, closed: str) -> None:
    command = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-c", SCRIPT, *words.split()]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[3], check=False)
    assert done.returncode == code, done.stderr
    assert "internal error" not in done.stdout + done.stderr


def test_a_closed_pipe_is_no_complaint() -> None:
    with python("ls", "100000") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        err = process.stderr.read()
    assert process.returncode == 0
    assert err.count(b"\n") == 1  # the total
    assert b"100,000 objects" in err


def test_any_name_in_any_locale_and_nothing_heavy_loaded() -> None:
    out, err = python("ls", "1", PYTHONIOENCODING="ascii").communicate()
    assert out == b"1970-01-01 00:00:00            1 k\\udc80\\u21920\n", err
    with python("pull", "0", PYTHONIOENCODING="ascii") as process:
        out, err = process.communicate()
    assert process.returncode == 1, err
    assert b"locked.bin" in out


def test_python_m_nbsync() -> None:
    command = [sys.executable, "-m", "nbsync", "pul"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[3], check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "nbsync: unknown command 'pul'. Did you mean pull?\n"
