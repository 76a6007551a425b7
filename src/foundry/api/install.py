"""Adds the API to an app."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from foundry.api import (
    account,
    actors,
    audit,
    checkpoints,
    device_login,
    health,
    inspection,
    issues,
    organizations,
    realtime,
    sandboxes,
    secret_keys,
    sessions,
    settings,
    sign_in,
    tasks,
    webhooks,
)
from foundry.api.guard import Guard
from foundry.api.problems import RESPONSES, documented, install_problems

ROOMS = (
    device_login,
    account,
    organizations,
    issues,
    tasks,
    checkpoints,
    sessions,
    settings,
    sign_in,
    sandboxes,
    secret_keys,
    realtime,
    actors,
    inspection,
    audit,
    webhooks,
    health,
)


def install(app: FastAPI) -> None:
    """Add the routes, the error handlers and the middleware."""
    for room in ROOMS:
        app.include_router(room.router, responses=RESPONSES)
    install_problems(app)
    app.add_middleware(Guard)
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = documented(plain())
        return app.openapi_schema

    app.openapi = openapi
