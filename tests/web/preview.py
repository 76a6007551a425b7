"""The pages with sample data, for looking at them: `python -m tests.web.preview [port]`, or `shots FOLDER`."""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

from foundry.api.problems import problem
from foundry.api.sign_in_policy import SignInRefused
from foundry.contracts.github_access import AccessState, Role
from foundry.contracts.github_state import NotInstalled
from foundry.contracts.task import NothingToPublish, Phase, TaskState
from foundry.contracts.task_session import MessageState, SessionStatus
from foundry.contracts.user_github_data import GitHubConnection
from foundry.web import fragments
from foundry.web import pages as page
from foundry.web.templating import STATIC
from tests.web import samples as s

CHROMIUM = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
            "--disable-component-update", "--disable-sync"]  # fmt: skip


def frame(access: AccessState = AccessState.LISTED, reason: str = "") -> page.Frame:
    return page.Frame(
        me=s.ADA,
        organization=s.ORGANIZATION,
        organizations=[s.ORGANIZATION, s.OTHER],
        issues=s.issues(),
        github=GitHubConnection(reason=reason),
        access=access,
    )


def pages() -> dict[str, str]:
    refusal = problem(NothingToPublish("the branch has no commits of its own; 1 changed files are not committed"))
    offer = page.Offer("/x", "Archive and discard", {"discard": "1"}, "Really?")
    failed = s.task(state=TaskState.FAILED, phase=Phase.CLONING, failure=s.failure(), attempt=2, activity="pending")
    starting = s.task(state=TaskState.PROVISIONING, phase=Phase.WAITING_FOR_HEALTH, branch=None, activity="pending")
    asks = s.session(
        permissions=[s.permission()],
        messages=[s.queued(5, MessageState.QUEUED), s.queued(6, MessageState.UNKNOWN, "Then push.")],
    )
    error = s.session(status=SessionStatus.ERROR, failure=s.session_failure())
    stranger = problem(
        SignInRefused("eve belongs to no organization that has the GitHub App, and cannot push to a repository of one")
    )
    removed = problem(NotInstalled("the GitHub App is not installed for harbour-works, or it is suspended there"))
    reading, sign_on, reconnect = AccessState.LISTING, AccessState.SINGLE_SIGN_ON, AccessState.RECONNECT
    unclear = "GitHub did not say whether it accepted the last refresh of your token."
    early = page.Talk(s.session(status=SessionStatus.PENDING), key="k")
    typed = page.Typed(repository="700", prompt="Show local times", branch="bad..name")
    return {
        "start": page.start(None),
        "signed-out": page.start(None, "/", "You were signed out: you signed out everywhere."),
        "stranger": page.problem(None, stranger),
        "no-organization": page.start(s.ADA),
        "removed": page.problem(s.ADA, removed),
        "settings-owner": page.settings(frame(), s.settings(Role.OWNER), s.github()),
        "settings-member": page.settings(frame(), s.settings(Role.MEMBER), s.github(known=False)),
        "listing": page.organization(frame(reading), s.tasks()[:2], archived=False),
        "single-sign-on": page.organization(frame(sign_on), [], archived=False),
        "reconnect": page.organization(frame(reconnect, unclear), s.tasks()[:2], archived=False),
        "account": page.account(s.ADA, s.app_sessions(), s.api_tokens()),
        "account-created": page.account(s.ADA, s.app_sessions(), [], created=s.created_token()),
        "account-refused": page.account(s.ADA, s.app_sessions(), [], typed="ci", problem=refusal),
        "login": page.device_login(s.ADA),
        "login-approve": page.device_login(s.ADA, "BCDF-GHJK", s.device_login()),
        "login-refused": page.device_login(s.ADA, "BCDF-GHJK", problem=refusal),
        "login-approved": page.device_login(s.ADA, answered="approved"),
        "organization": page.organization(frame(), s.tasks(), archived=False),
        "archived": page.organization(frame(), [s.MERGED], archived=True),
        "new": page.new_task(frame(), [s.REPOSITORY, s.SITE], ["mock"], typed, "k", refusal),
        "issues": page.issues(frame(), []),
        "task": page.task(frame(), s.task(), s.sandbox(), page.Talk(asks, s.transcript(), "k"), agents=["mock"]),
        "error": page.task(frame(), s.task(), s.sandbox(), page.Talk(error, s.transcript()[:8], "k"), agents=["mock"],
                           flash=fragments.page.flash(refusal, offer)),
        "failed": page.task(frame(), failed, None, early, agents=["mock"]),
        "starting": page.task(frame(), starting, None, early, agents=["mock"]),
        "changes": page.task(frame(), s.task(), s.sandbox(), None, agents=["mock"]),
        "repository": page.repository(frame(), s.REPOSITORY, s.tasks(), s.history(), archived=False),
        "problem": page.problem(s.ADA, refusal),
    }  # fmt: skip


def app() -> FastAPI:
    preview = FastAPI()
    preview.mount("/static", StaticFiles(directory=STATIC))

    @preview.get("/{name}")
    def shown(name: str) -> HTMLResponse:
        return HTMLResponse(pages()[name], headers={"Content-Security-Policy": "default-src 'self'"})

    return preview


async def shots(folder: Path, port: int = 7799) -> None:
    from playwright.async_api import async_playwright

    folder.mkdir(parents=True, exist_ok=True)
    server = uvicorn.Server(uvicorn.Config(app(), port=port, log_level="warning"))
    serving = asyncio.create_task(server.serve())
    async with async_playwright() as play:
        browser = await play.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM)
        for scheme in ("light", "dark"):
            for width in (1280, 400):
                context = await browser.new_context(viewport={"width": width, "height": 860}, color_scheme=scheme)
                tab = await context.new_page()
                tab.on("console", lambda message: print("console:", message.text))
                tab.on("pageerror", lambda error: print("page error:", error))
                await tab.clock.install(time=s.NOW)
                for name in sys.argv[3:] or pages():
                    await tab.goto(f"http://127.0.0.1:{port}/{name}")
                    wide = await tab.evaluate("document.documentElement.scrollWidth")
                    if wide > width:
                        print(f"{name} is {wide} px wide at {width}")
                    await tab.screenshot(path=folder / f"{name}-{scheme}-{width}.png", full_page=False)
                await context.close()
        await browser.close()
    server.should_exit = True
    await serving


if __name__ == "__main__":
    if sys.argv[1:2] == ["shots"]:
        asyncio.run(shots(Path(sys.argv[2])))
    else:
        uvicorn.run(app(), port=int(sys.argv[1]) if sys.argv[1:] else 7799)
