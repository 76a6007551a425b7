"""Puts the API on an app."""

from __future__ import annotations

from fastapi import FastAPI

from foundry.api import auth, health, organizations, realtime, sessions, tasks, webhooks
from foundry.api.guard import Guard
from foundry.api.problems import install_problems


def install(app: FastAPI) -> None:
    """Routes, error handlers, and what every request passes first."""
    for room in (auth, health, organizations, tasks, sessions, realtime, webhooks):
        app.include_router(room.router)
    install_problems(app)
    app.add_middleware(Guard)
