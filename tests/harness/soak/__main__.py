"""`make soak`: break Foundry for some minutes and check that nothing was lost and nothing is stuck."""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from pathlib import Path

from foundry.sandboxes.local import install
from tests.harness.soak.driver import soak
from tests.sandboxes.conftest import CACHE


def main() -> int:
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--mode", choices=("sqlite", "replicas"), default="sqlite")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--keep", type=Path, help="a directory for what is left, instead of one that is removed")
    given = parser.parse_args()
    if not install.binary(CACHE).exists():
        install._install(CACHE, print)
    began = time.monotonic()

    def say(words: str) -> None:
        print(f"{time.monotonic() - began:7.1f} s  {words}", flush=True)

    with tempfile.TemporaryDirectory(prefix="foundry-soak-") as made:
        home = given.keep or Path(made)
        home.mkdir(parents=True, exist_ok=True)
        outcome = asyncio.run(
            soak(home, CACHE, given.mode, given.minutes * 60, given.seed, say, given.keep is not None)
        )
    for line in outcome.violations:
        print(f"soak: VIOLATION {line}")
    if outcome.violations:
        print(f"soak: again with MODE={given.mode} MINUTES={given.minutes:g} SEED={given.seed}")
        return 1
    print(f"soak: ok, {outcome.commands} commands, {outcome.faults} faults, seed {given.seed}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
