"""`foundry inspect`: shows what the runtime holds now."""

from __future__ import annotations

from collections.abc import Iterator

from foundry.cli import sandbox
from foundry.cli.client import AsJson, Client, DataDir, Json, Url, show

SECTIONS = ("actors", "mailboxes", "set_aside", "workflows", "leases", "schedules", "blobs")


def inspect(url: Url = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Show what the runtime holds now: actors, mailboxes, workflows and their steps, leases, schedules, sandboxes."""
    found = Client(url, None, data_dir, admin=True).ask("GET", "/api/app/inspect")
    show(found, as_json, _lines(found))


def _lines(found: Json) -> Iterator[str]:
    yield f"{found['executor']} at {found['at']}"
    if found["stuck"]:
        yield f"STUCK: {found['stuck']}"
    for section in SECTIONS:
        more = ", truncated" if section in found["cut"] else ""
        yield f"\n{section.replace('_', ' ')} ({len(found[section])}{more})"
        for row in found[section]:
            yield from _row(section, row)
    yield "\nsandboxes" + (" (truncated)" if {"sandboxes", "orphans"} & set(found["cut"]) else "")
    yield from (f"  {line}" for line in sandbox.lines(found["disk"]))


def _row(section: str, row: Json) -> Iterator[str]:
    match section:
        case "actors":
            yield f"  {row['kind']}: {row['alive']}" + (f", {row['ended']} ended" if row["ended"] else "")
        case "mailboxes":
            aside = f", {row['set_aside']} set aside" if row["set_aside"] else ""
            yield f"  {row['receiver']}: {row['waiting']} waiting, oldest {row['oldest']:.1f} s{aside}"
        case "set_aside":
            yield f"  {row['id']}: {row['word']} from {row['sender']} to {row['receiver']}, {row['tries']} tries"
            yield f"    {row['error']}"
        case "workflows":
            crashes = f", {row['crashes']} crashes" if row["crashes"] else ""
            status = "cancelled" if row["cancelled"] else row["status"] or "not started yet"
            yield f"  {row['id']} {row['name']} of {row['owner']}: {status}, {row['age']:.1f} s{crashes}"
            for step in row["steps"]:
                yield f"    {step['name']}" + (f" {step['seconds']:.2f} s" if step["seconds"] is not None else "")
        case "leases":
            yield f"  {row['name']}: {row['holder']} ({row['fencing']}), {_when(row['left'], 'left', 'expired')}"
        case "schedules":
            failing = f", failed {row['tries']} times: {row['error']}" if row["tries"] else ""
            yield f"  {row['actor']} {row['name']}: {_when(row['due_in'], 'left', 'overdue')}{failing}"
        case _:
            yield f"  {row['kind']}: {row['count']}, {row['size'] / 1e6:.1f} MB"


def _when(seconds: float, ahead: str, behind: str) -> str:
    return f"{abs(seconds):.1f} s {ahead if seconds >= 0 else behind}"
