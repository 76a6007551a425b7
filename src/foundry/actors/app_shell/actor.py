"""AppShell: who is signed in, and what went wrong outside any organization."""

from __future__ import annotations

from datetime import timedelta

from foundry.actors.app_shell.tables import app_issues, app_sessions, app_strays
from foundry.actors.app_shell.views import stray
from foundry.actors.runtime_issues import IssueBook
from foundry.contracts.app_shell import (
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
    EndTrouble,
    IssueKind,
    KeepTrouble,
    RecordTrouble,
    Trouble,
    TroubleEnded,
    TroubleRaised,
)
from foundry.contracts.messages import APP, ScopeId, millis
from foundry.contracts.organization import ClearIssues, OrganizationChanged, OrganizationListed
from foundry.contracts.sandbox_instance import RemoveStray, StraysSeen, StrayView
from foundry.runtime.actor import Actor, creates, due, handles, receives
from foundry.runtime.turn import Turn

SESSION_TERM = timedelta(days=30)
SESSION_SWEEP = timedelta(days=1)
HASH_LENGTH = 64  # hexadecimal digits of a SHA-256

STRAYS = "sandboxes that nobody uses"
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
        """The start page lists it, or no longer does. Whoever looks now finds it: its own row came first."""
        turn.publish(OrganizationChanged(entity=message.organization.id, organization=message.organization))

    # sandboxes that nobody uses

    @handles(StraysSeen)
    def strays_seen(self, turn: Turn, command: StraysSeen) -> list[SandboxId]:
        """1. These are all there are now. 2. An issue stands while there are any. 3. Say which are to be removed."""
        known, seen = {row.sandbox: row for row in turn.all(app_strays)}, {one.id: one for one in command.strays}
        for gone in known.keys() - seen.keys():
            turn.delete(app_strays, sandbox=gone)
        for id, one in seen.items():
            told = {"disk": one.disk, "trouble": one.trouble}
            if id not in known:
                turn.insert(app_strays, sandbox=id, since=millis(turn.now), **told)
            elif any(getattr(known[id], name) != value for name, value in told.items()):
                turn.update(app_strays, {"sandbox": id}, **told)
        if seen:
            self.book.keep(turn, _unknown(str(turn.address), sorted(seen)))
        else:
            self.book.end(turn, STRAYS)
        return [SandboxId(row.sandbox) for row in turn.all(app_strays, removing=True)]

    @handles(RemoveStray)
    def remove_stray(self, turn: Turn, command: RemoveStray) -> StrayView:
        """Remembered; who compares sandboxes next removes it."""
        if not turn.update(app_strays, {"sandbox": command.sandbox}, removing=True, trouble=""):
            raise NotFound(f"nobody has seen a stray sandbox {command.sandbox}", field="sandbox")
        return stray(turn.one(app_strays, sandbox=command.sandbox))

    # runtime issues of scope `app` (R18-R20)

    @receives(TroubleRaised)
    def trouble_raised(self, turn: Turn, message: TroubleRaised) -> None:
        self.book.record(turn, message.trouble)

    @receives(TroubleEnded)
    def trouble_ended(self, turn: Turn, message: TroubleEnded) -> None:
        self.book.end(turn, message.fingerprint)

    @handles(RecordTrouble)
    def record_trouble(self, turn: Turn, command: RecordTrouble) -> None:
        self.book.record(turn, command.trouble)

    @handles(KeepTrouble)
    def keep_trouble(self, turn: Turn, command: KeepTrouble) -> None:
        self.book.keep(turn, command.trouble)

    @handles(EndTrouble)
    def end_trouble(self, turn: Turn, command: EndTrouble) -> None:
        self.book.end(turn, command.fingerprint)

    @handles(ClearIssues)
    def clear_issues(self, turn: Turn, command: ClearIssues) -> int:
        return self.book.clear(turn, command.issue)


def _unknown(me: str, ids: list[SandboxId]) -> Trouble:
    more = f" and {len(ids) - NAMED} more" if len(ids) > NAMED else ""
    number = "A sandbox" if len(ids) == 1 else f"{len(ids)} sandboxes"
    return Trouble(
        kind=IssueKind.SANDBOX_UNKNOWN,
        actor=me,
        scope=ScopeId(APP),
        fingerprint=STRAYS,
        code=IssueKind.SANDBOX_UNKNOWN.value,
        message=f"{number} of the provider's nobody uses: {', '.join(ids[:NAMED])}{more}.",
        remedy="Work may be in it, so it is left alone. Look at it; `foundry sandbox list` tells size and age, and "
        "`foundry sandbox remove ID` deletes one with all that is in it.",
    )
