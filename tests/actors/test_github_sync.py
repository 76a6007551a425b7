"""GitHubState and its door against the stand-in GitHub: syncing, webhooks, credentials, pull requests."""

from __future__ import annotations

from pathlib import Path

import pytest
import structlog

from foundry.actors.github_state.views import deliveries, github_state, members, pull_requests
from foundry.actors.history.views import entries
from foundry.actors.organization.views import issues, organizations, repository_list
from foundry.contracts import addresses
from foundry.contracts.github_access import Role
from foundry.contracts.github_state import (
    NotInstalled,
    PullRequestState,
    SyncOrganization,
)
from foundry.contracts.ids import TaskId
from foundry.contracts.repository import ReserveBranch
from foundry.contracts.task import NothingToPublish
from tests.actors.github_stage import GitHubStage, github_stage
from tests.actors.tree import ORG, REPO, TALLY, begin_task, heard_by
from tests.waiting import eventually


async def opened(stage: GitHubStage, branch: str = "fix") -> int:
    await stage.push(branch)
    made = await stage.door.open_pull_request(
        stage.repository, head=branch, base="main", title=f"About {branch}", body="", draft=False
    )
    return made.number


async def task_on(stage: GitHubStage, branch: str) -> None:
    await begin_task(stage.tree)
    await stage.tree.ask(addresses.repository(REPO), ReserveBranch(task=TaskId("tsk_1"), wanted=branch, exact=True))


async def test_a_start_finds_organizations_repositories_members_and_pull_requests(
    store_url: str, tmp_path: Path
) -> None:
    async with github_stage(store_url, tmp_path) as stage:
        await stage.synced()
        number = await opened(stage)
        await stage.synced()
        read = stage.tree.read
        assert [o.login for o in await read(organizations)] == ["lumen-works", "north-harbor"]
        assert [r.full_name for r in await read(repository_list, ORG)] == ["lumen-works/tally"]
        known = [(m.id, m.login, m.role) for m in await read(members, ORG)]
        assert known == [("1001", "ada", Role.OWNER), ("1002", "grace", Role.MEMBER), ("1003", "linus", Role.MEMBER)]
        (found,) = await read(pull_requests, ORG)
        assert (found.number, found.title, found.head, found.head_repository) == (number, "About fix", "fix", REPO)


async def test_a_second_sync_finds_nothing_to_say(tmp_path: Path) -> None:
    async with github_stage(f"sqlite:///{tmp_path}/foundry.db", tmp_path) as stage:
        await stage.synced()
        await opened(stage)
        await stage.synced()
        watched = (addresses.organization(ORG), addresses.repository(REPO), addresses.github(ORG))
        before = [await stage.tree.read(lambda r, a=a: r.version(a)) for a in watched]
        await stage.synced()
        assert [await stage.tree.read(lambda r, a=a: r.version(a)) for a in watched] == before


async def test_a_merge_while_nobody_listened_is_found_by_the_next_sync(tmp_path: Path) -> None:
    async with github_stage(f"sqlite:///{tmp_path}/foundry.db", tmp_path) as stage:
        await stage.synced()
        await task_on(stage, "fix")
        merged, closed = await opened(stage), await opened(stage, "other")
        await stage.synced()
        await stage.api("PUT", f"pulls/{merged}/merge")
        await stage.api("PATCH", f"pulls/{closed}", state="closed")
        await stage.synced()
        assert await stage.tree.read(pull_requests, ORG) == []
        states = {p.number: p.state for p in await stage.tree.read(lambda r: pull_requests(r, ORG, state=None))}
        assert states == {merged: PullRequestState.MERGED, closed: PullRequestState.CLOSED}
        assert [(seen.number, seen.state) for seen in await heard_by(stage.tree, "tsk_1")] == [
            (merged, "open"),
            (merged, "merged"),
        ]
        told = {entry.what for entry in await stage.tree.read(entries, REPO)}
        assert told == {"pull_request_merged", "pull_request_closed"}


async def test_webhooks_carry_a_pull_request_from_open_to_merged(store_url: str, tmp_path: Path) -> None:
    async with github_stage(store_url, tmp_path, webhooks=True) as stage:
        await stage.synced()
        await task_on(stage, "fix")
        number = await opened(stage)
        await eventually(lambda: stage.tree.read(pull_requests, ORG), lambda found: len(found) == 1)
        await stage.api("PUT", f"pulls/{number}/merge")
        await eventually(lambda: stage.tree.read(pull_requests, ORG), lambda found: not found)
        await stage.tree.quiet()
        heard = await heard_by(stage.tree, "tsk_1")
        assert [(seen.state, seen.action) for seen in heard] == [("open", "opened"), ("merged", "merged")]
        told = [entry.what for entry in await stage.tree.read(entries, REPO)]
        assert told == ["pull_request_merged", "pull_request_opened"]
        kept = await stage.tree.read(deliveries)
        assert {d.outcome for d in kept} == {"routed"}


async def test_a_redelivery_is_taken_once(tmp_path: Path) -> None:
    async with github_stage(f"sqlite:///{tmp_path}/foundry.db", tmp_path, webhooks=True) as stage:
        await stage.synced()
        await opened(stage)
        await eventually(lambda: stage.tree.read(pull_requests, ORG), lambda found: len(found) == 1)
        await stage.tree.quiet()
        before = len(await stage.tree.read(deliveries))
        version = await stage.tree.read(lambda r: r.version(addresses.github(ORG)))
        url = f"{stage.sample.url}/_devkit/deliveries"
        listed = (await stage.http.get(url)).json()
        for one in listed:
            await stage.client._app().post(f"/app/hook/deliveries/{one['id']}/attempts", data={})
        await eventually(
            lambda: stage.http.get(url), lambda a: [d["status"] for d in a.json()] == ["OK"] * len(listed) * 2
        )
        assert len(await stage.tree.read(deliveries)) == before
        assert await stage.tree.read(lambda r: r.version(addresses.github(ORG))) == version


async def test_opening_twice_finds_the_first(tmp_path: Path) -> None:
    async with github_stage(f"sqlite:///{tmp_path}/foundry.db", tmp_path) as stage:
        await stage.synced()
        first = await opened(stage)
        door, tally = stage.door, stage.repository
        again = await door.open_pull_request(tally, head="fix", base="main", title="x", body="", draft=False)
        assert (again.number, again.state) == (first, "open")
        assert again.url.endswith(f"/lumen-works/tally/pull/{first}")
        assert sorted(await door.branch_names(tally)) == ["fix", "main"]


async def test_a_branch_without_commits_has_nothing_to_publish(tmp_path: Path) -> None:
    async with github_stage(f"sqlite:///{tmp_path}/foundry.db", tmp_path) as stage:
        await stage.synced()
        number = await opened(stage)
        await stage.api("PUT", f"pulls/{number}/merge")
        with pytest.raises(NothingToPublish):
            await stage.door.open_pull_request(
                stage.repository, head="fix", base="main", title="x", body="", draft=False
            )


async def test_a_git_credential_is_narrow_short_and_audited(tmp_path: Path) -> None:
    async with github_stage(f"sqlite:///{tmp_path}/foundry.db", tmp_path) as stage:
        await stage.synced()
        api = stage.sample.identity["api_url"]

        async def status(token: str, path: str, method: str = "GET") -> int:
            headers = {"Authorization": f"Bearer {token}"}
            return (await stage.http.request(method, f"{api}/{path}", headers=headers)).status_code

        with structlog.testing.capture_logs() as logged:
            async with stage.door.credential(stage.repository, write=False) as token:
                assert await status(token, "repositories/4001/branches") == 200
                assert await status(token, "repositories/4001/pulls") in (403, 404)
                assert await status(token, "repositories/4001/git/refs/heads/main", "DELETE") in (403, 404)
            with pytest.raises(RuntimeError, match="the step failed"):
                async with stage.door.credential(stage.repository, write=True) as other:
                    raise RuntimeError("the step failed")
        for ended in (token, other):
            assert await status(ended, "repositories/4001") == 401
        minted = [line for line in logged if line["event"] == "git credential minted"]
        assert [(line["repository"], line["contents"]) for line in minted] == [
            ("lumen-works/tally", "read"),
            ("lumen-works/tally", "write"),
        ]
        assert token not in repr(logged)


async def test_without_an_installation_the_door_says_so(tmp_path: Path) -> None:
    async with github_stage(f"sqlite:///{tmp_path}/foundry.db", tmp_path) as stage:
        with pytest.raises(NotInstalled, match="lumen-works") as caught:
            await stage.door.branch_names(TALLY)
        assert "Install" in caught.value.remedy


async def test_a_sync_that_fails_is_one_issue_and_the_next_that_succeeds_ends_it(tmp_path: Path) -> None:
    async with github_stage(f"sqlite:///{tmp_path}/foundry.db", tmp_path) as stage:
        await stage.synced()
        here = addresses.github(ORG)
        refuse = {"path": "installation/repositories", "status": 422, "times": 2, "message": "no, thank you"}
        await stage.control("POST", "faults", refuse)
        for _ in range(2):
            before = (await stage.tree.read(issues, ORG))[:1]
            await stage.tree.ask(here, SyncOrganization())
            (issue,) = await eventually(
                lambda: stage.tree.read(issues, ORG), lambda found, b=before: len(found) == 1 and found != b
            )
            assert issue.failure.step == "listing repositories"
            assert "no, thank you" in issue.failure.message
            state = await eventually(
                lambda: stage.tree.read(github_state, ORG), lambda found: found.syncing_since is None
            )
            assert "no, thank you" in state.failure
        await stage.tree.ask(here, SyncOrganization())
        await eventually(lambda: stage.tree.read(issues, ORG), lambda found: not found)
        await eventually(lambda: stage.tree.read(github_state, ORG), lambda found: found.failure == "")
