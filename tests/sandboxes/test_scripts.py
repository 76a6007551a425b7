"""The shell scripts that run in sandboxes are files, pass shellcheck and are in the wheel. Python has no shell text."""

from __future__ import annotations

import ast
import asyncio
import subprocess
import sys
import zipfile
from itertools import pairwise
from pathlib import Path

import pytest

from foundry.contracts.sandbox_provider import SandboxSpec
from foundry.sandboxes import scripts
from foundry.sandboxes.local.provider import BIN, LocalProvider
from tests.sandboxes.conftest import Lab

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src" / "foundry"
FILES = sorted(Path(scripts.__file__).parent.glob("*.sh"))


def test_shellcheck_has_nothing_to_say():
    shellcheck = Path(sys.executable).parent / "shellcheck"
    done = subprocess.run([shellcheck, *FILES], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_script_says_first_what_runs_it_and_what_it_takes(file: Path):
    first, second, *_ = file.read_text().splitlines()
    assert first in ("#!/bin/sh", "#!/bin/bash")
    assert second.startswith((f"# {file.stem}:", f"# {file.stem} ")), second


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_script_is_used(file: Path):
    rooms = [*(SRC / "sandboxes").rglob("*.py"), *(SRC / "actors").rglob("*.py")]
    assert any(f'script("{file.stem}")' in path.read_text() for path in rooms)


def test_no_shell_text_stands_in_python():
    """The text after `-c` is at most one plain command."""
    for room in ("sandboxes", "actors"):
        for path in (SRC / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.JoinedStr | ast.Constant):
                    text = ast.unparse(node)
                    assert not any(sign in text for sign in ("#!/", "set -eu", '"$@"')), f"{path.name}: {text}"
                words = node.elts if isinstance(node, ast.List | ast.Tuple) else []
                for flag, word in pairwise(words):
                    if isinstance(flag, ast.Constant) and flag.value == "-c" and not isinstance(word, ast.Name):
                        assert isinstance(word, ast.Constant), f"{path.name}: {ast.unparse(word)}"
                        assert not set(str(word.value)) & set(";|&$\n"), f"{path.name}: {word.value}"


def test_the_wheel_has_them(tmp_path: Path):
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    (tmp_path / "src" / "foundry").mkdir(parents=True)
    (tmp_path / "src" / "foundry" / "__init__.py").write_text("")
    (tmp_path / "src" / "foundry" / "sandboxes").symlink_to(SRC / "sandboxes")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")]
    done = subprocess.run(build, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    [wheel] = (tmp_path / "dist").glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {f"foundry/sandboxes/scripts/{file.name}" for file in FILES} <= set(names)


WORDS = ["", " two  spaces ", "-n", "a'b\"c", "back\\slash \\n", "$HOME `id` * %s", "line\nbreak\n", "été", "tab\t\r"]


async def test_a_launcher_passes_every_word_on_as_it_is(lab: Lab):
    """The words of the settings come first, then the arguments from sandbox-agent."""
    shown = [sys.executable, "-c", "import sys; print(sys.argv[1:])"]
    provider = LocalProvider(
        lab.data_dir, launchers={"mock": [*shown, *WORDS]}, binary=lab.provider._binary, walls=lab.provider._walls
    )
    await provider.create("sbx_1", SandboxSpec(agents=["mock"]))
    for name in ("mock", "agent_processes/mock-acp"):
        launcher = lab.data_dir / "sandboxes" / "sbx_1" / "home" / BIN / name
        for arguments in ([], ["--acp", *WORDS]):
            done = await asyncio.to_thread(subprocess.run, [launcher, *arguments], capture_output=True, text=True)
            assert done.stdout == f"{[*WORDS, *arguments]}\n", done.stderr
