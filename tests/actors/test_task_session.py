"""What a session promises its people: messages in order, a transcript that is never wrong, requests, stop, drafts."""

from __future__ import annotations

import pytest

from foundry.actors.task_session.jobs import SendPrompt
from foundry.actors.task_session.views import personal_view
from foundry.contracts.errors import BadInput, NotFound, WrongState
from foundry.contracts.ids import MessageId
from foundry.contracts.session_stream import PermissionDelivered, PromptSent, PromptUnknown, StreamBack, StreamLost
from foundry.contracts.task import PromptEnded, PromptGranted
from foundry.contracts.task_session import (
    AnswerPermission,
    CloseSession,
    EntryKind,
    MarkRead,
    MessageState,
    PermissionState,
    ResendMessage,
    ResumeSession,
    SandboxLost,
    SaveDraft,
    SendMessage,
    SessionClosed,
    SessionStatus,
    StopSession,
    WithdrawMessage,
)
from tests.actors.task_session_stage import ADA, BOB, Stage, stage
from tests.waiting import eventually
from tests.world.agents import asks, refused, stopped, update, words


@pytest.fixture
def url(tmp_path: object) -> str:
    return f"sqlite:///{tmp_path}/foundry.db"


async def kinds(at: Stage) -> list[str]:
    return [entry.kind.value for entry in await at.transcript()]


async def outcomes(at: Stage) -> list[str]:
    return [PromptEnded.model_validate_json(body).outcome for body in await at.heard("PromptEnded")]


# the queue


async def test_a_first_prompt_waits_until_the_agent_is_there(url: str) -> None:
    async with stage(url, opened=False, prompt="Fix the\nlogin") as at:
        view = await at.until(lambda v: v.messages)
        assert (view.status, view.title, view.messages[0].state) == (SessionStatus.PENDING, "Fix the", "queued")
        await at.open()
        view = await at.until(lambda v: v.status == SessionStatus.RUNNING)
        assert [entry.text for entry in await at.transcript()] == ["Fix the\nlogin"]
        assert view.messages[0].state == MessageState.SENDING
        await at.ask(PromptSent(message=view.messages[0].id))
        assert (await at.view()).messages == []


async def test_a_turn_ends_with_the_response_that_carries_its_id(store_url: str) -> None:
    async with stage(store_url) as at:
        message, rpc = await at.run()
        await at.stream(
            {"jsonrpc": "2.0", "id": "foundry-open", "result": {"sessionId": "x"}}, words("Hel"), words("lo")
        )
        assert (await at.view()).status == SessionStatus.RUNNING
        await at.check()
        await at.stream(stopped(rpc))
        view = await at.until(lambda v: v.status == SessionStatus.IDLE)
        assert view.running is None
        user, said, stop = await at.transcript()
        assert (user.kind, user.data["login"], user.data["message"]) == (EntryKind.USER, "ada", message)
        assert (said.kind, said.text, said.complete) == (EntryKind.AGENT, "Hello", True)
        assert (stop.kind, stop.text) == (EntryKind.STOP, "end_turn")
        await eventually(lambda: outcomes(at), lambda o: o == ["end_turn"])


async def test_messages_run_in_order_one_at_a_time(url: str) -> None:
    async with stage(url) as at:
        _, rpc = await at.run("one")
        two = await at.send("two", BOB)
        three = await at.send("three")
        assert [m.id for m in (await at.view()).messages if m.state == MessageState.QUEUED] == [two, three]
        await at.stream(stopped(rpc))
        await at.until(lambda v: v.running == two)
        assert [m.id for m in (await at.view()).messages if m.state == MessageState.QUEUED] == [three]


async def test_a_message_sent_twice_is_queued_once(url: str) -> None:
    async with stage(url, grants=False) as at:
        for _ in range(2):
            await at.ask(SendMessage(id=MessageId("msg_1"), text="x", person=ADA))
        assert len((await at.view()).messages) == 1


async def test_an_agents_error_fails_the_message_and_the_session_goes_on(url: str) -> None:
    async with stage(url) as at:
        message, rpc = await at.run()
        await at.stream(refused(rpc))
        view = await at.view()
        assert (view.status, view.messages[0].state, view.messages[0].outcome) == ("idle", "failed", "no credit")
        assert view.failure
        assert view.failure.actions == ["resend"]
        await at.check()
        await at.ask(ResendMessage(message=message, person=ADA))
        view = await at.until(lambda v: v.status == SessionStatus.RUNNING)
        assert view.failure is None
        assert await kinds(at) == ["user", "stop", "user"]


async def test_a_failed_message_that_is_dismissed_leaves_no_failure(url: str) -> None:
    async with stage(url) as at:
        message, rpc = await at.run()
        await at.stream(refused(rpc))
        assert (await at.view()).failure
        view = await at.ask(WithdrawMessage(message=message, person=ADA))
        assert (view.failure, view.messages) == (None, [])


async def test_a_grant_that_fits_nothing_is_given_back(url: str) -> None:
    async with stage(url, opened=False, grants=False) as at:
        message = await at.send("x")
        await at.task_says(PromptGranted(message=message))
        await eventually(lambda: outcomes(at), lambda o: o == ["not_sent"])
        first, again = await eventually(lambda: at.heard("PromptWaiting"), lambda waiting: len(waiting) == 2)
        assert again == first, "it waits again at once, in its place"
        await at.ask(WithdrawMessage(message=message, person=ADA))
        await at.task_says(PromptGranted(message=message))
        await eventually(lambda: outcomes(at), lambda o: o == ["not_sent", "cancelled"])
        assert (await at.view()).messages == []


async def test_what_is_with_the_agent_cannot_be_withdrawn_or_resent(url: str) -> None:
    async with stage(url) as at:
        message, _ = await at.run()
        for command in (WithdrawMessage(message=message, person=ADA), ResendMessage(message=message, person=ADA)):
            with pytest.raises(WrongState):
                await at.ask(command)
        with pytest.raises(NotFound):
            await at.ask(ResendMessage(message=MessageId("msg_0"), person=ADA))


# an unknown outcome


async def test_a_doubtful_prompt_that_the_stream_shows_has_arrived(url: str) -> None:
    async with stage(url) as at:
        message, rpc = await at.run()
        await at.ask(PromptUnknown(message=message))
        assert (await at.view()).messages[0].state == MessageState.SENDING
        await at.stream(words("I am on it"))
        assert (await at.view()).messages == []
        await at.stream(stopped(rpc))
        await eventually(lambda: outcomes(at), lambda o: o == ["end_turn"])


async def test_a_doubtful_prompt_that_nothing_shows_may_have_been_sent(url: str) -> None:
    async with stage(url) as at:
        message, rpc = await at.run()
        await at.ask(PromptUnknown(message=message))
        view = await at.until(lambda v: v.messages and v.messages[0].state == MessageState.UNKNOWN, limit=15)
        assert (view.status, view.failure and view.failure.code) == ("idle", "prompt_unknown")
        await at.check()
        await at.stream(words("It had arrived"))  # it shows later, after all
        view = await at.view()
        assert (view.running, view.failure) == (message, None)
        await at.stream(stopped(rpc))
        assert (await at.view()).messages == []
        await eventually(lambda: outcomes(at), lambda o: o == ["unknown", "end_turn"])


async def test_a_doubtful_prompt_whose_end_comes_late_is_not_a_failure_any_more(url: str) -> None:
    async with stage(url) as at:
        message, rpc = await at.run()
        await at.ask(PromptUnknown(message=message))
        await at.until(lambda v: v.failure is not None, limit=15)
        await at.stream(stopped(rpc))
        view = await at.view()
        assert (view.messages, view.failure) == ([], None)


async def test_a_dead_agent_leaves_its_prompt_unknown_and_is_started_again_once(url: str) -> None:
    async with stage(url) as at:
        message, _ = await at.run()
        await at.stream(words("Half a sen"), {"method": "_adapter/agent_exited", "params": {"code": 3}}, words("late"))
        view = await at.view()
        assert (view.status, view.messages[0].state) == (SessionStatus.ERROR, MessageState.UNKNOWN)
        assert view.failure
        assert "code 3" in view.failure.message
        assert await kinds(at) == ["user", "agent", "stop", "note"]
        assert len(await at.started("resume_session")) == 1
        await at.check()
        await at.open(agent_session="agent-2")
        view = await at.view()
        assert (view.status, view.messages[0].state) == (SessionStatus.IDLE, MessageState.UNKNOWN)
        assert view.failure
        assert (view.failure.code, view.failure.actions) == ("prompt_unknown", ["resend"])
        await at.stream({"method": "_adapter/agent_exited"})
        view = await at.view()
        assert view.failure
        assert view.failure.actions == ["resume"]
        assert len(await at.started("resume_session")) == 1
        await at.ask(ResumeSession(person=ADA))
        assert len(await at.started("resume_session")) == 2
        assert message


async def test_a_lost_server_is_lost_once_and_only_the_present_one(url: str) -> None:
    async with stage(url) as at:
        await at.ask(StreamLost(server_id="another", message="x"))
        assert (await at.view()).status == SessionStatus.READY
        for _ in range(2):
            await at.ask(StreamLost(server_id=at.server, message="gone"))
        assert len(await at.started("resume_session")) == 1
        assert await at.stream(words("x")) == -1


async def test_an_unreachable_sandbox_keeps_what_runs(url: str) -> None:
    async with stage(url) as at:
        message, rpc = await at.run()
        await at.ask(PromptSent(message=message))
        await at.ask(StreamLost(server_id=at.server, message="no route", gone=False))
        view = await at.view()
        assert (view.status, view.running) == (SessionStatus.ERROR, message)
        assert view.failure
        assert (view.failure.code, view.failure.actions) == ("sandbox_unreachable", ["resume"])
        await at.ask(StreamBack(server_id=at.server))
        view = await at.view()
        assert (view.status, view.failure) == (SessionStatus.RUNNING, None)
        await at.stream(stopped(rpc))
        assert (await at.view()).status == SessionStatus.IDLE


# the transcript


async def test_the_same_and_other_servers_events_change_nothing(store_url: str) -> None:
    async with stage(store_url) as at:
        await at.run()
        assert await at.stream(words("one"), words("two")) == 2
        at.next_id = 1
        assert await at.stream(words("one"), words("two"), words(" three")) == 3
        assert (await at.transcript())[1].text == "onetwo three"
        at.server, server = "another", at.server
        assert await at.stream(words("four")) == -1
        at.server = server
        assert (await at.transcript())[1].text == "onetwo three"


async def test_a_jump_in_event_ids_is_shown_as_a_gap(url: str) -> None:
    async with stage(url) as at:
        await at.run()
        await at.stream(words("one"))
        await at.stream(words("two"), skip=7)
        entries = await at.transcript()
        assert [(e.kind, e.text, e.data) for e in entries[1:]] == [
            (EntryKind.AGENT, "one", {}),
            (EntryKind.GAP, "", {"events": 7}),
            (EntryKind.AGENT, "two", {}),
        ]


async def test_a_long_text_is_deltas_while_it_grows_and_one_row_afterwards(store_url: str) -> None:
    async with stage(store_url) as at:
        _, rpc = await at.run()
        for batch in range(5):
            await at.stream(*(words(f"{batch}.{n} ") for n in range(50)))
            await at.check()

        def rows(reader: object) -> list[str]:
            return [r.word for r in reader.events(at.address) if r.word != "SessionChanged"]  # type: ignore[attr-defined]

        assert await at.runtime.read(rows) == ["EntryChanged", *["MessageDelta"] * 5]
        before = (await at.transcript())[1]
        assert not before.complete
        await at.stream(update("tool_call", toolCallId="t", title="ls"), words("next"), stopped(rpc))
        assert await at.runtime.read(rows) == ["EntryChanged"] * 5
        after = (await at.transcript())[1]
        assert (after.id, after.position, after.text) == (before.id, before.position, before.text)
        assert after.text == "".join(f"{batch}.{n} " for batch in range(5) for n in range(50))


async def test_thoughts_words_tools_and_plans_are_entries_in_order(url: str) -> None:
    async with stage(url) as at:
        _, rpc = await at.run()
        await at.stream(
            words("Hm", "agent_thought_chunk"),
            words("I will "),
            words("look"),
            update("plan", entries=[{"content": "look", "status": "in_progress", "priority": "low"}]),
            update("tool_call", toolCallId="t1", title="ls", kind="execute", rawInput={"command": "ls"}),
            update("tool_call_update", toolCallId="t1", status="in_progress"),
            words("Now "),
            update("tool_call_update", toolCallId="t1", status="completed", rawOutput={"exit": 0}),
            words("done"),
        )
        await at.check()
        assert await kinds(at) == ["user", "thought", "agent", "plan", "tool", "agent"]
        tool = (await at.transcript())[4]
        assert tool.complete
        assert tool.data == {
            "id": "t1", "title": "ls", "kind": "execute", "status": "completed",
            "input": {"command": "ls"}, "output": {"exit": 0},
        }  # fmt: skip
        assert (await at.transcript())[5].text == "Now done"
        await at.stream(update("tool_call", toolCallId="t2", title="rm"), stopped(rpc, "cancelled"))
        assert (await at.transcript())[-2].data["status"] == "cancelled"


async def test_another_message_of_the_agent_is_another_entry(url: str) -> None:
    async with stage(url) as at:
        await at.run()
        await at.stream(words("a", messageId="1"), words("b", messageId="1"), words("c", messageId="2"))
        assert [e.text for e in await at.transcript()] == ["Fix it", "ab", "c"]


async def test_nothing_an_agent_sends_breaks_the_session(url: str) -> None:
    strange = [
        {}, {"method": 7}, {"method": "session/update"}, {"method": "session/update", "params": []},
        {"method": "session/update", "params": {"update": {"sessionUpdate": "dance"}}},
        update("agent_message_chunk"), update("agent_message_chunk", content=[1]), update("tool_call"),
        update("tool_call_update", toolCallId="never", content="x", title=3),
        update("plan", entries="x"), update("available_commands_update", availableCommands=[1, {"name": "test"}]),
        update("current_mode_update", currentModeId=None), {"id": 4, "result": None}, {"id": "x", "error": "y"},
        {"id": {"a": 1}, "result": {}}, {"id": 9, "method": "fs/read_text_file", "params": {}},
        {"id": 10, "method": "session/request_permission", "params": {"options": [1, {}]}},
        {"method": "_vendor/thing", "params": {}},
        update("user_message_chunk", content={"type": "text", "text": "me"}),
    ]  # fmt: skip
    async with stage(url) as at:
        _, rpc = await at.run()
        assert await at.stream(*strange) == len(strange)
        assert (await at.view()).commands == ["test"]
        await at.stream(words("still here"), stopped(rpc))
        assert "still here" in [e.text for e in await at.transcript()]


async def test_the_past_that_a_loaded_session_repeats_is_not_new(url: str) -> None:
    async with stage(url) as at:
        _, rpc = await at.run()
        await at.stream(words("once"), stopped(rpc), {"method": "_adapter/agent_exited"})
        await at.open(how="load", replay_ends="load-1")
        await at.stream(words("Fix it", "user_message_chunk"), words("once"), {"id": "load-1", "result": {}})
        await at.run("more")
        await at.stream(words("twice"))
        assert [e.text for e in await at.transcript() if e.kind == EntryKind.AGENT] == ["once", "twice"]


async def test_a_past_too_long_to_be_repeated_whole_is_no_gap(url: str) -> None:
    async with stage(url) as at:
        _, rpc = await at.run()
        await at.stream(words("once"), stopped(rpc), {"method": "_adapter/agent_exited"})
        await at.open(how="load", replay_ends="load-1")
        await at.stream(words("once"), {"id": "load-1", "result": {}}, skip=500)
        assert "gap" not in await kinds(at)
        await at.stream(words("twice"), skip=2)
        assert "gap" in await kinds(at)


async def test_an_agent_that_forgot_gets_the_recent_transcript(url: str) -> None:
    import json

    async with stage(url) as at:
        _, rpc = await at.run()
        await at.stream(words("I did"), stopped(rpc), {"method": "_adapter/agent_exited"})
        await at.open(agent_session="agent-2")
        message, _ = await at.run("more")
        jobs = {job["message"]: job for job in map(json.loads, await at.started("prompt"))}
        entry = next(e for e in await at.transcript() if e.text == "more")
        assert jobs[message]["context_without"] == entry.id
        assert await kinds(at) == ["user", "agent", "stop", "note", "note", "user"]


# stop


async def test_stop_cancels_the_prompt_and_its_requests(url: str) -> None:
    import json

    async with stage(url) as at:
        message, rpc = await at.run()
        await at.stream(asks(5))
        await at.ask(StopSession(person=BOB))
        await at.ask(StopSession(person=BOB))
        view = await at.view()
        assert (view.stopping, view.status, view.permissions) == (True, SessionStatus.RUNNING, [])
        [job] = [json.loads(job) for job in await at.started("stop")]
        assert (job["message"], job["requests"]) == (message, ["5"])
        await at.check()
        await at.stream(asks(6), stopped(rpc, "cancelled"))
        assert [json.loads(job)["option"] for job in await at.started("answer_permission")] == [None]
        view = await at.view()
        assert (view.stopping, view.status) == (False, SessionStatus.IDLE)
        await eventually(lambda: outcomes(at), lambda o: o == ["cancelled"])
        with pytest.raises(WrongState):
            await at.ask(StopSession(person=BOB))


async def test_queued_messages_survive_a_stop(url: str) -> None:
    async with stage(url) as at:
        _, rpc = await at.run("one")
        two = await at.send("two")
        await at.ask(StopSession(person=ADA))
        await at.stream(stopped(rpc, "cancelled"))
        await at.until(lambda v: v.running == two)


async def held(at: Stage) -> MessageId:
    """A message that is next, while the agent is still being told to stop the last one."""
    _, rpc = await at.run("one")
    two = await at.send("two")
    await at.ask(StopSession(person=ADA))
    await at.stream(stopped(rpc, "cancelled"))
    await at.until(lambda v: v.running == two)
    return two


async def test_a_message_is_held_until_nothing_stops_the_last_one(url: str) -> None:
    async with stage(url) as at:
        two = await held(at)
        assert len(await at.started("prompt")) == 1, "a cancel that arrives late would end it"
        await at.end("stop")
        job = SendPrompt.model_validate_json((await at.started("prompt"))[-1])
        assert (job.message, job.text) == (two, "two")
        await at.stream(stopped(job.rpc_id))
        await eventually(lambda: outcomes(at), lambda o: o == ["cancelled", "end_turn"])


async def test_a_held_message_is_stopped_without_the_agent(url: str) -> None:
    async with stage(url) as at:
        await held(at)
        await at.ask(StopSession(person=ADA))
        assert (await at.view()).status == SessionStatus.IDLE
        await at.end("stop")
        assert (len(await at.started("prompt")), len(await at.started("stop"))) == (1, 1)
        await eventually(lambda: outcomes(at), lambda o: o == ["cancelled", "cancelled"])


async def test_a_held_message_waits_for_the_next_agent(url: str) -> None:
    async with stage(url) as at:
        two = await held(at)
        await at.stream({"method": "_adapter/agent_exited"})
        [message] = [m for m in (await at.view()).messages if m.id == two]
        assert message.state == MessageState.QUEUED, "it surely did not reach the one that is gone"
        await at.end("stop")
        await at.open(how="load")
        await at.until(lambda v: v.running == two)


# permission requests


async def test_a_permission_request_is_durable_and_answered_once(store_url: str) -> None:
    async with stage(store_url) as at:
        _, rpc = await at.run()
        await at.stream(asks(0, rawInput={"command": ["make", "all"]}))
        [request] = (await at.view()).permissions
        assert (request.title, request.detail, request.state) == ("Run make", "make all", PermissionState.WAITING)
        with pytest.raises(BadInput):
            await at.ask(AnswerPermission(permission=request.id, option="maybe", person=ADA))
        await at.ask(AnswerPermission(permission=request.id, option="yes", person=ADA))
        await at.ask(AnswerPermission(permission=request.id, option="yes", person=ADA))
        with pytest.raises(WrongState):
            await at.ask(AnswerPermission(permission=request.id, option="no", person=BOB))
        [answering] = (await at.view()).permissions
        assert (answering.state, answering.answered_by) == (PermissionState.ANSWERING, ADA)
        assert len(await at.started("answer_permission")) == 1
        await at.check()
        await at.ask(PermissionDelivered(permission=request.id))
        assert (await at.view()).permissions == []
        entry = next(e for e in await at.transcript() if e.kind == EntryKind.PERMISSION)
        assert (entry.complete, entry.data["state"], entry.data["answer"]) == (True, "answered", "yes")
        await at.stream(stopped(rpc))
        with pytest.raises(NotFound):
            await at.ask(AnswerPermission(permission="prm_0", option="yes", person=ADA))  # type: ignore[arg-type]


async def test_a_request_of_a_turn_that_ended_is_gone(url: str) -> None:
    async with stage(url) as at:
        _, rpc = await at.run()
        await at.stream(asks("a"))
        [request] = (await at.view()).permissions
        await at.stream(stopped(rpc))
        assert (await at.view()).permissions == []
        with pytest.raises(WrongState):
            await at.ask(AnswerPermission(permission=request.id, option="yes", person=ADA))


# the end, and a new sandbox


async def test_a_closed_session_keeps_its_transcript_and_takes_nothing(url: str) -> None:
    async with stage(url) as at:
        await at.run()
        await at.send("later")
        await at.stream(words("half"))
        await at.task_says(CloseSession(reason="archived"))
        view = await at.until(lambda v: v.status == SessionStatus.CLOSED)
        assert (view.messages, view.running) == ([], None)
        assert await kinds(at) == ["user", "agent", "stop"]
        assert len(await at.started("close_server")) == 1
        for command in (SendMessage(id=MessageId("msg_2"), text="x", person=ADA), ResumeSession(person=ADA)):
            with pytest.raises(SessionClosed):
                await at.ask(command)
        assert await at.stream(words("late")) == -1


async def test_a_lost_sandbox_makes_the_session_wait_for_the_next(url: str) -> None:
    async with stage(url) as at:
        message, _ = await at.run()
        await at.task_says(SandboxLost())
        view = await at.until(lambda v: v.status == SessionStatus.PENDING)
        assert view.messages[0].state == MessageState.UNKNOWN
        await at.open(agent_session="agent-9")
        assert (await at.view()).status == SessionStatus.IDLE
        assert message


# people


async def test_drafts_and_read_marks_are_each_persons_own(store_url: str) -> None:
    async with stage(store_url) as at:
        _, rpc = await at.run()
        await at.stream(words("one"), update("tool_call", toolCallId="t"), words("two"), stopped(rpc))
        await at.ask(SaveDraft(person=ADA.id, text="and then"))
        assert (await at.runtime.read(personal_view, at.session, ADA.id)).draft == "and then"
        bob = await at.runtime.read(personal_view, at.session, BOB.id)
        assert (bob.draft, bob.unread) == ("", 2)
        first = (await at.transcript())[1]
        await at.ask(MarkRead(person=BOB.id, position=first.position))
        assert (await at.runtime.read(personal_view, at.session, BOB.id)).unread == 1
        await at.ask(MarkRead(person=BOB.id, position=10**9))
        assert (await at.runtime.read(personal_view, at.session, BOB.id)).unread == 0
        await at.ask(MarkRead(person=BOB.id, position=0))
        assert (await at.runtime.read(personal_view, at.session, BOB.id)).unread == 2
        await at.send("and then")
        assert (await at.runtime.read(personal_view, at.session, ADA.id)).draft == ""
        events = await at.runtime.read(lambda r: r.events(at.address))
        assert {row.person for row in events if row.word == "PersonalChanged"} == {"7", "8"}
