"""What only the edge refuses. Every code is explained in docs/api.md."""

from __future__ import annotations

from foundry.contracts.errors import FoundryError


class BadRequest(FoundryError, code="bad_request", status=400):
    """The request is not one this server understands."""

    remedy = "Compare the request with docs/api.md."


class BadJson(FoundryError, code="bad_json", status=400):
    """The body is not JSON."""

    remedy = "Send one JSON object, in UTF-8."


class NotJson(FoundryError, code="not_json", status=415):
    """The body has another content type than JSON."""

    remedy = "Send JSON with Content-Type: application/json; a GitHub App's webhook has this content type as a setting."


class TooLarge(FoundryError, code="too_large", status=413):
    """The body is larger than this server takes."""

    remedy = "Send less at once."


class MethodNotAllowed(FoundryError, code="method_not_allowed", status=405):
    """The path exists, but not with this method."""

    remedy = "Use one of the methods that the Allow header names."


class BadOrigin(FoundryError, code="bad_origin", status=403):
    """A browser sent a change from another site's page."""

    remedy = "Use Foundry's own pages, at the address that is configured as its public URL."


class UnknownRepository(FoundryError, code="unknown_repository", status=422):
    """The organization has no such repository, or the person may not know that it does."""

    remedy = "Name one that the organization's list of repositories shows; the GitHub App must be installed on it."


class UnknownAgent(FoundryError, code="unknown_agent", status=422):
    """No agent of this name is offered here."""

    remedy = "Choose one of the agents named in the detail."


class UnknownPerson(FoundryError, code="unknown_person", status=422):
    """Nobody with this login has signed in here."""

    remedy = "Name somebody who has signed in, or let them sign in first."


class PersonNeeded(FoundryError, code="person_needed", status=422):
    """The admin token acts as a person, and it is not clear as which."""

    remedy = "Name the person: the header X-Foundry-As, or the CLI's --as LOGIN."


class AdminOnly(FoundryError, code="admin_only", status=403):
    """Only the local admin token may do this."""

    remedy = "Use the foundry command on the machine that the server runs on."


class SignInNotConfigured(FoundryError, code="sign_in_not_configured", status=503):
    """The server has no GitHub App to sign people in with."""

    remedy = "Set FOUNDRY_GITHUB_CLIENT_ID and FOUNDRY_GITHUB_CLIENT_SECRET (README, 'Connecting real GitHub')."


class Stuck(FoundryError, code="stuck", status=503):
    """Something inside hangs; the detail has its stack."""

    remedy = "Restart the server; what was committed is kept. Report the stack."


class NotReady(FoundryError, code="not_ready", status=503):
    """The server is starting or stopping, or its database is away."""

    remedy = "Wait a moment, then try again."
