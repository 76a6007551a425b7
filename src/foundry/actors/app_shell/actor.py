"""AppShell: who is signed in, which installation belongs to whom, and what went wrong outside any organization."""

from __future__ import annotations

from datetime import timedelta

from foundry.actors.app_shell.tables import app_installations, app_issues, app_sessions, app_users
from foundry.actors.app_shell.views import installation_views
from foundry.actors.issue_book import IssueBook
from foundry.contracts.errors import BadInput
from foundry.contracts.issues import EndTrouble, RecordTrouble, TroubleEnded, TroubleRaised
from foundry.contracts.people import (
    ClearIssues,
    InstallationsChanged,
    InstallationSeen,
    OpenAppShell,
    SignIn,
    SignOut,
)
from foundry.contracts.words import millis
from foundry.runtime.actor import Actor, creates, due, handles, receives
from foundry.runtime.turn import Turn

SESSION_TERM = timedelta(days=30)
SESSION_SWEEP = timedelta(days=1)
HASH_LENGTH = 64  # hexadecimal digits of a SHA-256


class AppShell(Actor):
    """Owns app sessions, the index of people, the index of installations and the issues of scope `app`.

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
        """1. Only a hash is taken. 2. Each sign-in is an app session of its own. 3. Remember who was here."""
        if len(command.token_hash) != HASH_LENGTH or set(command.token_hash) - set("0123456789abcdef"):
            raise BadInput("the token's SHA-256 in hexadecimal is stored, never the token", field="token_hash")
        now, expires = millis(turn.now), turn.now + SESSION_TERM
        turn.delete(app_sessions, token_hash=command.token_hash)
        turn.insert(
            app_sessions,
            token_hash=command.token_hash,
            user=command.user,
            login=command.login,
            created_at=now,
            expires_at=millis(expires),
        )
        if not turn.update(app_users, {"user": command.user}, login=command.login, signed_in_at=now):
            turn.insert(app_users, user=command.user, login=command.login, signed_in_at=now)
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
        values = {"organization": message.organization, "login": message.login, "active": message.active}
        known = turn.find(app_installations, installation=message.installation)
        if known is not None and all(getattr(known, name) == value for name, value in values.items()):
            return
        if known is None:
            turn.insert(app_installations, installation=message.installation, **values)
        else:
            turn.update(app_installations, {"installation": message.installation}, **values)
        shown = installation_views(turn.all(app_installations))
        turn.publish(InstallationsChanged(entity="installations", installations=shown))

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

    @handles(EndTrouble)
    def end_trouble(self, turn: Turn, command: EndTrouble) -> None:
        self.book.end(turn, command.fingerprint)

    @handles(ClearIssues)
    def clear_issues(self, turn: Turn, command: ClearIssues) -> int:
        return self.book.clear(turn, command.issue)
