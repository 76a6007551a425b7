"""Turns the ACP messages of the agent's stream into entries, statuses and permission requests.

Status is derived from the protocol alone: a prompt ends with the response that carries its JSON-RPC id, or with the
agent's process. Unknown kinds are ignored; nothing that an agent sends makes a turn fail.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import structlog

from foundry.actors.task_session import gaps
from foundry.actors.task_session.acp import (
    AGENT_EXITED,
    CONTENT,
    REQUEST_PERMISSION,
    UPDATE,
    array,
    block_text,
    card_data,
    mapping,
    rpc_key,
    string,
    tool_detail,
)
from foundry.actors.task_session.connection import agent_gone
from foundry.actors.task_session.conversation import Conversation
from foundry.actors.task_session.starts import deliver_answer
from foundry.actors.task_session.tables import session_agents, session_messages, session_permissions
from foundry.contracts.ids import PermissionId
from foundry.contracts.messages import Json, millis
from foundry.contracts.session_stream import StreamItem
from foundry.contracts.task_session import EntryKind, MessageState, PermissionOption, PermissionState
from foundry.runtime.columns import AnyRow

TITLE = 200  # characters
FINISHED = ("completed", "failed", "cancelled")

log = structlog.get_logger("foundry.session")


class Reading:
    """Takes events of the stream, in order, into one turn's conversation."""

    def __init__(self, conversation: Conversation) -> None:
        self._c = conversation
        session = conversation.agent_session()
        self._agent_session_id = session.agent_session_id if session else ""
        self._standing: dict[str, Callable[[Json], None]] = {
            "current_mode_update": self._mode,
            "available_commands_update": self._commands,
            "usage_update": self._usage,
            "session_info_update": self._info,
        }

    def take(self, items: Sequence[StreamItem]) -> None:
        """1. Ignore known events. 2. Show missing ones as a gap. 3. Read the rest. The cursor moves with them."""
        for item in items:
            if not self._c.state.connected:
                return  # the agent's process ended: its later events do not count
            if self._new(item):
                self._message(item.message)

    def take_late(self, items: Sequence[StreamItem]) -> None:
        """Take only what the agent said: it was cut off, so its turn has ended and nobody can answer it."""
        for item in items:
            if self._new(item) and item.message.get("method") == UPDATE:
                self._update(mapping(item.message.get("params")))
        self._c.transcript.end_text()

    def _new(self, item: StreamItem) -> bool:
        """True if the event is new. Then the cursor moves to it, and a gap shows how many are missing before it."""
        state = self._c.state
        if item.event_id <= state.cursor:
            return False
        missing = item.event_id - state.cursor - 1
        if missing and not state.replay_ends:  # the transcript has what a replay lacks
            gaps.note(self._c.turn, self._c.transcript, missing)
        state.cursor = item.event_id
        return True

    def _message(self, message: Json) -> None:
        method = message.get("method")
        params = mapping(message.get("params"))
        if method is None:
            self._response(message)
        elif method == UPDATE:
            self._update(params)
        elif method == REQUEST_PERMISSION and "id" in message:
            self._permission(message["id"], params)
        elif method == AGENT_EXITED:
            self._exited(params)
        elif "id" in message:
            # Foundry never offers it, so it should not come. Without an answer the agent could wait forever.
            self._c.transcript.add(EntryKind.NOTE, f"The agent asked for {method}, which Foundry does not offer.")
        else:
            log.info("a notification that is not read", session=self._c.state.session, method=str(method))

    # what the agent says

    def _update(self, params: Json) -> None:
        update = mapping(params.get("update"))
        of = string(params.get("sessionId"))
        if of and self._agent_session_id and of != self._agent_session_id:
            return  # another session of the same process, e.g. a subagent's
        kind = string(update.get("sessionUpdate"))
        if kind in self._standing:
            self._standing[kind](update)
        elif kind in CONTENT and not self._c.state.replay_ends:
            self._c.arrived()
            self._content(CONTENT[kind], update)

    def _content(self, kind: EntryKind, update: Json) -> None:
        match kind:
            case EntryKind.TOOL:
                self._tool(update)
            case EntryKind.PLAN:
                self._plan(update)
            case _:
                self._chunk(kind, update)

    def _chunk(self, kind: EntryKind, update: Json) -> None:
        self._c.transcript.say(kind, block_text(update.get("content")), string(update.get("messageId")))

    def _tool(self, update: Json) -> None:
        call = string(update.get("toolCallId"))
        if not call:
            return
        card = f"tool:{call}"
        data = card_data(EntryKind.TOOL, update, self._c.transcript.data(card) or {})
        done = data["status"] in FINISHED
        self._c.transcript.card(card, EntryKind.TOOL, data, text=str(data["title"]), done=done)

    def _plan(self, update: Json) -> None:
        data = card_data(EntryKind.PLAN, update, {})
        done = all(entry.get("status") == "completed" for entry in data["entries"])
        self._c.transcript.card(f"plan:{self._c.state.running or ''}", EntryKind.PLAN, data, done=done)

    def _mode(self, update: Json) -> None:
        self._c.agent_says(mode=string(update.get("currentModeId")))

    def _commands(self, update: Json) -> None:
        names = [string(mapping(command).get("name")) for command in array(update.get("availableCommands"))]
        self._c.agent_says(commands=json.dumps([name for name in names if name]))

    def _usage(self, update: Json) -> None:
        self._add_usage({key: value for key, value in update.items() if key not in ("sessionUpdate", "_meta")})

    def _add_usage(self, usage: Json) -> None:
        if usage:
            row = self._c.turn.find(session_agents)
            known: Json = json.loads(row.usage) if row else {}
            self._c.agent_says(usage=json.dumps({**known, **usage}))

    def _info(self, update: Json) -> None:
        title = string(update.get("title")).strip()[:TITLE]
        if title and title != self._c.state.title:
            self._c.state.title = title

    # how a prompt ends

    def _response(self, message: Json) -> None:
        state, rpc = self._c.state, message.get("id")
        if state.replay_ends and str(rpc) == state.replay_ends:
            state.replay_ends = ""
            return
        row = self._c.turn.find(session_messages, rpc=rpc) if isinstance(rpc, str) else None
        if row is None:
            return  # of initialize, session/new and the like
        state.replay_ends = ""
        error = message.get("error")
        if error is not None:
            self._failed(row, mapping(error))
            return
        result = mapping(message.get("result"))
        reason = string(result.get("stopReason")) or "end_turn"
        to = MessageState.CANCELLED if reason == "cancelled" else MessageState.DONE
        self._add_usage(mapping(result.get("usage")))
        self._ended(row, to, reason)

    def _failed(self, row: AnyRow, error: Json) -> None:
        """The agent refused the prompt but still runs, so the session continues."""
        text = string(error.get("message")) or "the agent gave an error without words"
        details = error.get("data")
        if details:
            text = f"{text}: {details if isinstance(details, str) else json.dumps(details)}"[:2000]
        if self._ended(row, MessageState.FAILED, text):
            self._c.failure("agent_refused", text, "Read what the agent says, then resend the message.", "resend")

    def _ended(self, row: AnyRow, to: MessageState, outcome: str) -> bool:
        """True if this has ended the running prompt."""
        if row.message == self._c.state.running:
            self._c.end_prompt(to, outcome)
            return True
        if row.state == MessageState.UNKNOWN:  # it had been delivered after all
            self._c.state.lost = None
            self._c.move_message(row, to, outcome=outcome)
            self._c.nothing_to_resend()
        return False

    def _exited(self, params: Json) -> None:
        code = params.get("code")
        with_code = f" with code {code}" if isinstance(code, int) else ""
        agent_gone(self._c, f"The agent's process ended{with_code}.")

    # what the agent asks

    def _permission(self, rpc: object, params: Json) -> None:
        """1. Store the request. 2. Add its entry. 3. After a stop nobody has to answer it: it is cancelled."""
        c, call = self._c, mapping(params.get("toolCall"))
        c.arrived()
        if string(call.get("toolCallId")):
            self._tool(call)
        options = [
            PermissionOption(
                id=string(option.get("optionId")), name=string(option.get("name")), kind=string(option.get("kind"))
            )
            for option in map(mapping, array(params.get("options")))
            if string(option.get("optionId"))
        ]
        known = c.transcript.data(f"tool:{string(call.get('toolCallId'))}") or {}
        permission = PermissionId(c.turn.new_id("prm"))
        title = string(call.get("title")) or string(known.get("title")) or "The agent asks for permission"
        detail = tool_detail({"rawInput": known.get("input"), "content": known.get("content"), **call})
        c.turn.insert(
            session_permissions,
            permission=permission,
            rpc=rpc_key(rpc),
            title=title[:TITLE],
            detail=detail,
            options=json.dumps([option.model_dump() for option in options]),
            state=PermissionState.WAITING.value,
            at=millis(c.turn.now),
        )
        data: Json = {
            "permission": permission,
            "tool": string(call.get("toolCallId")),
            "detail": detail,
            "options": [option.model_dump() for option in options],
            "state": PermissionState.WAITING.value,
        }
        c.transcript.card(f"permission:{permission}", EntryKind.PERMISSION, data, text=title[:TITLE], done=False)
        if c.state.stopping:
            c.move_permission(c.turn.one(session_permissions, permission=permission), PermissionState.GONE)
            deliver_answer(c, permission, rpc_key(rpc), None)
