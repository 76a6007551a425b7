"""When GitHubState reads everything again, and what it does about a sync that failed.

At most one sync runs; what happens meanwhile asks for one more after it. A sync that failed leaves one issue, which
the next that succeeds ends.
"""

from __future__ import annotations

from datetime import timedelta

from foundry.actors.github_state.jobs import ListInstallations, ReadOrganization
from foundry.actors.github_state.tables import github_states
from foundry.contracts.addresses import coordinator
from foundry.contracts.github_state import SyncEnded, SyncOrganization
from foundry.contracts.ids import OrganizationId, WorkflowId
from foundry.contracts.issues import TroubleEnded, WorkflowRecovered, WorkflowTrouble
from foundry.contracts.messages import APP, millis, utc
from foundry.runtime.actor import due, handles
from foundry.runtime.turn import Turn

RESYNC = timedelta(hours=6)  # GitHub does not retry a webhook that failed
RETRY = timedelta(minutes=5)  # after a sync that failed
SYNC_TERM = timedelta(hours=1)  # a sync that takes longer is given up for a new one


class Syncing:
    """The part of GitHubState that keeps its picture fresh; the same for the app and for an organization."""

    @handles(SyncOrganization)
    def sync_organization(self, turn: Turn, command: SyncOrganization) -> None:
        self.begin_sync(turn)

    @due("sync")
    def sync_due(self, turn: Turn) -> None:
        self.begin_sync(turn)

    def begin_sync(self, turn: Turn) -> None:
        """1. Only where the App is installed. 2. One at a time, and one more after it. 3. Never stuck on a lost one."""
        row = turn.one(github_states)
        if turn.key != APP and (not row.active or row.installation is None):
            return
        if row.sync_workflow:
            if turn.now - utc(row.sync_started_at) < SYNC_TERM:
                turn.update(github_states, sync_again=True)
                return
            turn.cancel(WorkflowId(row.sync_workflow))
        if turn.key == APP:
            workflow = turn.start("sync_installations", ListInstallations())
        else:
            job = ReadOrganization(
                organization=OrganizationId(turn.key),
                login=row.login,
                installation=row.installation,
                personal=row.personal,
            )
            workflow = turn.start("sync_organization", job)
        turn.update(github_states, sync_workflow=workflow, sync_started_at=millis(turn.now), sync_again=False)
        turn.schedule("sync", RESYNC)

    @handles(SyncEnded)
    def sync_ended(self, turn: Turn, command: SyncEnded) -> None:
        """1. What the last failed one left is over. 2. Once more if something happened meanwhile."""
        row = turn.one(github_states)
        if row.sync_workflow != command.workflow:
            return
        self._end_issue(turn, row.fingerprint)
        turn.update(github_states, sync_workflow=None, synced_at=millis(turn.now), trouble="", fingerprint=None)
        if row.sync_again:
            self.begin_sync(turn)

    @handles(WorkflowTrouble)
    def workflow_trouble(self, turn: Turn, command: WorkflowTrouble) -> None:
        """An attempt failed: shown. The last one: another sync in a while, whose issue replaces this one's."""
        trouble, row = command.trouble, turn.one(github_states)
        if row.sync_workflow != trouble.workflow_id:
            return
        turn.update(github_states, trouble=f"{trouble.step}: {trouble.message}")
        if trouble.retry_at is None:
            if row.fingerprint != trouble.fingerprint:
                self._end_issue(turn, row.fingerprint)
            turn.update(github_states, sync_workflow=None, sync_again=False, fingerprint=trouble.fingerprint)
            turn.schedule("sync", RETRY)

    @handles(WorkflowRecovered)
    def workflow_recovered(self, turn: Turn, command: WorkflowRecovered) -> None:
        if turn.one(github_states).sync_workflow == command.workflow_id:
            turn.update(github_states, trouble="")

    def stop_sync(self, turn: Turn) -> None:
        row = turn.one(github_states)
        if row.sync_workflow:
            turn.cancel(WorkflowId(row.sync_workflow))
        self._end_issue(turn, row.fingerprint)
        turn.update(github_states, sync_workflow=None, sync_again=False, trouble="", fingerprint=None)
        turn.unschedule("sync")

    def _end_issue(self, turn: Turn, fingerprint: str | None) -> None:
        if fingerprint:
            turn.send(coordinator(turn.scope), TroubleEnded(fingerprint=fingerprint))
