"""Publish: push the branch, open the pull request. Each try finds what an earlier one did."""

from __future__ import annotations

from foundry.actors.ensure_running import ensure_running
from foundry.actors.task.jobs import Publish
from foundry.actors.task.workflows.steps import look_at_work, refuse
from foundry.contracts.doors import Doors
from foundry.contracts.task import NothingToPublish, Publishing, PullRequestOpened, PullRequestRef, Pushed
from foundry.runtime.workflow.flow import Flow, Scope, workflow

STEPS = ("looking at the work", "pushing", "opening the pull request")
RELEASES = {"pushing": "nothing: a pushed branch is what was asked for"}

PUSH_DEADLINE = 300.0  # seconds


@workflow(owner="Task", scope=Scope.ORGANIZATION, steps=STEPS, releases=RELEASES)
async def publish(flow: Flow, job: Publish) -> None:
    await ensure_running(flow, "looking at the work", job.sandbox)
    work = await look_at_work(flow, job.sandbox, job.base)
    if job.by_itself and not work.unpushed:
        return
    if not work.unpushed and not work.commits_ahead:
        changed = f"; {len(work.changed_files)} changed files are not committed" if work.changed_files else ""
        nothing = NothingToPublish(f"the branch has no commits of its own{changed}")
        await flow.do("looking at the work", refuse, nothing)

    await flow.ask("pushing", flow.owner, Publishing(step="pushing"))
    head = await flow.do("pushing", push, flow.doors, job, deadline=PUSH_DEADLINE)
    await flow.ask("pushing", flow.owner, Pushed(head=head))

    opened = await flow.do("opening the pull request", open_pull_request, flow.doors, job)
    await flow.ask("opening the pull request", flow.owner, PullRequestOpened(pull_request=opened))


async def push(doors: Doors, job: Publish) -> str:
    """Push with a credential that lives as long as this call. Automatic work needs the person's write access now."""
    if job.by_itself:
        await doors.github.require_push(job.repository, job.person)
    async with doors.github.credential(job.repository, write=True) as token:
        repository = await doors.github.repository(job.repository)
        return await doors.sandboxes.push(job.sandbox, repository, branch=job.branch, token=token)


async def open_pull_request(doors: Doors, job: Publish) -> PullRequestRef:
    """The open pull request of the branch, made if there is none; in the name of the person who asked for it."""
    return await doors.github.open_pull_request(
        job.repository,
        head=job.branch,
        base=job.base,
        title=job.title,
        body=job.body,
        draft=job.draft,
        person=None if job.by_itself else job.person.id,
    )
