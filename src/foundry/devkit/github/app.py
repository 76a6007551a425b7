"""The stand-in GitHub's application, assembled from its parts."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import Response

from foundry.devkit.github.access import Access
from foundry.devkit.github.branches import Branches
from foundry.devkit.github.budget import Budgets
from foundry.devkit.github.control import Control
from foundry.devkit.github.control_people import PeopleControl
from foundry.devkit.github.faults import Faults
from foundry.devkit.github.git_http import GitHttp
from foundry.devkit.github.hooks import Hooks
from foundry.devkit.github.manifest import Manifest
from foundry.devkit.github.oauth import OAuth
from foundry.devkit.github.pages import Pages
from foundry.devkit.github.people import People
from foundry.devkit.github.pulls import Pulls
from foundry.devkit.github.refusals import Refusal
from foundry.devkit.github.repos import Repositories
from foundry.devkit.github.rest import Rest
from foundry.devkit.github.rest_app import AppRoutes
from foundry.devkit.github.rest_people import PeopleRoutes
from foundry.devkit.github.rest_pulls import PullRoutes
from foundry.devkit.github.rest_repos import RepositoryRoutes
from foundry.devkit.github.rest_teams import TeamRoutes
from foundry.devkit.github.settings import Settings
from foundry.devkit.github.shapes import Shapes
from foundry.devkit.github.sso import Sso
from foundry.devkit.github.store import Store
from foundry.devkit.github.teams import Teams
from foundry.devkit.github.tokens import Tokens


def create_github(directory: Path, url: str, *, webhook: str | None = None) -> FastAPI:
    """Return the server's application. Run it with its lifespan: at the start it finishes work that a kill interrupted.

    Args:
        directory: the directory for all data. Its `app.json` has what Foundry needs to connect.
        url: the server's own address, without a trailing slash.
        webhook: the address for the sample App's webhooks. None: unchanged.
    """
    store, faults, budgets = Store(directory), Faults(), Budgets()
    sso, repositories = Sso(store, url), Repositories(store)
    access, tokens = Access(store, sso), Tokens(store, sso)
    repositories.seed()
    tokens.adopt()
    shapes = Shapes(store, repositories, access, url)
    hooks = Hooks(store, shapes, webhook)
    branches = Branches(store, repositories, shapes, hooks, access)
    pulls = Pulls(store, repositories, shapes, hooks, branches)
    settings = Settings(store, access, repositories, shapes, hooks)
    people, teams = People(store, shapes, hooks, settings), Teams(store, shapes, hooks, settings)
    rest = Rest(
        access,
        budgets,
        faults,
        AppRoutes(store, access, repositories, shapes, hooks, settings),
        TeamRoutes(store, access, shapes, teams),
        PeopleRoutes(store, access, shapes),
        RepositoryRoutes(
            store, access, repositories, shapes, branches, PullRoutes(store, access, repositories, shapes, pulls)
        ),
    )
    _write_identity(store, directory, url)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        hooks.resume()
        pulls.recover()
        yield
        await hooks.stop()

    app = FastAPI(title="A stand-in for GitHub", openapi_url=None, lifespan=lifespan)
    for part in (
        Control(store, budgets, faults, hooks, branches, settings),
        PeopleControl(store, tokens, sso, budgets, hooks, settings, people, teams),
        OAuth(store, tokens, shapes, hooks, faults),
        Manifest(store, shapes, hooks),
        rest,
        GitHttp(access, repositories, branches, faults),
        Pages(store, access, repositories, shapes, pulls, settings),
    ):
        app.include_router(part.router)
    app.add_exception_handler(Refusal, _refused)
    return app


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return error.response()


def _write_identity(store: Store, directory: Path, url: str) -> None:
    """Write app.json, readable only by its owner. It has what a person would copy from GitHub's settings page."""
    body = {k: v for k, v in store.app().items() if k != "public_key"} | {"api_url": f"{url}/api/v3", "web_url": url}
    path = directory / "app.json"
    partial = path.with_suffix(".partial")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(body, file, indent=1)
    partial.replace(path)
