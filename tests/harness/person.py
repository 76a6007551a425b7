"""A person at Foundry's API who does not give up: a request without an answer is sent again, under the same key."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2 as httpx

from foundry.api.guard import WEBHOOKS
from tests.harness.replicas import Replica

PATIENCE = 90.0  # seconds until a request has to be decided, whatever dies meanwhile
ONE_TRY = 12.0  # seconds
NOT_NOW = {502, 503, 504}
ORGANIZATION = "2001"  # lumen-works


class Undecided(AssertionError):
    """A request got no answer in all that time."""


class Refused(Exception):
    """Foundry said no."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        super().__init__(f"{status} {problem.get('code')}: {problem.get('detail')}")
        self.status, self.problem = status, problem


class Person:
    """Ada, with the admin token of the data directory; any replica that lives is as good."""

    def __init__(self, replicas: Sequence[Replica], data: Path, login: str = "ada") -> None:
        self.replicas = replicas
        token = (data / "admin.token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}", "X-Foundry-As": login}
        self._http = httpx.AsyncClient(headers=headers, timeout=ONE_TRY, trust_env=False)
        self._turn = 0
        self.sent = 0
        self.again = 0

    async def close(self) -> None:
        await self._http.aclose()

    def _next(self) -> Replica | None:
        """One that lives; in turn, so that a repeat reaches another one."""
        living = [r for r in self.replicas if r.lives and not r.frozen]
        if not living:
            return None
        self._turn += 1
        return living[self._turn % len(living)]

    async def deliver(self, body: bytes, headers: dict[str, str]) -> None:
        """A webhook, until somebody takes it."""
        await self._decided("POST", WEBHOOKS, content=body, headers=headers)

    async def request(self, method: str, path: str, body: Any = None, key: str | None = None) -> Any:
        """The answer's body.

        Raises:
            Refused: a 4xx, or a 5xx that is not about the moment.
            Undecided: nobody answered in all that time.
        """
        headers = {} if method == "GET" else {"Idempotency-Key": key or uuid.uuid4().hex}
        return await self._decided(method, path, json=body, headers=headers)

    async def text(self, path: str) -> str:
        """What is no JSON: a patch."""
        return await self._decided("GET", path, decode=False)

    async def _decided(self, method: str, path: str, decode: bool = True, **what: Any) -> Any:
        end = asyncio.get_running_loop().time() + PATIENCE
        last = "nobody lived"
        self.sent += 1
        while asyncio.get_running_loop().time() < end:
            replica = self._next()
            if replica is not None:
                try:
                    answer = await self._http.request(method, f"{replica.url}{path}", **what)
                except httpx.TransportError as error:
                    last = f"{type(error).__name__} from {replica.name}"
                else:
                    if answer.status_code not in NOT_NOW:
                        return answer.text if answer.is_success and not decode else outcome(answer)
                    last = f"{answer.status_code} from {replica.name}: {answer.text[:300]}"
            self.again += 1
            await asyncio.sleep(0.1)
        raise Undecided(f"{method} {path} after {PATIENCE:.0f} s: {last}")

    async def ask(self, method: str, path: str, expect: int = 200, **body: Any) -> Any:
        """As `request`; `expect` is what tests in one process check."""
        return await self.request(method, path, body or None)

    async def create(self, prompt: str, key: str | None = None, **wish: Any) -> str:
        body = {"repository": "lumen-works/tally", "prompt": prompt, "auto_publish": False, **wish}
        return (await self.request("POST", f"/api/organizations/{ORGANIZATION}/tasks", body, key))["id"]

    async def until(self, task: str, holds: Callable[[dict[str, Any]], object], limit: float = 60) -> dict[str, Any]:
        """The task once this is true of it."""
        return await self.see(f"/api/tasks/{task}", holds, limit)

    async def see(self, path: str, holds: Callable[[Any], object], limit: float = 60) -> Any:
        end = asyncio.get_running_loop().time() + limit
        while True:
            found = await self.request("GET", path)
            if holds(found):
                return found
            assert asyncio.get_running_loop().time() < end, f"after {limit} s still: {brief(found)}"
            await asyncio.sleep(0.05)


def outcome(answer: httpx.Response) -> Any:
    if answer.is_success:
        return answer.json() if answer.content else None
    try:
        problem = answer.json()
    except ValueError:
        problem = {"code": "not json", "detail": answer.text[:500]}
    raise Refused(answer.status_code, problem)


def brief(found: Any) -> Any:
    """What of a task or session tells where it stands."""
    if isinstance(found, dict) and "session" in found:
        return {**found["session"], "transcript": len(found.get("transcript", ()))}
    if isinstance(found, dict) and "work" in found:
        return {k: v for k, v in found.items() if k not in ("work", "prompt", "repository")}
    return found


def sign_in(foundry: str, github: str, login: str = "ada") -> None:
    """As a browser does: to GitHub, choose a person, come back with a code; once more if somebody dies meanwhile."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            with httpx.Client(trust_env=False, timeout=ONE_TRY) as http:
                away = http.get(f"{foundry}/auth/github").headers["location"]
                form = dict(parse_qsl(urlsplit(away).query)) | {"login": login}
                back = http.post(f"{github}/login/oauth/choose", data=form).headers["location"]
                done = http.get(back)
            assert done.status_code == 302, f"signing in ended with {done.status_code}: {done.text[:300]}"
            return
        except httpx.TransportError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)
