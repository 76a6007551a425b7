"""What stands here is used: dependencies, assets, settings, messages, errors, tables.

`make deadcode` looks for functions, classes and variables; this, for what only counts as used because it is declared.
What an open issue is about to use may stand here, with that issue's number.
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from scripts import assets
from vulture import Vulture

import foundry
from foundry import contracts
from foundry.app import house
from foundry.contracts.errors import FoundryError
from foundry.contracts.messages import Command, Event, Message, Model
from foundry.contracts.task_session import EntryKind
from foundry.runtime.actor import Registry
from foundry.settings import Settings
from tests.test_architecture import ROOT, SRC, imports

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
EXTRAS = PROJECT["optional-dependencies"]
DEVKIT = sorted((SRC / "devkit").rglob("*.py"))
SERVER = sorted(set(SRC.rglob("*.py")) - set(DEVKIT))

LOADED_BY_OTHERS = {  # no module of ours imports them
    "uvloop": "uvicorn's loop, as app.py asks",
    "httptools": "uvicorn's parser where it is installed",
    "python-multipart": "Starlette, for the pages' forms",
}

SOON = {  # setting or message: the issue that uses it
    "daytona_api_key": 18,
    "daytona_api_url": 18,
    "smee_url": 19,
    "smee_target": 19,
    "SyncOrganization": 19,  # "manual reload"
    "EndSessions": 12,  # GitHub's webhook about a revoked authorization
}


def name_of(requirement: str) -> str:
    """The distribution's name, as package indexes spell it."""
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0].lower().replace("_", "-").replace(".", "-")


@cache
def modules_of(distribution: str) -> frozenset[str]:
    """The top-level modules that it brings."""
    found = packages_distributions()
    return frozenset(module for module, names in found.items() if distribution in map(name_of, names))


def imported_by(files: list[Path]) -> set[str]:
    return {name.partition(".")[0] for path in files for name in imports(path)}


@pytest.mark.parametrize("distribution", sorted(map(name_of, PROJECT["dependencies"])))
def test_a_dependency_is_imported_by_the_server(distribution: str) -> None:
    if distribution not in LOADED_BY_OTHERS:
        assert modules_of(distribution) & imported_by(SERVER), f"pyproject.toml: nothing imports {distribution}"


@pytest.mark.parametrize("distribution", sorted(map(name_of, EXTRAS["devkit"])))
def test_what_the_stand_ins_need_is_theirs_alone(distribution: str) -> None:
    """`pip install foundry` brings what a server needs; the demo's parts come with `foundry[devkit]`."""
    assert modules_of(distribution) & imported_by(DEVKIT)
    assert not modules_of(distribution) & imported_by(SERVER)


def test_the_pages_use_every_asset() -> None:
    templates = "\n".join(path.read_text() for path in (SRC / "web" / "templates").rglob("*.html"))
    own = [path.name for path in (SRC / "web" / "static").iterdir() if path.is_file()]
    wanted = own + [f"vendor/{name}" for name in assets.FILES.values()]
    assert [name for name in wanted if f"asset('{name}')" not in templates] == []


def test_every_template_is_rendered() -> None:
    folder = SRC / "web" / "templates"
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*.html")}
    texts = [path.read_text() for path in [*files.values(), *(SRC / "web").rglob("*.py")]]
    said = set(re.findall(r"[\"']([\w/]+\.html)[\"']", "\n".join(texts)))
    said |= {f"fragments/entry_{kind}.html" for kind in EntryKind}
    assert sorted(files.keys() - said) == []


# `make deadcode`

TREE = """
from foundry.contracts.messages import Command

class Count(Command[int]):
    pass

class Counter:
    @handles(Count)
    def count(self, turn, command):
        return helper(turn, command)

def helper(*given):
    return len(given)

print(Counter, Count)
"""


def deadcode(where: Path) -> subprocess.CompletedProcess[str]:
    """What `make deadcode` says, with the same exceptions, of this directory."""
    command = [sys.executable, "-m", "vulture", "--config", str(ROOT / "pyproject.toml"), str(where)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_code_that_is_used_is_let_through(tmp_path: Path) -> None:
    (tmp_path / "counter.py").write_text(TREE)
    said = deadcode(tmp_path)
    assert (said.returncode, said.stdout) == (0, "")


@pytest.mark.parametrize(
    ("added", "what"),
    [
        ("def left_over(): return 1", "function 'left_over'"),
        ("class LeftOver: pass", "class 'LeftOver'"),
        ("LEFT_OVER = 1", "variable 'LEFT_OVER'"),
        ("class Used:\n    def left_over(self): pass\nprint(Used)", "method 'left_over'"),
        ("class Used:\n    @property\n    def left_over(self): pass\nprint(Used)", "property 'left_over'"),
        ("def used():\n    return 1\n    print()\nused()", "unreachable code"),
    ],
)
def test_code_that_nothing_uses_is_found(tmp_path: Path, added: str, what: str) -> None:
    (tmp_path / "counter.py").write_text(TREE)
    (tmp_path / "added.py").write_text(added)
    said = deadcode(tmp_path)
    assert said.returncode != 0
    assert what in said.stdout


def test_an_exception_goes_when_it_is_not_needed() -> None:
    options = PYPROJECT["tool"]["vulture"]
    every = Vulture(ignore_decorators=options["ignore_decorators"])
    every.scavenge([ROOT / path for path in options["paths"]], exclude=options["exclude"])
    found = {item.name for item in every.get_unused_code()}
    assert [name for name in options["ignore_names"] if name not in found] == []


# what is declared


@cache
def called() -> frozenset[str]:
    """The names that the code calls: functions, and classes of which it makes one."""
    calls = (n for path in SERVER for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call))
    return frozenset(ast.unparse(call.func).rpartition(".")[2] for call in calls)


def every(base: type) -> Iterator[type]:
    for one in base.__subclasses__():
        yield from (one, *every(one))


def load(package: object) -> None:
    """Import all of its modules."""
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):  # type: ignore[attr-defined]
        if not found.name.endswith("__main__") and "migrations" not in found.name:
            importlib.import_module(found.name)


def messages() -> list[type[Model]]:
    load(contracts)
    found = {one for base in (Command, Message, Event) for one in every(base)}
    return sorted(
        (one for one in found if one.__module__.startswith("foundry.contracts") and "[" not in one.__name__),
        key=lambda one: one.__name__,
    )


@pytest.mark.parametrize("word", messages(), ids=lambda word: word.__name__)
def test_a_message_has_a_sender_and_a_receiver(word: type[Model]) -> None:
    if issubclass(word, Command | Message):
        taken = {one for kind in Registry(house().actors).kinds.values() for one in kind.handlers}
        assert word in taken, "no actor takes it"
    assert word.__name__ in called() or word.__name__ in SOON, "nobody sends it"


def test_every_error_is_raised() -> None:
    load(foundry)
    ours = {one.__name__ for one in every(FoundryError) if one.__module__.startswith("foundry.")}
    assert sorted(ours - called()) == []


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_a_setting_is_read(name: str) -> None:
    read = re.compile(rf"(settings|self)\.{name}\b")
    assert name in SOON or any(read.search(path.read_text()) for path in SERVER)


def test_what_is_kept_for_an_issue_goes_when_it_is_used() -> None:
    read = re.compile(rf"settings\.({'|'.join(SOON)})\b")
    used = {found[1] for path in SERVER for found in read.finditer(path.read_text())} | (called() & SOON.keys())
    assert sorted(used) == []
