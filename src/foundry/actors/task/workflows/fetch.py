"""Fetch: GitHub's commits of the branch and its base come into the sandbox, and the work tree follows where it may.

An automatic fetch does not start a sandbox that does not answer. A fetch that a person asked for does.
"""

from __future__ import annotations

from foundry.actors.ensure_running import ensure_running
from foundry.actors.task.jobs import Fetch
from foundry.actors.task.workflows.steps import look_at_work
from foundry.contracts.doors import Doors
from foundry.contracts.task_branch import Fetched, FetchEnded, MayForward
from foundry.runtime.workflow.flow import Flow, Scope, workflow

STEPS = ("reaching the sandbox", "fetching", "bringing the work forward", "looking at the work")
RELEASES = {"bringing the work forward": "the workflow's end: prompts get the work tree again"}

FETCH_DEADLINE = 300.0  # seconds
FORWARD_DEADLINE = 150.0  # seconds


@workflow(owner="Task", scope=Scope.ORGANIZATION, steps=STEPS, releases=RELEASES)
async def fetch(flow: Flow, job: Fetch) -> None:
    sandboxes = flow.doors.sandboxes
    if not job.by_itself:
        await ensure_running(flow, "reaching the sandbox", job.sandbox)
    elif not await flow.do("reaching the sandbox", sandboxes.exists, job.sandbox):
        return
    head = await flow.do("fetching", get, flow.doors, job, deadline=FETCH_DEADLINE)
    await flow.ask("fetching", flow.owner, Fetched(head=head, known=job.known))

    commits = 0
    if head is not None and job.forward and await flow.ask("bringing the work forward", flow.owner, MayForward()):
        commits = await flow.do(
            "bringing the work forward", sandboxes.forward, job.sandbox, job.branch, deadline=FORWARD_DEADLINE
        )

    await look_at_work(flow, job.sandbox, job.base)
    if commits:
        await flow.ask("looking at the work", flow.owner, FetchEnded(commits=commits))


async def get(doors: Doors, job: Fetch) -> str | None:
    """Fetch with a credential that can only read and lives as long as this call. Return GitHub's head."""
    async with doors.github.credential(job.repository, write=False) as token:
        repository = await doors.github.repository(job.repository)
        return await doors.sandboxes.fetch(job.sandbox, repository, branch=job.branch, base=job.base, token=token)
