"""Creates the App from a manifest, like GitHub's form, with the same refusals.

There is one App here. Accepting a manifest returns its identity and sets its webhook and permissions.
"""

from __future__ import annotations

import json
import secrets
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from foundry.devkit.github.hooks import Hooks
from foundry.devkit.github.looks import page, same_origin
from foundry.devkit.github.refusals import NOT_FOUND, Refusal
from foundry.devkit.github.roles import LEVELS
from foundry.devkit.github.shapes import EVENTS, Shapes
from foundry.devkit.github.store import Doc, Store

BY_THEMSELVES = {"installation", "installation_repositories", "github_app_authorization"}
NEEDED = {
    "issue_comment": "issues", "issues": "issues", "check_run": "checks", "check_suite": "checks", "status": "statuses",
    "push": "contents", "create": "contents", "delete": "contents", "pull_request": "pull_requests",
    "pull_request_review": "pull_requests", "pull_request_review_comment": "pull_requests", "member": "members",
    "membership": "members", "team": "members", "team_add": "members", "organization": "members", "repository": "metadata",
}  # fmt: skip
"""The permission that each event needs, as GitHub's page "Webhook events and payloads" says. For `issue_comment`, which
it gives to either of two permissions, as public threads report (derive-to/derive #269, superplanehq/superplane #5235)."""


def problems(manifest: Doc) -> list[str]:
    """Return GitHub's reasons to refuse a manifest. Empty if GitHub would accept it."""
    found = [f"{field} can't be blank" for field in ("url",) if not manifest.get(field)]
    permissions: dict[str, Any] = manifest.get("default_permissions") or {}
    found += [
        f"Permission {n} has no level {v!r}" for n, v in permissions.items() if v not in ("read", "write", "admin")
    ]
    granted = {"metadata": "read"} | permissions
    for event in manifest.get("default_events") or []:
        if event in BY_THEMSELVES or (event not in NEEDED and event not in EVENTS):
            found.append(f"Default events unsupported: {event}")
        elif LEVELS.get(granted.get(NEEDED[event], "none"), 0) < LEVELS["read"]:
            found.append(f"Default events are not supported by permissions: {event}")
    hook = manifest.get("hook_attributes")
    if hook is not None and not hook.get("url"):
        found.append("Hook url can't be blank")
    return found


class Manifest:
    """The form for a manifest, and the exchange of its code for the App's identity."""

    def __init__(self, store: Store, shapes: Shapes, hooks: Hooks) -> None:
        self.store, self.shapes, self.hooks = store, shapes, hooks
        self.router = APIRouter(include_in_schema=False)
        add = self.router.add_api_route
        add("/settings/apps/new", self.offer, methods=["POST"])
        add("/organizations/{org}/settings/apps/new", self.offer, methods=["POST"])
        add("/settings/apps/accept", self.accept, methods=["POST"])
        add("/api/v3/app-manifests/{code}/conversions", self.convert, methods=["POST"])

    async def offer(self, request: Request) -> Response:
        """Show the page that a form with a manifest leads to."""
        text = str((await request.form()).get("manifest", ""))
        try:
            manifest = json.loads(text)
        except ValueError:
            manifest = None
        if not isinstance(manifest, dict):
            return page("message.html", 422, title="Invalid manifest", text="The manifest is not a JSON object.")
        if found := problems(manifest):
            return page("message.html", 422, title="Invalid GitHub App configuration", text="; ".join(found))
        hidden = {"manifest": text, "state": request.query_params.get("state", "")}
        name = str(manifest.get("name") or "Foundry sample")
        return page("manifest.html", name=name, hidden=hidden, manifest=manifest)

    async def accept(self, request: Request) -> Response:
        form = {key: str(value) for key, value in (await request.form()).items()}
        manifest: Doc = json.loads(form.get("manifest", "{}"))
        back = manifest.get("redirect_url")
        if not same_origin(request) or problems(manifest) or not str(back).startswith(("http://", "https://")):
            return page(
                "message.html", 422, title="Invalid manifest", text="Start again from the form that led to this page."
            )
        code = secrets.token_hex(20)
        self.store.put("manifest", code, manifest)
        state = f"&state={form['state']}" if form.get("state") else ""
        return RedirectResponse(f"{back}{'&' if '?' in str(back) else '?'}code={code}{state}", 302)

    async def convert(self, code: str) -> Response:
        """Return the App's identity. Each code works once."""
        manifest = self.store.get("manifest", code)
        if manifest is None:
            return Refusal(404, NOT_FOUND).response()
        self.store.remove("manifest", code)
        target = (manifest.get("hook_attributes") or {}).get("url")
        if target:
            self.hooks.aim(target)
        app = self.store.app()
        body = self.shapes.app() | {
            "client_secret": app["client_secret"], "webhook_secret": app["webhook_secret"], "pem": app["private_key"]
        }  # fmt: skip
        for installation in self.store.all("installation"):
            granted = {"metadata": "read"} | (manifest.get("default_permissions") or {})
            self.store.put("installation", installation["id"], installation | {"permissions": granted})
        self.hooks.ping()
        return JSONResponse(body, 201)
