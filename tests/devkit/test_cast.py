"""The sample repositories are real: their tests run with plain Python."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from foundry.devkit.cast import ORGANIZATIONS, PEOPLE, REPOSITORIES, SampleRepository


@pytest.mark.parametrize("sample", REPOSITORIES, ids=lambda sample: sample.name)
def test_a_sample_passes_its_own_tests(sample: SampleRepository, tmp_path: Path) -> None:
    for name, content in sample.files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    command = [sys.executable, "-S", "-m", "unittest", "-q"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Ran 0" not in done.stderr


def test_tally_does_what_its_readme_says(tmp_path: Path) -> None:
    tally = next(sample for sample in REPOSITORIES if sample.name == "tally")
    for name, content in tally.files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    command = [sys.executable, "-S", "-m", "tally"]
    done = subprocess.run(command, cwd=tmp_path, input="3\n1\n2\n", capture_output=True, text=True)
    assert done.stdout.splitlines() == ["count 3", "total 6", "mean  2"]


def test_ids_are_stable_and_unique() -> None:
    ids = [p.id for p in PEOPLE] + [o.id for o in ORGANIZATIONS] + [r.id for r in REPOSITORIES]
    assert len(ids) == len(set(ids))
    assert {o.login: (o.id, o.installation) for o in ORGANIZATIONS} == {
        "lumen-works": (2001, 3001), "north-harbor": (2002, 3002)
    }  # fmt: skip


def test_somebody_may_only_read() -> None:
    assert any("read" in sample.access.values() for sample in REPOSITORIES)
