"""Sign-in: GitHub's web application flow with state and PKCE."""

from __future__ import annotations

import base64
import hashlib
from urllib.parse import urlencode

import httpx2 as httpx
from pydantic import ValidationError

from foundry.contracts.github_payloads import UserToken
from foundry.github.errors import GitHubSignInFailed, GitHubUnavailable

TIMEOUT = 15.0  # seconds
NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)  # nothing of the request left this machine


class OAuth:
    """The App's sign-in endpoints, under GitHub's web address."""

    def __init__(self, web_url: str, client_id: str, client_secret: str, http: httpx.AsyncClient) -> None:
        self._web = web_url.rstrip("/")
        self._client_id = client_id
        self._client_secret = client_secret
        self._http = http

    def authorize_url(self, *, redirect_uri: str, state: str, verifier: str) -> str:
        """Return the address that the browser is redirected to. `verifier` stays here until the exchange."""
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        query = {
            "client_id": self._client_id,
            "redirect_uri": redirect_uri,
            "state": state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return f"{self._web}/login/oauth/authorize?{urlencode(query)}"

    async def exchange(self, *, code: str, redirect_uri: str, verifier: str) -> UserToken:
        """Exchange the code that GitHub sent back for the person's token.

        Raises:
            GitHubSignInFailed: the code is wrong, used or too old.
        """
        return await self._token({"code": code, "redirect_uri": redirect_uri, "code_verifier": verifier})

    async def refresh(self, refresh_token: str) -> UserToken:
        """Exchange a refresh token for a new pair. A refresh token works once.

        Raises:
            GitHubSignInFailed: GitHub refused, for the reason in `error`. `bad_refresh_token`: the person must sign in
                again. Empty: nobody knows whether GitHub used the refresh token up.
            GitHubUnavailable: no usable response. Unless `sent` is False, GitHub may have used the refresh token up.
        """
        return await self._token({"grant_type": "refresh_token", "refresh_token": refresh_token})

    async def _token(self, fields: dict[str, str]) -> UserToken:
        form = {"client_id": self._client_id, "client_secret": self._client_secret, **fields}
        try:
            response = await self._http.post(
                f"{self._web}/login/oauth/access_token",
                data=form,
                headers={"Accept": "application/json"},
                timeout=TIMEOUT,
            )
        except httpx.HTTPError as error:
            sent = not isinstance(error, NOT_SENT)
            raise GitHubUnavailable(f"GitHub did not answer the sign-in: {type(error).__name__}", sent=sent) from error
        if response.status_code >= 500:
            raise GitHubUnavailable(f"GitHub answered the sign-in with {response.status_code}")
        try:
            body = response.json()
        except ValueError:
            raise GitHubSignInFailed("GitHub's response to the sign-in is not valid JSON") from None
        if not isinstance(body, dict):
            raise GitHubSignInFailed("GitHub's response to the sign-in is not as documented")
        if "access_token" not in body:  # errors come with status 200
            reason, code = body.get("error_description"), str(body.get("error") or "")
            raise GitHubSignInFailed(str(reason or code or "no token"), error=code)
        try:
            return UserToken.model_validate(body)
        except ValidationError:  # it quotes the token
            raise GitHubSignInFailed("GitHub's response to the sign-in is not as documented") from None
