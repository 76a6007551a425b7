"""A session's transcript and its entries."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, cast

from markupsafe import Markup

from foundry.contracts.messages import Json
from foundry.contracts.task_session import Entry, EntryKind, MessageState, PermissionState
from foundry.web.diff import FileDiff, between
from foundry.web.templating import template

OUTPUT_LIMIT = 20_000  # characters; a tool call's longer output is truncated

STOPS = {
    "end_turn": "The agent has finished.",
    "cancelled": "Stopped.",
    "max_tokens": "The agent stopped: it reached its token limit.",
    "max_turn_requests": "The agent stopped: it reached its limit of requests in one turn.",
    "refusal": "The agent refused to continue.",
    "unknown": "It is unknown how this turn ended.",
}

TOOL_KINDS = {
    "read": "Read",
    "edit": "Edit",
    "delete": "Delete",
    "move": "Move",
    "search": "Search",
    "execute": "Run",
    "think": "Think",
    "fetch": "Fetch",
    "switch_mode": "Mode",
}
TOOL_TONES = {"completed": "good", "failed": "bad", "in_progress": "busy", "cancelled": "quiet"}


def whole(session: str, entries: Iterable[Entry], *, may_write: bool = True) -> Markup:
    """Render the whole transcript."""
    shown = [entry(session, item, may_write=may_write) for item in entries]
    return template("fragments/transcript.html", session=session, entries=shown)


def entry(session: str, item: Entry, *, may_write: bool = True) -> Markup:
    """Render one entry of a transcript. Agents may send data of any form, so every field is checked."""
    values: dict[str, object] = {"session": session, "entry": item, "may_write": may_write}
    values["order"] = f"{item.position}.{item.part:06d}" if item.part else str(item.position)
    values["filled"] = item.data.get("filled") is True
    match item.kind:
        case EntryKind.TOOL:
            values.update(tool=_tool(item.data), path=_path(item.data))
        case EntryKind.PLAN:
            values["steps"] = [
                {"content": _text(step.get("content")), "status": _text(step.get("status")) or "pending"}
                for step in _mappings(item.data.get("entries"))
            ]
        case EntryKind.PERMISSION:
            values["permission"] = _permission(item.data)
        case EntryKind.STOP:
            known = STOPS.get(item.text)
            failed = item.data.get("state") in (MessageState.FAILED, MessageState.UNKNOWN)
            values.update(words=known or item.text, tone="bad" if failed else "quiet")
        case EntryKind.GAP:
            missed = item.data.get("events")
            values.update(missed=missed if isinstance(missed, int) else 0, looked=item.data.get("looked") is True)
        case EntryKind.USER:
            login = _text(item.data.get("login"))
            values.update(login=login or "someone", name=_text(item.data.get("name")))
        case _:
            pass
    return template(f"fragments/entry_{item.kind.value}.html", **values)


def delta(entry_id: str, offset: int, text: str) -> Markup:
    """Render text to append to a streamed entry. The page appends it only if the current length equals `offset`
    (Unicode code points)."""
    return Markup('<span data-append="{}" data-offset="{}" data-length="{}">{}</span>').format(
        f"text-{entry_id}", offset, len(text), text
    )


def _tool(data: Json) -> dict[str, object]:
    status = _text(data.get("status")) or "pending"
    parts = [part for item in _mappings(data.get("content")) if (part := _part(item)) is not None]
    given = data.get("input")
    command = _mapping(given).get("command")
    if isinstance(command, list):
        command = " ".join(str(word) for word in cast("list[object]", command))
    shown_input = "" if isinstance(command, str) or not given or any(p["diff"] for p in parts) else _pretty(given)
    output = data.get("output")
    code = _mapping(output).get("exitCode")
    return {
        "kind": TOOL_KINDS.get(_text(data.get("kind")), ""),
        "status": status,
        "words": status.replace("_", " "),
        "tone": TOOL_TONES.get(status, "wait"),
        "title": _text(data.get("title")) or "Tool call",
        "command": command if isinstance(command, str) else "",
        "input": shown_input,
        "parts": parts,
        "output": "" if parts or not output else _pretty(output),
        "code": code if isinstance(code, int) else None,
        "added": sum(p["diff"].added for p in parts if p["diff"]),
        "removed": sum(p["diff"].removed for p in parts if p["diff"]),
    }


def _part(item: Json) -> dict[str, Any] | None:
    """Return one part of a tool call's content: text, or a change of a file."""
    if item.get("type") == "diff":
        old = item.get("oldText")
        diff: FileDiff = between(
            _text(item.get("path")), old if isinstance(old, str) else None, _text(item.get("newText"))
        )
        return {"diff": diff, "text": ""}
    content = _mapping(item.get("content"))
    text = _text(content.get("text")) or _text(content.get("uri"))
    return {"diff": None, "text": _cut(text)} if text.strip() else None


def _path(data: Json) -> str:
    places = _mappings(data.get("locations"))
    return _text(places[0].get("path")) if places else ""


def _permission(data: Json) -> dict[str, object]:
    state = _text(data.get("state")) or PermissionState.WAITING.value
    answer = _text(data.get("answer"))
    options = [
        {"id": _text(o.get("id")), "name": _text(o.get("name")) or _text(o.get("id")), "kind": _text(o.get("kind"))}
        for o in _mappings(data.get("options"))
        if _text(o.get("id"))
    ]
    chosen = next((option["name"] for option in options if option["id"] == answer), answer)
    return {
        "id": _text(data.get("permission")),
        "detail": _text(data.get("detail")),
        "options": options,
        "state": state,
        "waiting": state == PermissionState.WAITING,
        "chosen": chosen,
    }


def _pretty(value: object) -> str:
    return _cut(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2))


def _cut(text: str) -> str:
    return text if len(text) <= OUTPUT_LIMIT else f"{text[:OUTPUT_LIMIT]}\n… {len(text) - OUTPUT_LIMIT} more characters"


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _mapping(value: object) -> Json:
    return cast("Json", value) if isinstance(value, dict) else {}


def _mappings(value: object) -> list[Json]:
    return [_mapping(item) for item in cast("list[object]", value)] if isinstance(value, list) else []
