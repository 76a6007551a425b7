"""What can go wrong with GitHub, and what to do about it."""

from __future__ import annotations

from datetime import UTC, datetime

from foundry.contracts.errors import FoundryError


class GitHubUnavailable(FoundryError, code="github_unavailable", status=503):
    """GitHub did not answer, or with a 5xx."""

    transient = True
    remedy = "Wait; Foundry tries again. GitHub's status page says whether it is GitHub."


class GitHubRateLimited(FoundryError, code="github_rate_limited", status=503):
    """The installation's hourly budget, or a secondary limit, is used up."""

    transient = True
    remedy = "Wait until the time named; Foundry tries again."

    def __init__(
        self, detail: str, *, field: str | None = None, remedy: str | None = None, reset_at: datetime | None = None
    ) -> None:
        super().__init__(detail, field=field, remedy=remedy)
        self.reset_at = reset_at or datetime.now(UTC)


class GitHubNotConfigured(FoundryError, code="github_not_configured", status=503):
    """This server was not told which GitHub App it is, and cannot ask GitHub anything."""

    remedy = "Set FOUNDRY_GITHUB_APP_ID and FOUNDRY_GITHUB_APP_PRIVATE_KEY, and start the server again."


class GitHubNotFound(FoundryError, code="github_not_found", status=404):
    """GitHub shows no such thing to the App."""

    remedy = "Check that it exists and that the GitHub App is installed on its repository."


class GitHubRefused(FoundryError, code="github_refused", status=422):
    """GitHub refused the request; the detail has its words, `answered` its status."""

    remedy = "Read GitHub's words; a permission that is missing is granted in the App's settings."

    def __init__(
        self, detail: str, *, field: str | None = None, remedy: str | None = None, answered: int = 422
    ) -> None:
        super().__init__(detail, field=field, remedy=remedy)
        self.answered = answered


class GitHubSignInFailed(FoundryError, code="github_sign_in_failed", status=401):
    """GitHub did not confirm the sign-in."""

    remedy = "Sign in again."


class BadSignature(FoundryError, code="bad_signature", status=401):
    """A webhook whose signature is missing or not made with our secret."""

    remedy = "Set the same webhook secret in the GitHub App and in FOUNDRY_GITHUB_WEBHOOK_SECRET."
