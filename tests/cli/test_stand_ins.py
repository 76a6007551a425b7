"""What `pip install foundry` leaves out, the stand-ins' own needs, only the demo misses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LIMIT = 60.0  # seconds for a command on 2 busy cores


def without(module: str, then: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python that cannot import this module."""
    command = [sys.executable, "-c", f"import sys; sys.modules[{module!r}] = None; {then}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT)


@pytest.mark.parametrize("module", ["acp", "jwt"])
def test_a_demo_without_its_stand_ins_says_what_to_install(module: str, tmp_path: Path) -> None:
    arguments = ("demo", "--once", "--data-dir", str(tmp_path))
    said = without(module, "from foundry.cli import main; main()", *arguments)
    assert said.returncode == 1, said.stderr
    assert 'pip install "foundry[devkit]"' in said.stderr


def test_a_server_does_without_them() -> None:
    said = without("acp", "import foundry.app")
    assert said.returncode == 0, said.stderr
