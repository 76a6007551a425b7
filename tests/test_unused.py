"""What stands here is used: dependencies, assets. `make deadcode` looks for functions and classes that are not."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from scripts import assets

from foundry.contracts.task_session import EntryKind
from tests.test_architecture import ROOT, SRC, imports

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
DEVKIT = sorted((SRC / "devkit").rglob("*.py"))
SERVER = sorted(set(SRC.rglob("*.py")) - set(DEVKIT))

LOADED_BY_OTHERS = {  # no module of ours imports them
    "uvloop": "uvicorn's loop, as app.py asks",
    "httptools": "uvicorn's parser where it is installed",
    "python-multipart": "Starlette, for the pages' forms",
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
