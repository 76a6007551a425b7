"""`make bench`: a row that cannot be measured does not affect other rows, and is not overlooked."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks import __main__ as bench
from benchmarks import rows, start
from benchmarks.rows import Failed, Row, row, tried


async def measured(value: float) -> float:
    return value


async def broken() -> float:
    raise RuntimeError("the server | is gone\nfor good")


async def a_part() -> list[Row]:
    good, bad = await tried(measured(2.0)), await tried(broken())
    return [
        row("good", good, "ms", most=3.0),
        row("bad", bad, "ms", "good", good, most=3.0),
        row("beside bad", good, "ms", "bad", bad, most=3.0),
    ]


async def a_broken_part() -> list[Row]:
    await broken()
    return []


@pytest.fixture
def written(tmp_path: Path) -> dict[str, Path]:
    """Where the results go, instead of this repository's own files."""
    document = tmp_path / "benchmarks.md"
    document.write_text(f"before\n{rows.BEGIN}\nan older table\n{rows.END}\nafter\n")
    return {"results": tmp_path / "latest.json", "into": document}


async def test_a_row_that_raises_leaves_the_others_and_says_so(
    written: dict[str, Path], capsys: pytest.CaptureFixture[str]
):
    found = await bench.main([], {"first": a_part, "broken": a_broken_part, "last": a_part})
    three = ["good", "bad", "beside bad"]
    assert [one.name for one in found] == [*three, "all rows of broken", *three]
    assert bench.finish(found, doc=True, **written) == 1
    out, err = capsys.readouterr()
    table = " ".join(out.split())
    assert "FAILED: RuntimeError: the server | is gone for good" in table
    assert "bench: 5 of 7 rows failed, so docs/benchmarks.md was not changed" in table
    assert "in broken" in err, "the traceback says where"
    assert "an older table" in written["into"].read_text()
    kept = {one["name"]: one for one in json.loads(written["results"].read_text())}
    assert (kept["good"]["value"], kept["good"]["reached"], kept["good"]["failure"]) == (2.0, True, "")
    assert (kept["bad"]["value"], kept["bad"]["reached"]) == (None, None)
    assert (kept["beside bad"]["value"], kept["beside bad"]["reached"]) == (2.0, None)
    assert kept["beside bad"]["failure"].startswith("bad: RuntimeError")


async def test_a_run_without_a_failed_row_is_documented_and_succeeds(written: dict[str, Path]):
    async def good() -> list[Row]:
        return [row("good", await tried(measured(2.0)), "ms")]

    assert bench.finish(await bench.main([], {"good": good}), doc=True, **written) == 0
    assert "| good | 2 ms |" in written["into"].read_text()


async def test_a_measurement_that_hangs_is_a_failed_one():
    found = await tried(asyncio.Event().wait(), limit=0.05)
    assert isinstance(found, Failed)
    assert found.reason == "TimeoutError"


def test_a_process_that_has_just_ended_takes_no_memory():
    """Until somebody reads its exit code, its status exists but has no VmRSS."""
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        assert "VmRSS" not in Path(f"/proc/{ended.pid}/status").read_text()
        assert start._resident(ended.pid) == 0
        assert start._tree(ended.pid) == [ended.pid]
    assert (start._resident(ended.pid), start._tree(ended.pid)) == (0, [ended.pid])
    assert start._resident(os.getpid()) > 1000


def test_the_memory_of_a_server_that_has_ended_is_not_measured():
    with subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"]) as ended:
        ended.wait()
        with pytest.raises(AssertionError, match="the server exited with 3"):
            start.Life(ended, "", 0.0).megabytes()
