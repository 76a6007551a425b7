"""Every route and topic, for every kind of person: the answer is what the table says (src/foundry/api/access_table.py).

A cell's word is the answer:

    ok       past every check: whatever the thing itself answers
    in       401 not_signed_in                out      401 signed_out, with the reason
    404      not_found, as if it did not exist
    role     403 forbidden: the person sees it, but may not
    admin    403 admin_only                   browser  403 browser_needed
    scope    403 scope_missing                gone     409 github_not_installed
    signed   401 bad_signature                unknown  422 unknown_repository
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2 as httpx
import pytest
import pytest_asyncio

from foundry.api import access_table
from foundry.api.access_table import ROUTES, TOPICS, Requirement, described
from foundry.api.roles import Deed
from foundry.api.scopes import SAFE, Need, needed
from tests.api.edge import TALLY
from tests.api.matrix import COLUMNS, REACHED, SECRET_PROMPT, Stage, staged, topic_id
from tests.api.test_scopes import routes

pytestmark = pytest.mark.asyncio(loop_scope="module")

ANSWERS = {
    "in": (401, "not_signed_in"),
    "out": (401, "signed_out"),
    "404": (404, "not_found"),
    "role": (403, "forbidden"),
    "admin": (403, "admin_only"),
    "browser": (403, "browser_needed"),
    "scope": (403, "scope_missing"),
    "signed": (401, "bad_signature"),
    "gone": (409, "github_not_installed"),
    "unknown": (422, "unknown_repository"),
}
SECURITY = Path(__file__).parents[2] / "docs" / "security.md"
R, D = Requirement, Deed
#                                                                                read     admin as admin as
# what it needs         nobody  expired revoked  strang. reader  writer  member  owner    token    stranger reader
GRID = {
    R.NOTHING:            "ok     ok      ok       ok      ok      ok      ok      ok       ok       ok       ok",
    R.SIGNATURE:          "signed signed  signed   signed  signed  signed  signed  signed   signed   signed   signed",
    R.SIGN_IN:            "in     in      in       in      in      in      in      in       in       in       in",
    R.PERSON:             "in     out     out      ok      ok      ok      ok      ok       ok       ok       ok",
    R.BROWSER:            "in     out     out      ok      ok      ok      ok      ok       browser  browser  browser",
    R.OWN_TOKEN:          "in     out     out      404     404     404     404     404      ok       404      404",
    R.ORGANIZATION:       "in     out     out      404     ok      ok      ok      ok       ok       404      ok",
    R.READ:               "in     out     out      404     ok      ok      ok      ok       ok       404      ok",
    R.PUSH:               "in     out     out      404     role    ok      role    ok       scope    404      role",
    D.SEE_SETTINGS:       "in     out     out      404     role    role    ok      ok       ok       404      role",
    D.CHANGE_SETTINGS:    "in     out     out      404     role    role    role    ok       scope    404      role",
    D.CLEAR_ISSUES:       "in     out     out      404     404     404     ok      ok       scope    404      404",
    D.CLEAR_SERVER_ISSUES:"in     out     out      404     404     404     role    ok       scope    ok       ok",
    R.ADMIN:              "admin  admin   admin    admin   admin   admin   admin   admin    admin    ok       ok",
}  # fmt: skip
"""The private repository. Its issues need what pushing needs; the organization's own need the deed."""

# Nobody but its members reads a public repository: not who has a right to another one of the organization.
PUBLIC = {
    R.READ:               "in     out     out      404     404     404     ok      ok       ok       404      404",
    R.PUSH:               "in     out     out      404     404     404     role    ok       scope    404      404",
}  # fmt: skip
# The organization shows its work on public repositories to everybody.
SHOWN = {
    R.ORGANIZATION:       "in     out     out      ok      ok      ok      ok      ok       ok       ok       ok",
    R.READ:               "in     out     out      ok      ok      ok      ok      ok       ok       ok       ok",
    R.PUSH:               "in     out     out      role    role    role    role    ok       scope    role     role",
    D.SEE_SETTINGS:       "in     out     out      role    role    role    ok      ok       ok       role     role",
    D.CHANGE_SETTINGS:    "in     out     out      role    role    role    role    ok       scope    role     role",
    D.CLEAR_ISSUES:       "in     out     out      404     404     404     ok      ok       scope    404      404",
}  # fmt: skip
# The App was removed from the organization. Its members are told; nobody reads or changes anything of it.
REMOVED = {
    R.ORGANIZATION:       "in     out     out      404     404     404     gone    gone     gone     404      404",
    R.READ:               "in     out     out      404     404     404     gone    gone     gone     404      404",
    R.PUSH:               "in     out     out      404     404     404     gone    gone     scope    404      404",
    D.SEE_SETTINGS:       "in     out     out      404     404     404     gone    gone     gone     404      404",
    D.CHANGE_SETTINGS:    "in     out     out      404     404     404     gone    gone     scope    404      404",
    D.CLEAR_ISSUES:       "in     out     out      404     404     404     gone    gone     scope    404      404",
    D.CLEAR_SERVER_ISSUES:"in     out     out      404     404     404     404     404      scope    ok       ok",
}  # fmt: skip

Grid = dict[Requirement | Deed, str]
FREE = (R.NOTHING, R.SIGNATURE, R.SIGN_IN, R.BROWSER, R.OWN_TOKEN, R.ADMIN)  # no scope helps or hinders there
CREATES = {("POST", "/api/organizations/{organization}/tasks"), ("POST", "/organizations/{organization}/tasks")}
Cell = tuple[str, str, Requirement | Deed, dict[str, str]]  # method, path, what it needs, values of its parameters


def cells(stage: Stage, name: str) -> Iterator[Cell]:
    """Every route, about what belongs to this repository. Those of issues also about the organization's own issue."""
    values = stage.things[name]
    for (method, path), requirement in sorted(ROUTES.items(), key=lambda one: one[0]):
        match requirement:
            case Requirement.ISSUE:
                yield method, path, Requirement.PUSH, {**values, "issue": stage.issues[name]}
                yield method, path, Deed.CLEAR_ISSUES, {**values, "issue": stage.issues["organization"]}
            case Deed.CLEAR_SERVER_ISSUES:
                yield method, path, requirement, {**values, "issue": stage.issues["server"]}
            case _:
                yield method, path, requirement, values


def word(grid: Grid, requirement: Requirement | Deed, column: str, method: str, path: str) -> str:
    """What the grid says.

    1. A token that only reads changes nothing, whatever its person may. 2. Who sees an organization is told that it has
    no such repository, as if there were none.
    """
    said = _said(grid, requirement, column)
    if column == "read token" and method not in SAFE and requirement not in FREE:
        return "scope"
    if said == "404" and (method, path) in CREATES and _said(grid, Requirement.ORGANIZATION, column) == "ok":
        return "unknown"
    return said


def _said(grid: Grid, requirement: Requirement | Deed, column: str) -> str:
    return grid[requirement].split()[COLUMNS.index(column)]


def wrong(said: str, answer: httpx.Response) -> str | None:
    """What is wrong with the answer; None: it is as said."""
    told = answer.headers.get("content-type", "").startswith("application/problem+json")
    code = answer.json()["code"] if told else ""
    if said == "ok":
        refused = [expected for expected in ANSWERS.values() if (answer.status_code, code) == expected]
        return f"{answer.status_code} {code}" if refused or answer.status_code >= 500 else None
    if (answer.status_code, code or ANSWERS[said][1]) != ANSWERS[said]:
        return f"{answer.status_code} {code or answer.text[:100]}"
    hidden = (REACHED,) if said in ("role", "unknown") else (REACHED, SECRET_PROMPT, TALLY.name)
    if any(one in answer.text for one in hidden):
        return f"it tells what it refuses: {answer.text[:300]}"
    return None


async def differing(stage: Stage, column: str, name: str, grid: Grid) -> tuple[list[str], int]:
    """The cells of one column whose answer is another than the grid says, and how many there are."""
    before, found, count = await stage.digest(), list[str](), 0
    for method, path, requirement, values in cells(stage, name):
        said = word(grid, requirement, column, method, path)
        answer = await stage.call(column, method, path, values)
        count += 1
        if (what := wrong(said, answer)) is not None:
            found.append(f"{method} {path} ({requirement}): {said}, but {what}")
        if said != "ok" and path[:5] not in ("/api/", "/live") and requirement is not Requirement.ADMIN:
            shown = await stage.call(column, method, path, values, headers={"Accept": "text/html"})
            count += 1
            if shown.status_code != ANSWERS[said][0] or wrong(said, shown) is not None:
                found.append(f"{method} {path} as a page ({requirement}): {said}, but {shown.status_code}")
    for topic, requirement in TOPICS.items():
        said = word(grid, requirement, column, "GET", "/api/realtime")
        asked = {"topic": topic, "id": topic_id(topic, stage.things[name])}
        answer = await stage.call(column, "GET", "/api/realtime", {}, params=asked)
        count += 1
        if (what := wrong(said, answer)) is not None:
            found.append(f"topic {topic} ({requirement}): {said}, but {what}")
    assert await stage.digest() == before, "something has changed"
    return found, count


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with staged(tmp_path_factory.mktemp("matrix")) as found:
        yield found


@pytest.mark.parametrize("column", COLUMNS)
async def test_about_a_private_repository_everybody_gets_the_tables_answer(stage: Stage, column: str):
    await stage.becomes("usual")
    found, count = await differing(stage, column, "tally", GRID)
    assert not found, "\n".join(found)
    assert count > 140


@pytest.mark.long
@pytest.mark.parametrize("column", COLUMNS)
async def test_about_a_public_repository_everybody_gets_the_tables_answer(stage: Stage, column: str):
    await stage.becomes("usual")
    found, _ = await differing(stage, column, "site", {**GRID, **PUBLIC})
    assert not found, "\n".join(found)


@pytest.mark.long
@pytest.mark.parametrize("column", COLUMNS)
async def test_public_work_that_is_shown_is_read_by_everybody(stage: Stage, column: str):
    await stage.becomes("shown")
    found, _ = await differing(stage, column, "site", {**GRID, **SHOWN})
    assert not found, "\n".join(found)


@pytest.mark.parametrize("column", COLUMNS)
async def test_without_the_app_nobody_gets_anything_of_the_organization(stage: Stage, column: str):
    await stage.becomes("removed")
    found, _ = await differing(stage, column, "tally", {**GRID, **REMOVED})
    assert not found, "\n".join(found)


# what does not exist


@pytest.mark.parametrize(
    ("column", "name"), [("stranger", "tally"), ("admin as stranger", "tally"), ("writer", "site")]
)
async def test_what_one_may_not_see_is_answered_like_what_does_not_exist(stage: Stage, column: str, name: str):
    await stage.becomes("usual")
    grid, compared = {**GRID, **(PUBLIC if name == "site" else {})}, 0
    for method, path, requirement, there in cells(stage, name):
        said = word(grid, requirement, column, method, path)
        if said not in ("404", "unknown") or "{" not in path:
            continue
        elsewhere = {**stage.missing, "organization": there["organization"]} if name == "site" else stage.missing
        told = []
        for values in (there, elsewhere):
            for accept in ("application/json", "text/html"):
                answer = await stage.call(column, method, path, values, headers={"Accept": accept})
                told.append((answer.status_code, without(answer.text, values)))
        assert told[:2] == told[2:], f"{method} {path} tells {column} what exists"
        compared += 1
    assert compared > 60


def without(text: str, values: dict[str, str]) -> str:
    """The text with the names of the ids in their place, and without what is new each time."""
    for name, value in values.items():
        text = text.replace(value, name)
    return re.sub(r'name="key" value="[^"]*"', "", text)


async def test_nobody_hears_of_a_checkpoint_in_a_repository_they_may_not_see(stage: Stage):
    await stage.becomes("usual")
    task, here, other = "/api/organizations/{organization}/tasks", stage.things["tally"], stage.things["site"]
    told = []
    for one in (other, stage.missing):
        wish = {"repository": here["repository"], "prompt": "x"}
        wish["checkpoint"] = {"task": one["task"], "id": one["checkpoint"]}  # type: ignore[assignment]
        address = task.format(organization=here["organization"])
        answer = await stage.clients["writer"].post(address, json=wish)
        told.append((answer.status_code, without(answer.text, one)))
    assert told[0] == told[1]
    assert told[0][0] == 404


@pytest.mark.parametrize("column", ["nobody", "stranger", "owner"])
async def test_no_other_method_reaches_a_route(stage: Stage, column: str):
    await stage.becomes("usual")
    known = {(method, path) for method, path in routes(stage.edge.app)}
    for path in sorted({path for _, path in ROUTES}):
        for method in ("HEAD", "OPTIONS", "PATCH", "TRACE"):
            if (method, path) not in known:
                answer = await stage.call(column, method, path, stage.things["tally"])
                assert answer.status_code == 405, f"{method} {path}: {answer.status_code}"


# the table itself


async def test_every_route_is_in_the_table_and_nothing_else(stage: Stage):
    found = Counter(one for one in routes(stage.edge.app) if one[0] != "HEAD")
    assert set(ROUTES) == set(found)
    assert all(count == 1 for count in found.values())
    assert sum(len(block.split()) for block in access_table.BLOCKS.values()) == 2 * len(ROUTES), "one is there twice"


async def test_api_tokens_need_what_the_table_says():
    for (method, path), requirement in ROUTES.items():
        need = needed(method, path)
        where = f"{method} {path}"
        assert (need is Need.BROWSER) == (requirement is Requirement.BROWSER), where
        assert (need is Need.NOTHING) == (requirement is Requirement.OWN_TOKEN), where
        if requirement in (Requirement.PUSH, Requirement.ISSUE, Deed.CHANGE_SETTINGS, Deed.CLEAR_SERVER_ISSUES):
            assert need in (Need.WRITE, Need.APPROVE), where
        if need is Need.APPROVE:
            assert requirement is Requirement.PUSH, where
        if method in SAFE:
            assert need is Need.READ, where


async def test_the_document_has_the_table():
    section = SECURITY.read_text().split("## What each route needs")[1].split("\n## ")[0]
    kinds, listed = tables(section)
    assert {needs for needs, _, _ in kinds} == {*Requirement, "the role to ..."}
    told: dict[tuple[str, str], str] = {}
    for needs, below, found in listed:
        for one in found.split(", "):
            method, _, rest = ("topic " + one if below == "topics" else one).partition(" ")
            route = method, below + rest if below.startswith("/") else rest
            assert route not in told, f"{route} is there twice"
            told[route] = needs
    known = {**ROUTES, **{("topic", topic): requirement for topic, requirement in TOPICS.items()}}
    assert told == {route: described(requirement) for route, requirement in known.items()}


def tables(text: str) -> list[list[list[str]]]:
    """The rows of each table, without heads and backticks."""
    blocks = [block.splitlines() for block in text.split("\n\n") if block.lstrip().startswith("|")]
    return [[[cell.strip(" `") for cell in line.replace("`", "").split("|")[1:-1]] for line in b[2:]] for b in blocks]
