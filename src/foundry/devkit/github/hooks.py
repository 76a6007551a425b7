"""Signed webhooks. Each is sent once, in order per repository, and recorded. None is retried; redelivery is on request."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
import uuid
from collections import defaultdict

import httpx2 as httpx

from foundry.devkit.github.shapes import Shapes
from foundry.devkit.github.store import Doc, Store, now

TIMEOUT = 10.0  # seconds that GitHub waits for a response
HOOK_ID = 8001
KEPT_ANSWER = 4_096  # characters of a response that are stored


class Hooks:
    """Webhook deliveries of the sample App."""

    def __init__(self, store: Store, shapes: Shapes, target: str | None) -> None:
        self.store, self.shapes = store, shapes
        if target:
            self.store.put("setting", "webhook", {"url": target})
        self.dropping = False  # the network between GitHub and us is down: deliveries fail
        self._flowing: asyncio.Event | None = None  # cleared: deliveries wait
        self._lines: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._tasks: set[asyncio.Task[None]] = set()
        self._http: httpx.AsyncClient | None = None

    @property
    def target(self) -> str | None:
        return (self.store.get("setting", "webhook") or {}).get("url")

    def aim(self, url: str | None) -> None:
        """Set the address for deliveries from now on. None: no deliveries are created."""
        self.store.put("setting", "webhook", {"url": url})

    def hold(self, held: bool) -> None:
        """Hold deliveries, or release the held ones."""
        if held:
            self._flowing = self._flowing or asyncio.Event()
            self._flowing.clear()
        elif self._flowing:
            self._flowing.set()

    def send(
        self, event: str, payload: Doc, *, account: str, sender: str, repo: Doc | None = None, role: str | None = None
    ) -> None:
        """Deliver in the background to the App's installation on this account, if it is installed there.

        1. Stop if there is no target, no installation, or the installation does not include the repository. 2. Add
        sender, installation, organization and repository (with the permissions of a team's `role`). 3. Record the
        delivery before sending it.
        """
        installation = self.shapes.access.installation_on(account)
        if installation is None or self.target is None:
            return
        about_itself = event in ("installation", "installation_repositories")
        if not about_itself and (
            installation["suspended_at"] or (repo and not self.shapes.access.covers(installation, repo))
        ):
            return
        short = {"id": installation["id"], "node_id": f"MDIz_{installation['id']}"}
        body = payload | {"installation": self.shapes.installation(installation) if about_itself else short}
        body["sender"] = self.shapes.account(sender)
        if self.store.get("org", account) and not about_itself:
            body["organization"] = self.shapes.organization(account)
        if repo:
            body["repository"] = self.shapes.pushed_repo(repo) if event == "push" else self.shapes.repo(repo)
            if role is not None:
                body["repository"] |= {"permissions": self.shapes.permissions(role), "role_name": role}
        self._record(event, body, installation["id"], repo["id"] if repo else None)

    def ping(self) -> None:
        """Send the event that GitHub sends when a webhook is set up."""
        if self.target:
            hook = {
                "type": "App", "id": HOOK_ID, "name": "web", "active": True, "events": self.shapes.app()["events"],
                "config": {"content_type": "json", "insecure_ssl": "0", "url": self.target}, "app_id": self.shapes.app()["id"],
            }  # fmt: skip
            self._record("ping", {"zen": "Keep it logically awesome.", "hook_id": HOOK_ID, "hook": hook}, None, None)

    def signed_out(self, login: str) -> None:
        """Send the event that a person has revoked the App's authorization."""
        if self.target:
            body = {"action": "revoked", "sender": self.shapes.account(login)}
            self._record("github_app_authorization", body, None, None)

    def _record(self, event: str, body: Doc, installation: int | None, repository: int | None) -> None:
        delivery = {
            "id": self.store.next("delivery") + 900_000, "guid": str(uuid.uuid4()), "event": event,
            "action": body.get("action"), "installation_id": installation, "repository_id": repository,
            "delivered_at": now(), "payload": body, "status": "pending", "status_code": 0, "duration": 0.0,
            "redelivery": False, "throttled_at": None, "url": self.target, "request_headers": {}, "response": None,
        }  # fmt: skip
        self._spawn(self.store.put("delivery", delivery["id"], delivery))

    def redeliver(self, delivery: Doc) -> None:
        """Send the same guid and payload again, as a new delivery."""
        again = delivery | {
            "id": self.store.next("delivery") + 900_000, "redelivery": True, "delivered_at": now(), "status": "pending",
            "status_code": 0, "duration": 0.0, "url": self.target, "response": None,
        }  # fmt: skip
        self._spawn(self.store.put("delivery", again["id"], again))

    def resume(self) -> None:
        """Send the deliveries that a stop or a kill left unsent."""
        for delivery in self.store.all("delivery"):
            if delivery["status"] == "pending":
                self._spawn(delivery)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._http:
            await self._http.aclose()

    def _spawn(self, delivery: Doc) -> None:
        task = asyncio.get_running_loop().create_task(self._deliver(delivery))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, delivery: Doc) -> None:
        async with self._lines[str(delivery["repository_id"])]:
            if self._flowing:
                await self._flowing.wait()
            raw = json.dumps(delivery["payload"]).encode()
            headers = self._headers(delivery, raw)
            began = time.monotonic()
            seen = await self._post(raw, headers)
            seen |= {"duration": round(time.monotonic() - began, 2), "request_headers": headers, "url": self.target}
            self.store.put("delivery", delivery["id"], delivery | seen)

    async def _post(self, raw: bytes, headers: dict[str, str]) -> Doc:
        target = self.target
        if target is None or self.dropping:
            return {"status": "failed to connect to host"}
        self._http = self._http or httpx.AsyncClient(timeout=TIMEOUT, trust_env=False)
        try:
            answer = await asyncio.wait_for(self._http.post(target, content=raw, headers=headers), TIMEOUT)
        except (TimeoutError, httpx.TimeoutException):
            return {"status": "timed out"}
        except (httpx.HTTPError, httpx.InvalidURL):
            return {"status": "failed to connect to host"}
        return {
            "status": "OK" if answer.is_success else f"Invalid HTTP Response: {answer.status_code}",
            "status_code": answer.status_code,
            "response": {"headers": dict(answer.headers), "payload": answer.text[:KEPT_ANSWER]},
        }

    def _headers(self, delivery: Doc, raw: bytes) -> dict[str, str]:
        app = self.store.app()
        secret = app["webhook_secret"].encode()
        return {
            "Content-Type": "application/json", "Accept": "*/*", "User-Agent": "GitHub-Hookshot/5f0d3c1",
            "X-GitHub-Event": delivery["event"], "X-GitHub-Delivery": delivery["guid"], "X-GitHub-Hook-ID": str(HOOK_ID),
            "X-GitHub-Hook-Installation-Target-ID": app["app_id"],
            "X-GitHub-Hook-Installation-Target-Type": "integration",
            "X-Hub-Signature": "sha1=" + hmac.new(secret, raw, hashlib.sha1).hexdigest(),
            "X-Hub-Signature-256": "sha256=" + hmac.new(secret, raw, hashlib.sha256).hexdigest(),
        }  # fmt: skip
