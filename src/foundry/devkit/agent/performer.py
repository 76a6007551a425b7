"""Performs a script and reports to the client like a coding agent."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import re
import shlex
import shutil
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import acp
from acp.interfaces import Client
from acp.schema import AllowedOutcome, PermissionOption, ToolCallLocation, ToolCallUpdate

from foundry.devkit.agent.memory import Memory
from foundry.devkit.agent.script import Line

OUTPUT_LIMIT = 20_000  # characters; longer output of a command is truncated
PACE = float(os.environ.get("SCRIPTED_AGENT_PACE_MS", "10")) / 1000  # seconds between streamed chunks
WORDS_PER_CHUNK = 4  # of a streamed answer

_MARKS = {"[x]": "completed", "[>]": "in_progress", "[ ]": "pending"}


class Failed(Exception):
    """The script makes the prompt fail."""


class Cancelled(Exception):
    """The person cancelled the turn instead of answering a permission request."""


@dataclass
class Deaf:
    """Controls whether the session obeys a cancel."""

    deaf: bool = False


class Performer:
    """The run of one prompt. `perform` returns the reason why the turn ended."""

    def __init__(self, client: Client, session: str, cwd: Path, memory: Memory, deaf: Deaf) -> None:
        self._client = client
        self._session = session
        self._cwd = cwd
        self._memory = memory
        self._deaf = deaf
        self._delay = PACE
        self._calls = sum(1 for kind, _ in memory.read() if kind == "update")
        self._spoke = False
        self._mute = False

    async def perform(self, script: list[Line]) -> str:
        skip = False
        for line in script:
            if skip:
                skip = False
                continue
            if line.verb == "stop":
                return line.text
            if line.verb == "ask":
                try:
                    skip = not await self._ask(line.words)
                except Cancelled:
                    return "cancelled"
                continue
            await DEEDS[line.verb](self, line)
        if self._mute:
            await asyncio.Event().wait()
        return "end_turn"

    # Text

    async def _say(self, line: Line) -> None:
        text = line.words.strip("\n")
        await self._chunks(("\n\n" if self._spoke else "") + text, acp.update_agent_message_text)
        self._spoke = True

    async def _think(self, line: Line) -> None:
        await self._chunks(line.words.strip("\n"), acp.update_agent_thought_text)

    async def _plan(self, line: Line) -> None:
        entries: list[Any] = []
        for part in line.words.replace("\n", "|").split("|"):
            part = part.strip()
            if part:
                status = _MARKS.get(part[:3], "pending")
                entries.append({"content": part[3:].strip() if part[:3] in _MARKS else part, "status": status})
        await self._send(acp.update_plan([acp.plan_entry(e["content"], status=e["status"]) for e in entries]))

    async def _stream(self, line: Line) -> None:
        words = line.text.split()
        count, delay, size = (int(words[at]) if at < len(words) else 0 for at in range(3))
        for number in range(1, count + 1):
            await self._send(acp.update_agent_message_text(f"[{number}]".ljust(size, ".")))
            await asyncio.sleep(delay / 1000)
        self._spoke = True

    # Files

    async def _read(self, line: Line) -> None:
        path = self._cwd / line.text
        call = await self._begin(f"Read {line.text}", "read", path)
        try:
            text = path.read_text(errors="replace")[:OUTPUT_LIMIT]
        except OSError as problem:
            await self._end(call, str(problem), failed=True)
        else:
            await self._end(call, text)

    async def _edit(self, line: Line) -> None:
        await self._write(line.text, lambda _: line.body or "")

    async def _append(self, line: Line) -> None:
        path, _, text = line.text.partition(" ")
        added = text + "\n" if line.body is None else line.body
        await self._write(path, lambda old: old + ("\n" if old and not old.endswith("\n") else "") + added)

    async def _replace(self, line: Line) -> None:
        path, _, rest = line.text.partition(" ")
        old, arrow, new = rest.partition(" => ")

        def change(text: str) -> str:
            if not arrow or old not in text:
                raise Failed(f"{path} has no {old!r} to replace")
            return text.replace(old, new, 1)

        await self._write(path, change)

    async def _write(self, name: str, change: Callable[[str], str]) -> None:
        path = self._cwd / name
        before = path.read_text() if path.exists() else None
        after = change(before or "")
        call = await self._begin(f"Edit {name}", "edit", path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(after)
        diff = acp.tool_diff_content(str(path), after, before)
        await self._send(acp.update_tool_call(call, status="completed", content=[diff]))

    # Commands

    async def _run(self, line: Line) -> None:
        await self._command(line.words.strip(), title=line.words.strip().splitlines()[0])

    async def _test(self, line: Line) -> None:
        command = test_command(self._cwd)
        if command is None:
            await self._say(Line("say", "The repository has no tests that I know how to run."))
        else:
            await self._command(command, title="Run the tests")

    async def _commit(self, line: Line) -> None:
        message = line.words.strip() or "Change what was asked"
        await self._command(
            'git add --all && { git diff --cached --quiet && echo "nothing to commit" || git commit -m "$MESSAGE"; }',
            title=f"Commit: {message.splitlines()[0]}",
            env={"MESSAGE": message},
        )

    async def _command(self, command: str, *, title: str, env: dict[str, str] | None = None) -> None:
        call = await self._begin(title, "execute", raw_input={"command": command})
        process = await asyncio.create_subprocess_exec(
            "/bin/sh",
            "-c",
            command,
            cwd=self._cwd,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **(env or {})},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        assert process.stdout is not None
        output = ""
        try:
            while chunk := await process.stdout.read(8192):
                output = (output + chunk.decode(errors="replace"))[-OUTPUT_LIMIT:]
                await self._send(acp.update_tool_call(call, status="in_progress", content=_text(output)))
            code = await process.wait()
        except asyncio.CancelledError:
            await self._end(call, output + "\n(cancelled)", failed=True)
            raise
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
        await self._end(call, output, failed=code != 0, raw_output={"exitCode": code})

    # Questions

    async def _ask(self, title: str) -> bool:
        """Ask for permission. Returns True if the person allows it."""
        call = self._new_call()
        options = [
            PermissionOption(option_id="allow", name="Allow", kind="allow_once"),
            PermissionOption(option_id="reject", name="Reject", kind="reject_once"),
        ]
        update = ToolCallUpdate(tool_call_id=call, title=title, kind="other", status="pending")
        await self._send(acp.start_tool_call(call, title, kind="other", status="pending"))
        self._memory.write("asked", {"title": title, "call": call})
        answer = await self._client.request_permission(session_id=self._session, tool_call=update, options=options)
        if not isinstance(answer.outcome, AllowedOutcome):
            self._memory.write("answered", None)
            raise Cancelled
        self._memory.write("answered", answer.outcome.option_id)
        allowed = answer.outcome.option_id == "allow"
        await self._send(acp.update_tool_call(call, status="completed" if allowed else "failed"))
        return allowed

    # Time and failures

    async def _sleep(self, line: Line) -> None:
        await asyncio.sleep(float(line.text))

    async def _pace(self, line: Line) -> None:
        self._delay = float(line.text) / 1000

    async def _fail(self, line: Line) -> None:
        raise Failed(line.words.strip() or "the script says so")

    async def _silent(self, line: Line) -> None:
        self._mute = True

    async def _hang(self, line: Line) -> None:
        self._deaf.deaf = True
        await asyncio.Event().wait()

    async def _crash(self, line: Line) -> None:
        os._exit(1)

    # Reporting to the client

    async def _chunks(self, text: str, update: Callable[[str], Any]) -> None:
        words = re.findall(r"\s*\S+\s*?", text) or [text]
        for at in range(0, len(words), WORDS_PER_CHUNK):
            await self._send(update("".join(words[at : at + WORDS_PER_CHUNK])))
            await asyncio.sleep(self._delay)

    def _new_call(self) -> str:
        self._calls += 1
        return f"call_{self._calls}"

    async def _begin(
        self,
        title: str,
        kind: Literal["read", "edit", "execute", "other"],
        path: Path | None = None,
        raw_input: Any = None,
    ) -> str:
        call = self._new_call()
        places = [ToolCallLocation(path=str(path))] if path else None
        await self._send(
            acp.start_tool_call(call, title, kind=kind, status="in_progress", locations=places, raw_input=raw_input)
        )
        return call

    async def _end(self, call: str, output: str, *, failed: bool = False, raw_output: Any = None) -> None:
        status: Literal["failed", "completed"] = "failed" if failed else "completed"
        await self._send(acp.update_tool_call(call, status=status, content=_text(output), raw_output=raw_output))

    async def _send(self, update: Any) -> None:
        """Store the update first, then send it. There is no wait in between, so a cancel loses neither."""
        self._memory.write("update", update.model_dump(mode="json", by_alias=True, exclude_none=True))
        await self._client.session_update(session_id=self._session, update=update)


DEEDS: dict[str, Callable[[Performer, Line], Awaitable[None]]] = {
    "say": Performer._say,
    "think": Performer._think,
    "plan": Performer._plan,
    "stream": Performer._stream,
    "read": Performer._read,
    "edit": Performer._edit,
    "append": Performer._append,
    "replace": Performer._replace,
    "run": Performer._run,
    "test": Performer._test,
    "commit": Performer._commit,
    "sleep": Performer._sleep,
    "pace": Performer._pace,
    "fail": Performer._fail,
    "silent": Performer._silent,
    "hang": Performer._hang,
    "crash": Performer._crash,
}
"""The methods for a script's verbs. `perform` handles `stop` and `ask`, which decide how the script continues."""


def _text(output: str) -> list[Any]:
    return [acp.tool_content(acp.text_block(output))]


def test_command(repository: Path) -> str | None:
    """Return the command that runs this repository's tests, or None if it cannot be found out from its files."""
    makefile = repository / "Makefile"
    if makefile.exists() and re.search(r"^test:", makefile.read_text(), re.MULTILINE) and shutil.which("make"):
        return "make test"
    if any(repository.glob("tests/**/test_*.py")) or any(repository.glob("test_*.py")):
        runner = "pytest -q -p no:cacheprovider" if importlib.util.find_spec("pytest") else "unittest discover -s ."
        return f"PYTHONPATH=.:src {shlex.quote(sys.executable)} -m {runner}"
    package = repository / "package.json"
    if package.exists() and "test" in json.loads(package.read_text()).get("scripts", {}) and shutil.which("npm"):
        return "npm test"
    return None
