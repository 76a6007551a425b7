"""Git over HTTP: the real `git http-backend` behind token checks. A push notifies the listeners."""

from __future__ import annotations

import asyncio
import os
import zlib
from collections.abc import AsyncIterator
from contextlib import suppress

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response, StreamingResponse

from foundry.devkit.github.access import Access
from foundry.devkit.github.branches import Branches
from foundry.devkit.github.caller import Caller
from foundry.devkit.github.faults import Faults, suffer
from foundry.devkit.github.gitting import ENV
from foundry.devkit.github.refusals import Refusal
from foundry.devkit.github.repos import Repositories
from foundry.devkit.github.roles import LEVELS
from foundry.devkit.github.shapes import BOT
from foundry.devkit.github.store import Doc

CHUNK = 65_536  # bytes
UNZIP = 31  # zlib's window for gzip
SERVICES = ("info/refs", "git-upload-pack", "git-receive-pack")
GONE = "Repository not found."
SSO = """\
The '{org}' organization has enabled or enforced SAML SSO.
To access this repository, you must re-authorize the OAuth Application 'Foundry sample'."""
ARCHIVED = "This repository was archived so it is read-only."


class GitHttp:
    """Smart HTTP for every repository: `/{owner}/{name}.git/...`; the `.git` is optional."""

    def __init__(self, access: Access, repositories: Repositories, branches: Branches, faults: Faults) -> None:
        self.access, self.repositories, self.branches, self.faults = access, repositories, branches, faults
        self.router = APIRouter()
        for service in SERVICES:
            self.router.add_api_route(
                f"/{{owner}}/{{name}}/{service}", self.answer, methods=["GET", "POST"], include_in_schema=False
            )

    async def answer(self, request: Request, owner: str, name: str) -> Response:
        """Check the token, then run git."""
        fault = self.faults.take("git", request.method)
        try:
            await suffer(fault, after=False)
            response = await self._checked(request, owner, name.removesuffix(".git"))
            await suffer(fault, after=True)
        except Refusal as refusal:
            return _text(refusal.status, refusal.message, refusal.headers)
        return response

    async def _checked(self, request: Request, owner: str, name: str) -> Response:
        """1. Identify the caller. 2. Without credentials allow only public reads. 3. Check the `contents` permission."""
        service = next(s for s in SERVICES if request.url.path.endswith(f"/{s}"))
        pushing = "git-receive-pack" in (service, request.query_params.get("service", ""))
        ask = {"WWW-Authenticate": 'Basic realm="GitHub"'}
        try:
            caller = self.access.caller(request.headers.get("authorization", ""))
        except Refusal as refusal:
            if refusal.status == 401:
                return _text(401, "Bad credentials", ask)
            raise
        repo = self.repositories.find(owner, name)
        moved = None if repo else self.repositories.moved(owner, name)
        subject = repo or moved
        if caller.kind == "nobody" and (subject is None or subject["private"] or pushing):
            return _text(401, GONE, ask)
        if subject is None or not self.access.allowed(caller, subject, "contents", "read"):
            return _text(404, GONE)
        if org := self.access.sso.blocks(caller, subject["owner"]):
            return _text(403, SSO.format(org=org["login"]))
        if moved:
            query = f"?{request.url.query}" if request.url.query else ""
            return RedirectResponse(f"/{moved['owner']}/{moved['name']}.git/{service}{query}", 301)
        if pushing and not self.access.allowed(caller, subject, "contents", "write"):
            who = caller.login or BOT
            return _text(403, f"Permission to {owner}/{name}.git denied to {who}.")
        if pushing and subject.get("archived"):
            return _text(403, ARCHIVED)
        self.repositories.path(subject)  # exists from here on
        response = await self._backend(request, subject, service, caller)
        if service == "git-receive-pack":
            self.branches.observe(self.repositories.store.get("repo", subject["id"]) or subject, caller.login or BOT)
        return response

    async def _backend(self, request: Request, repo: Doc, service: str, caller: Caller) -> Response:
        process = await asyncio.create_subprocess_exec(
            "git", "http-backend", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL, env=self._env(request, repo, service, caller),
        )  # fmt: skip
        assert process.stdin
        assert process.stdout
        feeding = asyncio.create_task(self._feed(request, process.stdin))
        out = process.stdout
        status, headers = await self._head(out)
        if service == "git-receive-pack":  # the refs have moved once this is read to its end
            body = await out.read()
            await asyncio.gather(feeding, process.wait(), return_exceptions=True)
            return Response(body, status, headers)

        async def rest() -> AsyncIterator[bytes]:
            try:
                while chunk := await out.read(CHUNK):
                    yield chunk
            finally:  # the client may have disconnected
                feeding.cancel()
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()

        return StreamingResponse(rest(), status, headers)

    def _env(self, request: Request, repo: Doc, service: str, caller: Caller) -> dict[str, str]:
        """Return the CGI variables. The pre-receive hook reads DEVKIT_NO_WORKFLOWS."""
        env = os.environ | ENV | {
            "GIT_PROJECT_ROOT": str(self.repositories.root), "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": f"/{repo['id']}.git/{service}",
            "REQUEST_METHOD": request.method, "QUERY_STRING": request.url.query, "REMOTE_USER": caller.key,
            "CONTENT_TYPE": request.headers.get("content-type", ""), "GIT_PROTOCOL": request.headers.get("git-protocol", ""),
            "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*",
        }  # fmt: skip
        granted = caller.permissions
        if caller.kind == "user":
            granted = self.access.grants(self.access.installation_on(repo["owner"]))
        if LEVELS[granted.get("workflows", "none")] < LEVELS["write"]:
            env["DEVKIT_NO_WORKFLOWS"] = "1"
        for number, name in enumerate(self.branches.being_renamed(repo), 1):
            env |= {
                "GIT_CONFIG_COUNT": str(number + 1),
                f"GIT_CONFIG_KEY_{number}": "receive.hideRefs",
                f"GIT_CONFIG_VALUE_{number}": f"refs/heads/{name}",
            }
        env.pop("CONTENT_LENGTH", None)  # the body is read to its end
        return env

    async def _feed(self, request: Request, stdin: asyncio.StreamWriter) -> None:
        unzip = zlib.decompressobj(UNZIP) if request.headers.get("content-encoding") == "gzip" else None
        try:
            async for chunk in request.stream():
                stdin.write(unzip.decompress(chunk) if unzip else chunk)
                await stdin.drain()
        except (ConnectionError, RuntimeError, zlib.error):
            pass  # git has exited, or it reports itself what is wrong with its input
        finally:
            stdin.close()

    async def _head(self, stdout: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
        status, headers = 200, dict[str, str]()
        while line := (await stdout.readline()).decode().strip():
            key, _, value = line.partition(":")
            if key.lower() == "status":
                status = int(value.split()[0])
            else:
                headers[key] = value.strip()
        return status if headers else 500, headers


def _text(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    return Response(f"{text}\n", status, headers, media_type="text/plain")
