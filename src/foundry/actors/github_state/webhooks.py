"""GitHubState("app"): webhook intake and the App's installations."""

from __future__ import annotations

from datetime import timedelta

from foundry.actors.github_state.config import config
from foundry.actors.github_state.reaches import forget_reach
from foundry.actors.github_state.sync import begin_sync
from foundry.actors.github_state.tables import github_deliveries, github_installations, github_states
from foundry.contracts import addresses
from foundry.contracts.app_shell import InstallationSeen
from foundry.contracts.errors import WrongState
from foundry.contracts.github_state import (
    Deliver,
    Delivered,
    HookInstallation,
    InstallationGranted,
    InstallationRevoked,
    InstallationSummary,
    RecordInstallations,
    SyncInstallations,
)
from foundry.contracts.ids import OrganizationId, UserId
from foundry.contracts.messages import APP, ScopeId, millis
from foundry.contracts.user_github_data import AuthorizationRevoked
from foundry.runtime.actor import creates, due, handles
from foundry.runtime.columns import AnyRow
from foundry.runtime.turn import Turn

KEEP_DELIVERIES = timedelta(days=7)
DELIVERY_SWEEP = timedelta(hours=6)


@creates(SyncInstallations)
def sync_installations(turn: Turn, command: SyncInstallations) -> None:
    """At every start: what happened while nobody listened is found by listing everything again."""
    _only_app(turn)
    if turn.born:
        turn.insert(github_states)
    turn.schedule("old deliveries", DELIVERY_SWEEP)
    begin_sync(turn)


@handles(Deliver)
def deliver(turn: Turn, command: Deliver) -> bool:
    """1. Each delivery id counts once. 2. Installations and people are ours. 3. The rest goes to its organization."""
    _only_app(turn)
    if turn.find(github_deliveries, delivery=command.delivery) is not None:
        return False
    turn.insert(
        github_deliveries,
        delivery=command.delivery,
        event=command.event,
        action=command.action,
        installation=command.installation,
        outcome=_route(turn, command),
        at=millis(turn.now),
    )
    return True


def _route(turn: Turn, command: Deliver) -> str:
    if command.event == "installation" and command.payload.installation is not None:
        return _installation(turn, command.action, command.payload.installation)
    if command.event == "github_app_authorization" and command.payload.sender is not None:
        return _authorization(turn, command.action, UserId(str(command.payload.sender.id)))
    if command.installation is None:
        return "ignored"
    known = turn.find(github_installations, installation=command.installation)
    if known is None:
        begin_sync(turn)  # its `installation` event was missed: the list will have it
        return "unknown installation"
    if not known.active:
        return "ignored"
    message = Delivered(delivery=command.delivery, event=command.event, action=command.action, payload=command.payload)
    turn.send(addresses.github(OrganizationId(known.organization)), message)
    return "routed"


def _installation(turn: Turn, action: str, seen: HookInstallation) -> str:
    known = turn.find(github_installations, installation=seen.id)
    if action in ("deleted", "suspend"):
        if known is not None:
            _revoke(turn, known, removed=action == "deleted")
        return "applied"
    if seen.account is None or (known is not None and known.removed):
        return "ignored"  # an older event of an installation that is gone
    return _grant(
        turn,
        InstallationSummary(
            id=seen.id,
            organization=OrganizationId(str(seen.account.id)),
            login=seen.account.login,
            avatar_url=seen.account.avatar_url,
            personal=seen.account.type == "User",
        ),
    )


def _authorization(turn: Turn, action: str, person: UserId) -> str:
    """The event belongs to no installation: its sender is the person who revoked it."""
    if action != "revoked":
        return "ignored"
    turn.send(addresses.user_github_data(person), AuthorizationRevoked(parent=addresses.app_shell(), scope=APP))
    return "applied"


@handles(RecordInstallations)
def record_installations(turn: Turn, command: RecordInstallations) -> None:
    """GitHub's list is the truth: what it has is granted, what it has no more is revoked."""
    _only_app(turn)
    for installation in command.installations:
        known = turn.find(github_installations, installation=installation.id)
        if installation.active:
            _grant(turn, installation)
        elif known is None:
            _keep(turn, installation)
            _tell(turn, installation.id, installation.organization, installation.login, active=False)
        else:
            _revoke(turn, known, removed=False)
    listed = {installation.id for installation in command.installations}
    for row in turn.all(github_installations, removed=False):
        if row.installation not in listed:
            _revoke(turn, row, removed=True)


def _grant(turn: Turn, installation: InstallationSummary) -> str:
    """The organization exists from now on, if the App may be installed on this account."""
    known = turn.find(github_installations, installation=installation.id)
    if not config(turn).policy.installs(installation.organization, installation.login):
        if known is None:
            _keep(turn, installation.model_copy(update={"active": False}))
        else:
            _revoke(turn, known, removed=False)
        return "not allowed"
    _keep(turn, installation)
    organization = installation.organization
    granted = InstallationGranted(
        parent=addresses.organization(organization), scope=ScopeId(organization), installation=installation
    )
    turn.send(addresses.github(organization), granted)
    new = (organization, installation.login, True)
    if known is None or (known.organization, known.login, known.active) != new:
        forget_reach(turn)
        _tell(turn, installation.id, organization, installation.login, active=True)
    return "applied"


def _keep(turn: Turn, installation: InstallationSummary) -> None:
    turn.delete(github_installations, installation=installation.id)
    turn.insert(
        github_installations,
        installation=installation.id,
        organization=installation.organization,
        login=installation.login,
        active=installation.active,
    )


def _revoke(turn: Turn, known: AnyRow, *, removed: bool) -> None:
    organization, installation = OrganizationId(known.organization), known.installation
    turn.update(github_installations, {"installation": installation}, active=False, removed=removed)
    if known.active:
        turn.send(addresses.github(organization), InstallationRevoked(installation=installation))
        _tell(turn, installation, organization, known.login, active=False)


def _tell(turn: Turn, installation: int, organization: OrganizationId, login: str, *, active: bool) -> None:
    seen = InstallationSeen(installation=installation, organization=organization, login=login, active=active)
    turn.send(addresses.app_shell(), seen)


@due("old deliveries")
def forget_deliveries(turn: Turn) -> None:
    """GitHub redelivers what is at most three days old."""
    before = millis(turn.now - KEEP_DELIVERIES)
    for row in turn.all(github_deliveries, github_deliveries.c.at < before, limit=5_000):
        turn.delete(github_deliveries, delivery=row.delivery)
    turn.schedule("old deliveries", DELIVERY_SWEEP)


def _only_app(turn: Turn) -> None:
    if turn.key != APP:
        raise WrongState(f"this is GitHubState({turn.key}); deliveries and installations are GitHubState(app)'s")
