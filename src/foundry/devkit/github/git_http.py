"""Git over HTTP: the real `git http-backend`, behind token checks; a push tells who listens."""

from __future__ import annotations

import asyncio
import base64
import os
import zlib
from collections.abc import AsyncIterator

from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse

from foundry.devkit.github.access import Access, Caller, Refusal
from foundry.devkit.github.pulls import Pulls
from foundry.devkit.github.repos import Repositories
from foundry.devkit.github.store import Doc

CHUNK = 65_536  # bytes


class GitHttp:
    """Smart HTTP for every repository: `/{owner}/{name}.git/...`."""

    def __init__(self, access: Access, repositories: Repositories, pulls: Pulls) -> None:
        self.access, self.repositories, self.pulls = access, repositories, pulls
        self.faults: list[Doc] = []
        self.router = APIRouter()
        self.router.add_api_route(
            "/{owner}/{name}.git/{path:path}", self.answer, methods=["GET", "POST"], include_in_schema=False
        )

    async def answer(self, request: Request, owner: str, name: str, path: str) -> Response:
        """Check the token, then let git answer."""
        for fault in list(self.faults):
            self.faults.remove(fault)
            await asyncio.sleep(fault.get("seconds", 0))
            if fault.get("status"):
                return Response(fault.get("message", "error"), fault["status"])
        pushing = "git-receive-pack" in (path, request.query_params.get("service", ""))
        repo = self.repositories.find(owner, name)
        ask = Response("Repository not found.", 401, headers={"WWW-Authenticate": 'Basic realm="GitHub"'})
        try:
            caller = self._caller(request)
        except Refusal:
            return ask
        if caller.kind == "nobody" and (repo is None or repo["private"] or pushing):
            return ask
        if repo is None or not self.access.allowed(caller, repo, "contents", "read"):
            return Response("Repository not found.", 404)
        if pushing and not self.access.allowed(caller, repo, "contents", "write"):
            return Response("Permission denied to this repository.", 403)
        if path == "git-receive-pack":
            before = self.repositories.heads(repo)
            response = await self._backend(request, repo, path, caller)
            self.pulls.pushed(repo, before, self.repositories.heads(repo), caller.login or "foundry-sample[bot]")
            return response
        return await self._backend(request, repo, path, caller)

    def _caller(self, request: Request) -> Caller:
        header = request.headers.get("authorization", "")
        if header.lower().startswith("basic "):
            try:
                _, _, token = base64.b64decode(header[6:]).decode().partition(":")
            except ValueError:
                raise Refusal(401, "Bad credentials") from None
            return self.access.by_token(token)
        return self.access.caller(header)

    async def _backend(self, request: Request, repo: Doc, path: str, caller: Caller) -> Response:
        env = os.environ | {
            "GIT_PROJECT_ROOT": str(self.repositories.root), "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": f"/{repo['id']}.git/{path}",
            "REQUEST_METHOD": request.method, "QUERY_STRING": request.url.query, "REMOTE_USER": caller.key,
            "CONTENT_TYPE": request.headers.get("content-type", ""), "GIT_PROTOCOL": request.headers.get("git-protocol", ""),
            "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*",
        }  # fmt: skip
        env.pop("CONTENT_LENGTH", None)
        process = await asyncio.create_subprocess_exec(
            "git", "http-backend", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL, env=env,
        )  # fmt: skip
        assert process.stdin
        assert process.stdout
        feeding = asyncio.create_task(self._feed(request, process.stdin))
        status, headers = await self._head(process.stdout)
        out = process.stdout
        if path == "git-receive-pack":  # the refs have moved when this has been read to its end
            body = await out.read()
            await asyncio.gather(feeding, process.wait(), return_exceptions=True)
            return Response(body, status, headers)

        async def rest() -> AsyncIterator[bytes]:
            while chunk := await out.read(CHUNK):
                yield chunk
            await asyncio.gather(feeding, process.wait(), return_exceptions=True)

        return StreamingResponse(rest(), status, headers)

    async def _feed(self, request: Request, stdin: asyncio.StreamWriter) -> None:
        unzip = zlib.decompressobj(31) if request.headers.get("content-encoding") == "gzip" else None
        try:
            async for chunk in request.stream():
                stdin.write(unzip.decompress(chunk) if unzip else chunk)
                await stdin.drain()
        except (ConnectionError, RuntimeError):
            pass  # git has ended; what it said is in its answer
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
        return status, headers
