"""What each route and each topic needs of whoever asks: one table, in code and in docs/security.md.

The routes check it themselves, in the read that answers. Tests compare the table with the app's routes, with the scopes
of API tokens (`foundry.api.scopes`), with the document, and with the answers that every kind of person gets
(tests/api/test_matrix.py). `/openapi.json` says it of each operation.
"""

from __future__ import annotations

from enum import StrEnum

from foundry.api.roles import Deed


class Requirement(StrEnum):
    """What a request needs. The roles' deeds (`foundry.api.roles.Deed`) are requirements too."""

    NOTHING = "nothing"
    SIGNATURE = "the webhook's signature"
    SIGN_IN = "a sign-in that this browser started"
    PERSON = "a signed-in person"
    BROWSER = "a signed-in browser"
    OWN_TOKEN = "the API token that it is about"  # a token may revoke itself
    ORGANIZATION = "seeing the organization"  # what it lists is only what the person may see
    READ = "reading the repository"
    PUSH = "pushing to the repository"
    ISSUE = "clearing the runtime issue"  # pushing to its repository; without one, the role that may
    ADMIN = "the admin token"


BLOCKS: dict[Requirement | Deed, str] = {
    Requirement.NOTHING: """
        GET /
        GET /auth/github
        POST /auth/sign-out
        POST /api/login/device
        POST /api/login/device/token
        GET /docs
        GET /docs/oauth2-redirect
        GET /redoc
        GET /openapi.json
        GET /healthz
        GET /readyz
        GET /metrics
    """,
    Requirement.SIGNATURE: """
        POST /api/rivet/app/webhooks/github
    """,
    Requirement.SIGN_IN: """
        GET /auth/github/callback
    """,
    Requirement.PERSON: """
        GET /api/app
        GET /api/app/issues
        DELETE /api/app/issues
        GET /api/realtime
        GET /api/me/sessions
        GET /api/me/tokens
        GET /settings/sessions
        GET /login/device
        GET /live/start
        GET /live/account
    """,
    Requirement.BROWSER: """
        DELETE /api/me/sessions
        DELETE /api/me/sessions/{session}
        POST /api/me/tokens
        DELETE /api/me/tokens/{token}
        POST /api/login/device/answer
        POST /settings/sessions/end-all
        POST /settings/sessions/{session}/end
        POST /settings/tokens
        POST /settings/tokens/{token}/revoke
        POST /login/device
    """,
    Requirement.OWN_TOKEN: """
        DELETE /api/me/tokens/current
    """,
    Requirement.ORGANIZATION: """
        GET /api/organizations/{organization}
        GET /api/organizations/{organization}/repositories
        GET /api/organizations/{organization}/tasks
        GET /api/organizations/{organization}/issues
        DELETE /api/organizations/{organization}/issues
        GET /organizations/{organization}
        GET /organizations/{organization}/new
        GET /organizations/{organization}/issues
        GET /live/organizations/{organization}
        GET /live/organizations/{organization}/frame
        GET /live/organizations/{organization}/issues
    """,
    Requirement.READ: """
        GET /api/repositories/{repository}
        GET /api/repositories/{repository}/tasks
        GET /api/repositories/{repository}/history
        GET /api/tasks/{task}
        GET /api/tasks/{task}/diff
        GET /api/tasks/{task}/checkpoints
        GET /api/tasks/{task}/checkpoints/{checkpoint}
        GET /api/tasks/{task}/checkpoints/{checkpoint}/patch
        GET /api/sessions/{session}
        GET /api/sessions/{session}/messages
        GET /api/sessions/{session}/draft
        PUT /api/sessions/{session}/draft
        PUT /api/sessions/{session}/read
        DELETE /api/sessions/{session}/read
        GET /api/sandboxes/{sandbox}
        GET /api/sandboxes/{sandbox}/log
        GET /repositories/{repository}
        GET /tasks/{task}
        GET /tasks/{task}/changes
        GET /tasks/{task}/checkpoints/{checkpoint}
        GET /tasks/{task}/checkpoints/{checkpoint}/patch
        GET /sessions/{session}
        GET /live/repositories/{repository}
        GET /live/tasks/{task}
    """,
    Requirement.PUSH: """
        POST /api/organizations/{organization}/tasks
        POST /api/tasks/{task}/work
        PUT /api/tasks/{task}/upstream
        POST /api/tasks/{task}/idle-stop
        POST /api/tasks/{task}/sessions
        POST /api/tasks/{task}/pull-request
        PUT /api/tasks/{task}/branch
        DELETE /api/tasks/{task}/branch/rename
        POST /api/tasks/{task}/retry
        POST /api/tasks/{task}/archive
        POST /api/tasks/{task}/release
        POST /api/tasks/{task}/checkpoints
        POST /api/tasks/{task}/checkpoints/{checkpoint}/restore
        POST /api/sessions/{session}/messages
        POST /api/sessions/{session}/messages/{message}/resend
        DELETE /api/sessions/{session}/messages/{message}
        POST /api/sessions/{session}/stop
        POST /api/sessions/{session}/resume
        POST /api/sessions/{session}/permissions/{permission}
        POST /api/sandboxes/{sandbox}/log
        POST /organizations/{organization}/tasks
        POST /tasks/{task}/work
        POST /tasks/{task}/upstream
        POST /tasks/{task}/idle-stop
        POST /tasks/{task}/sessions
        POST /tasks/{task}/publish
        POST /tasks/{task}/branch
        POST /tasks/{task}/branch/rename/give-up
        POST /tasks/{task}/retry
        POST /tasks/{task}/archive
        POST /tasks/{task}/release
        POST /tasks/{task}/checkpoints
        POST /tasks/{task}/checkpoints/{checkpoint}/restore
        POST /sessions/{session}/messages
        POST /sessions/{session}/messages/{message}/resend
        POST /sessions/{session}/messages/{message}/withdraw
        POST /sessions/{session}/stop
        POST /sessions/{session}/resume
        POST /sessions/{session}/permissions/{permission}
        POST /sandboxes/{sandbox}/log
    """,
    Requirement.ISSUE: """
        DELETE /api/organizations/{organization}/issues/{issue}
        POST /api/organizations/{organization}/issues/{issue}/retry
        POST /api/organizations/{organization}/issues/{issue}/drop
        POST /organizations/{organization}/issues/clear
        POST /organizations/{organization}/issues/{issue}/retry
        POST /organizations/{organization}/issues/{issue}/drop
    """,
    Deed.SEE_SETTINGS: """
        GET /api/organizations/{organization}/settings
        GET /api/organizations/{organization}/github
        GET /organizations/{organization}/settings
    """,
    Deed.CHANGE_SETTINGS: """
        PUT /api/organizations/{organization}/settings
        POST /organizations/{organization}/settings
    """,
    Deed.CLEAR_SERVER_ISSUES: """
        DELETE /api/app/issues/{issue}
        POST /api/app/issues/{issue}/retry
        POST /api/app/issues/{issue}/drop
    """,
    Requirement.ADMIN: """
        GET /api/actors
        GET /api/actors/{kind}/{key}
        GET /api/app/inspect
        GET /api/app/audit
        GET /api/app/sandboxes
        DELETE /api/app/sandboxes/{sandbox}
        GET /api/app/secret-keys
        POST /api/app/secret-keys
        POST /api/app/secret-keys/resealing
        DELETE /api/app/secret-keys/older
    """,
}

ROUTES: dict[tuple[str, str], Requirement | Deed] = {
    (method, path): requirement
    for requirement, block in BLOCKS.items()
    for method, path in (line.split() for line in block.split("\n") if line.strip())
}
"""What each route needs, by its method and path."""

TOPICS: dict[str, Requirement] = {
    "app": Requirement.PERSON,
    "organization": Requirement.ORGANIZATION,
    "pull_requests": Requirement.ORGANIZATION,
    "repository": Requirement.READ,
    "task": Requirement.READ,
    "session": Requirement.READ,
    "sandbox": Requirement.READ,
}
"""What subscribing to each topic of `/api/realtime` needs."""


def described(requirement: Requirement | Deed) -> str:
    """Return the requirement as documents name it."""
    return f"the role to {requirement}" if isinstance(requirement, Deed) else str(requirement)
