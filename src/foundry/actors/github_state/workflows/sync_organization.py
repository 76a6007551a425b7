"""Read an organization from GitHub: repositories, members, open pull requests, and those that are open no more.

| step | owner | id chosen before | evidence on repeat | release |
|---|---|---|---|---|
| listing … | GitHub, read only | none | the list itself | nothing was made |
| recording … | GitHubState(org) | none | the ask's key; older never overwrites newer | nothing was made |
"""

from __future__ import annotations

from foundry.actors.github_state.door import GitHubReader, reading
from foundry.actors.github_state.jobs import ReadOrganization
from foundry.contracts.github_state import (
    DescribePullRequest,
    RecordMembers,
    RecordPullRequests,
    RecordRepositories,
)
from foundry.contracts.repository import RepositoryRef
from foundry.runtime.workflow.flow import Flow, Scope, workflow

STEPS = (
    "listing repositories",
    "recording repositories",
    "listing members",
    "recording members",
    "listing pull requests",
    "recording pull requests",
    "asking for closed pull requests",
)
RELEASES: dict[str, str] = {}

LIST_DEADLINE = 120.0  # seconds; thousands of repositories are tens of pages
BATCH = 100  # repositories one turn records


@workflow(owner="GitHubState", scope=Scope.ORGANIZATION, steps=STEPS, releases=RELEASES)
async def sync_organization(flow: Flow, job: ReadOrganization) -> None:
    github = reading(flow.doors)
    repositories = await flow.do(
        "listing repositories", github.repositories, job.organization, job.installation, deadline=LIST_DEADLINE
    )
    everything = [repository.id for repository in repositories]
    chunks = [repositories[at : at + BATCH] for at in range(0, len(repositories), BATCH)] or [[]]
    for number, chunk in enumerate(chunks, 1):
        last = everything if number == len(chunks) else None
        await flow.ask("recording repositories", flow.owner, RecordRepositories(repositories=chunk, all=last))
    if not job.personal:
        members = await flow.do("listing members", github.members, job.login, job.installation, deadline=LIST_DEADLINE)
        if members is not None:
            await flow.ask("recording members", flow.owner, RecordMembers(members=members))
    for repository in repositories:
        await _pull_requests(flow, github, repository)


async def _pull_requests(flow: Flow, github: GitHubReader, repository: RepositoryRef) -> None:
    """The open ones; then, one by one, those that were open here and are not listed: merged or closed meanwhile."""
    listed = await flow.do("listing pull requests", github.pull_requests, repository)
    record = RecordPullRequests(repository=repository.id, pull_requests=listed)
    for number in await flow.ask("recording pull requests", flow.owner, record):
        seen = await flow.do("asking for closed pull requests", github.pull_request, repository, number)
        if seen is not None:
            step = "asking for closed pull requests"
            await flow.ask(step, flow.owner, DescribePullRequest(pull_request=seen))
