"""Several real Foundrys on one PostgreSQL, and who of them does what."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from foundry.devkit.github import GitHubAt
from tests.harness.life import ORGANIZATION, script
from tests.harness.person import Person, sign_in
from tests.harness.replicas import Replica
from tests.harness.stage import stage
from tests.harness.traps import Traps
from tests.waiting import eventually

LIMIT = 40.0  # seconds for anything that real parts do
TRIES = 5  # until a workflow begins where a test wants it


class Noted(NamedTuple):
    """A line of a replica's journal."""

    kind: str  # began, held or recorded
    id: str
    workflow: str
    step: str
    at: float  # seconds since the epoch


class Fleet:
    """All of it; whatever is `held` waits for as long as the gate is there."""

    def __init__(self, home: Path, replicas: list[Replica]) -> None:
        self.home, self.data, self.replicas = home, home / "data", replicas
        self.gate = home / "gate"

    def up(self) -> None:
        """Everybody lives, the gate is open."""
        self.gate.unlink(missing_ok=True)
        late = [replica for replica in self.replicas if not replica.lives]
        for replica in late:
            replica.start()
        for replica in late:
            assert replica.ready() >= 0, replica.last_words()

    def others(self, than: Replica) -> list[Replica]:
        return [replica for replica in self.replicas if replica is not than]

    @asynccontextmanager
    async def ada(self, *replicas: Replica) -> AsyncIterator[Person]:
        """Ada, who asks these; all that live if none is named."""
        person = Person(replicas or self.replicas, self.data)
        try:
            yield person
        finally:
            await person.close()

    async def holds(self, replica: Replica) -> dict[str, Any]:
        """What the runtime holds, as this one says."""
        async with self.ada(replica) as ada:
            return await ada.request("GET", "/api/app/inspect")

    async def executors(self) -> dict[str, Replica]:
        return {(await self.holds(replica))["executor"]: replica for replica in self.replicas if replica.lives}

    async def provisionings(self, ask: Replica) -> list[dict[str, Any]]:
        return [w for w in (await self.holds(ask))["workflows"] if w["name"] == "provision"]

    async def provisioning(self, task: str, ask: Replica) -> dict[str, Any] | None:
        """The task's, while it lasts."""
        return next((w for w in await self.provisionings(ask) if w["owner"] == f"Task:{task}"), None)

    async def follower(self, session: str, ask: Replica) -> str:
        """The executor that follows the session's stream; "" if nobody does."""
        leases = (await self.holds(ask))["leases"]
        name = f"worker:SessionStatusSync:{session}"
        return next((lease["holder"] for lease in leases if lease["name"] == name and lease["left"] > 0), "")

    async def provisioning_on(self, replica: Replica) -> tuple[str, str]:
        """A task whose provisioning is held on this one: its id and the workflow's."""
        self.gate.touch()
        executor = (await self.holds(replica))["executor"]
        for _ in range(TRIES):
            async with self.ada(replica) as ada:
                task = await ada.create(script("say Here."))
            if workflow := await self._begins_on(replica, executor, task):
                return task, workflow
        raise AssertionError("its workflows always began elsewhere")

    async def _begins_on(self, replica: Replica, executor: str, task: str) -> str:
        """The id of its provisioning once that is held there; "" if another one was faster."""
        begun = await eventually(
            lambda: self.provisioning(task, replica), lambda w: w is not None and w["executor"], limit=LIMIT
        )
        assert begun
        if begun["executor"] != executor:
            return ""
        await eventually(lambda: self.journal("held", replica, id=begun["id"]), limit=LIMIT)
        return begun["id"]

    def journal(self, kind: str, *replicas: Replica, id: str = "", since: float = 0.0) -> list[Noted]:
        """What these have noted of this kind, of one workflow or of all, the first thing first."""
        found: list[Noted] = []
        for replica in replicas:
            file = self.home / f"{replica.name}.journal"
            for line in file.read_text().splitlines() if file.exists() else []:
                said, workflow_id, workflow, step, _, at = line.split("\t")
                if said == kind and id in ("", workflow_id) and float(at) >= since:
                    found.append(Noted(said, workflow_id, workflow, step, float(at)))
        return sorted(found, key=lambda noted: noted.at)


def measured(what: str, seconds: float) -> float:
    """For whoever looks, with `pytest -s`."""
    print(f"{what}: {seconds:.2f} s")
    return seconds


@contextmanager
def fleet(home: Path, cache: Path, url: str, names: Sequence[str], held: set[tuple[str, str, str]]) -> Iterator[Fleet]:
    """Everybody up and Ada signed in; at the end nothing of it is left."""
    with stage(home, cache):
        replicas = [
            Replica(home, name, Traps(home / f"{name}.journal", held=held, gate=home / "gate"), database_url=url)
            for name in names
        ]
        made = Fleet(home, replicas)
        try:
            replicas[0].start()  # alone: it makes the keys and the tables
            assert replicas[0].ready() >= 0, replicas[0].last_words()
            made.up()
            sign_in(replicas[0].url, GitHubAt(home / "github").url)
            asyncio.run(_until_it_knows_the_organization(made))
            yield made
        finally:
            for replica in replicas:
                replica.thaw()
                if replica.lives:
                    replica.kill()


async def _until_it_knows_the_organization(made: Fleet) -> None:
    async with made.ada() as ada:
        await ada.see("/api/app", lambda app: ORGANIZATION in {o["id"] for o in app["organizations"]})
