"""A short soak of each mode; `make soak` makes long ones. docs/benchmarks.md has what those came to."""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

import pytest

from tests.harness.soak.driver import soak
from tests.harness.soak.ground import Mode
from tests.postgres import binaries

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SECONDS = 10.0
IN_CI = 25.0


@pytest.mark.parametrize("mode", ["sqlite", "replicas"])
def test_nothing_is_lost_and_nothing_is_stuck(tmp_path: Path, sandbox_agent_cache: Path, mode: Mode) -> None:
    if mode == "replicas" and binaries() is None:
        pytest.skip("PostgreSQL's server binaries (initdb, pg_ctl) are not on this machine")
    seed = random.SystemRandom().randrange(10**6)
    seconds = IN_CI if os.environ.get("FOUNDRY_NO_SKIPS") else SECONDS
    outcome = asyncio.run(soak(tmp_path, sandbox_agent_cache, mode, seconds, seed, print))
    assert outcome.violations == [], f"seed {seed}"
    assert outcome.commands > 5
    assert outcome.faults > 0
