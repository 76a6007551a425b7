"""Signing in from a command line, in the way of RFC 8628. Nobody types a password or copies a token.

1. The command line asks for a device code and a user code. 2. Its person opens the page in a signed-in browser and
approves. 3. The command line, which polls, gets an API token.
"""

from __future__ import annotations

import secrets
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response
from pydantic import Field

from foundry.actors.app_shell import views
from foundry.api.account import Scopes, TokenName, new_secret
from foundry.api.auth import Me, Signed, hashed
from foundry.api.bodies import Body
from foundry.api.client import client_address
from foundry.api.context import foundry_of
from foundry.api.errors import AccessDenied, AuthorizationPending, ExpiredToken, SlowDown
from foundry.contracts import addresses
from foundry.contracts.app_shell import (
    AnswerDeviceLogin,
    DeviceLoginView,
    PollDeviceLogin,
    Polled,
    Scope,
    StartDeviceLogin,
    WrongUserCode,
)
from foundry.contracts.errors import NotFound
from foundry.contracts.messages import Model

LETTERS = "BCDFGHJKLMNPQRSTVWXZ"  # no vowels, so that no words appear; RFC 8628 recommends these
LENGTH = 8  # letters of a user code: 20 ** 8 codes, and a person may enter ten wrong ones

router = APIRouter(prefix="/api/login/device", tags=["sign-in"])

UserCode = Annotated[str, Field(min_length=1, max_length=40)]


class NewLogin(Body):
    device_name: TokenName = "command line"
    scopes: Scopes = [Scope.READ, Scope.WRITE]


class DeviceLogin(Model):
    """RFC 8628, section 3.2. Times are in seconds."""

    device_code: str
    user_code: str
    verification_uri: str
    verification_uri_complete: str
    expires_in: int
    interval: float


class Poll(Body):
    device_code: Annotated[str, Field(min_length=1, max_length=200)]


class DeviceToken(Model):
    """The new API token. It is in this response only."""

    access_token: str
    token_type: str = "bearer"


class LoginAnswer(Body):
    user_code: UserCode
    approve: bool


@router.post("", status_code=200)
async def start(request: Request, response: Response, wish: NewLogin) -> DeviceLogin:
    """Start a login. The person enters the user code on the page, or opens the complete address."""
    foundry = foundry_of(request)
    device_code, code = secrets.token_urlsafe(32), "".join(secrets.choice(LETTERS) for _ in range(LENGTH))
    command = StartDeviceLogin(
        device_hash=hashed(device_code),
        user_code_hash=hashed(code),
        device=wish.device_name,
        scopes=wish.scopes,
        interval=foundry.device_interval,
        address=client_address(request),
    )
    await foundry.runtime.ask(addresses.app_shell(), command)
    shown, page = f"{code[:4]}-{code[4:]}", f"{foundry.public_url}/login/device"
    response.headers["Cache-Control"] = "no-store"
    return DeviceLogin(
        device_code=device_code,
        user_code=shown,
        verification_uri=page,
        verification_uri_complete=f"{page}?{urlencode({'user_code': shown})}",
        expires_in=round(views.CODE_LIFE.total_seconds()),
        interval=foundry.device_interval,
    )


@router.post("/token", status_code=200)
async def poll(request: Request, response: Response, wish: Poll) -> DeviceToken:
    """Ask for the API token. Until the person has answered, the error is `authorization_pending` or `slow_down`."""
    token = new_secret()
    command = PollDeviceLogin(
        device_hash=hashed(wish.device_code), token_hash=hashed(token), address=client_address(request)
    )
    match await foundry_of(request).runtime.ask(addresses.app_shell(), command):
        case Polled.PENDING:
            raise AuthorizationPending("the person has not approved the login yet", field="device_code")
        case Polled.SLOW_DOWN:
            raise SlowDown("the device asks more often than agreed", field="device_code")
        case Polled.EXPIRED:
            raise ExpiredToken("the device code does not exist, has expired, or was used", field="device_code")
        case Polled.DENIED:
            raise AccessDenied("the person has denied the login", field="device_code")
        case Polled.APPROVED:
            response.headers["Cache-Control"] = "no-store"
            return DeviceToken(access_token=token)


@router.post("/answer", status_code=204)
async def answer(request: Request, who: Signed, wish: LoginAnswer) -> None:
    """Approve or deny the login with this user code."""
    await waiting(request, who, wish.user_code)
    command = AnswerDeviceLogin(
        user_code_hash=_hash(wish.user_code),
        user=who.person.id,
        login=who.person.login,
        approve=wish.approve,
        address=client_address(request),
    )
    await foundry_of(request).runtime.ask(addresses.app_shell(), command)


# also used by the page


async def waiting(request: Request, who: Me, user_code: str) -> DeviceLoginView:
    """Return the login with this code, for the person to decide. A wrong code is counted.

    Raises:
        NotFound: the code does not exist, has expired, or was used.
        TooManyAttempts: the person has entered too many wrong codes.
    """
    foundry, user = foundry_of(request), who.person.id
    found = await foundry.runtime.read(views.device_login, _hash(user_code), user, foundry.now())
    if found is None:
        await foundry.runtime.ask(addresses.app_shell(), WrongUserCode(user=user))
        raise NotFound("this code does not exist, has expired, or was already used", field="user_code")
    return found


def _hash(user_code: str) -> str:
    """Hash the code as people may type it: small letters, with or without the hyphen."""
    return hashed("".join(letter for letter in user_code.upper() if letter in LETTERS))
