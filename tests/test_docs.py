"""What users can meet is documented."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import foundry
from foundry.actors.task.actor import Task
from foundry.contracts.errors import FoundryError, error_codes
from foundry.contracts.task import TaskView
from foundry.contracts.task_operations import OPERATIONS, Kind, excluded
from foundry.contracts.time_limits import TABLE
from foundry.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"


def every_error_code() -> dict[str, type[FoundryError]]:
    """Return the error codes of all our modules. Other tests create codes of their own, which users never see."""
    for module in pkgutil.walk_packages(foundry.__path__, "foundry."):
        if not module.name.endswith("__main__") and ".migrations" not in module.name:
            importlib.import_module(module.name)
    return {code: kind for code, kind in error_codes().items() if kind.__module__.startswith("foundry.")}


# errors with a more specific remedy in some cases: `raise WrongState(..., remedy=...)`
SPECIFIC = {
    "bad_input",
    "bad_setting",
    "branch_taken",
    "forbidden",
    "github_reconnect",
    "github_refused",
    "install_failed",
    "single_sign_on_needed",
    "unavailable",
    "not_signed_in",
    "person_needed",
    "wrong_state",
}


@pytest.mark.parametrize("code", sorted(every_error_code()))
def test_error_code_is_explained_in_the_words_of_its_class(code: str) -> None:
    kind = every_error_code()[code]
    said = f"{kind.status}. {' '.join(str(inspect.getdoc(kind)).split())} {kind.remedy}"
    said += " Some cases have a more specific remedy." if code in SPECIFIC else ""
    assert f"### {code}\n\n{said}\n" in (DOCS / "api.md").read_text()


def test_the_errors_with_a_more_specific_remedy_are_known() -> None:
    codes = {kind.__name__: code for code, kind in every_error_code().items()}
    calls = [
        node
        for path in (ROOT / "src" / "foundry").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and any(keyword.arg == "remedy" for keyword in node.keywords)
    ]
    raised = {ast.unparse(call.func).rpartition(".")[2] for call in calls}
    assert {codes[name] for name in raised & set(codes)} == SPECIFIC


def test_no_explained_error_code_is_gone() -> None:
    explained = re.findall(r"^### (\w+)$", (DOCS / "api.md").read_text(), re.MULTILINE)
    assert set(explained) <= set(every_error_code())


def test_every_place_in_the_code_that_a_document_names_is_there() -> None:
    """docs/README.md leads from a question to a file and its function, docs/glossary.md to a module."""
    guide = (DOCS / "README.md").read_text()
    rows = [line.split(" | ") for line in guide.splitlines() if "`src/" in line]
    assert len(rows) == 4
    for _, _, *hops in rows:
        files = [ROOT / path for hop in hops for path in re.findall(r"`(src/[^`]+)`", hop)]
        assert [str(file) for file in files if not file.exists()] == []
        function = re.findall(r"`(\w+)`", hops[-1])
        text = "".join(file.read_text() for file in files if file.is_file())
        assert all(re.search(rf"def {name}\b", text) for name in function)
    modules = re.findall(r"`([a-z_*/]+(?:/|\.py))`", (DOCS / "glossary.md").read_text())
    assert len(modules) > 30
    assert [name for name in modules if not list((ROOT / "src" / "foundry").glob(name.rstrip("/")))] == []


GUIDES = ["CONTRIBUTING.md", "docs/README.md"]
DECISIONS = [str(page.relative_to(ROOT)) for page in sorted(DOCS.glob("decisions/*.md"))]


@pytest.mark.parametrize("decision", DECISIONS)
def test_what_enforces_a_decision_is_there(decision: str) -> None:
    tests = re.findall(r"`(tests/[\w/.*]+)`", (ROOT / decision).read_text())
    assert [path for path in tests if not _is_there(path)] == []


def test_the_parts_of_a_task_are_those_that_the_architecture_names() -> None:
    text = (DOCS / "architecture.md").read_text()
    named = re.findall(r"^\| `(\w+)` \|", text[text.index("The Task's parts:") :].split("\n\n")[1], re.MULTILINE)
    parts = [part.__name__.rpartition(".")[2] for part in Task.parts]
    assert named == parts, "docs/architecture.md has a row for each part, in the order of Task.parts"


@pytest.mark.parametrize("document", GUIDES)
def test_every_path_that_a_guide_names_is_there(document: str) -> None:
    """From the repository's directory or the package's. NAME is any file; the API's paths begin with a slash."""
    named = re.findall(r"`((?!/)[\w.*/-]*/[\w.*/-]*|\w+\.(?:py|md|toml))`", (ROOT / document).read_text())
    assert len(named) > 5
    assert [path for path in named if not _is_there(path.replace("NAME", "*").rstrip("/"))] == []


def _is_there(pattern: str) -> bool:
    anywhere = pattern if "/" in pattern else f"**/{pattern}"
    return bool(list(ROOT.glob(pattern)) or list((ROOT / "src" / "foundry").glob(anywhere)))


def test_every_field_of_a_task_is_explained() -> None:
    text = (DOCS / "api.md").read_text()
    fields = text[text.index("## A task's fields") : text.index("## Live")]
    missing = [name for name in TaskView.model_fields if f"`{name}`" not in fields]
    assert missing == [], "docs/api.md, A task's fields, does not explain them"


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_setting_is_described(name: str) -> None:
    assert Settings.model_fields[name].description


@pytest.mark.parametrize("kind", list(Kind))
def test_an_operations_row_is_shown(kind: Kind) -> None:
    one = OPERATIONS[kind]
    beside = ", ".join(sorted(OPERATIONS[other].title for other in Kind if excluded(kind, other))) or "none"
    limit = f"{one.may_last} s" if one.may_last else "by phase"
    row = (
        f"| {one.title} | {one.needs} | {beside} | {_yes(one.beside_prompt)} | {one.holds} | {_yes(one.uses_sandbox)} "
        f"| {one.again} | {limit} | {', '.join(one.offers)} |"
    )
    assert row in (DOCS / "states.md").read_text()


def _yes(flag: bool) -> str:
    return "yes" if flag else "no"


@pytest.mark.parametrize("what", sorted(TABLE))
def test_what_may_last_how_long_is_told(what: str) -> None:
    row = TABLE[what]
    told = f"| {what} | {row.may_last} s | {row.reason} | {row.remedy} | {', '.join(row.actions)} |"
    assert told in (DOCS / "states.md").read_text()
