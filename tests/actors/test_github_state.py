"""GitHubState: what GitHub says, in whatever order and however often, and what the tree hears of it."""

from __future__ import annotations

import itertools
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from foundry.actors.github_state.views import (
    deliveries,
    github_state,
    installation_of,
    pull_request,
    pull_requests,
)
from foundry.actors.history.views import entries
from foundry.actors.organization.views import organization_view, organizations, repository_list
from foundry.actors.repository.views import repository_view
from foundry.contracts import addresses
from foundry.contracts.app_shell import InstallationsChanged
from foundry.contracts.errors import BadInput, WrongState
from foundry.contracts.github_state import (
    InstallationSummary,
    PullRequestChanged,
    PullRequestState,
    PullRequestView,
    RecordInstallations,
    RecordRepositories,
    SyncInstallations,
    SyncOrganization,
    delivery,
)
from foundry.contracts.ids import OrganizationId, RepositoryId, TaskId, WorkflowId
from foundry.contracts.issues import Outcome, WorkflowEnded
from foundry.contracts.messages import Address
from foundry.contracts.repository import ReserveBranch
from foundry.contracts.sign_in import SignInPolicy
from tests.actors.tree import ORG, REPO, TALLY, begin_task, heard_by, tree
from tests.waiting import eventually
from tests.world.world import World

APP_STATE, HERE = addresses.github_app(), addresses.github(ORG)
ACCOUNT = {"id": 2001, "login": "lumen-works", "type": "Organization"}
numbers = itertools.count()


async def deliver(stage: World, event: str, *, guid: str = "", of: int = 3001, **payload: Any) -> bool:
    payload.setdefault("installation", {"id": of})
    body = json.dumps(payload).encode()
    taken = await stage.ask(APP_STATE, delivery(guid or f"d{next(numbers)}", event, body))
    await stage.quiet()
    return taken


async def installed(stage: World, installation: int = 3001) -> None:
    await stage.ask(APP_STATE, SyncInstallations())
    about = {"id": installation, "account": ACCOUNT}
    await deliver(stage, "installation", action="created", installation=about)


def repository(name: str = "tally", minute: int = 0, **more: Any) -> dict[str, Any]:
    body = {"id": 4001, "name": name, "owner": ACCOUNT, "updated_at": f"2026-03-01T12:{minute:02}:00Z"}
    return body | {"clone_url": f"http://x/lumen-works/{name}.git"} | more


def pull(state: str = "open", minute: int = 0, *, merged: bool = False, fork: bool = False, **more: Any) -> Any:
    stamp = f"2026-03-01T12:{minute:02}:00Z"
    head = {"ref": "fix", "sha": "a" * 40, "repo": {"id": 5, "name": "x", "owner": ACCOUNT} if fork else repository()}
    body = {"number": 7, "state": state, "title": f"at {minute}", "head": head, "updated_at": stamp}
    return body | {"base": {"ref": "main", "sha": "b" * 40}, "merged_at": stamp if merged else None} | more


async def pull_event(stage: World, action: str, body: Any, **more: Any) -> None:
    await deliver(stage, "pull_request", action=action, repository=repository(), pull_request=body, **more)


async def seen(stage: World) -> PullRequestView:
    found = await stage.read(pull_request, ORG, REPO, 7)
    assert found is not None
    return found


def local(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/foundry.db"


# installations


async def told(stage: World) -> list[tuple[str, bool]]:
    """What watchers of `app` were told of installations: the login, and whether it works."""
    changes = [body for word, body in await stage.events(addresses.app_shell()) if word == "InstallationsChanged"]
    seen = (one for body in changes for one in InstallationsChanged.model_validate_json(body).installations)
    return [(one.login, one.active) for one in seen]


async def test_an_installation_creates_its_organization(store_url: str) -> None:
    async with tree(store_url) as stage:
        await installed(stage)
        assert [o.login for o in await stage.read(organizations)] == ["lumen-works"]
        assert await stage.read(installation_of, ORG) == 3001
        assert (await stage.read(github_state, ORG)).syncing_since is not None


async def test_an_installation_on_an_account_that_is_not_allowed_creates_no_organization(store_url: str) -> None:
    async with tree(store_url, policy=SignInPolicy(organizations=["north-harbor"])) as stage:
        await installed(stage)
        away = InstallationSummary(id=3002, organization=OrganizationId("2002"), login="north-harbor")
        listed = [away, InstallationSummary(id=3001, organization=ORG, login="lumen-works")]
        await stage.ask(APP_STATE, RecordInstallations(installations=listed))
        await stage.quiet()
        assert [o.login for o in await stage.read(organizations)] == ["north-harbor"]
        assert await told(stage) == [("north-harbor", True)]
        assert (await stage.read(deliveries))[0].outcome == "not allowed"


async def test_an_organization_goes_with_its_installation_and_comes_back_with_another(store_url: str) -> None:
    async with tree(store_url) as stage:
        await installed(stage)
        about = {"id": 3001, "account": ACCOUNT}
        await deliver(stage, "installation", action="deleted", installation=about)
        assert await stage.read(organizations) == []
        assert await stage.read(installation_of, ORG) is None
        assert (await stage.read(github_state, ORG)).syncing_since is None
        await deliver(stage, "installation", action="created", installation=about)  # late: it was deleted since
        assert await stage.read(organizations) == []
        await installed(stage, 3009)
        await deliver(stage, "installation", action="deleted", installation=about)  # again, and not of 3009
        assert await stage.read(installation_of, ORG) == 3009
        assert (await stage.read(organization_view, ORG)).active is True


async def test_a_suspension_ends(tmp_path: Path) -> None:
    async with tree(local(tmp_path)) as stage:
        await installed(stage)
        about = {"id": 3001, "account": ACCOUNT}
        await deliver(stage, "installation", action="suspend", installation=about)
        assert await stage.read(installation_of, ORG) is None
        await pull_event(stage, "opened", pull())
        assert (await stage.read(deliveries))[0].outcome == "ignored"
        await deliver(stage, "installation", action="unsuspend", installation=about)
        assert await stage.read(installation_of, ORG) == 3001


async def test_githubs_list_of_installations_is_the_truth(tmp_path: Path) -> None:
    async with tree(local(tmp_path)) as stage:
        await installed(stage)
        away = InstallationSummary(id=3002, organization=OrganizationId("2002"), login="north-harbor")
        asleep = InstallationSummary(id=3003, organization=OrganizationId("9"), login="zed", active=False)
        await stage.ask(APP_STATE, RecordInstallations(installations=[away, asleep]))
        await stage.quiet()
        assert [o.login for o in await stage.read(organizations)] == ["north-harbor"]
        awake = asleep.model_copy(update={"active": True})
        await stage.ask(APP_STATE, RecordInstallations(installations=[away, awake]))
        await stage.quiet()
        assert [o.login for o in await stage.read(organizations)] == ["north-harbor", "zed"]
        assert await told(stage) == [
            ("lumen-works", True), ("north-harbor", True), ("zed", False), ("lumen-works", False), ("zed", True),
        ]  # fmt: skip


async def test_an_installation_that_did_not_change_is_not_told_again(tmp_path: Path) -> None:
    async with tree(local(tmp_path)) as stage:
        await installed(stage)
        same = InstallationSummary(id=3001, organization=ORG, login="lumen-works")
        for login in ("lumen-works", "lumen-works", "lumen-mills"):
            renamed = same.model_copy(update={"login": login})
            await stage.ask(APP_STATE, RecordInstallations(installations=[renamed]))
            await stage.quiet()
        assert await told(stage) == [("lumen-works", True), ("lumen-mills", True)]


# deliveries


async def test_a_delivery_counts_once(store_url: str) -> None:
    async with tree(store_url) as stage:
        await installed(stage)
        body = {"action": "opened", "repository": repository(), "pull_request": pull()}
        assert await deliver(stage, "pull_request", guid="one", **body) is True
        version = await stage.read(lambda r: r.version(HERE))
        assert await deliver(stage, "pull_request", guid="one", **body) is False
        assert await stage.read(lambda r: r.version(HERE)) == version
        assert [d.id for d in await stage.read(deliveries)].count("one") == 1


async def test_a_delivery_of_an_unknown_installation_is_kept_and_looked_into(tmp_path: Path) -> None:
    async with tree(local(tmp_path)) as stage:
        await installed(stage)
        first = await sync_of(stage, "app", tmp_path)
        await ended(stage, APP_STATE, first)
        await deliver(stage, "push", of=777)
        (latest, *_) = await stage.read(deliveries)
        assert (latest.event, latest.installation, latest.outcome) == ("push", 777, "unknown installation")
        assert await sync_of(stage, "app", tmp_path) not in (None, first)


async def test_a_delivery_that_belongs_to_nobody_is_ignored(tmp_path: Path) -> None:
    async with tree(local(tmp_path)) as stage:
        await stage.ask(APP_STATE, SyncInstallations())
        assert await stage.ask(APP_STATE, delivery("d", "ping", b'{"zen": "Keep it logically awesome."}')) is True
        assert (await stage.read(deliveries))[0].outcome == "ignored"


async def test_deliveries_are_forgotten_after_a_week(tmp_path: Path) -> None:
    async with tree(local(tmp_path)) as stage:
        await installed(stage)
        await deliver(stage, "push", guid="old")
        await deliver(stage, "push", guid="young")
        meddle(tmp_path, "UPDATE github_deliveries SET at = at - 7*24*3600*1000 - 1000 WHERE delivery = 'old'")
        meddle(tmp_path, "UPDATE schedules SET due_at = 0 WHERE name = 'old deliveries'")
        await eventually(lambda: stage.read(deliveries), lambda found: "old" not in {d.id for d in found}, limit=10.0)
        assert "young" in {d.id for d in await stage.read(deliveries)}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{", "body"),
        (b"[]", "body"),
        (b'{"installation": {"id": "x"}}', "installation.id"),
        (b'{"pull_request": {}}', "pull_request.number"),
    ],
)
def test_what_is_no_webhook_is_refused_by_its_field(body: bytes, field: str) -> None:
    with pytest.raises(BadInput) as caught:
        delivery("d", "pull_request", body)
    assert caught.value.field == field


async def test_only_the_app_takes_deliveries(tmp_path: Path) -> None:
    async with tree(local(tmp_path)) as stage:
        await installed(stage)
        with pytest.raises(WrongState):
            await stage.ask(HERE, delivery("d", "push", b"{}"))


# pull requests

LIFE = [
    ("opened", pull("open", 1)),
    ("edited", pull("open", 2)),
    ("closed", pull("closed", 3)),
    ("reopened", pull("open", 4)),
    ("closed", pull("closed", 5, merged=True)),
]


@pytest.mark.parametrize("order", [(4, 0, 1, 2, 3), (0, 2, 1, 4, 3), (3, 4, 2, 1, 0), (1, 0, 3, 2, 4), (2, 4, 0, 3, 1)])
async def test_in_whatever_order_events_come_the_newest_state_stays(tmp_path: Path, order: tuple[int, ...]) -> None:
    async with tree(local(tmp_path)) as stage:
        await installed(stage)
        newest = -1
        for number in order:
            await pull_event(stage, *LIFE[number])
            newest = max(newest, number)
            assert (await seen(stage)).title == LIFE[newest][1]["title"]
        assert (await seen(stage)).state is PullRequestState.MERGED


async def test_within_one_second_closed_is_undone_by_a_reopening_alone(tmp_path: Path) -> None:
    async with tree(local(tmp_path)) as stage:
        await installed(stage)
        await pull_event(stage, "closed", pull("closed", 1))
        await pull_event(stage, "opened", pull("open", 1))
        assert (await seen(stage)).state is PullRequestState.CLOSED
        await pull_event(stage, "reopened", pull("open", 1))
        assert (await seen(stage)).state is PullRequestState.OPEN


async def test_each_thing_that_became_of_it_is_told_once(store_url: str) -> None:
    async with tree(store_url) as stage:
        await installed(stage)
        await begin_task(stage)
        await pull_event(stage, *LIFE[0])
        await stage.ask(addresses.repository(REPO), ReserveBranch(task=TaskId("tsk_1"), wanted="fix", exact=True))
        for action, body in (*LIFE[1:], *LIFE):
            await pull_event(stage, action, body)
        heard = [(message.action, message.state) for message in await heard_by(stage, "tsk_1")]
        assert heard == [("", "open"), ("closed", "closed"), ("reopened", "open"), ("merged", "merged")]
        told = [entry.what.removeprefix("pull_request_") for entry in await stage.read(entries, REPO)]
        assert told == ["merged", "reopened", "closed", "opened"]


async def test_a_forks_pull_request_is_shown_and_is_nobodys_task(tmp_path: Path) -> None:
    async with tree(local(tmp_path)) as stage:
        await installed(stage)
        await pull_event(stage, "opened", pull(fork=True))
        assert (await seen(stage)).head_repository == "5"
        assert await stage.read(entries, REPO) == []
        gone = pull(minute=1)
        gone["head"]["repo"] = None
        await pull_event(stage, "edited", gone)
        assert (await seen(stage)).head_repository is None


async def test_the_topics_events_give_the_snapshot(store_url: str) -> None:
    async with tree(store_url) as stage:
        await installed(stage)
        for number in (3, 1, 4, 0, 2):
            await pull_event(stage, *LIFE[number])
        await pull_event(stage, "opened", pull("open", 9, number=8, title="another"))
        shown: dict[str, PullRequestView] = {}
        for word, body in await stage.events(HERE):
            if word == "PullRequestChanged":
                event = PullRequestChanged.model_validate_json(body)
                assert event.repository == REPO
                shown[event.entity] = event.pull_request
        fresh = await stage.read(lambda r: pull_requests(r, ORG, state=None))
        assert sorted(shown.values(), key=lambda p: -p.number) == fresh


# repositories


async def test_a_rename_reaches_everybody_and_an_older_name_does_not_come_back(store_url: str) -> None:
    async with tree(store_url) as stage:
        await installed(stage)
        await deliver(stage, "repository", action="created", repository=repository("tally", 1))
        await deliver(stage, "repository", action="renamed", repository=repository("sums", 3))
        await deliver(stage, "repository", action="edited", repository=repository("tally", 2))
        assert (await stage.read(repository_view, REPO)).full_name == "lumen-works/sums"
        assert [r.name for r in await stage.read(repository_list, ORG)] == ["sums"]


async def test_a_repository_that_went_elsewhere_is_not_taken_back(tmp_path: Path) -> None:
    async with tree(local(tmp_path)) as stage:
        await installed(stage)
        elsewhere = repository("tally", 5, owner={"id": 9, "login": "zed", "type": "User"})
        await deliver(stage, "repository", action="transferred", repository=elsewhere)
        await deliver(stage, "pull_request", action="opened", repository=elsewhere, pull_request=pull())
        assert await stage.read(pull_requests, ORG) == []
        assert await stage.read(repository_list, ORG) == []


async def test_a_deleted_repository_and_one_taken_from_the_app_leave_the_list(tmp_path: Path) -> None:
    async with tree(local(tmp_path)) as stage:
        await installed(stage)
        await deliver(stage, "repository", action="created", repository=repository())
        other = repository("abacus", 1, id=4009)
        await deliver(stage, "repository", action="created", repository=other)
        await deliver(stage, "repository", action="deleted", repository=repository("tally", 2))
        assert [r.name for r in await stage.read(repository_list, ORG)] == ["abacus"]
        removed = [{"id": 4009, "name": "abacus", "full_name": "lumen-works/abacus", "private": True}]
        await deliver(stage, "installation_repositories", action="removed", repositories_removed=removed)
        assert await stage.read(repository_list, ORG) == []


async def test_a_whole_list_drops_what_it_does_not_have(tmp_path: Path) -> None:
    async with tree(local(tmp_path)) as stage:
        await installed(stage)
        other = TALLY.model_copy(update={"id": RepositoryId("4009"), "name": "abacus"})
        await stage.ask(HERE, RecordRepositories(repositories=[TALLY, other], all=[TALLY.id, other.id]))
        await stage.ask(HERE, RecordRepositories(repositories=[other], all=[other.id]))
        await stage.quiet()
        assert await stage.read(repository_list, ORG) == [other]


# syncing


async def test_one_sync_at_a_time_and_one_more_after_it(tmp_path: Path) -> None:
    async with tree(local(tmp_path)) as stage:
        await installed(stage)
        first = await sync_of(stage, ORG, tmp_path)
        for _ in range(3):
            await stage.ask(HERE, SyncOrganization())
        assert await sync_of(stage, ORG, tmp_path) == first
        assert first is not None
        await ended(stage, HERE, first)
        second = await sync_of(stage, ORG, tmp_path)
        assert second not in (None, first)
        await ended(stage, HERE, first)  # of an execution that is over
        assert await sync_of(stage, ORG, tmp_path) == second
        await ended(stage, HERE, second)
        assert await sync_of(stage, ORG, tmp_path) is None
        assert (await stage.read(github_state, ORG)).synced_at is not None


async def test_a_sync_that_never_ends_is_given_up_for_a_new_one(tmp_path: Path) -> None:
    async with tree(local(tmp_path)) as stage:
        await installed(stage)
        lost = await sync_of(stage, ORG, tmp_path)
        meddle(tmp_path, f"UPDATE workflows SET started_at = started_at - 3600001 WHERE id = '{lost}'")
        await stage.ask(HERE, SyncOrganization())
        assert await sync_of(stage, ORG, tmp_path) not in (None, lost)


async def sync_of(stage: World, key: str, where: Path) -> str | None:
    await stage.quiet()
    with closing(sqlite3.connect(where / "foundry.db")) as database:
        query = "SELECT id FROM workflows WHERE owner = ? AND cancelled = 0"
        row = database.execute(query, (f"GitHubState:{key}",)).fetchone()
        return row[0] if row else None


async def ended(stage: World, address: Address, workflow: str | None) -> None:
    """Play a sync's end: no workflows run on this stage."""
    done = WorkflowEnded(workflow="sync", workflow_id=WorkflowId(workflow or ""), outcome=Outcome.DONE)
    await stage.runtime.end_workflow(address, done, None)


def meddle(where: Path, statement: str) -> None:
    """Let time pass in the rows."""
    with closing(sqlite3.connect(where / "foundry.db", timeout=5.0)) as database:
        database.execute(statement)
        database.commit()
