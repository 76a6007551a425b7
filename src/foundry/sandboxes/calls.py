"""HTTP requests to one sandbox-agent. Converts its errors to ours.

Connections are reused; `close` ends them. The token appears only in the Authorization header of each request, never in
reprs, errors or logs.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from functools import cache
from typing import Any

import httpx2 as httpx

from foundry.contracts.errors import FoundryError, NotFound
from foundry.contracts.sandbox_provider import (
    AcpServerGone,
    AgentUnavailable,
    SandboxPathMissing,
    SandboxRefused,
    SandboxTokenRefused,
    SandboxUnreachable,
)

ANSWER_LIMIT = 30.0  # seconds; for requests that do not run anything
CONNECT_LIMIT = 5.0  # seconds

_PROBLEM = "urn:sandbox-agent:error:"


@cache
def _trusted() -> ssl.SSLContext:
    """Return the machine's certificates, read once for all sandboxes: each read blocks the loop for about 30 ms."""
    return httpx.create_ssl_context(trust_env=False)


class Calls:
    """The HTTP client of one sandbox-agent.

    Args:
        url: its address, without a trailing slash.
        token: its bearer token.
        headers: additional headers that the provider's proxy needs.

    Raises (every method):
        SandboxUnreachable: it does not answer, or not in time.
        SandboxTokenRefused: another sandbox-agent answers at the address.
        SandboxRefused: it answered with an error that has no class of its own.
    """

    def __init__(self, url: str, token: str, *, headers: Mapping[str, str] | None = None) -> None:
        self.url = url
        self._http = httpx.AsyncClient(
            base_url=url,
            headers={**(headers or {}), "Authorization": f"Bearer {token}"},
            timeout=httpx.Timeout(ANSWER_LIMIT, connect=CONNECT_LIMIT),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=8),
            verify=_trusted(),
            trust_env=False,  # the machine's proxy must not see the token
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def ask(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        content: bytes | None = None,
        limit: float = ANSWER_LIMIT,
        extensions: Mapping[str, Any] | None = None,
    ) -> Any:
        """Send one request. Returns its JSON, its bytes if they are not JSON, or None if there is no body."""
        options = {
            **(extensions or {}),
            "timeout": {"connect": CONNECT_LIMIT, "read": limit, "write": 30.0, "pool": 5.0},
        }
        try:
            answer = await self._http.request(
                method, path, params=params, json=json, content=content, extensions=options
            )
        except httpx.TransportError as error:
            raise self.unreachable(error) from error
        if answer.is_error:
            raise refusal(answer)
        if not answer.content:
            return None
        return answer.json() if answer.headers["content-type"].startswith("application/json") else answer.content

    def stream(self, path: str, *, headers: Mapping[str, str], params: Mapping[str, Any] | None = None, quiet: float):
        """Open a GET whose body is read as it arrives. It ends after `quiet` seconds without a byte."""
        timeout = httpx.Timeout(quiet, connect=CONNECT_LIMIT)
        return self._http.stream(
            "GET", path, headers={"Accept": "text/event-stream", **headers}, params=params, timeout=timeout
        )

    async def check(self, answer: httpx.Response) -> None:
        """Raise the error if the stream was refused."""
        if answer.is_error:
            await answer.aread()
            raise refusal(answer)

    def unreachable(self, error: Exception) -> SandboxUnreachable:
        return SandboxUnreachable(f"sandbox-agent at {self.url}: {type(error).__name__} {error}".rstrip())


def refusal(answer: httpx.Response) -> FoundryError:
    """Convert sandbox-agent's error to ours. Not all are problem+json: for a body it cannot read it answers text."""
    kind, detail = "", answer.text[:2000] or answer.reason_phrase
    if answer.headers.get("content-type", "").startswith("application/problem+json"):
        problem = answer.json()
        kind = str(problem.get("type", "")).removeprefix(_PROBLEM)
        detail = str(problem.get("detail") or problem.get("title") or detail)
        extra = (problem.get("details") or {}).get("stderr") or problem.get("stderr")
        if extra:
            detail = f"{detail}: {extra}"
    match answer.status_code, kind:
        case 401 | 403, _:
            return SandboxTokenRefused(f"sandbox-agent at {answer.request.url.host}: {detail}")
        case _, "session_not_found":
            return AcpServerGone(detail)
        case _, _ if "failed writing to agent stdin" in detail:  # the agent's process has exited
            return AcpServerGone(detail)
        case 400, _ if "missing required 'agent' query parameter" in detail:  # a POST to an unknown server id
            return AcpServerGone(detail)
        case 504, "timeout":
            return AgentUnavailable(detail)
        case _, "unsupported_agent" | "agent_not_installed" | "install_failed" | "agent_process_exited":
            return AgentUnavailable(detail)
        case 404, _:
            return NotFound(detail)
        case 400, _ if "path not found" in detail:  # 0.4.2 has no type of its own for it
            return SandboxPathMissing(detail)
        case 502, _ if "No such file or directory" in detail and answer.request.url.path.startswith("/v1/fs/"):
            return SandboxPathMissing(detail)  # the path, or an entry of the directory, was removed meanwhile
        case 502 | 503 | 504, "":  # from a proxy, not from sandbox-agent
            return SandboxUnreachable(f"{answer.status_code} {detail}")
        case _:
            return SandboxRefused(f"{answer.status_code} {detail}")
