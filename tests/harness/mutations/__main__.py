"""Try the mutations, all or those whose names hold one of the given words; ends with the count of the caught."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.harness.mutations import MUTATIONS, Mutation

ROOT = Path(__file__).parents[3]
LIMIT = 240.0  # seconds for one mutation's tests; one that hangs is caught, too


def caught(mutation: Mutation, place: Path) -> bool:
    """Whether a test fails on Foundry with this fault."""
    source = place / "src"
    shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__", "static"))
    file = source / "foundry" / mutation.file
    text = file.read_text()
    assert text.count(mutation.old) == 1, f"{mutation.file} has changed: mend the mutation {mutation.name!r}"
    file.write_text(text.replace(mutation.old, mutation.new))
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *mutation.tests]
    environment = {**os.environ, "PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        return True
    assert done.returncode in (0, 1), done.stdout[-3000:] + done.stderr[-3000:]
    return done.returncode == 1


def main() -> int:
    wanted = [m for m in MUTATIONS if not sys.argv[1:] or any(word in m.name for word in sys.argv[1:])]
    survived = 0
    for mutation in wanted:
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="foundry-mutation-") as place:
            found = caught(mutation, Path(place))
        survived += not found
        print(f"{'caught' if found else 'SURVIVED'} in {time.monotonic() - began:5.1f} s: {mutation.name}", flush=True)
    print(f"mutations: {len(wanted) - survived} of {len(wanted)} caught")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
