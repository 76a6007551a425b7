"""GitHubState(org): which webhooks say that people's rights may be others now, and whose.

A change of an organization's base permission sends none: only the age of an answer ends it (docs/security.md).
"""

from __future__ import annotations

from foundry.actors.github_state.listings import access_changed
from foundry.actors.github_state.tables import github_members
from foundry.contracts.github_access import Role
from foundry.contracts.github_state import Delivered, HookPayload
from foundry.contracts.ids import RepositoryId, UserId
from foundry.runtime.turn import Turn

EVENTS = {"member", "membership", "team", "team_add", "organization", "public", "repository"}
HARMLESS = {  # actions after which everybody may do what they might before
    "repository": {"edited"},
    "team": {"created"},
    "organization": {"member_invited", "renamed"},
}
ASK_EACH = 20  # repositories of one event; if there are more, whole listings are read


def access_event(turn: Turn, message: Delivered) -> None:
    """Whoever is named, or everybody; the repository that is named, or each."""
    event, action, payload = message.event, message.action, message.payload
    if action in HARMLESS.get(event, ()):
        return
    repository = RepositoryId(str(payload.repository.id)) if payload.repository else None
    if event == "organization":
        access_changed(turn, _membership(turn, action, payload))
    elif event in ("member", "membership"):
        person = UserId(str(payload.member.id)) if payload.member else None
        access_changed(turn, person, repository if event == "member" else None)
    else:
        access_changed(turn, None, repository)


def repositories_chosen(turn: Turn, payload: HookPayload) -> None:
    """The App's repositories were chosen anew: everybody may reach others there."""
    changed = [RepositoryId(str(one.id)) for one in (*payload.repositories_added, *payload.repositories_removed)]
    if len(changed) > ASK_EACH:
        access_changed(turn)
    else:
        for repository in changed:
            access_changed(turn, None, repository)


def _membership(turn: Turn, action: str, payload: HookPayload) -> UserId | None:
    """Remember who came and who left. Return who; None if the event does not say."""
    seen = payload.membership
    if seen is None or seen.user is None:
        return None
    person = UserId(str(seen.user.id))
    if action == "member_removed":
        turn.delete(github_members, user=person)
    elif action == "member_added":
        role = Role.OWNER if seen.role == "admin" else Role.MEMBER
        turn.put(github_members, {"user": person}, login=seen.user.login, role=role)
    return person
