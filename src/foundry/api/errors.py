"""Errors that only the edge raises. docs/api.md explains every code."""

from __future__ import annotations

from foundry.contracts.errors import FoundryError, NotSignedIn


class BadRequest(FoundryError, code="bad_request", status=400):
    """The server does not understand the request."""

    remedy = "Compare the request with docs/api.md."


class BadJson(FoundryError, code="bad_json", status=400):
    """The body is not valid JSON."""

    remedy = "Send one JSON object, encoded in UTF-8."


class NotJson(FoundryError, code="not_json", status=415):
    """The content type of the body is not JSON."""

    remedy = "Send JSON with Content-Type: application/json. For a webhook, set this content type in the GitHub App."


class TooLarge(FoundryError, code="too_large", status=413):
    """The body is too large."""

    remedy = "Send a smaller body."


class MethodNotAllowed(FoundryError, code="method_not_allowed", status=405):
    """The path does not support this method."""

    remedy = "Use one of the methods in the Allow header."


class BadOrigin(FoundryError, code="bad_origin", status=403):
    """A browser sent this change from a page of another site."""

    remedy = "Use Foundry's own pages, at the configured public URL."


class UnknownRepository(FoundryError, code="unknown_repository", status=422):
    """The organization has no such repository, or you may not see it."""

    remedy = "Choose a repository from the organization's list. The GitHub App must be installed on it."


class UnknownAgent(FoundryError, code="unknown_agent", status=422):
    """This server does not offer an agent with this name."""

    remedy = "Choose one of the agents listed in the detail."


class UnknownPerson(FoundryError, code="unknown_person", status=422):
    """No person with this login has signed in here."""

    remedy = "Name a person who has signed in, or ask this person to sign in first."


class PersonNeeded(FoundryError, code="person_needed", status=422):
    """The request does not say which person the admin token acts as."""

    remedy = "Name the person: send the header X-Foundry-As, or use the CLI's --as LOGIN."


class ScopeMissing(FoundryError, code="scope_missing", status=403):
    """The API token does not have the scope that this needs."""

    remedy = "Use an API token with the scope that the detail names."


class BrowserNeeded(FoundryError, code="browser_needed", status=403):
    """Only a signed-in browser may do this."""

    remedy = "Open Settings, then Sessions and tokens, in a browser."


class SignedOut(NotSignedIn, code="signed_out", status=401):
    """The app session or API token has ended."""

    remedy = "Sign in again, or use another API token."


class AuthorizationPending(FoundryError, code="authorization_pending", status=400):
    """The person has not answered yet."""

    remedy = "Ask again after the interval."


class SlowDown(FoundryError, code="slow_down", status=400):
    """The device asks too often."""

    remedy = "Wait 5 seconds longer between two requests from now on."


class ExpiredToken(FoundryError, code="expired_token", status=400):
    """The device code does not exist, has expired, or was already used."""

    remedy = "Start the login again."


class AccessDenied(FoundryError, code="access_denied", status=400):
    """The person has denied the login."""

    remedy = "Start the login again, and approve it in the browser."


class AdminOnly(FoundryError, code="admin_only", status=403):
    """Only the local admin token may do this."""

    remedy = "Use the foundry command on the machine where the server runs."


class SignInNotConfigured(FoundryError, code="sign_in_not_configured", status=503):
    """Sign-in is not configured: the server has no GitHub App."""

    remedy = "Set FOUNDRY_GITHUB_CLIENT_ID and FOUNDRY_GITHUB_CLIENT_SECRET (README, 'Connecting real GitHub')."


class Stuck(FoundryError, code="stuck", status=503):
    """A turn hangs inside the server. The detail has its stack."""

    remedy = "Restart the server and report the stack. Committed data is safe."


class NotReady(FoundryError, code="not_ready", status=503):
    """The server is starting or stopping, or its database does not answer."""

    remedy = "Wait a moment, then try again."
