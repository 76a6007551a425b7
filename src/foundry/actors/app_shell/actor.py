"""AppShell: who is signed in, what was done as whom, and what went wrong outside any organization."""

from __future__ import annotations

from foundry.actors.app_shell import audit_log, credentials, device_logins
from foundry.actors.app_shell.config import AppShellConfig
from foundry.actors.app_shell.tables import app_issues, app_orphans, app_sessions, app_tokens
from foundry.actors.app_shell.views import orphan
from foundry.actors.runtime_issues import IssueBook
from foundry.contracts.app_shell import (
    InstallationsChanged,
    InstallationSeen,
    InstallationView,
    OpenAppShell,
)
from foundry.contracts.errors import NotFound
from foundry.contracts.github_access import AccessChanged, AccessMayHaveChanged
from foundry.contracts.ids import SandboxId
from foundry.contracts.issues import (
    EndFailure,
    Failure,
    FailureEnded,
    FailureRaised,
    IssueKind,
    KeepFailure,
    RecordFailure,
)
from foundry.contracts.messages import APP, ScopeId, millis
from foundry.contracts.organization import ClearIssues, OrganizationChanged, OrganizationListed
from foundry.contracts.sandbox_instance import OrphansSeen, OrphanView, RemoveOrphan
from foundry.runtime.actor import Actor, creates, handles, receives
from foundry.runtime.turn import Turn

ORPHANS = "sandboxes that nobody uses"
NAMED = 5  # of them in the issue


class AppShell(Actor):
    """Owns app sessions, API tokens, the audit log, the issues of scope `app`, and the list of orphan sandboxes.

    Never sees a token, only its hash; never holds what belongs to one organization or one person.
    """

    topic = "app"
    parts = (credentials, device_logins, audit_log)
    book = IssueBook(app_issues)

    def __init__(self, config: AppShellConfig | None = None) -> None:
        self.config = config or AppShellConfig()

    @creates(OpenAppShell)
    def open(self, turn: Turn, command: OpenAppShell) -> None:
        """At every start: what expires goes on expiring."""
        credentials.schedule_expiry(turn)
        turn.schedule("audit retention", audit_log.SWEEP)

    def after_turn(self, turn: Turn) -> None:
        if turn.wrote(app_sessions) or turn.wrote(app_tokens):
            credentials.schedule_expiry(turn)

    # installations

    @receives(InstallationSeen)
    def installation_seen(self, turn: Turn, message: InstallationSeen) -> None:
        """Whoever watches the start page looks again at the organizations they may see."""
        changed = InstallationView(
            installation=message.installation,
            organization=message.organization,
            login=message.login,
            active=message.active,
        )
        turn.publish(InstallationsChanged(entity=str(message.installation), installations=[changed]))

    @receives(OrganizationListed)
    def organization_listed(self, turn: Turn, message: OrganizationListed) -> None:
        """An organization is new or has changed. Its own row was written first, so a fresh snapshot already has it."""
        organization = message.organization
        # Release 0.2 shows an event of `app` to everybody, unless it names what only some may see.
        turn.publish(OrganizationChanged(entity=organization.id, repository=organization.id, organization=organization))

    @receives(AccessMayHaveChanged)
    def access_may_have_changed(self, turn: Turn, message: AccessMayHaveChanged) -> None:
        """Whoever watches the start page looks again at the organizations they may see."""
        turn.publish(AccessChanged(entity=f"access {message.person or '*'}", person=message.person))

    # sandboxes that nobody uses

    @handles(OrphansSeen)
    def orphans_seen(self, turn: Turn, command: OrphansSeen) -> list[SandboxId]:
        """1. These are all there are now. 2. An issue stands while there are any. 3. Say which are to be removed."""
        known, seen = {row.sandbox: row for row in turn.all(app_orphans)}, {one.id: one for one in command.orphans}
        for gone in known.keys() - seen.keys():
            turn.delete(app_orphans, sandbox=gone)
        for id, one in seen.items():
            told = {"disk": one.disk, "failure": one.failure}
            if id not in known:
                turn.insert(app_orphans, sandbox=id, since=millis(turn.now), **told)
            elif any(getattr(known[id], name) != value for name, value in told.items()):
                turn.update(app_orphans, {"sandbox": id}, **told)
        if seen:
            self.book.keep(turn, _unknown(str(turn.address), sorted(seen)))
        else:
            self.book.end(turn, ORPHANS)
        return [SandboxId(row.sandbox) for row in turn.all(app_orphans, removing=True)]

    @handles(RemoveOrphan)
    def remove_orphan(self, turn: Turn, command: RemoveOrphan) -> OrphanView:
        """Remembered; who compares sandboxes next removes it."""
        if not turn.update(app_orphans, {"sandbox": command.sandbox}, removing=True, failure=""):
            raise NotFound(f"nobody has seen an orphan {command.sandbox}", field="sandbox")
        return orphan(turn.one(app_orphans, sandbox=command.sandbox))

    # runtime issues of scope `app` (R18-R20)

    @receives(FailureRaised)
    def failure_raised(self, turn: Turn, message: FailureRaised) -> None:
        self.book.record(turn, message.failure)

    @receives(FailureEnded)
    def failure_ended(self, turn: Turn, message: FailureEnded) -> None:
        self.book.end(turn, message.fingerprint)

    @handles(RecordFailure)
    def record_failure(self, turn: Turn, command: RecordFailure) -> None:
        self.book.record(turn, command.failure)

    @handles(KeepFailure)
    def keep_failure(self, turn: Turn, command: KeepFailure) -> None:
        self.book.keep(turn, command.failure)

    @handles(EndFailure)
    def end_failure(self, turn: Turn, command: EndFailure) -> None:
        self.book.end(turn, command.fingerprint)

    @handles(ClearIssues)
    def clear_issues(self, turn: Turn, command: ClearIssues) -> int:
        return self.book.clear(turn, command.issue)


def _unknown(me: str, ids: list[SandboxId]) -> Failure:
    more = f" and {len(ids) - NAMED} more" if len(ids) > NAMED else ""
    number = "A sandbox" if len(ids) == 1 else f"{len(ids)} sandboxes"
    return Failure(
        kind=IssueKind.SANDBOX_UNKNOWN,
        actor=me,
        scope=ScopeId(APP),
        fingerprint=ORPHANS,
        code=IssueKind.SANDBOX_UNKNOWN.value,
        message=f"{number} of the provider's nobody uses: {', '.join(ids[:NAMED])}{more}.",
        remedy="Work may be in it, so it is left alone. Look at it; `foundry sandbox list` tells size and age, and "
        "`foundry sandbox remove ID` deletes one with all that is in it.",
    )
