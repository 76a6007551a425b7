"""Runs what a request asks for in one read, and asks GitHub first where that read needs it (DESIGN section 6).

`Sees` says what a person may see, from what is recorded. Where that is missing or too old it raises `Outdated`; `see`
then asks GitHub and runs the whole read again. So whoever asks, what they may see and what they asked for come from one
snapshot.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

import structlog
from fastapi import Request

from foundry.actors.github_state.access_views import Asking
from foundry.actors.task.views import announces
from foundry.api.auth import Credential, Me, asking, me_of
from foundry.api.context import Foundry, foundry_of
from foundry.api.last_use import note_use
from foundry.api.sees import Sees
from foundry.contracts import addresses
from foundry.contracts.errors import FoundryError, NotSignedIn
from foundry.contracts.github_access import Outdated, Question
from foundry.contracts.ids import SessionId, is_id
from foundry.contracts.repository import RepositoryRef
from foundry.contracts.sandbox_instance import SandboxView
from foundry.contracts.task import TaskView
from foundry.contracts.task_session import SessionView
from foundry.contracts.user_github_data import ReconnectNeeded
from foundry.runtime.reader import Reader

BIRTH = 1.0  # seconds to wait until a session that a task has just announced exists
ASK_LIMIT = 30.0  # seconds that one request may spend on questions to GitHub
PAUSE = 0.05  # seconds before the next look at a listing that another server reads

Found = TypeVar("Found")

log = structlog.get_logger("foundry.api")


async def see(foundry: Foundry, who: Me | Credential, look: Callable[[Sees], Found]) -> Found:
    """Run `look` in one read. If GitHub has to be asked first, ask and run it again.

    Raises:
        NotSignedIn: the credential is nobody's.
        GitHubUnavailable: GitHub does not answer, and what it said before is too old.
    """
    loop = asyncio.get_running_loop()
    limit, refused, without_token = loop.time() + ASK_LIMIT, None, False
    while True:
        now, began, grace = foundry.now(), loop.time(), refused is not None

        def run(reader: Reader) -> tuple[Found, set[Question]]:
            me = who if isinstance(who, Me) else me_of(reader, who, now)  # noqa: B023
            if me is None:
                raise NotSignedIn("nobody is signed in")
            asked = Asking(me.person.id, now, foundry.access_times, grace=grace)  # noqa: B023
            sees = Sees(reader, me, asked, without_token=without_token)  # noqa: B023
            return look(sees), sees.to_renew

        try:
            found, to_renew = await foundry.runtime.read(run)
        except Outdated as outdated:
            if refused is not None:
                raise refused from None
            try:
                if not await foundry.asker.answer(outdated.question, began):
                    await asyncio.sleep(PAUSE)
            except ReconnectNeeded:
                without_token = True
            except FoundryError as error:
                if not error.transient:
                    raise
                log.warning("GitHub was asked about access and did not answer", reason=error.detail)
                refused = error
            if loop.time() > limit:
                raise refused or foundry.asker.too_slow() from None
            continue
        if refused is None:
            for question in to_renew:
                foundry.asker.renew(question)
        return found


async def answer(request: Request, look: Callable[[Sees], Found]) -> Found:
    """Run `look` for whoever sends the request, all in one read. The use of their credential is recorded.

    Raises:
        NotSignedIn: nobody is signed in.
    """
    foundry, credential = foundry_of(request), asking(request)
    found, me = await see(foundry, credential, lambda sees: (look(sees), sees.me))
    note_use(foundry, request, credential, me)
    return found


# the same, one read each, for a route


async def repository_of(request: Request, who: Me, repository: str, *, change: bool = False) -> RepositoryRef:
    """Return the repository, if the person may see it (and change it, with `change`)."""
    return await see(foundry_of(request), who, lambda sees: sees.repository(repository, change=change))


async def task_of(request: Request, who: Me, task: str, *, change: bool = False) -> TaskView:
    """Return the task, if the person may see it (and change it, with `change`)."""
    return await see(foundry_of(request), who, lambda sees: sees.task(task, change=change))


async def session_of(request: Request, who: Me, session: str, *, change: bool = False) -> SessionView:
    """Return the session, if the person may see it (and change it, with `change`)."""
    await born(foundry_of(request), session)
    return await see(foundry_of(request), who, lambda sees: sees.session(session, change=change))


async def sandbox_of(request: Request, who: Me, sandbox: str, *, change: bool = False) -> SandboxView:
    """Return the sandbox, if the person may see its task (and change it, with `change`)."""
    return await see(foundry_of(request), who, lambda sees: sees.sandbox(sandbox, change=change))


async def born(foundry: Foundry, session: str) -> None:
    """Wait briefly for a new session: its task publishes the id before the session itself exists."""
    if not is_id(session, "ses"):
        return
    address = addresses.session(SessionId(session))
    if await foundry.runtime.read(lambda reader: reader.exists(address) or not announces(reader, SessionId(session))):
        return
    subscription = foundry.runtime.hub.subscribe(address)
    try:
        async with asyncio.timeout(BIRTH):
            if not await foundry.runtime.read(lambda reader: reader.exists(address)):
                await anext(subscription.events(0))
    except TimeoutError:
        return
    finally:
        subscription.close()
