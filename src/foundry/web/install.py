"""Adds the pages to an app that has the API."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from foundry.web.responses import error_page
from foundry.web.routes import account, issues, organizations, repositories, sessions, settings, tasks
from foundry.web.templating import STATIC

ROOMS = (organizations, repositories, issues, tasks, sessions, account, settings)
FOR_GOOD = "public, max-age=31536000, immutable"  # max-age in seconds; a file's address changes with its content


class _Static(StaticFiles):
    """Static files. A browser may cache a file forever if its address contains the content's hash."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        answer = await super().get_response(path, scope)
        if answer.status_code in (200, 304) and scope.get("query_string", b"").startswith(b"v="):
            answer.headers["Cache-Control"] = FOR_GOOD
        return answer


def install(app: FastAPI) -> None:
    """Add the routes, the static files, and the error pages."""
    for room in ROOMS:
        app.include_router(room.router, include_in_schema=False)
    app.mount("/static", _Static(directory=STATIC), name="static")
    app.state.error_page = error_page
