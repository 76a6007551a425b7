"""AppShell: who is signed in, and what went wrong outside any organization."""

from __future__ import annotations

from datetime import timedelta

from foundry.actors.app_shell.tables import app_issues, app_orphans, app_sessions
from foundry.actors.app_shell.views import orphan
from foundry.actors.runtime_issues import IssueBook
from foundry.contracts.app_shell import (
    EndSessions,
    InstallationsChanged,
    InstallationSeen,
    InstallationView,
    OpenAppShell,
    SignIn,
    SignOut,
)
from foundry.contracts.errors import BadInput, NotFound
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
from foundry.runtime.actor import Actor, creates, due, handles, receives
from foundry.runtime.turn import Turn

SESSION_TERM = timedelta(days=30)
SESSION_SWEEP = timedelta(days=1)
HASH_LENGTH = 64  # hexadecimal digits of a SHA-256

ORPHANS = "sandboxes that nobody uses"
NAMED = 5  # of them in the issue


class AppShell(Actor):
    """Owns app sessions, the issues of scope `app`, and the list of sandboxes that the provider has and nobody uses.

    Never sees a token, only its hash; never holds what belongs to one organization or one person.
    """

    topic = "app"
    book = IssueBook(app_issues)

    @creates(OpenAppShell)
    def open(self, turn: Turn, command: OpenAppShell) -> None:
        """At every start: the sweep of expired sessions goes on."""
        turn.schedule("expired sessions", SESSION_SWEEP)

    # sign-in (R12)

    @handles(SignIn)
    def sign_in(self, turn: Turn, command: SignIn) -> str:
        """1. Only a hash is taken. 2. Each sign-in is an app session of its own."""
        if len(command.token_hash) != HASH_LENGTH or set(command.token_hash) - set("0123456789abcdef"):
            raise BadInput("the token's SHA-256 in hexadecimal is stored, never the token", field="token_hash")
        expires = turn.now + SESSION_TERM
        turn.delete(app_sessions, token_hash=command.token_hash)
        turn.insert(
            app_sessions,
            token_hash=command.token_hash,
            user=command.user,
            login=command.login,
            created_at=millis(turn.now),
            expires_at=millis(expires),
        )
        return expires.isoformat()

    @handles(SignOut)
    def sign_out(self, turn: Turn, command: SignOut) -> None:
        turn.delete(app_sessions, token_hash=command.token_hash)

    @receives(EndSessions)
    def end_sessions(self, turn: Turn, message: EndSessions) -> None:
        turn.delete(app_sessions, user=message.user)

    @due("expired sessions")
    def expire(self, turn: Turn) -> None:
        for row in turn.all(app_sessions, app_sessions.c.expires_at <= millis(turn.now), limit=1_000):
            turn.delete(app_sessions, token_hash=row.token_hash)
        turn.schedule("expired sessions", SESSION_SWEEP)

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
