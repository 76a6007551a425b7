"""GitHub errors, each with a remedy."""

from __future__ import annotations

from datetime import UTC, datetime

from foundry.contracts.errors import FoundryError


class GitHubUnavailable(FoundryError, code="github_unavailable", status=503):
    """GitHub did not answer, or answered with a 5xx status."""

    transient = True
    remedy = "Wait. Foundry retries automatically. GitHub's status page shows whether GitHub has an outage."

    def __init__(self, detail: str, *, field: str | None = None, remedy: str | None = None, sent: bool = True) -> None:
        super().__init__(detail, field=field, remedy=remedy)
        self.sent = sent  # False: the request certainly did not reach GitHub


class GitHubRateLimited(FoundryError, code="github_rate_limited", status=503):
    """GitHub's rate limit for the installation is used up: the hourly budget or a secondary limit."""

    transient = True
    remedy = "Wait until the time in the detail. Foundry retries automatically."

    def __init__(
        self, detail: str, *, field: str | None = None, remedy: str | None = None, reset_at: datetime | None = None
    ) -> None:
        super().__init__(detail, field=field, remedy=remedy)
        self.reset_at = reset_at or datetime.now(UTC)


class GitHubNotConfigured(FoundryError, code="github_not_configured", status=503):
    """The server has no GitHub App configured, so it cannot call GitHub."""

    remedy = "Set FOUNDRY_GITHUB_APP_ID and FOUNDRY_GITHUB_APP_PRIVATE_KEY, then restart the server."


class GitHubNotFound(FoundryError, code="github_not_found", status=404):
    """GitHub does not have this resource, or does not show it to the App."""

    remedy = "Check that the resource exists and that the GitHub App is installed on its repository."


class GitHubRefused(FoundryError, code="github_refused", status=422):
    """GitHub refused the request. The detail has GitHub's message."""

    remedy = "Read GitHub's message. If a permission is missing, grant it in the App's settings."

    def __init__(
        self, detail: str, *, field: str | None = None, remedy: str | None = None, answered: int = 422
    ) -> None:
        super().__init__(detail, field=field, remedy=remedy)
        self.answered = answered  # GitHub's HTTP status


class GitHubSignInFailed(FoundryError, code="github_sign_in_failed", status=401):
    """GitHub did not confirm the sign-in."""

    remedy = "Sign in again."

    def __init__(self, detail: str, *, field: str | None = None, remedy: str | None = None, error: str = "") -> None:
        super().__init__(detail, field=field, remedy=remedy)
        self.error = error  # GitHub's code, such as `bad_refresh_token`; empty: GitHub gave none


class BadSignature(FoundryError, code="bad_signature", status=401):
    """The webhook's signature is missing or does not match our secret."""

    remedy = "Set the same webhook secret in the GitHub App and in FOUNDRY_GITHUB_WEBHOOK_SECRET."
