"""GitHubState("app"): which installations each person may use, as GitHub said it (contracts/github_access.py)."""

from __future__ import annotations

import json

from foundry.actors.github_state.tables import github_access_changes, github_reaches, github_states
from foundry.contracts import addresses
from foundry.contracts.github_access import AccessMayHaveChanged, ReachChanged, RecordReach
from foundry.contracts.ids import UserId
from foundry.contracts.messages import millis
from foundry.runtime.actor import handles, receives
from foundry.runtime.turn import Turn


@handles(RecordReach)
def record_reach(turn: Turn, command: RecordReach) -> None:
    """1. Never overwrite what was asked for later. 2. Whoever watches the organizations hears of a change."""
    person, reached = command.person, command.reached
    row = turn.find(github_reaches, person=person)
    if row is not None and (row.number, row.at) > (command.number, millis(command.asked_at)):
        return
    new = {
        "installations": json.dumps(sorted(reached.installations)),
        "single_sign_on": json.dumps(sorted(reached.single_sign_on)),
    }
    turn.put(github_reaches, {"person": person}, number=command.number, at=millis(command.asked_at), **new)
    if row is not None and any(getattr(row, name) != value for name, value in new.items()):
        turn.send(addresses.app_shell(), AccessMayHaveChanged(person=person))


@receives(ReachChanged)
def reach_changed(turn: Turn, message: ReachChanged) -> None:
    forget_reach(turn, message.person)


def forget_reach(turn: Turn, person: UserId | None = None) -> None:
    """What was asked for before does not count any more; without a person, nobody's."""
    row = turn.find(github_states)
    if row is None:
        return  # no App is configured, so nobody was asked for
    number = row.access_number + 1
    turn.update(github_states, access_number=number)
    turn.put(github_access_changes, {"person": person or "", "repository": ""}, number=number, at=millis(turn.now))
    turn.send(addresses.app_shell(), AccessMayHaveChanged(person=person))
