"""Who breaks things: one fault after the other, sometimes two at once, each mended after a while."""

from __future__ import annotations

import asyncio
import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable

from tests.harness.life import folder, remove_sandbox, saved
from tests.harness.person import Person, Refused, Undecided
from tests.harness.soak.book import Book, Opened
from tests.harness.soak.ground import Ground, signal_all

PAUSE = (0.5, 5.0)  # seconds between two faults
LOOK_LIMIT = 5.0  # seconds to find out whether a sandbox may be removed


class Saboteur:
    """
    Args:
        look: a person who tells what has been saved of a sandbox that is to be removed.
    """

    def __init__(self, seed: str, ground: Ground, book: Book, look: Person, say: Callable[[str], None]) -> None:
        self.random = random.Random(f"{seed}/saboteur")
        self.ground, self.book, self._look = ground, book, look
        self.done: Counter[str] = Counter()
        self._say = say
        self._faults: dict[str, tuple[int, Callable[[], Awaitable[None]]]] = {
            "kill": (20, self.kill),
            "restart": (8, self.restart),
            "freeze": (10, self.freeze),
            "kill the agent": (8, self.kill_agent),
            "kill sandbox-agent": (8, self.kill_server),
            "freeze sandbox-agent": (5, self.freeze_server),
            "lose a sandbox": (4, self.lose_sandbox),
            "GitHub down": (8, self.github_down),
            "GitHub fails": (8, self.github_fails),
        }
        if ground.has_server:
            self._faults["cut the database"] = (10, lambda: self.ground.cut_database(closed=False))
            self._faults["database away"] = (6, self.database_away)
        if ground.small_disk:
            self._faults["full disk"] = (5, self.full_disk)

    async def play(self) -> None:
        names = tuple(self._faults)
        weights = [weight for weight, _ in self._faults.values()]
        while True:
            await asyncio.sleep(self.random.uniform(*PAUSE))
            chosen = set(self.random.choices(names, weights, k=2 if self.random.random() < 0.2 else 1))
            self._say(" + ".join(sorted(chosen)))
            self.done.update(chosen)
            await asyncio.gather(*(self._faults[name][1]() for name in sorted(chosen)))

    def _some(self, limit: float) -> float:
        return self.random.uniform(0.1, limit)

    # Foundry

    async def kill(self) -> None:
        replica = self.random.choice(self.ground.replicas)
        after = self._some(2)
        replica.kill()
        await asyncio.sleep(after)
        await self.ground.again(replica)

    async def restart(self) -> None:
        replica = self.random.choice(self.ground.replicas)
        if replica.lives and not replica.frozen:
            await asyncio.to_thread(replica.stop)
        await self.ground.again(replica)

    async def freeze(self) -> None:
        """Longer than a lease lasts, at times."""
        replica = self.random.choice(self.ground.replicas)
        lasts = self._some(14 if len(self.ground.replicas) > 1 else 5)
        if replica.lives:
            replica.freeze()
            await asyncio.sleep(lasts)
            replica.thaw()

    # what it stands on

    async def database_away(self) -> None:
        lasts = self._some(4)
        await self.ground.cut_database(closed=True)
        await asyncio.sleep(lasts)
        await self.ground.let_database_in()

    async def full_disk(self) -> None:
        lasts = self._some(3)
        try:
            await asyncio.to_thread(self.ground.fill_disk)
            await asyncio.sleep(lasts)
        finally:
            self.ground.empty_disk()

    async def github_down(self) -> None:
        lasts = self._some(4)
        self.ground.hub.kill()
        await asyncio.sleep(lasts)
        await self.ground.hub.up()

    async def github_fails(self) -> None:
        kind = self.random.choice(("git", "pulls", "branches", "access_tokens"))
        wish = {"path": kind, "status": self.random.choice((500, 502, 503)), "times": self.random.randint(1, 4),
                "after": self.random.random() < 0.5}  # fmt: skip
        if self.ground.hub.at.process.poll() is None:
            await asyncio.to_thread(self.ground.hub.at.control, "POST", "faults", wish)

    # the sandboxes

    def _sandbox(self) -> str | None:
        found = self.ground.sandboxes()
        return self.random.choice(found) if found else None

    async def kill_agent(self) -> None:
        if sandbox := self._sandbox():
            signal_all(self.ground.agents(sandbox), signal.SIGKILL)

    async def kill_server(self) -> None:
        if sandbox := self._sandbox():
            signal_all(self.ground.servers(sandbox), signal.SIGKILL)

    async def lose_sandbox(self) -> None:
        """1. Freeze it, so that nothing more happens in it. 2. If it rests, note what of it is saved. 3. Remove it.

        That what is not saved goes with a lost disk is no violation; that what is saved comes back is checked.
        """
        found = self.ground.sandboxes()
        for sandbox in self.random.sample(found, min(3, len(found))):
            if await self._lose(sandbox):
                return

    async def _lose(self, sandbox: str) -> bool:
        frozen = list(self.ground.processes(sandbox))
        signal_all(frozen, signal.SIGSTOP)
        try:
            async with asyncio.timeout(LOOK_LIMIT):
                opened = await self._resting(sandbox)
        except (Refused, Undecided, TimeoutError):
            opened = None
        await asyncio.to_thread(self.ground.keep_logs)
        started_again = set(self.ground.processes(sandbox)) - set(frozen)  # by Foundry, meanwhile: what is noted is old
        if opened is None or started_again:
            signal_all(frozen, signal.SIGCONT)
            return False
        await asyncio.to_thread(remove_sandbox, self.ground.data, sandbox)
        self.done["lost a sandbox"] += 1
        return True

    async def _resting(self, sandbox: str) -> Opened | None:
        """The task whose sandbox this is, if no agent works in it; what it has and no checkpoint has is noted."""
        for opened in list(self.book.tasks.values()):
            task = await self._look.request("GET", f"/api/tasks/{opened.id}")
            if task["sandbox"] == sandbox:
                break
        else:
            return None
        if task["state"] != "ready" or not saved(task):
            return None
        latest = (await self._look.request("GET", f"/api/tasks/{opened.id}/checkpoints"))[0]
        place = f"/api/tasks/{opened.id}/checkpoints/{latest['id']}/patch"
        patch = await self._look.text(place)
        for said in opened.said:
            there = (folder(self.ground.data, sandbox) / "work/repo/soak" / f"{said.marker}.txt").exists()
            said.went_unsaved = said.went_unsaved or (there and f"soak/{said.marker}.txt" not in patch)
        return opened

    async def freeze_server(self) -> None:
        lasts = self._some(8)
        if sandbox := self._sandbox():
            found = self.ground.servers(sandbox)
            signal_all(found, signal.SIGSTOP)
            await asyncio.sleep(lasts)
            signal_all(found, signal.SIGCONT)
