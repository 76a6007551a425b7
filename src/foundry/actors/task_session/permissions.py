"""The agent's permission requests, and the answers to them."""

from __future__ import annotations

import json

from foundry.actors.task_session.conversation import conversation
from foundry.actors.task_session.starts import deliver_answer
from foundry.actors.task_session.tables import session_permissions
from foundry.contracts.errors import BadInput, NotFound, WrongState
from foundry.contracts.session_stream import PermissionDelivered
from foundry.contracts.task_session import AnswerPermission, PermissionOption, PermissionState
from foundry.runtime.actor import handles
from foundry.runtime.columns import AnyRow
from foundry.runtime.turn import Turn


@handles(AnswerPermission)
def answer(turn: Turn, command: AnswerPermission) -> None:
    """1. The first answer counts. 2. Deliver it in the background."""
    c = conversation(turn)
    row = turn.find(session_permissions, permission=command.permission)
    if row is None:
        raise NotFound(f"session {turn.key} has no permission request {command.permission}")
    if row.state != PermissionState.WAITING:
        if row.answer == command.option:
            return
        raise WrongState(f"permission request {command.permission} is {row.state}")
    if command.option not in {option.id for option in _options(row)}:
        raise BadInput(f"the agent offers no option {command.option!r}", field="option")
    workflow = deliver_answer(c, command.permission, row.rpc, command.option)
    person = command.person.model_dump_json()
    c.move_permission(row, PermissionState.ANSWERING, answer=command.option, person=person, workflow=workflow)
    return


@handles(PermissionDelivered)
def permission_delivered(turn: Turn, command: PermissionDelivered) -> None:
    c = conversation(turn)
    row = turn.one(session_permissions, permission=command.permission)
    if row.state == PermissionState.ANSWERING:
        c.move_permission(row, PermissionState.ANSWERED)


def _options(row: AnyRow) -> list[PermissionOption]:
    return [PermissionOption.model_validate(option) for option in json.loads(row.options)]
