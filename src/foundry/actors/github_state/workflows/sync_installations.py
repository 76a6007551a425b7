"""List the App's installations and record them; each of them then reads its organization.

| step | owner | id chosen before | evidence on repeat | release |
|---|---|---|---|---|
| listing installations | GitHub, read only | none | the list itself | nothing was made |
| recording installations | GitHubState(app) | none | the ask's key | nothing was made |
"""

from __future__ import annotations

from foundry.actors.github_state.door import reading
from foundry.actors.github_state.jobs import ListInstallations
from foundry.contracts.github_state import RecordInstallations
from foundry.runtime.workflow.flow import Flow, Scope, workflow

STEPS = ("listing installations", "recording installations")
RELEASES: dict[str, str] = {}

LIST_DEADLINE = 60.0  # seconds


@workflow(owner="GitHubState", scope=Scope.APP, steps=STEPS, releases=RELEASES)
async def sync_installations(flow: Flow, job: ListInstallations) -> None:
    github = reading(flow.doors)
    installations = await flow.do("listing installations", github.installations, deadline=LIST_DEADLINE)
    await flow.ask("recording installations", flow.owner, RecordInstallations(installations=installations))
