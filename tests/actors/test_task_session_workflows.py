"""The long work of a session, end to end with the real workflows and worker; the agents' door is scripted."""

from __future__ import annotations

import pytest

from foundry.actors.watchdog import Watchdog
from foundry.contracts.sandbox_provider import AcpServerGone, AgentUnavailable, SandboxRefused, SandboxUnreachable
from foundry.contracts.session_stream import PromptDoubtful, StreamItem
from foundry.contracts.task import PromptEnded, SessionSeen
from foundry.contracts.task_session import (
    AnswerPermission,
    CloseSession,
    EntryKind,
    MessageState,
    OpenAgent,
    ResendMessage,
    ResumeSession,
    SessionStatus,
    StopSession,
)
from tests.actors.task_session_stage import ADA, Stage, stage
from tests.waiting import eventually
from tests.world.agents import Doors, asks, stopped, words

pytestmark = pytest.mark.slow


@pytest.fixture
def url(tmp_path: object) -> str:
    return f"sqlite:///{tmp_path}/foundry.db"


async def prompted(at: Stage, number: int = 1) -> str:
    """The JSON-RPC id of the prompt that the agent got as its `number`th."""
    await eventually(lambda: len(at.agents.prompts) >= number)
    return at.agents.prompts[number - 1][0]


async def test_from_the_first_prompt_to_its_end(store_url: str) -> None:
    async with stage(store_url, live=True, prompt="Fix it") as at:
        rpc = await prompted(at)
        at.agents.emit(at.server, words("Do"), words("ne"), stopped(rpc))
        await at.until(lambda v: v.status == SessionStatus.IDLE)
        assert [(e.kind, e.text) for e in await at.transcript()] == [
            (EntryKind.USER, "Fix it"),
            (EntryKind.AGENT, "Done"),
            (EntryKind.STOP, "end_turn"),
        ]
        await eventually(at.heard, lambda words: words[-1] == "PromptEnded")
        assert at.agents.prompts == [(rpc, "Fix it")]


async def test_the_stream_is_recorded_before_the_first_prompt(url: str) -> None:
    async with stage(url, live=True, prompt="x") as at:
        await prompted(at)
        names = [name for name, _ in at.agents.calls]
        assert names.index("open") < names.index("record") < names.index("stream")  # the worker comes later
        assert names.index("record") < names.index("prompt")


async def test_a_session_whose_stream_cannot_be_recorded_works(url: str) -> None:
    doors = Doors()
    doors.agents.fail["record"] = [SandboxRefused("no bash"), SandboxUnreachable("no route")]
    async with stage(url, live=True, doors=doors, prompt="x") as at:
        rpc = await prompted(at)
        at.agents.emit(at.server, words("Done"), stopped(rpc))
        view = await at.until(lambda v: v.status == SessionStatus.IDLE)
        assert view.failure is None


async def test_opening_is_asked_for_twice_and_done_once(url: str) -> None:
    async with stage(url, live=True, opened=False) as at:
        for _ in range(3):
            await at.task_says(OpenAgent())
        await at.until(lambda v: v.status == SessionStatus.READY)
        await at.task_says(OpenAgent())
        last = SessionSeen.model_validate_json((await at.heard("SessionSeen"))[-1]).session
        assert last.status == "ready"
        told = await eventually(lambda: at.heard("SessionSeen"), lambda seen: seen[-1:] == seen[-2:-1])
        assert told[-1] == told[-2], "asked again, it says again that it is ready"
        assert [name for name, _ in at.agents.calls].count("open") == 1


async def test_an_opening_that_fails_says_why_and_is_retried_under_another_server(url: str) -> None:
    doors = Doors()
    doors.agents.fail["open"] = [AgentUnavailable("claude is not installed")]
    async with stage(url, live=True, doors=doors) as at:
        view = await at.until(lambda v: v.status == SessionStatus.ERROR)
        assert view.failure
        assert (view.failure.code, view.failure.actions) == ("agent_unavailable", ["resume"])
        await eventually(lambda: [name for name, _ in doors.agents.calls] == ["open", "close"])
        await at.ask(ResumeSession(person=ADA))
        await at.until(lambda v: v.status == SessionStatus.READY)
        first, second = [what for name, what in doors.agents.calls if name == "open"]
        assert first != second


async def test_attempts_that_fail_are_shown_until_one_succeeds(url: str) -> None:
    doors = Doors()
    doors.sandboxes.fail["install"] = [SandboxUnreachable("no route")]
    async with stage(url, live=True, doors=doors, opened=False) as at:
        await at.task_says(OpenAgent())
        view = await at.until(lambda v: v.failure)
        assert view.failure
        assert (view.status, view.failure.code, view.failure.attempt) == ("pending", "sandbox_unreachable", 1)
        assert view.failure.retry_at
        await at.until(lambda v: v.status == SessionStatus.READY and v.failure is None)


async def test_a_prompt_nobody_took_is_sent_again(url: str) -> None:
    async with stage(url, live=True) as at:
        at.agents.fail["prompt"] = [SandboxUnreachable("refused")]
        await at.send("x")
        await prompted(at)
        await at.until(lambda v: v.messages == [] and v.running)
        assert [text for _, text in at.agents.prompts] == ["x"]


async def test_a_prompt_that_was_cut_off_is_not_sent_again(url: str) -> None:
    async with stage(url, live=True) as at:
        at.agents.fail["prompt"] = [PromptDoubtful("broke off")]
        message = await at.send("x")
        await at.until(lambda v: v.messages and v.messages[0].state == MessageState.UNKNOWN)
        assert at.agents.prompts == []
        await at.ask(ResendMessage(message=message, person=ADA))
        rpc = await prompted(at)
        at.agents.emit(at.server, stopped(rpc))
        await at.until(lambda v: v.status == SessionStatus.IDLE and not v.messages)


async def test_a_process_that_dies_while_sending_leaves_the_outcome_unknown(store_url: str) -> None:
    """The step runs again in the next process, and must not POST again."""
    doors = Doors()
    doors.agents.hold.clear()  # the prompt has left, no answer has come
    async with stage(store_url, live=True, doors=doors) as at:
        await at.send("x")
        await eventually(lambda: ("prompt", "x") in doors.agents.calls)
        session = at.session
    doors.agents.hold.set()
    async with stage(store_url, live=True, doors=doors, again=session) as at:
        view = await at.until(lambda v: v.messages and v.messages[0].state == MessageState.UNKNOWN, limit=30)
        assert view.status == SessionStatus.IDLE
        assert doors.agents.calls.count(("prompt", "x")) == 1


async def test_after_a_restart_the_stream_shows_that_the_prompt_had_arrived(store_url: str) -> None:
    doors = Doors()
    doors.agents.hold.clear()
    async with stage(store_url, live=True, doors=doors) as at:
        await at.send("x")
        await eventually(lambda: ("prompt", "x") in doors.agents.calls)
        session, server = at.session, at.server
    doors.agents.emit(server, words("Working"))
    watchdog = Watchdog({"prompt unknown": 20})
    async with stage(store_url, live=True, doors=doors, again=session, watchdog=watchdog) as at:
        await at.until(lambda v: v.running and not v.messages, limit=30)
        assert [e.text for e in await at.transcript()] == ["x", "Working"]
        assert doors.agents.calls.count(("prompt", "x")) == 1


async def test_a_prompt_to_a_server_that_is_gone_waits_for_the_next(url: str) -> None:
    async with stage(url, live=True) as at:
        at.agents.fail["prompt"] = [AcpServerGone("not known")]
        await at.send("x")
        rpc = await prompted(at)  # by itself, after the resume
        assert len(at.agents.servers) == 2
        at.agents.emit(list(at.agents.servers)[-1], stopped(rpc))
        await at.until(lambda v: v.status == SessionStatus.IDLE)
        assert [e.kind for e in await at.transcript() if e.kind == EntryKind.USER] == [EntryKind.USER]


async def test_a_dead_agent_is_replaced_and_gets_the_conversation(url: str) -> None:
    async with stage(url, live=True, prompt="Fix it") as at:
        rpc = await prompted(at)
        at.agents.emit(at.server, words("Fixed"), stopped(rpc))
        await at.until(lambda v: v.status == SessionStatus.IDLE)
        at.agents.emit(at.server, {"method": "_adapter/agent_exited", "params": {"code": 1}})
        await eventually(lambda: len(at.agents.servers) == 2)
        await at.until(lambda v: v.status == SessionStatus.IDLE and v.failure is None)
        names = [name for name, _ in at.agents.calls]
        assert names.index("close") < len(names) - 1 - names[::-1].index("open")
        await at.send("And now?")
        await prompted(at, 2)
        text = at.agents.prompts[1][1]
        assert "[person] Fix it\n[you] Fixed" in text
        assert text.endswith("And now?")
        assert "And now?" not in text[: -len("And now?")]
        second = list(at.agents.servers)[1]
        at.agents.emit(second, {**words("ok"), "params": {**words("ok")["params"], "sessionId": "agent-2"}})
        await eventually(at.transcript, lambda entries: entries[-1].text == "ok")


async def test_a_loaded_agent_does_not_get_the_conversation_again(url: str) -> None:
    doors = Doors()
    doors.agents.can_load = True
    async with stage(url, live=True, doors=doors, prompt="Fix it") as at:
        rpc = await prompted(at)
        at.agents.emit(at.server, words("Fixed"), stopped(rpc))
        await at.until(lambda v: v.status == SessionStatus.IDLE)
        at.agents.lose(at.server)
        await eventually(lambda: len(at.agents.servers) == 2)
        second = list(at.agents.servers)[1]
        at.agents.emit(second, words("Fixed"), {"id": "load", "result": {}})
        await at.until(lambda v: v.status == SessionStatus.IDLE and v.failure is None)
        await at.send("More")
        await prompted(at, 2)
        assert at.agents.prompts[1][1] == "More"
        assert [e.text for e in await at.transcript() if e.kind == EntryKind.AGENT] == ["Fixed"]


async def test_stop_reaches_the_agent(url: str) -> None:
    async with stage(url, live=True, prompt="x") as at:
        rpc = await prompted(at)
        at.agents.emit(at.server, asks(0))
        await at.until(lambda v: v.permissions)
        await at.ask(StopSession(person=ADA))
        await eventually(lambda: at.agents.answers == [("0", None)])
        assert ("cancel", at.server) in at.agents.calls
        at.agents.emit(at.server, stopped(rpc, "cancelled"))
        await at.until(lambda v: v.status == SessionStatus.IDLE)


async def test_an_agent_that_does_not_stop_is_started_anew(url: str) -> None:
    async with stage(url, live=True, prompt="x") as at:
        await prompted(at)
        await at.ask(StopSession(person=ADA))
        await eventually(lambda: len(at.agents.servers) == 2, limit=15)
        await at.until(lambda v: v.status == SessionStatus.IDLE)
        assert ("close", at.server) in at.agents.calls
        ended = [PromptEnded.model_validate_json(body).outcome for body in await at.heard("PromptEnded")]
        assert ended == ["cancelled"]


async def test_an_answer_reaches_the_agent(url: str) -> None:
    async with stage(url, live=True, prompt="x") as at:
        await prompted(at)
        at.agents.emit(at.server, asks("r1"))
        view = await at.until(lambda v: v.permissions)
        await at.ask(AnswerPermission(permission=view.permissions[0].id, option="yes", person=ADA))
        await at.until(lambda v: not v.permissions)
        assert at.agents.answers == [('"r1"', "yes")]


async def test_an_answer_that_cannot_be_delivered_can_be_given_again(url: str) -> None:
    async with stage(url, live=True, prompt="x") as at:
        await prompted(at)
        at.agents.emit(at.server, asks("r1"))
        view = await at.until(lambda v: v.permissions)
        at.agents.fail["answer"] = [AgentUnavailable("no")]
        answer = AnswerPermission(permission=view.permissions[0].id, option="yes", person=ADA)
        await at.ask(answer)
        view = await at.until(lambda v: v.failure and v.permissions[0].state == "waiting")
        assert view.permissions[0].answer is None
        await at.ask(answer)
        await at.until(lambda v: not v.permissions)


async def test_a_closed_session_ends_its_agent(url: str) -> None:
    async with stage(url, live=True) as at:
        await at.task_says(CloseSession())
        await eventually(lambda: ("close", at.server) in at.agents.calls)
        await at.until(lambda v: v.status == SessionStatus.CLOSED)


async def test_what_an_agent_had_said_before_it_was_cut_off_is_read(url: str) -> None:
    """Its words, from the recorder; not what it asked, and not a second time what was read before."""
    async with stage(url, live=True, prompt="x", watchdog=Watchdog({"stopping": 0.3})) as at:
        await prompted(at)
        old = at.agents.servers[at.server]
        at.agents.emit(at.server, words("One, "))
        await eventually(at.transcript, lambda entries: "One, " in [e.text for e in entries])
        unread = [words("two, "), asks("7"), words("three.")]
        known = len(old.items)
        old.recorded = [*old.items, *(StreamItem(event_id=known + n, message=m) for n, m in enumerate(unread, 1))]
        await at.ask(StopSession(person=ADA))  # which it ignores
        await eventually(lambda: "open" in [name for name, _ in at.agents.calls][5:], limit=20)
        await at.until(lambda v: v.status == SessionStatus.IDLE and v.failure is None, limit=20)
        entries = await at.transcript()
        assert "".join(e.text for e in entries if e.kind is EntryKind.AGENT) == "One, two, three."
        assert all(e.complete for e in entries)
        assert [e.kind for e in entries if e.kind in (EntryKind.GAP, EntryKind.PERMISSION)] == []
        order = [name for name, _ in at.agents.calls if name in ("end", "recorded", "close", "open")]
        assert order[-5:] == ["end", "recorded", "recorded", "close", "open"]
