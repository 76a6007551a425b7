"""What stands between GitHub and Foundry: takes each webhook, and brings it to a replica that lives.

GitHub does not send a delivery again by itself; whoever runs replicas has a balancer in front of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn

from tests.harness.person import Person, Refused
from tests.waiting import eventually

Delivery = tuple[bytes, dict[str, str]]


class Gateway:
    def __init__(self) -> None:
        self.url = ""
        self.brought = 0
        self.refused: list[str] = []
        self._waiting: asyncio.Queue[Delivery] = asyncio.Queue()

    async def __call__(self, scope: dict, receive, send) -> None:  # type: ignore[no-untyped-def, type-arg]
        body = b""
        while True:
            part = await receive()
            body += part.get("body", b"")
            if not part.get("more_body"):
                break
        wanted = ("content-type", "x-github-event", "x-github-delivery", "x-hub-signature-256")
        headers = {name.decode(): value.decode() for name, value in scope["headers"] if name.decode() in wanted}
        self._waiting.put_nowait((body, headers))
        await send({"type": "http.response.start", "status": 202, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    @property
    def empty(self) -> bool:
        return self._waiting.empty()

    async def bring(self, person: Person) -> None:
        """Each in its turn, for ever."""
        while True:
            body, headers = await self._waiting.get()
            try:
                await person.deliver(body, headers)
                self.brought += 1
            except Refused as refusal:
                self.refused.append(str(refusal))


@asynccontextmanager
async def gateway() -> AsyncIterator[Gateway]:
    """One that listens on a free port of 127.0.0.1."""
    made = Gateway()
    config = uvicorn.Config(made, host="127.0.0.1", port=0, log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    serving = asyncio.create_task(server._serve())
    try:
        await eventually(lambda: server.started)
        made.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        yield made
    finally:
        server.should_exit = True
        await serving
