"""Properties of the runtime under random work, on SQLite and on two replicas of one PostgreSQL database."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections import defaultdict
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foundry.contracts.messages import Address
from foundry.runtime.reader import Reader
from foundry.runtime.runtime import Runtime
from tests.runtime.toys import Ledger, Note, NoteTaken, Relay, running, texts
from tests.waiting import eventually

LEDGERS = ("a", "b", "c")

asks = st.one_of(
    st.tuples(st.just("note"), st.sampled_from(LEDGERS), st.booleans()),
    st.tuples(
        st.just("relay"),
        st.sampled_from(LEDGERS),
        st.lists(st.sampled_from(LEDGERS), min_size=1, max_size=3, unique=True),
        st.integers(1, 4),
        st.booleans(),
    ),
)
works = st.lists(asks, min_size=1, max_size=25)
few = settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(params=["sqlite", "postgres"])
def servers(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """Fresh database URLs of one kind, one an example."""
    if request.param == "sqlite":
        yield (f"sqlite:///{tmp_path}/{uuid.uuid4().hex}.db" for _ in itertools.count())
        return
    from tests.postgres import database

    server = request.getfixturevalue("postgres_server")
    with AsyncExitStackSync() as stack:
        yield (stack.enter(database(server)) for _ in itertools.count())


class AsyncExitStackSync:
    """Leaves every database when the test is over."""

    def __enter__(self) -> AsyncExitStackSync:
        self._left: list[Any] = []
        return self

    def enter(self, manager: Any) -> Any:
        value = manager.__enter__()
        self._left.append(manager)
        return value

    def __exit__(self, *_: object) -> None:
        for manager in reversed(self._left):
            manager.__exit__(None, None, None)


async def perform(url: str, work: list[Any]) -> tuple[Runtime, dict[str, list[tuple[str, str]]], Any]:
    """Do all of it at once, on two replicas where the database allows; gives what each ledger then holds."""
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(running(url, ledgers=LEDGERS))
        replicas = [first]
        if not url.startswith("sqlite"):
            replicas.append(await stack.enter_async_context(running(url, ledgers=LEDGERS)))
        calls: list[Any] = []
        for number, item in enumerate(work):
            runtime = replicas[number % len(replicas)]
            if item[0] == "note":
                _, ledger, fail = item
                calls.append(runtime.ask(Ledger.at(ledger), Note(text=f"n{number}", fail=fail)))
            else:
                _, sender, to, count, fail = item
                batch = [f"m{number}.{index}" for index in range(count)]
                calls.append(runtime.ask(Ledger.at(sender), Relay(to=to, texts=batch, fail=fail)))
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        expected = sum(
            1 if item[0] == "note" else len(item[2]) * item[3]
            for item, outcome in zip(work, outcomes, strict=True)
            if not isinstance(outcome, Exception)
        )

        async def held() -> dict[str, list[tuple[str, str]]]:
            return {ledger: await first.read(texts, ledger) for ledger in LEDGERS}

        found = await eventually(held, lambda h: sum(map(len, h.values())) >= expected, limit=20)
        published = {ledger: await first.read(_events, Ledger.at(ledger)) for ledger in LEDGERS}
        assert sum(map(len, found.values())) == expected, "applied once each, and nothing of what failed"
        return first, found, (outcomes, published)


def _events(reader: Reader, address: Address) -> list[NoteTaken]:
    return [NoteTaken.model_validate_json(row.body) for row in reader.events(address)]


@few
@given(work=works)
def test_every_accepted_command_is_applied_exactly_once_and_in_order(servers: Any, work: list[Any]) -> None:
    with asyncio.Runner() as runner:
        _, found, (outcomes, _) = runner.run(perform(next(servers), work))
    for item, outcome in zip(work, outcomes, strict=True):
        asked_to_fail = item[2] if item[0] == "note" else item[4]
        assert isinstance(outcome, RuntimeError) == asked_to_fail
    for notes in found.values():
        seen: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for author, text in notes:
            if text.startswith("m"):
                number, index = text[1:].split(".")
                seen[author].append((int(number), int(index)))
        for author, order in seen.items():
            assert len(set(order)) == len(order), f"a message of {author} came twice"
            batches = [key for key, _ in itertools.groupby(order, key=lambda pair: pair[0])]
            assert len(set(batches)) == len(batches), f"batches of {author} overlap"
            for number in batches:
                indexes = [i for n, i in order if n == number]
                assert indexes == sorted(indexes), f"messages of {author} are out of order"


@few
@given(work=works)
def test_a_snapshot_and_its_events_are_a_fresh_snapshot(servers: Any, work: list[Any]) -> None:
    """Folding the events gives the rows; two turns at once would have given one number twice."""
    with asyncio.Runner() as runner:
        _, found, (_, published) = runner.run(perform(next(servers), work))
    for ledger, notes in found.items():
        assert [(event.author, event.text) for event in published[ledger]] == notes
        assert [event.number for event in published[ledger]] == list(range(len(notes)))
