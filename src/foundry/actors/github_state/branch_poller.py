"""The branches of open tasks beside GitHub's: at the start, and every minute.

| the task knows | GitHub has | what is done |
|---|---|---|
| a head | another one, or none | GitHubState tells the task |
| a pull request that is open | one that is not, or the other way round | GitHubState describes it, and tells the task |

One for each organization; its repositories are spread over the minute. Each costs one request for its branches and one
for its open pull requests; both are conditional, so what has not changed costs nothing of GitHub's budget. The
webhooks bring the same at once: this finds what they missed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog

from foundry.contracts import addresses
from foundry.contracts.errors import FoundryError, Unavailable
from foundry.contracts.github_state import DescribePullRequest, RecordBranches
from foundry.contracts.ids import OrganizationId, RepositoryId
from foundry.contracts.remote_branch import OpenBranch
from foundry.contracts.repository import RepositoryRef
from foundry.contracts.task_branch import BranchMoved
from foundry.runtime.reader import Reader
from foundry.runtime.worker.supervisor import Job, WorkerKind

Organizations = Callable[[Reader], Sequence[OrganizationId]]
"""Those that have open tasks."""

Branches = Callable[[Reader, OrganizationId, RepositoryId | None], Sequence[OpenBranch]]
"""Those of an organization's open tasks; with a repository, those in it."""

log = structlog.get_logger("foundry.github")


def reconciler(organizations: Organizations, branches: Branches, every: float) -> WorkerKind:
    """One for each organization, so it hangs on its door to GitHub; each is looked at in so many seconds."""

    async def run(job: Job) -> None:
        away: dict[RepositoryId, str] = {}
        while True:
            found = await job.read(branches, OrganizationId(job.key), None)
            repositories = {one.repository.id: one.repository for one in found if one.heard or one.pull_request}
            for number, repository in enumerate(repositories.values()):
                if number:
                    await asyncio.sleep(every / len(repositories))
                await _look(job, repository, branches, away)
            await asyncio.sleep(every / max(len(repositories), 1))

    return WorkerKind("GitHubState", organizations, run, name="branches")


async def _look(job: Job, repository: RepositoryRef, branches: Branches, away: dict[RepositoryId, str]) -> None:
    """Where GitHub does not answer, or not now, the next minute is as good; it is logged once."""
    try:
        await compare(job, repository, branches)
    except Unavailable:
        raise
    except FoundryError as error:
        if away.get(repository.id) != error.code:
            log.warning("branches cannot be compared with GitHub's", repository=repository.id, why=error.detail)
        away[repository.id] = error.code
    else:
        away.pop(repository.id, None)


async def compare(job: Job, repository: RepositoryRef, branches: Branches) -> None:
    """Compare one repository's. What is known is read before GitHub is asked, so what is heard meanwhile counts."""
    known = await job.read(branches, repository.organization, repository.id)
    if not known:
        return
    github = addresses.github(repository.organization)
    heads = await job.doors.github.heads(repository, [one.branch for one in known])
    moved = [
        BranchMoved(branch=one.branch, head=heads.get(one.branch), before=one.known, compared=True)
        for one in known
        if _differs(one, heads.get(one.branch))
    ]
    if moved:
        await job.ask(github, RecordBranches(repository=repository.id, moved=moved))
    asked = [one.pull_request for one in known if one.pull_request and one.pull_request.state != "merged"]
    requests = {one.number: one.state == "open" for one in asked}
    if not requests:
        return
    listed = set(await job.doors.github.open_pull_requests(repository))
    for number in sorted(number for number, is_open in requests.items() if is_open is not (number in listed)):
        seen = await job.doors.github.pull_request(repository, number)
        if seen is not None:
            await job.ask(github, DescribePullRequest(pull_request=seen))


def _differs(one: OpenBranch, head: str | None) -> bool:
    """Of a branch that was never there, nothing is to be told."""
    return head != one.known if one.heard else head is not None or one.pull_request is not None
