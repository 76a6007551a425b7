"""Signed webhooks: sent once, in order per repository, never retried, recorded, redelivered on request."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import uuid
from collections import defaultdict

import httpx

from foundry.devkit.github.shapes import Shapes
from foundry.devkit.github.store import Doc, Store, now

TIMEOUT = 10.0  # seconds GitHub waits for an answer


class Hooks:
    """Webhook deliveries of the sample App."""

    def __init__(self, store: Store, shapes: Shapes, target: str | None) -> None:
        self.store, self.shapes = store, shapes
        if target:
            self.store.put("setting", "webhook", {"url": target})
        self.held = False  # the network between GitHub and us is down
        self._lines: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def target(self) -> str | None:
        return (self.store.get("setting", "webhook") or {}).get("url")

    def send(self, event: str, payload: Doc, *, account: str, sender: str, repo: Doc | None = None) -> None:
        """Deliver in the background to the App's installation on this account, if there is one."""
        installation = next((i for i in self.store.all("installation") if i["account"] == account), None)
        if installation is None or self.target is None:
            return
        body = {
            **payload, "sender": self.shapes.account(sender),
            "installation": self.shapes.installation(installation) if event == "installation" else {"id": installation["id"]},
        }  # fmt: skip
        if repo:
            body["repository"] = self.shapes.repo(repo)
        delivery = {
            "id": self.store.next("delivery") + 900_000, "guid": str(uuid.uuid4()), "event": event,
            "action": payload.get("action"), "installation_id": installation["id"], "delivered_at": now(),
            "repository_id": repo["id"] if repo else None, "payload": body, "status": "pending", "status_code": 0,
            "redelivery": False,
        }  # fmt: skip
        self.store.put("delivery", delivery["id"], delivery)
        self._spawn(delivery)

    def redeliver(self, delivery: Doc) -> None:
        """The same guid and payload once more, as a new delivery."""
        again = delivery | {"id": self.store.next("delivery") + 900_000, "redelivery": True, "delivered_at": now()}
        self.store.put("delivery", again["id"], again)
        self._spawn(again)

    def _spawn(self, delivery: Doc) -> None:
        task = asyncio.get_running_loop().create_task(self._deliver(delivery))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, delivery: Doc) -> None:
        async with self._lines[str(delivery["repository_id"])]:
            target = self.target
            if target is None or self.held:
                self.store.put("delivery", delivery["id"], delivery | {"status": "failed to connect to host"})
                return
            raw = json.dumps(delivery["payload"]).encode()
            secret = self.store.app()["webhook_secret"].encode()
            headers = {
                "Content-Type": "application/json", "User-Agent": "GitHub-Hookshot/foundry", "X-GitHub-Event": delivery["event"],
                "X-GitHub-Delivery": delivery["guid"], "X-GitHub-Hook-ID": "1",
                "X-GitHub-Hook-Installation-Target-ID": self.store.app()["app_id"],
                "X-GitHub-Hook-Installation-Target-Type": "integration",
                "X-Hub-Signature": "sha1=" + hmac.new(secret, raw, hashlib.sha1).hexdigest(),
                "X-Hub-Signature-256": "sha256=" + hmac.new(secret, raw, hashlib.sha256).hexdigest(),
            }  # fmt: skip
            try:
                async with httpx.AsyncClient(timeout=TIMEOUT) as http:
                    answer = await http.post(target, content=raw, headers=headers)
                seen = {
                    "status": "OK" if answer.is_success else "Invalid HTTP Response",
                    "status_code": answer.status_code,
                }
            except httpx.HTTPError as error:
                seen = {
                    "status": "timed out" if isinstance(error, httpx.TimeoutException) else "failed to connect to host"
                }
            self.store.put("delivery", delivery["id"], delivery | seen)
