"""The scripted agent over stdio, as sandbox-agent talks to it: it really does what its script says."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import acp
import pytest
from acp.client.connection import ClientSideConnection
from acp.schema import AllowedOutcome, DeniedOutcome, RequestPermissionResponse

from foundry.devkit.agent.performer import DEEDS
from foundry.devkit.agent.script import VERBS, BadScript, Line, default_script, parse, script_of
from tests.waiting import eventually


class Person:
    """The client's side: remembers what it heard and answers permission requests as told."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.answer: str | None = "allow"

    async def session_update(self, session_id: str, update: Any, **_: Any) -> None:
        self.heard.append(update.model_dump(mode="json", by_alias=True, exclude_none=True))

    async def request_permission(self, session_id: str, tool_call: Any, options: Any, **_: Any) -> Any:
        self.asked.append(tool_call.title)
        if self.answer is None:
            return RequestPermissionResponse(outcome=DeniedOutcome(outcome="cancelled"))
        return RequestPermissionResponse(outcome=AllowedOutcome(outcome="selected", option_id=self.answer))

    def words(self, kind: str = "agent_message_chunk") -> str:
        return "".join(update["content"]["text"] for update in self.heard if update["sessionUpdate"] == kind)

    def calls(self) -> dict[str, dict[str, Any]]:
        """Tool calls by title, each as it was last."""
        found: dict[str, dict[str, Any]] = {}
        for update in self.heard:
            if update["sessionUpdate"] in ("tool_call", "tool_call_update"):
                found.setdefault(update["toolCallId"], {}).update(update)
        return {call["title"]: call for call in found.values()}


class Stage:
    """An agent's process, a person, and a repository with one commit."""

    def __init__(self, home: Path, repository: Path) -> None:
        self.home, self.repository, self.person = home, repository, Person()
        self.process: asyncio.subprocess.Process
        self.agent: ClientSideConnection

    async def raise_curtain(self) -> None:
        env = {"HOME": str(self.home), "PATH": os.environ["PATH"], "SCRIPTED_AGENT_PACE_MS": "0"}
        pipe = asyncio.subprocess.PIPE
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "foundry.devkit.agent", stdin=pipe, stdout=pipe, env=env
        )
        self.agent = acp.connect_to_agent(self.person, self.process.stdin, self.process.stdout)  # type: ignore[arg-type]
        await self.agent.initialize(protocol_version=acp.PROTOCOL_VERSION)

    async def session(self) -> str:
        return (await self.agent.new_session(cwd=str(self.repository), mcp_servers=[])).session_id

    async def ask(self, session: str, *lines: str) -> str:
        return await self.say(session, "```script\n" + "\n".join(lines) + "\n```")

    async def say(self, session: str, text: str) -> str:
        return (await self.agent.prompt(session_id=session, prompt=[acp.text_block(text)])).stop_reason

    def git(self, *words: str) -> str:
        return subprocess.run(["git", *words], cwd=self.repository, capture_output=True, text=True, check=True).stdout


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    made = Stage(tmp_path / "home", tmp_path / "repo")
    made.home.mkdir()
    made.repository.mkdir()
    (made.repository / "README.md").write_text("# Sample\n")
    for words in (
        ("init", "-q", "-b", "main"),
        ("config", "user.name", "Ada"),
        ("config", "user.email", "ada@example.com"),
        ("add", "."),
        ("commit", "-qm", "Begin"),
    ):
        made.git(*words)
    await made.raise_curtain()
    yield made
    if made.process.returncode is None:
        made.process.kill()
    await made.process.wait()
    await made.agent.close()


async def test_every_command_is_done_and_told(stage: Stage):
    session = await stage.session()
    reason = await stage.ask(
        session,
        "think Let me see",
        "plan [x] A | [>] B | C",
        "say one two three four five six",
        "edit pkg/a.py <<END",
        "def f():",
        "    return 1",
        "END",
        "append README.md more words",
        "replace pkg/a.py return 1 => return 2",
        "read pkg/a.py",
        "run echo out; exit 3",
        "commit Add a",
        "say the end",
    )
    person = stage.person
    assert reason == "end_turn"
    assert person.words() == "one two three four five six\n\nthe end"
    assert person.words("agent_thought_chunk") == "Let me see"
    assert [entry["status"] for entry in next(u for u in person.heard if u["sessionUpdate"] == "plan")["entries"]] == [
        "completed",
        "in_progress",
        "pending",
    ]
    assert (stage.repository / "pkg" / "a.py").read_text() == "def f():\n    return 2\n"
    assert (stage.repository / "README.md").read_text() == "# Sample\nmore words\n"
    calls = person.calls()
    assert calls["echo out; exit 3"]["status"] == "failed"
    assert calls["echo out; exit 3"]["content"][0]["content"]["text"] == "out\n"
    assert calls["Edit README.md"]["content"][0]["type"] == "diff"
    assert calls["Read pkg/a.py"]["content"][0]["content"]["text"].endswith("return 2\n")
    assert stage.git("log", "-1", "--format=%an %s") == "Ada Add a\n"
    assert stage.git("status", "--short") == ""


async def test_what_it_wrote_down_is_what_it_said(stage: Stage):
    session = await stage.session()
    await stage.ask(session, "stream 50", "say end", "run echo hi")
    lines = (stage.home / ".scripted-agent" / f"{session}.jsonl").read_text().splitlines()
    assert [line["update"] for line in map(json.loads, lines) if "update" in line] == stage.person.heard
    assert stage.person.words().startswith("[1][2][3]")


async def test_an_earlier_session_is_loaded_by_a_new_process(stage: Stage):
    session = await stage.session()
    await stage.ask(session, "say before")
    stage.process.kill()
    await stage.process.wait()
    await stage.agent.close()
    heard, stage.person = stage.person.heard, Person()
    await stage.raise_curtain()
    await stage.agent.load_session(cwd=str(stage.repository), session_id=session, mcp_servers=[])
    assert stage.person.heard[0]["sessionUpdate"] == "user_message_chunk"
    assert stage.person.heard[1:] == heard
    await stage.ask(session, "say after")
    assert stage.person.words() == "beforeafter"


@pytest.mark.parametrize(
    ("answer", "words", "reason"),
    [("allow", "a\n\nb", "end_turn"), ("reject", "b", "end_turn"), (None, "", "cancelled")],
)
async def test_it_follows_the_answer_to_its_question(stage: Stage, answer: str | None, words: str, reason: str):
    stage.person.answer = answer
    session = await stage.session()
    assert await stage.ask(session, "ask May I", "say a", "say b") == reason
    assert stage.person.asked == ["May I"]
    assert stage.person.words() == words


async def test_a_cancel_stops_the_running_command_and_the_session_goes_on(stage: Stage):
    session = await stage.session()
    command = f"sleep 4242.{os.getpid()}"  # other runs of this test have their own
    turn = asyncio.create_task(stage.ask(session, f"run echo begun; {command}", "say never"))
    await eventually(lambda: "begun" in str(stage.person.heard))
    with pytest.raises(acp.RequestError):
        await stage.ask(session, "say meanwhile")
    await stage.agent.cancel(session_id=session)
    assert await asyncio.wait_for(turn, 5.0) == "cancelled"
    assert not subprocess.run(["pgrep", "-f", command], capture_output=True, check=False).stdout  # noqa: ASYNC221
    assert await stage.ask(session, "say later") == "end_turn"


async def test_failure_is_what_the_script_says(stage: Stage):
    session = await stage.session()
    with pytest.raises(acp.RequestError, match="no more credit"):
        await stage.ask(session, "fail no more credit")
    assert await stage.ask(session, "stop refusal") == "refusal"
    with pytest.raises(acp.RequestError):
        await stage.ask(session, "dance")

    quiet = asyncio.create_task(stage.ask(session, "append README.md quietly", "silent"))
    await eventually(lambda: "quietly" in (stage.repository / "README.md").read_text())
    await asyncio.wait({quiet}, timeout=0.2)
    assert not quiet.done()
    await stage.agent.cancel(session_id=session)
    assert await quiet == "cancelled"

    hung = asyncio.create_task(stage.ask(session, "say there", "hang"))
    await eventually(lambda: "there" in stage.person.words())
    await stage.agent.cancel(session_id=session)
    await asyncio.wait({hung}, timeout=0.2)
    assert not hung.done()

    other = await stage.session()
    crash = asyncio.create_task(stage.ask(other, "crash"))
    assert await asyncio.wait_for(stage.process.wait(), 5.0) == 1
    for turn in (crash, hung):
        with pytest.raises(ConnectionError):
            await turn


async def test_free_text_makes_a_small_real_commit_and_runs_the_tests(stage: Stage):
    (stage.repository / "tests").mkdir()
    (stage.repository / "tests" / "test_it.py").write_text("def test_it():\n    assert True\n")
    session = await stage.session()
    assert await stage.say(session, "Mention the weather; you have my permission") == "end_turn"
    assert stage.person.asked == ["Commit the change"]
    assert "Mention the weather" in (stage.repository / "README.md").read_text()
    assert stage.person.calls()["Run the tests"]["status"] == "completed"
    assert stage.git("log", "--format=%s").splitlines()[0].startswith("Mention the weather")
    assert stage.git("status", "--short") == ""


async def test_it_ends_when_its_client_hangs_up(stage: Stage):
    session = await stage.session()
    turn = asyncio.create_task(stage.ask(session, "say there", "hang"))
    await eventually(lambda: "there" in stage.person.words())
    assert stage.process.stdin is not None
    stage.process.stdin.close()
    assert await asyncio.wait_for(stage.process.wait(), 5.0) == 0
    with pytest.raises(ConnectionError):
        await turn


def test_every_verb_does_something():
    assert DEEDS.keys() | {"ask", "stop"} == VERBS


def test_a_script_is_found_between_other_words():
    found = script_of("Do this\n```script\nsay hi\n# a comment\n\nstop end_turn\n```\nplease", Path("/nowhere"))
    assert found == [Line("say", "hi"), Line("stop", "end_turn")]


@pytest.mark.parametrize("source", ["dance", "edit a <<EOF\nnever ended", "stop because"])
def test_a_bad_script_says_what_is_wrong(source: str):
    with pytest.raises(BadScript):
        parse(source)


def test_without_the_word_the_default_script_does_not_ask(tmp_path: Path):
    verbs = [line.verb for line in default_script("Improve it", tmp_path)]
    assert "ask" not in verbs
    assert verbs[-2:] == ["plan", "say"]
