"""What following a stream promises: nothing is lost or doubled across connections, replicas and restarts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from foundry.actors.session_status_sync.times import StreamTimes
from foundry.actors.session_status_sync.views import Stream, stream_of
from foundry.actors.session_status_sync.worker import BATCH, ROOM, Follower
from foundry.contracts import addresses
from foundry.contracts.ids import SandboxId
from foundry.contracts.messages import Address, Command, Message
from foundry.contracts.sandbox_provider import SandboxRefused, SandboxUnreachable
from foundry.contracts.session_status_sync import ReadStream, StopReading
from foundry.contracts.session_stream import Ingest, StreamItem
from foundry.contracts.task_session import SessionStatus
from foundry.runtime.store.base import Transaction
from tests.actors.task_session_stage import Stage, stage
from tests.actors.test_task_session_workflows import prompted
from tests.waiting import eventually
from tests.world.agents import Agents, Doors, Server, stopped, words

pytestmark = pytest.mark.slow


@pytest.fixture
def url(tmp_path: object) -> str:
    return f"sqlite:///{tmp_path}/foundry.db"


async def test_a_broken_connection_goes_on_after_the_stored_event(url: str) -> None:
    async with stage(url, live=True, prompt="x") as at:
        rpc = await prompted(at)
        at.agents.emit(at.server, words("one "))
        await eventually(at.transcript, lambda entries: entries[-1].text == "one ")
        at.agents.break_connections(SandboxUnreachable("no route"))
        at.agents.emit(at.server, words("two "))
        tried = at.agents.calls.count(("stream", at.server))
        await eventually(lambda: at.agents.calls.count(("stream", at.server)) > tried + 1)  # and they fail
        at.agents.break_connections(None)
        at.agents.emit(at.server, words("three"), stopped(rpc))
        await at.until(lambda v: v.status == SessionStatus.IDLE)
        assert [e.text for e in await at.transcript()] == ["x", "one two three", "end_turn"]


async def test_a_restart_goes_on_after_the_stored_event(store_url: str) -> None:
    doors = Doors()
    async with stage(store_url, live=True, doors=doors, prompt="x") as at:
        rpc = await prompted(at)
        doors.agents.emit(at.server, words("one "))
        await eventually(at.transcript, lambda entries: entries[-1].text == "one ")
        session, server = at.session, at.server
    doors.agents.emit(server, words("two"), stopped(rpc))
    async with stage(store_url, live=True, doors=doors, again=session) as at:
        await at.until(lambda v: v.status == SessionStatus.IDLE)
        assert [e.text for e in await at.transcript()] == ["x", "one two", "end_turn"]


def sent(tx: Transaction, to: Address, seq: int, word: str, message: Message) -> None:
    row = "INSERT INTO mailbox (receiver, sender, seq, word, body, sent_at) VALUES (?,'Task:of 0.3',?,?,?,?)"
    tx.execute(row, str(to), seq, word, message.model_dump_json(), tx.now)


async def test_a_server_of_release_0_3_asks_under_the_names_that_0_2_knew(url: str) -> None:
    async with stage(url, live=True, prompt="x") as at:
        await prompted(at)
        to = addresses.status_sync(at.session)
        before = await eventually(lambda: at.runtime.read(stream_of, at.session))
        assert before
        again = ReadStream(session=at.session, sandbox=before.sandbox, server_id=before.server_id)
        await at.runtime.system(to, lambda tx: sent(tx, to, 1, "Unfollow", StopReading()))
        at.runtime.dispatcher.poke(to)
        await eventually(lambda: at.runtime.read(stream_of, at.session), lambda now: now is None)
        await at.runtime.system(to, lambda tx: sent(tx, to, 2, "Follow", again))
        at.runtime.dispatcher.poke(to)
        await eventually(lambda: at.runtime.read(stream_of, at.session), lambda now: now == before)


async def test_a_sandbox_that_stays_away_is_said_and_what_ran_goes_on(url: str) -> None:
    async with stage(url, live=True, prompt="x", streams=StreamTimes(lost_after=0.3)) as at:
        rpc = await prompted(at)
        await at.until(lambda v: v.running and not v.messages)
        at.agents.break_connections(SandboxUnreachable("no route"))
        view = await at.until(lambda v: v.status == SessionStatus.ERROR)
        assert view.failure
        assert (view.failure.code, view.running is not None) == ("sandbox_unreachable", True)
        at.agents.break_connections(None)
        await at.until(lambda v: v.status == SessionStatus.RUNNING)  # the connection lasts, though nothing is said
        at.agents.emit(at.server, stopped(rpc))
        await at.until(lambda v: v.status == SessionStatus.IDLE)
        assert len(at.agents.servers) == 1


async def test_twenty_thousand_chunks_are_one_entry(url: str) -> None:
    async with stage(url, live=True, prompt="x") as at:
        rpc = await prompted(at)
        for start in range(0, 20_000, 1_000):
            at.agents.emit(at.server, *(words(f"[{n}]") for n in range(start, start + 1_000)))
            await asyncio.sleep(0)
        at.agents.emit(at.server, stopped(rpc))
        await at.until(lambda v: v.status == SessionStatus.IDLE, limit=60)
        entries = await at.transcript()
        assert [e.kind.value for e in entries] == ["user", "agent", "stop"]
        assert entries[1].text == "".join(f"[{n}]" for n in range(20_000))


def record(at: Stage, ids: Iterable[int]) -> None:
    """The recorder has these of the server's events."""
    server = at.agents.servers[at.server]
    server.recorded = [item for item in server.items if item.event_id in ids]


def lose(at: Stage, first: int, last: int) -> None:
    """The server no longer has these events."""
    server = at.agents.servers[at.server]
    server.items[:] = [item for item in server.items if not first <= item.event_id <= last]
    server.lost += last - first + 1


async def numbers_while_away(at: Stage, numbers: Iterable[int]) -> None:
    """Say these, one event each, while nobody listens."""
    connections = len(at.agents.calls)
    at.agents.break_connections(SandboxUnreachable("no route"))
    await eventually(lambda: ("stream", at.server) in at.agents.calls[connections:])
    at.agents.emit(at.server, *(words(f"{n} ") for n in numbers))


async def shown(at: Stage) -> list[str]:
    """The agent's words; a gap as how many events it is."""
    return [e.text or f"gap of {e.data['events']}" for e in await at.transcript() if e.kind in ("agent", "gap")]


NUMBERS = " ".join(map(str, range(1, 601))) + " "


@pytest.mark.parametrize(
    ("recorded", "expected"),
    [
        (range(1, 600), [NUMBERS]),
        (range(1, 1_000), [NUMBERS]),
        ((), ["1 ", "gap of 498", NUMBERS[NUMBERS.index("500 ") :]]),
        (range(300, 600), ["1 ", "gap of 298", NUMBERS[NUMBERS.index("300 ") :]]),
        (range(1, 300), [NUMBERS[: NUMBERS.index("300 ")], "gap of 200", NUMBERS[NUMBERS.index("500 ") :]]),
    ],
)
async def test_what_the_stream_has_lost_comes_from_the_recorder(
    url: str, recorded: Iterable[int], expected: list[str]
) -> None:
    async with stage(url, live=True, prompt="x", streams=StreamTimes(behind=0.2)) as at:
        rpc = await prompted(at)
        at.agents.emit(at.server, words("1 "))
        await eventually(lambda: shown(at), lambda texts: texts == ["1 "])
        await numbers_while_away(at, range(2, 601))
        record(at, recorded)
        lose(at, 2, 499)
        at.agents.break_connections(None)
        at.agents.emit(at.server, stopped(rpc))
        await at.until(lambda v: v.status == SessionStatus.IDLE)
        assert await shown(at) == expected
        await at.check()


async def test_a_jump_in_the_middle_of_what_was_read_is_filled_before_what_follows(url: str) -> None:
    async with stage(url, live=True, prompt="x") as at:
        rpc = await prompted(at)
        await numbers_while_away(at, range(1, 601))
        record(at, (*range(50, 100), 300, 301))
        lose(at, 50, 99)
        lose(at, 300, 301)
        at.agents.break_connections(None)
        at.agents.emit(at.server, stopped(rpc))
        await at.until(lambda v: v.status == SessionStatus.IDLE)
        assert await shown(at) == [NUMBERS]


async def test_a_sandbox_that_does_not_answer_is_asked_again_before_a_gap_is_shown(url: str) -> None:
    async with stage(url, live=True, prompt="x", streams=StreamTimes(again=0.01)) as at:
        rpc = await prompted(at)
        await numbers_while_away(at, range(1, 601))
        record(at, range(1, 600))
        lose(at, 1, 499)
        at.agents.fail["recorded"] = [SandboxUnreachable("no route") for _ in range(5)]
        at.agents.break_connections(None)
        at.agents.emit(at.server, stopped(rpc))
        await at.until(lambda v: v.status == SessionStatus.IDLE)
        assert await shown(at) == [NUMBERS]


@pytest.mark.parametrize("error", [SandboxRefused("no"), SandboxUnreachable("no route")])
async def test_a_gap_that_cannot_be_filled_is_shown_and_the_session_goes_on(url: str, error: Exception) -> None:
    async with stage(url, live=True, prompt="x", streams=StreamTimes(away_limit=0.1, again=0.05)) as at:
        rpc = await prompted(at)
        await numbers_while_away(at, range(1, 601))
        record(at, range(1, 600))
        lose(at, 1, 499)
        at.agents.fail["recorded"] = [error for _ in range(20)]
        at.agents.break_connections(None)
        at.agents.emit(at.server, stopped(rpc))
        await at.until(lambda v: v.status == SessionStatus.IDLE)
        assert await shown(at) == ["gap of 499", NUMBERS[NUMBERS.index("500 ") :]]


async def test_the_last_words_before_the_server_went_come_from_the_recorder(url: str) -> None:
    async with stage(url, live=True, prompt="x") as at:
        await prompted(at)
        server = at.server
        at.agents.emit(server, words("1 "))
        await eventually(lambda: shown(at), lambda texts: texts == ["1 "])
        await numbers_while_away(at, range(2, 601))
        record(at, range(1, 601))
        lose(at, 1, 600)
        at.agents.servers[server].gone = True
        at.agents.break_connections(None)
        await eventually(lambda: shown(at), lambda texts: texts == [NUMBERS])
        await at.until(lambda v: v.status == SessionStatus.IDLE)  # with a new agent


async def test_a_recorder_is_seen_to_again_and_again(url: str) -> None:
    async with stage(url, live=True, prompt="x", streams=StreamTimes(make_sure=0.01)) as at:
        await prompted(at)
        at.agents.fail["record"] = [SandboxRefused("no bash"), ValueError("a closed client")]
        await eventually(lambda: at.agents.calls.count(("record", at.server)) > 10 and not at.agents.fail["record"])


class SlowJob:
    """A worker's job whose store hangs until it is let go."""

    def __init__(self, agents: Agents) -> None:
        self.key = "ses_1"
        self.doors = Doors(agents)
        self.free = asyncio.Event()
        self.batches: list[list[StreamItem]] = []

    async def ask(self, address: object, command: Command[int]) -> int:
        assert isinstance(command, Ingest)
        await self.free.wait()
        self.batches.append(command.items)
        return command.items[-1].event_id

    async def read(self, function: object, *args: object) -> Stream:
        return Stream(sandbox=SandboxId("sbx_1"), server_id="acp_1")


async def test_a_store_that_hangs_costs_memory_up_to_a_bound_and_never_the_reading() -> None:
    agents = Agents()
    agents.servers["acp_1"] = Server()
    job = SlowJob(agents)
    follower = Follower(job, Stream(sandbox=SandboxId("sbx_1"), server_id="acp_1"), 0, StreamTimes())  # type: ignore[arg-type]
    running = asyncio.create_task(follower.run())
    agents.emit("acp_1", *(words(str(n)) for n in range(ROOM + 1_000)))
    await eventually(lambda: follower._read_up_to == ROOM + 1_000)
    job.free.set()
    await eventually(lambda: sum(map(len, job.batches)) >= ROOM)
    agents.emit("acp_1", words("after"))
    await eventually(lambda: job.batches[-1][-1].event_id == ROOM + 1_001)
    running.cancel()
    assert max(map(len, job.batches)) == BATCH
    ids = [item.event_id for batch in job.batches for item in batch]
    assert ids == sorted(set(ids))
    assert 0 < ROOM + 1_001 - len(ids) <= 1_000  # given up: the session shows a gap
