"""Ends a stream when the app session or API token that opened it ends, whoever ended it and on whichever server.

AppShell publishes `CredentialsEnded` on its topic. Each stream compares the ids with its own; nobody else is told.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable

from fastapi import Request

from foundry.actors.app_shell.views import ADMIN, credential_id
from foundry.api.auth import Credential, Kind, credential_of, me_of
from foundry.api.context import foundry_of
from foundry.contracts import addresses
from foundry.contracts.app_shell import CredentialsEnded
from foundry.contracts.errors import NotSignedIn
from foundry.runtime.reader import Reader
from foundry.runtime.topic import Resync, Subscription


async def still_signed_in(request: Request) -> int:
    """Require that the request's app session or token is still valid. This does not count as a use.

    Returns:
        The version of AppShell's topic at which it was valid.

    Raises:
        NotSignedIn: it has ended; the detail says why.
    """
    foundry = foundry_of(request)
    credential, now = credential_of(request, foundry), foundry.now()

    def look(reader: Reader) -> int:
        if credential is None or me_of(reader, credential, now) is None:
            raise NotSignedIn("you are no longer signed in")
        return reader.version(addresses.app_shell())

    return await foundry.runtime.read(look)


@contextlib.asynccontextmanager
async def watched(request: Request, ended: Callable[[], None]) -> AsyncGenerator[None]:
    """While this is open, call `ended` once the request's app session or token may have ended.

    Raises:
        NotSignedIn: it has ended already.
    """
    foundry = foundry_of(request)
    subscription = foundry.runtime.hub.subscribe(addresses.app_shell())
    try:
        version = await still_signed_in(request)
        credential = credential_of(request, foundry)
        watch = asyncio.create_task(_watch(subscription, version, _id(credential), ended))
        try:
            yield
        finally:
            watch.cancel()
    finally:
        subscription.close()


async def _watch(subscription: Subscription, version: int, id: str, ended: Callable[[], None]) -> None:
    try:
        async for event in subscription.events(version):
            if event.word == CredentialsEnded.__name__ and id in CredentialsEnded.model_validate_json(event.body).ended:
                ended()
    except Resync:
        ended()


def _id(credential: Credential | None) -> str:
    if credential is None or credential.kind is Kind.ADMIN:
        return ADMIN
    return credential_id("tok" if credential.kind is Kind.TOKEN else "aps", credential.hash)
