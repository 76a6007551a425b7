"""GitHub's REST API under `/api/v3`: the steps before and after every request's route."""

from __future__ import annotations

import hashlib
import json
import uuid
from contextlib import suppress
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from foundry.devkit.github.access import Access
from foundry.devkit.github.asking import Answer, Ask, Listed
from foundry.devkit.github.budget import Budgets
from foundry.devkit.github.caller import Caller
from foundry.devkit.github.faults import Faults, suffer
from foundry.devkit.github.gitting import GitError
from foundry.devkit.github.refusals import NOT_FOUND, Moved, Refusal
from foundry.devkit.github.rest_app import AppRoutes
from foundry.devkit.github.rest_people import PeopleRoutes
from foundry.devkit.github.rest_repos import RepositoryRoutes
from foundry.devkit.github.rest_teams import TeamRoutes
from foundry.devkit.github.store import Doc

VERSIONS = ("2022-11-28",)
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


class Rest:
    """The entry point of the API."""

    def __init__(
        self,
        access: Access,
        budgets: Budgets,
        faults: Faults,
        app: AppRoutes,
        teams: TeamRoutes,
        people: PeopleRoutes,
        repos: RepositoryRoutes,
    ) -> None:
        self.access, self.budgets, self.faults = access, budgets, faults
        self.parts = (app, teams, people, repos)
        self.router = APIRouter(prefix="/api/v3")
        self.router.add_api_route("/{path:path}", self.answer, methods=METHODS, include_in_schema=False)

    async def answer(self, request: Request, path: str) -> Response:
        """1. Faults, version, credentials. 2. Count. 3. Route. 4. Page, ETag, and the headers of every response."""
        headers = {
            "X-GitHub-Media-Type": "github.v3; format=json", "X-GitHub-Request-Id": _request_id(),
            "X-Content-Type-Options": "nosniff", "Vary": "Accept, Authorization, Cookie, X-GitHub-OTP",
        }  # fmt: skip
        fault = self.faults.take(path, request.method)
        try:
            self._count(request)
            await suffer(fault, after=False)
            headers["X-GitHub-Api-Version-Selected"] = _version(request)
            caller = self.access.caller(request.headers.get("authorization", ""))
            if path.strip("/") == "rate_limit":
                return JSONResponse(self.budgets.overview(caller), headers=headers | self.budgets.headers(caller))
            headers |= self.budgets.spend(caller)
            response = await self._counted(request, path, caller, headers)
            await suffer(fault, after=True)
        except Refusal as refusal:
            response = refusal.response()
            for name, value in (headers | refusal.headers).items():
                response.headers[name] = value
        return response

    def _count(self, request: Request) -> None:
        """Count the request for its caller, even if a fault makes it fail."""
        with suppress(Refusal):
            caller = self.access.caller(request.headers.get("authorization", ""))
            self.budgets.counts[caller.key].requests += 1

    async def _counted(self, request: Request, path: str, caller: Caller, headers: dict[str, str]) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        ask = Ask(request, caller, method, path.strip("/").split("/"), _body(await request.body()))
        try:
            status, found = self._route(ask)
        except Moved as moved:
            response = moved.response(ask.method)
            response.headers.update(headers)
            return response
        except GitError as error:
            raise Refusal(422, str(error)) from None
        finally:
            if caller.accepted and caller.kind != "nobody":
                headers["X-Accepted-GitHub-Permissions"] = caller.accepted
        link = ""
        if isinstance(found, Listed):
            found, link = found.page(ask)
            headers |= {"Link": link} if link else {}
        headers |= ask.headers
        if found is None:
            return Response(status_code=status, headers=headers)
        if ask.method == "GET" and status == 200:
            headers |= {"ETag": _etag(found, link), "Cache-Control": "private, max-age=60, s-maxage=60"}
            asked = request.headers.get("if-none-match", "")
            if headers["ETag"].removeprefix("W/") in asked:
                headers |= self.budgets.give_back(caller)  # an unchanged response is free
                return Response(status_code=304, headers=headers)
        return JSONResponse(found, status, headers=headers)

    def _route(self, ask: Ask) -> Answer:
        for routes in self.parts:
            answer = routes.route(ask)
            if answer is not None:
                return answer
        match [ask.method, *ask.path]:
            case ["GET", ""]:
                return 200, {"current_user_url": str(ask.request.base_url) + "api/v3/user"}
            case ["GET", "meta"]:
                return 200, {"verifiable_password_authentication": False, "hooks": ["127.0.0.1/32"]}
            case ["GET", "zen"]:
                return 200, "Keep it logically awesome."
        raise Refusal(404, NOT_FOUND)


def _request_id() -> str:
    """Return an id that looks like GitHub's: groups of hexadecimal digits, unique."""
    text = uuid.uuid4().hex.upper()
    return ":".join((text[:4], text[4:10], text[10:17], text[17:24], text[24:]))


def _version(request: Request) -> str:
    wanted = request.headers.get("x-github-api-version", VERSIONS[-1])
    if wanted not in VERSIONS:
        raise Refusal(400, f"The specified API version {wanted!r} is not supported. Try one of: {', '.join(VERSIONS)}.")
    if not request.headers.get("user-agent"):
        raise Refusal(
            403, "Request forbidden by administrative rules. Please make sure your request has a User-Agent header."
        )
    return wanted


def _body(raw: bytes) -> Doc:
    if not raw:
        return {}
    try:
        body: Any = json.loads(raw)
    except ValueError:
        raise Refusal(400, "Problems parsing JSON") from None
    if body is None or body == "":
        return {}
    if isinstance(body, list):  # some calls accept a plain list
        return {"": body}
    if not isinstance(body, dict):
        raise Refusal(400, "Body should be a JSON object")
    return body


def _etag(found: Any, link: str) -> str:
    text = json.dumps(found, sort_keys=True) + link
    return 'W/"' + hashlib.sha256(text.encode()).hexdigest() + '"'
