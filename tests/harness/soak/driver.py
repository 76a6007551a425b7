"""One soak: people and saboteur at work for some time, then everything is mended, comes to rest, and is checked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from foundry.devkit.github import GitHubAt
from tests.harness.person import ORGANIZATION, Person, Refused, sign_in
from tests.harness.soak.book import Book
from tests.harness.soak.checks import Checks, seen, unrest
from tests.harness.soak.gateway import Gateway
from tests.harness.soak.ground import Ground, Mode, ground
from tests.harness.soak.players import Player, offered
from tests.harness.soak.saboteur import Saboteur

PLAYERS = ("ann", "ben", "cy")
REST = 150.0  # seconds within which everything comes to rest once nothing is broken any more
STILL = 10.0  # seconds of rest: that something died may be found a little later
PATIENCE = 12.0  # seconds until somebody presses the same button again
NEWS = 15.0  # seconds between two lines about how it goes


@dataclass
class Outcome:
    commands: int
    faults: int
    violations: list[str]
    figures: dict[str, int] = field(default_factory=dict[str, int])


async def soak(
    home: Path, cache: Path, mode: Mode, seconds: float, seed: int, say: Callable[[str], None], keep: bool = False
) -> Outcome:
    """Raises nothing that Foundry does wrong: that is in the outcome.

    Args:
        keep: after a violation, leave a copy of the data directory in `home/left`, sandboxes and all.
    """
    say(f"soak: {mode}, {seconds:g} s, seed {seed}")
    async with ground(home, cache, mode) as (made, gateway):
        if not made.small_disk:
            say("no small disk can be mounted here: the disk is not filled")
        run = Run(made, gateway, seed, say)
        try:
            outcome = await run.whole(seconds)
            if keep and outcome.violations:
                made.preserve(home / "left")
            return outcome
        finally:
            await run.close()


class Run:
    def __init__(self, made: Ground, gateway: Gateway, seed: int, say: Callable[[str], None]) -> None:
        self.ground, self.gateway, self.say = made, gateway, say
        self.book = Book()
        self.people = [Person(made.replicas, made.data) for _ in range(len(PLAYERS) + 3)]
        self.players = [
            Player(name, str(seed), person, self.book, made.hub)
            for name, person in zip(PLAYERS, self.people, strict=False)
        ]
        self.saboteur = Saboteur(str(seed), made, self.book, self.people[-3], lambda words: say(f"fault: {words}"))
        self._pressed: dict[str, float] = {}  # when a way on was last taken, by the loop's clock
        self._bringing = asyncio.create_task(gateway.bring(self.people[-1]))

    async def close(self) -> None:
        self._bringing.cancel()
        for person in self.people:
            await person.close()

    async def whole(self, seconds: float) -> Outcome:
        look = self.people[-2]
        hub = GitHubAt(self.ground.home / "github")
        await asyncio.to_thread(sign_in, self.ground.replicas[0].url, hub.url)
        await look.see("/api/app", lambda app: ORGANIZATION in {o["id"] for o in app["organizations"]})
        await self.work(seconds)
        self.say("everything is mended")
        await self.ground.mend()
        await self.come_to_rest(look)
        self.ground.keep_logs()
        checks = Checks(self.book, self.ground, look)
        violations = await checks.violations()
        if violations:
            (self.ground.home / "seen.json").write_text(json.dumps(checks.seen, indent=1))
        violations += [f"GitHub's webhook was refused: {words}" for words in self.gateway.refused]
        figures = {
            "tasks": len(self.book.tasks), "messages": sum(len(t.said) for t in self.book.tasks.values()),
            "turns compared": checks.compared, "files looked for": checks.looked_for,
            "webhooks": self.gateway.brought, "asked again": sum(p.again for p in self.people),
        }  # fmt: skip
        self.say(f"accepted: {dict(self.book.commands.most_common())}")
        self.say(f"refused: {dict(self.book.refused.most_common())}")
        self.say(f"faults: {dict(self.saboteur.done.most_common())}")
        self.say(f"checked: {figures}")
        return Outcome(self.book.accepted, self.saboteur.done.total(), violations, figures)

    async def work(self, seconds: float) -> None:
        """Until the time is over, or somebody met what must not be."""
        over = asyncio.Event()
        players = [asyncio.create_task(player.play(over), name=player.name) for player in self.players]
        saboteur = asyncio.create_task(self.saboteur.play(), name="saboteur")
        helpers = [asyncio.create_task(self._links()), asyncio.create_task(self._news())]
        done, _ = await asyncio.wait([*players, saboteur], timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            self.book.wrong.append(f"{task.get_name()}: {task.exception()!r}")
        for task in (saboteur, *helpers):
            task.cancel()
        await asyncio.gather(saboteur, *helpers, return_exceptions=True)
        over.set()
        await self.ground.mend()  # what a player is in the middle of can now be answered
        for outcome in await asyncio.gather(*players, return_exceptions=True):
            if outcome is not None and f"{outcome!r}" not in str(self.book.wrong):
                self.book.wrong.append(f"a player ended with {outcome!r}")

    async def _links(self) -> None:
        while True:
            await asyncio.to_thread(self.ground.keep_logs)
            await asyncio.sleep(0.2)

    async def _news(self) -> None:
        while True:
            await asyncio.sleep(NEWS)
            self.say(
                f"{self.book.accepted} commands, {len(self.book.tasks)} tasks, {self.saboteur.done.total()} faults"
            )

    async def come_to_rest(self, look: Person) -> None:
        """Takes the ways on that Foundry offers; whatever then is not at rest is the checks' to say."""
        clock = asyncio.get_running_loop().time
        end, since = clock() + REST, clock()
        while True:
            restless = [await self._help(look, name) for name in self.book.tasks]
            if any(restless):
                since = clock()
            if clock() - since > STILL or clock() > end:
                break
            await asyncio.sleep(0.3)
        self.say(f"at rest but for {sorted(filter(None, restless))}" if any(restless) else "at rest")

    async def _help(self, look: Person, name: str) -> str:
        """What of the task has not come to rest; somebody does what Foundry says that can be done."""
        opened = self.book.tasks[name]
        task, sessions = await seen(look, name)
        why = unrest(task, sessions) or ("its sandbox is given back" if await self._releasing(look, task) else "")
        if not why:
            return ""
        (owner,) = [player for player in self.players if player.name == opened.owner]
        for session in sessions or [None]:
            for way in offered(task, session)[:1]:
                place = f"{name} {session and session['session']['id']} {way}"
                if asyncio.get_running_loop().time() > self._pressed.get(place, 0.0) + PATIENCE:
                    self._pressed[place] = asyncio.get_running_loop().time()
                    await owner.take(opened, task, session, way)
            for asked in session["session"]["permissions"] if session else ():
                if asked["state"] == "waiting":
                    await owner.answer(session["session"], asked)
        return f"{name}: {why}"

    async def _releasing(self, look: Person, task: dict[str, object]) -> bool:
        """Whether an archived task's sandbox is still being given back."""
        if task["state"] != "archived" or task["retained"]:
            return False
        try:
            return (await look.request("GET", f"/api/sandboxes/{task['sandbox']}"))["state"] not in ("lost", "deleted")
        except Refused:
            return False
