"""What fills a gap of the transcript from the agent's own history: only what fits letter by letter, in its place."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from foundry.actors.task_session.door import AcpDoor
from foundry.actors.task_session.jobs import INTRODUCTION, GapTurn, Piece
from foundry.actors.task_session.replay import ROOM, Replay, Unreadable, compare
from foundry.contracts.ids import SandboxId
from foundry.contracts.messages import Json
from foundry.contracts.sandbox_provider import AgentRefused
from foundry.contracts.session_stream import AgentSession, FillGaps, Filling, StreamItem, ToldPart
from foundry.contracts.task_session import EntryKind, MessageState, SandboxLost, SessionStatus
from foundry.sandboxes.acp import OPEN_ID, Initialized, ServerInfo
from tests.actors.task_session_stage import BOB, SANDBOX, Stage, stage
from tests.actors.test_task_session_workflows import prompted
from tests.waiting import eventually
from tests.world.agents import Doors, stopped, update, words


@pytest.fixture
def url(tmp_path: object) -> str:
    return f"sqlite:///{tmp_path}/foundry.db"


# a shorthand: `a:` the agent's words, `t:` a thought, `#1` a tool call, `#1+` one that has ended, `?` a gap, `plan`


def piece(said: str, number: int) -> Piece:
    if said == "?":
        return Piece(kind=EntryKind.GAP, id=f"gap{number}")
    if said == "plan":
        return Piece(kind=EntryKind.PLAN)
    if said.startswith("#"):
        return Piece(kind=EntryKind.TOOL, id=said[1:].rstrip("+"), done=said.endswith("+"))
    return Piece(kind=EntryKind.THOUGHT if said.startswith("t:") else EntryKind.AGENT, text=said[2:])


def turn(*said: str, prompt: str = "Go", number: int = 0, of: int = 1) -> GapTurn:
    pieces = [piece(one, at) for at, one in enumerate(said)]
    return GapTurn(prompt=prompt, message="msg", number=number, of=of, pieces=pieces)


def tells(*said: str) -> list[Json]:
    """A replay; `u:` is a prompt."""
    found: list[Json] = []
    for one in said:
        if one.startswith("#"):
            status = "completed" if one.endswith("+") else "in_progress"
            found.append(update("tool_call", toolCallId=one[1:].rstrip("+"), title="Run", status=status))
        elif one == "plan":
            found.append(update("plan", entries=[{"content": "A", "status": "completed"}]))
        else:
            kinds = {"u": "user_message_chunk", "t": "agent_thought_chunk", "a": "agent_message_chunk"}
            found.append(words(one[2:], kinds[one[0]]))
    return found


def read(messages: list[Json], *prompts: str, room: int = ROOM) -> Replay:
    history = Replay(prompts or ("Go",), ends="load", of="agent-1", room=room)
    end: Json = {"jsonrpc": "2.0", "id": "load", "result": {}}
    ended = [history.take(StreamItem(event_id=at + 1, message=m)) for at, m in enumerate([*messages, end])]
    assert ended == [False] * len(messages) + [True]
    return history


def short(part: ToldPart) -> str:
    match part.kind:
        case EntryKind.TOOL:
            return f"#{part.id}" + ("+" if part.data["status"] == "completed" else "")
        case EntryKind.PLAN:
            return f"plan of {part.id}"
        case _:
            return f"{part.kind.value[0]}:{part.text}"


FITS: dict[str, tuple[tuple[str, ...], tuple[str, ...], list[list[str]], list[str]]] = {
    "in the middle of a sentence": (("a:one t", "?", "a:ree"), ("a:one two ", "a:three"), [["a:wo th"]], []),
    "at the beginning": (("?", "a:two"), ("a:one two",), [["a:one "]], []),
    "at the end": (("a:one", "?"), ("a:one two",), [["a: two"]], []),
    "all of it": (("?",), ("a:one", "#1+", "a:two"), [["a:one", "#1+", "a:two"]], []),
    "the same words over and over": (("a:aa", "?", "a:a"), ("a:aaaaa",), [["a:aa"]], []),
    "nothing that is shown": (("a:one", "?", "a:two"), ("a:onetwo",), [[]], []),
    "a tool call": (("a:one", "?", "a:two"), ("a:one", "#1+", "a:two"), [["#1+"]], []),
    "between two tool calls": (("#1+", "?", "#3+"), ("#1+", "#2+", "a:x", "#3+"), [["#2+", "a:x"]], []),
    "the end of a tool call": (("a:one", "#1", "?", "a:two"), ("a:one", "#1+", "a:two"), [[]], ["#1+"]),
    "a thought": (("t:hm", "?", "a:two"), ("t:hm, well", "a:two"), [["t:, well"]], []),
    "thoughts are not told": (("t:hm", "a:one", "?", "a:two"), ("a:one, two",), [["a:, "]], []),
    "a plan": (("a:one", "?", "a:two"), ("a:one", "plan", "a:two"), [["plan of msg"]], []),
    "a plan goes on": (("a:one", "plan", "?", "a:two"), ("a:one", "plan", "a:, ", "plan", "a:two"), [["a:, "]],
                       ["plan of msg"]),
    "a plan is not told": (("a:one", "plan", "?"), ("a:one, two",), [["a:, two"]], []),
    "two gaps": (("a:one", "?", "a:three", "?", "a:five"), ("a:one two three four five",), [["a: two "], ["a: four "]],
                 []),
    "two gaps around a tool call": (("?", "#1+", "?"), ("a:one", "#1+", "a:two"), [["a:one"], ["a:two"]], []),
    "two gaps in one place": (("a:one", "?", "?", "a:three"), ("a:one two three",), [["a: two "], []], []),
}  # fmt: skip

DIFFERS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "another beginning": (("a:one", "?", "a:two"), ("a:One, two",)),
    "another end": (("a:one", "?", "a:two"), ("a:one, twos",)),
    "shorter than what is known": (("a:one", "?", "a:two"), ("a:onwo",)),
    "beginning and end overlap": (("a:aba", "?", "a:ab"), ("a:abab",)),
    "what was a thought is said": (("t:one", "?", "a:three"), ("a:one", "t:two", "a:three")),
    "a tool call under another id": (("a:one", "#1+", "?", "a:two"), ("a:one", "#x+", "a:, two")),
    "a tool call outside of the gap": (("a:one ", "a:two", "?", "a:four"), ("a:one ", "#1+", "a:two three four")),
    "what is between two gaps is there twice": (("a:one", "?", "a:x", "?", "a:five"), ("a:one x or x five",)),
    "what is between two gaps is not there": (("a:one", "?", "a:x", "?", "a:five"), ("a:one two five",)),
    "nothing": (("a:one", "?"), ()),
}


@pytest.mark.parametrize("case", FITS)
def test_what_fits(case: str) -> None:
    has, told, fills, completes = FITS[case]
    found = compare([turn(*has)], read(tells("u:Go", *told, "u:Next", "a:other")).turns)
    assert found.missing == []
    assert [[short(part) for part in filling.parts] for filling in found.fillings] == fills
    assert [filling.gap for filling in found.fillings] == [f"gap{at}" for at, one in enumerate(has) if one == "?"]
    assert [short(part) for part in found.completed] == completes


@pytest.mark.parametrize("case", DIFFERS)
def test_what_differs_anywhere_stays_a_gap(case: str) -> None:
    has, told = DIFFERS[case]
    found = compare([turn(*has)], read(tells("u:Go", *told, "u:Next", "a:other")).turns)
    assert found == FillGaps(missing=[f"gap{at}" for at, one in enumerate(has) if one == "?"])


SAME = ("u:Go", "a:one, two", "u:Go", "a:one; two", "u:Stay", "a:one two")


@pytest.mark.parametrize(
    ("number", "of", "told", "fills"),
    [
        (0, 2, SAME, ", "),
        (1, 2, SAME, "; "),
        (0, 3, SAME, None),  # one of them was never given to this session, and both fit
        (1, 3, ("u:Go", "a:one!", "u:Go", "a:one; two"), "; "),  # only one fits
        (0, 2, ("u:Go", "a:one!", "u:Go", "a:one; two"), None),  # it is not that one
        (0, 1, ("u:Go on", "a:one; two"), None),
        (0, 1, ("u:  Go\n", "a:one; two"), "; "),
        (0, 1, (f"u:{INTRODUCTION}\n\n[person] Go\n\n---\n\nGo", "a:one; two"), "; "),
        (0, 1, (f"u:{INTRODUCTION}\n\n[person] Go\n\n---\n\nDo not Go", "a:one; two"), None),
    ],
)
def test_a_turn_is_found_by_its_prompt(number: int, of: int, told: tuple[str, ...], fills: str | None) -> None:
    found = compare([turn("a:one", "?", "a:two", number=number, of=of)], read(tells(*told)).turns)
    assert [part.text for filling in found.fillings for part in filling.parts] == ([fills] if fills else [])
    assert bool(found.missing) is (fills is None)


def test_only_the_turns_that_are_wanted_are_kept_and_other_sessions_are_passed_over() -> None:
    other: Json = {"method": "session/update", "params": {"sessionId": "x", "update": tells("a:z")[0]["params"]}}
    history = read([*tells("a:before", "u:Go", "a:one"), other, *tells("a:two", "u:No", "a:three")], "Go")
    assert ["".join(piece.text for piece in told.pieces()) for told in history.turns] == ["onetwo"]


@pytest.mark.parametrize("known", [0, 1])
def test_a_replay_that_is_not_whole_is_not_read(known: int) -> None:
    history = Replay(["Go"], ends="load", of="agent-1")
    for at in range(known):
        history.take(StreamItem(event_id=at + 1, message=tells("a:x")[0]))
    with pytest.raises(Unreadable):
        history.take(StreamItem(event_id=known + 2, message=tells("a:x")[0]))


def test_a_load_that_was_refused_and_a_history_that_is_too_long_are_not_read() -> None:
    with pytest.raises(Unreadable):
        Replay([], ends="load", of="a").take(StreamItem(event_id=1, message={"id": "load", "error": {}}))
    with pytest.raises(Unreadable):
        read(tells("u:Go", "a:0123456789", "a:0"), room=10)


@pytest.mark.parametrize("kind", ["agent_message_chunk", "tool_call", "tool_call_update", "plan", "user_message_chunk"])
@pytest.mark.parametrize("content", [None, 1, "x", [], [1], {}, {"type": "text"}, {"type": "text", "text": 1}])
def test_nothing_that_an_agent_tells_breaks_the_reading(kind: str, content: Any) -> None:
    odd = update(kind, content=content, entries=content, toolCallId=content, title=content)
    history = read([*tells("u:Go", "a:one"), odd, *tells("u:Go", "a:one")])
    compare([turn("a:one", "?", of=2)], history.turns)


# the session


async def shown(at: Stage) -> list[str]:
    return [f"{e.kind.value}: {e.text}" for e in await at.transcript()]


async def gap(at: Stage, *before: Json, after: tuple[Json, ...] = (), ends: bool = True) -> str:
    """A turn in which seven events are missing; gives the gap's entry."""
    _, rpc = await at.run("Go")
    await at.stream(*before)
    await at.stream(*(after or (words("end"),)), skip=7)
    if ends:
        await at.stream(stopped(rpc))
    return next(e.id for e in await at.transcript() if e.kind == EntryKind.GAP)


async def last_prompt(at: Stage) -> str:
    """Its JSON-RPC id."""
    return json.loads((await at.started("prompt"))[-1])["rpc_id"]


async def test_what_was_missing_stands_where_the_gap_was(store_url: str) -> None:
    async with stage(store_url) as at:
        tool = update("tool_call", toolCallId="1", title="Run", status="in_progress")
        missing = await gap(at, words("one "), tool)
        before = await at.transcript()
        parts = [
            ToldPart(kind=EntryKind.AGENT, text="two "),
            ToldPart(
                kind=EntryKind.TOOL, id="2", text="Test", data={"id": "2", "title": "Test", "status": "completed"}
            ),
            ToldPart(kind=EntryKind.THOUGHT, text="hm"),
        ]
        done = ToldPart(kind=EntryKind.TOOL, id="1", text="Run", data={"id": "1", "status": "completed", "output": 1})
        command = FillGaps(fillings=[Filling(gap=missing, parts=parts)], completed=[done])
        await at.check()
        await at.ask(command)
        await at.check()
        after = await at.transcript()
        assert await shown(at) == [
            "user: Go", "agent: one ", "tool: Run", "agent: two ", "tool: Test", "thought: hm", "agent: end",
            "stop: end_turn",
        ]  # fmt: skip
        assert [e.id for e in after if e.id in {b.id for b in before}] == [b.id for b in before], "none has moved"
        assert [(e.part, e.data.get("filled"), e.complete) for e in after[3:6]] == [(n, True, True) for n in range(3)]
        assert {e.position for e in after[3:6]} == {before[3].position}
        assert (after[2].data["status"], after[2].data["output"], after[2].complete) == ("completed", 1, True)
        await at.ask(command)
        assert await at.transcript() == after, "once"
        _, rpc = await at.run("More")
        await at.stream(update("tool_call_update", toolCallId="2", title="Test again"), stopped(rpc))
        assert [e.data["title"] for e in await at.transcript() if e.data.get("id") == "2"] == ["Test again"]


async def test_a_gap_that_nothing_fits_says_so_and_one_in_which_nothing_was_said_too(url: str) -> None:
    async with stage(url) as at:
        first = await gap(at, words("one "))
        _, rpc = await at.run("More")
        await at.stream(words("x"), stopped(rpc), skip=2)
        second = [e.id for e in await at.transcript() if e.kind == EntryKind.GAP][1]
        await at.ask(FillGaps(fillings=[Filling(gap=first, parts=[])], missing=[second]))
        kept = [e.data for e in await at.transcript() if e.kind == EntryKind.GAP]
        assert kept == [{"events": 7, "filled": True}, {"events": 2, "looked": True}]


async def test_an_agent_without_a_load_is_left_alone(url: str) -> None:
    async with stage(url) as at:
        await gap(at, words("one "))
        assert (await at.view()).status == SessionStatus.IDLE
        assert await at.started("resume_session") == []


async def test_a_session_is_loaded_once_for_its_gaps_when_its_prompt_has_ended(url: str) -> None:
    async with stage(url, opened=False) as at:
        await at.open(can_load=True)
        await gap(at, words("one "), ends=False)
        assert await at.started("resume_session") == [], "never while a prompt runs"
        assert (await at.view()).running
        await at.stream(stopped(await last_prompt(at)))
        view = await at.view()
        assert (view.status, view.running) == (SessionStatus.PENDING, None)
        [load] = await at.started("resume_session")
        assert '"load":true' in load
        later = await at.send("later", BOB)
        assert [(m.id, m.state) for m in (await at.view()).messages] == [(later, MessageState.QUEUED)]
        await at.open(how="load", replay_ends="load", can_load=True)
        view = await at.until(lambda v: v.running == later)
        await at.stream({"jsonrpc": "2.0", "id": "load", "result": {}}, words("done"))
        await at.stream(stopped(await last_prompt(at)))
        assert (await at.view()).status == SessionStatus.IDLE
        assert len(await at.started("resume_session")) == 1, "the same gap is not tried again"


async def test_an_agent_in_a_new_session_has_no_history_of_the_old_one(url: str) -> None:
    async with stage(url) as at:
        await gap(at, words("one "))
        await at.task_says(SandboxLost())
        await at.until(lambda v: v.status == SessionStatus.PENDING)
        await at.open(agent_session="agent-2")
        assert [e.data for e in await at.transcript() if e.kind == EntryKind.GAP] == [{"events": 7, "looked": True}]


# end to end, with a scripted door


HISTORY = tells("u:x", "a:one two three", "#1+", "a: four five")


async def missed(at: Stage) -> None:
    """Seven events of the first prompt are lost: what is there of it is `one` and ` five`."""
    rpc = await prompted(at)
    at.agents.emit(at.server, words("one"))
    await eventually(lambda: shown(at), lambda texts: texts[-1] == "agent: one")
    at.agents.servers[at.server].lost = 7
    at.agents.emit(at.server, words(" five"), stopped(rpc))


WHOLE = ["user: x", "agent: one", "agent:  two three", "tool: Run", "agent:  four", "agent:  five", "stop: end_turn"]


@pytest.mark.slow
@pytest.mark.parametrize("recorded", [False, True])
async def test_a_gap_is_filled_while_the_next_message_waits(url: str, recorded: bool) -> None:
    doors = Doors()
    doors.agents.can_load, doors.agents.history = True, HISTORY
    if recorded:
        doors.agents.kept = 2  # of a stream: the rest is in the recording only
    async with stage(url, live=True, doors=doors, prompt="x") as at:
        await prompted(at)
        next_ = await at.send("next", BOB)
        await missed(at)
        view = await at.until(lambda v: v.running == next_)
        rpc = await prompted(at, 2)
        server = list(doors.agents.servers)[-1]
        assert server != at.server
        doors.agents.emit(server, words("done"), stopped(rpc))
        view = await at.until(lambda v: v.status == SessionStatus.IDLE)
        assert view.failure is None
        texts = [text for text in await shown(at) if not text.startswith("note")]
        assert texts == [*WHOLE, "user: next", "agent: done", "stop: end_turn"]
        assert [text for _, text in doors.agents.prompts] == ["x", "next"]
        assert [name for name, _ in doors.agents.calls].count("open") == 2


@pytest.mark.slow
@pytest.mark.parametrize(("holed", "filled"), [(1, True), (2, False)])
async def test_a_history_of_which_some_was_lost_on_the_way_is_told_once_more(
    url: str, holed: int, filled: bool
) -> None:
    doors = Doors()
    doors.agents.can_load, doors.agents.history, doors.agents.holed = True, HISTORY, holed
    async with stage(url, live=True, doors=doors, prompt="x") as at:
        await missed(at)
        await at.until(lambda v: v.status == SessionStatus.IDLE and len(doors.agents.servers) == 3)
        texts = [text for text in await shown(at) if not text.startswith("note")]
        assert (texts == WHOLE) is filled
        gaps = [e.data for e in await at.transcript() if e.kind == EntryKind.GAP]
        assert gaps == ([] if filled else [{"events": 7}])
        _, first_load, second_load = doors.agents.servers
        assert ("close", first_load) in doors.agents.calls
        assert ("close", second_load) not in doors.agents.calls
        await at.send("next")
        await prompted(at, 2)


@pytest.mark.slow
async def test_a_history_that_cannot_be_read_leaves_the_gap_and_the_session_goes_on(url: str) -> None:
    doors = Doors()
    doors.agents.can_load, doors.agents.history, doors.agents.kept = True, HISTORY, 2
    doors.agents.records = False
    async with stage(url, live=True, doors=doors, prompt="x") as at:
        await missed(at)
        await at.until(lambda v: v.status == SessionStatus.IDLE and len(doors.agents.servers) == 2)
        assert [e.data for e in await at.transcript() if e.kind == EntryKind.GAP] == [{"events": 7}]
        await at.send("next")
        await prompted(at, 2)


# the door


class Offers:
    """A sandbox's client whose agent offers both load and resume, and may refuse the load."""

    def __init__(self, *, refuses: bool) -> None:
        self.acp = self.recorder = self
        self.refuses = refuses
        self.calls: list[str] = []

    async def servers(self) -> list[Any]:
        return []

    async def initialize(self, server: str, agent: str) -> Initialized:
        return Initialized(can_load=True, can_resume=True, agent=agent, raw={})

    async def start(self, server: str) -> None:
        self.calls.append("record")

    async def load_session(self, server: str, session: str, cwd: str) -> Json:
        self.calls.append("load")
        if self.refuses:
            raise AgentRefused("no such session")
        return {}

    async def resume_session(self, server: str, session: str, cwd: str) -> Json:
        self.calls.append("resume")
        return {}


def door_to(box: Offers) -> AcpDoor:
    async def reach(sandbox: SandboxId) -> Any:
        return box

    async def directory(sandbox: SandboxId) -> str:
        return "/work"

    return AcpDoor(reach, directory)


@pytest.mark.parametrize(
    ("load", "refuses", "calls", "ends"),
    [
        (False, False, ["resume"], ""),
        (True, False, ["record", "load"], OPEN_ID),
        (True, True, ["record", "load", "resume"], OPEN_ID),  # part of a replay may be there: it ends with the refusal
    ],
)
async def test_an_agent_that_offers_both_is_loaded_for_its_gaps_only(
    load: bool, refuses: bool, calls: list[str], ends: str
) -> None:
    box = Offers(refuses=refuses)
    earlier = AgentSession(server_id="acp_1", agent_session_id="agent-1")
    opened = await door_to(box).open(SANDBOX, "acp_2", "mock", earlier=earlier, load=load)
    assert (box.calls, opened.agent_session_id, opened.replay_ends) == (calls, "agent-1", ends)
    assert (opened.can_load, opened.can_resume) == (True, True)


class Hangs(Offers):
    """An earlier try has started an agent that never says anything."""

    there = "acp_2-1"

    async def servers(self) -> list[Any]:
        return [ServerInfo(self.there, 0)] if self.there else []

    async def replay(self, server: str) -> list[StreamItem]:
        return []

    async def initialize(self, server: str, agent: str) -> Initialized:
        if server == "acp_2-1":
            await asyncio.Event().wait()
        return await super().initialize(server, agent)

    async def delete(self, server: str) -> None:
        self.calls.append("delete")
        self.there = ""

    async def forget(self, server: str) -> None:
        self.calls.append("forget")


async def test_an_agent_that_hangs_in_an_earlier_try_is_ended_unasked() -> None:
    box = Hangs(refuses=False)
    earlier = AgentSession(server_id="acp_1", agent_session_id="agent-1")
    opened = await door_to(box).open(SANDBOX, "acp_2-", "mock", earlier=earlier)
    assert box.calls == ["delete", "forget", "resume"]
    assert opened.server_id != "acp_2-1"
