"""The watchdog's decisions: what is late, what of it is shown, when to look again; when a silent turn is over."""

from __future__ import annotations

from datetime import timedelta

import pytest

from foundry.actors.task_session.transitions import Verdict, verdict
from foundry.actors.watchdog import WATCHDOG, Watchdog, key
from foundry.contracts.session_stream import Signs
from foundry.contracts.time_limits import TABLE

SHORT = Watchdog({"cloning": 10, "publishing": 30})


@pytest.mark.parametrize(
    ("stands", "now", "late", "again"),
    [
        ({}, 0, None, None),
        ({"cloning|a": 0}, 9_999, None, 1),
        ({"cloning|a": 0}, 10_000, "cloning", None),
        ({"cloning|a": 0, "publishing|b": 5_000}, 12_000, "cloning", 23_000),
        ({"publishing|b": 0, "cloning|a": 20_000}, 31_000, "publishing", None),  # both: the one that began first
        ({"naming|x": 0}, 59_000, None, 1_000),  # the table's own limit
    ],
)
def test_what_is_late(stands: dict[str, int], now: int, late: str | None, again: int | None) -> None:
    found, wait = SHORT.look(stands, now)
    assert (found.what if found else None) == late
    assert wait == (None if again is None else timedelta(milliseconds=again))


@pytest.mark.parametrize("what", sorted(TABLE))
def test_whatever_is_late_has_a_reason_and_a_way_on(what: str) -> None:
    found, _ = WATCHDOG.look({key(what, 1): 0}, TABLE[what].may_last * 1000)
    assert found
    assert found.reason
    assert found.remedy
    assert found.actions or what == "agent quiet"  # there Foundry looks by itself


WORKING = {"quiet": True, "said_last": True, "tools": False, "asks": False}


@pytest.mark.parametrize(
    ("signs", "changed", "expected"),
    [
        (Signs(alive=True, busy=False), {}, Verdict.ENDED),
        (Signs(alive=True, busy=True), {}, Verdict.WORKS),
        (Signs(alive=True, busy=False), {"quiet": False}, Verdict.WORKS),
        (Signs(alive=True, busy=False), {"said_last": False}, Verdict.WORKS),
        (Signs(alive=True, busy=False), {"tools": True}, Verdict.WORKS),
        (Signs(alive=True, busy=False), {"asks": True}, Verdict.WORKS),
        (Signs(alive=False, busy=False), {"quiet": False}, Verdict.GONE),
    ],
)
def test_whether_a_turn_that_nobody_ended_is_over(signs: Signs, changed: dict[str, bool], expected: Verdict) -> None:
    assert verdict(signs, **{**WORKING, **changed}) is expected
