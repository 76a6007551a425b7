"""When GitHubState reads everything from GitHub again, and what it does about a sync that failed.

At most one sync runs; what happens meanwhile asks for one more after it. A sync that failed leaves one issue, which
the next successful one ends. The same for the app and for an organization.
"""

from __future__ import annotations

from datetime import timedelta

from foundry.actors.github_state.jobs import ListInstallations, ReadOrganization
from foundry.actors.github_state.tables import github_states
from foundry.contracts.addresses import coordinator
from foundry.contracts.github_state import SyncOrganization
from foundry.contracts.ids import OrganizationId
from foundry.contracts.issues import AttemptFailed, FailureEnded, Outcome, WorkflowEnded, WorkflowRecovered
from foundry.contracts.messages import APP, millis, utc
from foundry.runtime.actor import due, handles, receives
from foundry.runtime.turn import Turn

RESYNC = timedelta(hours=6)  # GitHub does not retry a webhook that failed
SYNC_RETRY = timedelta(minutes=5)  # after a sync that failed
SYNC_TERM = timedelta(hours=1)  # a sync that takes longer is cancelled for a new one


@handles(SyncOrganization)
def sync_organization(turn: Turn, command: SyncOrganization) -> None:
    begin_sync(turn)


@due("sync")
def sync_due(turn: Turn) -> None:
    begin_sync(turn)


def begin_sync(turn: Turn) -> None:
    """1. Only where the App is installed. 2. One at a time, and one more after it. 3. Never stuck on a lost one."""
    row = turn.one(github_states)
    if turn.key != APP and (not row.active or row.installation is None):
        return
    for running in turn.running():
        if not running.cancelling and turn.now - utc(running.since) < SYNC_TERM:
            turn.update(github_states, sync_again=True)
            return
        turn.cancel(running.id)
    if turn.key == APP:
        turn.start("sync_installations", ListInstallations())
    else:
        job = ReadOrganization(
            organization=OrganizationId(turn.key),
            login=row.login,
            installation=row.installation,
            personal=row.personal,
        )
        turn.start("sync_organization", job)
    turn.update(github_states, sync_again=False)
    turn.schedule("sync", RESYNC)


@receives(WorkflowEnded)
def sync_ended(turn: Turn, message: WorkflowEnded) -> None:
    """1. What the last failed one left is over, or replaced by this one's. 2. Once more if something happened."""
    row, failure = turn.one(github_states), message.failure
    if message.outcome is Outcome.CANCELLED:
        return
    if failure is None:
        _end_issue(turn, row.fingerprint)
        turn.update(github_states, synced_at=millis(turn.now), failure="", fingerprint=None)
        if row.sync_again:
            begin_sync(turn)
        return
    if row.fingerprint != failure.fingerprint:
        _end_issue(turn, row.fingerprint)
    shown = f"{failure.step}: {failure.message}"
    turn.update(github_states, sync_again=False, failure=shown, fingerprint=failure.fingerprint)
    turn.schedule("sync", SYNC_RETRY)


@handles(AttemptFailed)
def attempt_failed(turn: Turn, command: AttemptFailed) -> None:
    """An attempt failed: shown."""
    turn.update(github_states, failure=f"{command.failure.step}: {command.failure.message}")


@handles(WorkflowRecovered)
def workflow_recovered(turn: Turn, command: WorkflowRecovered) -> None:
    turn.update(github_states, failure="")


def stop_sync(turn: Turn) -> None:
    for running in turn.running():
        turn.cancel(running.id)
    _end_issue(turn, turn.one(github_states).fingerprint)
    turn.update(github_states, sync_again=False, failure="", fingerprint=None)
    turn.unschedule("sync")


def _end_issue(turn: Turn, fingerprint: str | None) -> None:
    if fingerprint:
        turn.send(coordinator(turn.scope), FailureEnded(fingerprint=fingerprint))
