"""sandbox-agent is installed once, whole or not at all, and what is missing is said."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from foundry.contracts.sandbox_provider import InstallFailed, NodeMissing
from foundry.sandboxes.local import install


def stand_in_npm(folder: Path, script: str) -> Path:
    folder.mkdir()
    npm = folder / "npm"
    npm.write_text(f"#!/bin/sh\n{script}\n")
    npm.chmod(0o755)
    return folder


def test_the_installed_one_is_the_pinned_version(binary: Path):
    version = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout
    assert version.split() == ["sandbox-agent", install.VERSION]


def test_the_lock_has_a_hash_for_everything_and_no_download_address():
    lock = json.loads((Path(install.__file__).parent / "package-lock.json").read_text())
    packages = {name: value for name, value in lock["packages"].items() if name}
    assert packages
    assert all(value["integrity"].startswith("sha512-") for value in packages.values())
    assert all(value["version"] == install.VERSION for value in packages.values())
    assert "resolved" not in json.dumps(lock)


def test_two_at_once_install_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    made = install.binary(Path("/x")).relative_to(install.home(Path("/x")))
    script = f"echo run >> {tmp_path}/runs; mkdir -p {made.parent}; sleep 0.2; echo '#!/bin/sh' > {made}"
    monkeypatch.setenv("PATH", f"{stand_in_npm(tmp_path / 'bin', script)}:/usr/bin:/bin")
    with ThreadPoolExecutor(2) as both:
        first, second = both.map(lambda _: install._install(tmp_path / "data", print), range(2))
    assert first == second
    assert first.exists()
    assert (tmp_path / "runs").read_text() == "run\n"
    assert sorted(path.name for path in first.parents[5].iterdir()) == [install.VERSION, "lock"]


async def test_a_failing_npm_leaves_nothing_and_its_words_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = stand_in_npm(tmp_path / "bin", "echo 'ECONNREFUSED the registry is away' >&2; exit 1")
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    with pytest.raises(InstallFailed, match="registry is away"):
        await install.install(tmp_path / "data")
    assert [path.name for path in (tmp_path / "data" / "sandbox-agent").iterdir()] == ["lock"]


async def test_without_npm_the_remedy_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(NodeMissing) as caught:
        await install.install(tmp_path / "data")
    assert 'pip install "foundry[node]"' in caught.value.remedy
