"""Reads ACP's JSON without trusting it: a value that is missing or has another type is empty."""

from __future__ import annotations

import json
from typing import Any, cast

from foundry.contracts.messages import Json
from foundry.contracts.task_session import EntryKind

CLIP = 20_000  # characters kept of one string in a tool call's data
UPDATE = "session/update"
REQUEST_PERMISSION = "session/request_permission"
CONTENT = {  # the updates that become entries of the transcript
    "agent_message_chunk": EntryKind.AGENT,
    "agent_thought_chunk": EntryKind.THOUGHT,
    "tool_call": EntryKind.TOOL,
    "tool_call_update": EntryKind.TOOL,
    "plan": EntryKind.PLAN,
}
AGENT_EXITED = "_adapter/agent_exited"  # sandbox-agent's own notification


def mapping(value: object) -> Json:
    return cast("Json", value) if isinstance(value, dict) else {}


def array(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []


def string(value: object) -> str:
    return value if isinstance(value, str) else ""


def rpc_key(value: object) -> str:
    """A JSON-RPC id as JSON, so that the number 1 and the string "1" stay different."""
    return json.dumps(value)


def block_text(block: object) -> str:
    """The text of a content block."""
    content = mapping(block)
    match content.get("type"):
        case "text":
            return string(content.get("text"))
        case "resource_link":
            return f"[{string(content.get('name')) or 'link'}]({string(content.get('uri'))})"
        case "resource":
            resource = mapping(content.get("resource"))
            return string(resource.get("text")) or f"[{string(resource.get('uri'))}]"
        case "image" | "audio":
            return f"[{content['type']}]"
        case _:
            return ""


def clip(value: Any) -> Any:
    """The same JSON with long strings cut; a cut string says how much is missing."""
    if isinstance(value, str):
        return value if len(value) <= CLIP else f"{value[:CLIP]}\n… {len(value) - CLIP} more characters"
    if isinstance(value, list):
        return [clip(item) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {key: clip(item) for key, item in cast("Json", value).items()}
    return value


NEW_TOOL: Json = {"title": "", "kind": "other", "status": "pending"}
TOOL_FIELDS = {
    "title": "title",
    "kind": "kind",
    "status": "status",
    "content": "content",
    "locations": "locations",
    "rawInput": "input",
    "rawOutput": "output",
}


def card_data(kind: EntryKind, update: Json, known: Json) -> Json:
    """The data of a tool call or plan after this update.

    Args:
        known: its data before; empty if it is new.
    """
    if kind is EntryKind.PLAN:
        return {"entries": [mapping(entry) for entry in array(update.get("entries"))]}
    fields = {ours: clip(update[theirs]) for theirs, ours in TOOL_FIELDS.items() if update.get(theirs) is not None}
    return {"id": string(update.get("toolCallId")), **NEW_TOOL, **known, **fields}


def tool_detail(call: Json) -> str:
    """What a person should see before allowing a tool call: its command, path or input."""
    given = mapping(call.get("rawInput"))
    for name in ("command", "cmd", "path", "filePath", "file_path", "url", "query"):
        value = given.get(name)
        if isinstance(value, str):
            return cast("str", clip(value))
        if parts := array(value):
            return " ".join(str(part) for part in parts)[:CLIP]
    if given:
        return json.dumps(clip(given), ensure_ascii=False)[:CLIP]
    texts = [block_text(mapping(item).get("content")) for item in array(call.get("content"))]
    return cast("str", clip("\n".join(text for text in texts if text)))
