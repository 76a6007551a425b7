"""Refusals: errors that a person or a program can act on.

Every subclass has a stable `code`, an HTTP `status` and a `remedy`. `docs/api.md` explains each code, and a test checks
that it does. Any other exception is a defect and becomes a 500 without details.
"""

from __future__ import annotations

from typing import ClassVar

_CODES: dict[str, type[FoundryError]] = {}


class FoundryError(Exception):
    """A refusal. `detail` says which thing and why; `remedy` says what to do; `field` names the input at fault."""

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    transient: ClassVar[bool] = False  # a workflow's step may retry automatically
    remedy: str = "Try again. If it fails again, look at the server's log."

    def __init_subclass__(cls, *, code: str, status: int) -> None:
        super().__init_subclass__()
        if code in _CODES:
            raise TypeError(f"error code {code!r} is already taken by {_CODES[code].__qualname__}")
        cls.code, cls.status = code, status
        _CODES[code] = cls

    def __init__(self, detail: str, *, field: str | None = None, remedy: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field
        if remedy is not None:
            self.remedy = remedy


def error_codes() -> dict[str, type[FoundryError]]:
    """Return every error code that this process knows, for the documentation test and to decode stored refusals."""
    return dict(_CODES)


class BadInput(FoundryError, code="bad_input", status=422):
    """A field has an invalid value."""

    remedy = "Correct the named field and send the request again."


class NotFound(FoundryError, code="not_found", status=404):
    """The resource does not exist, or you may not see it."""

    remedy = "Check the id. The lists show the resources you may see."


class Forbidden(FoundryError, code="forbidden", status=403):
    """You do not have the required access on GitHub."""

    remedy = "Ask for access on GitHub, then try again."


class NotSignedIn(FoundryError, code="not_signed_in", status=401):
    """The request does not identify a person."""

    remedy = "Sign in, or send the admin token."


class WrongState(FoundryError, code="wrong_state", status=409):
    """The command is not allowed in the current state."""

    remedy = "Look at the current state. It shows which actions are possible."


class TooManyAttempts(FoundryError, code="too_many_attempts", status=429):
    """There were too many attempts in a short time."""

    remedy = "Wait 15 minutes, then try again."


class KeyReused(FoundryError, code="idempotency_key_reused", status=422):
    """The idempotency key was already used with a different body."""

    remedy = "Use a new Idempotency-Key for each new request."


class Unavailable(FoundryError, code="unavailable", status=503):
    """The database or another service was unavailable. Nothing was changed."""

    transient = True

    remedy = "Send the same request again, with the same Idempotency-Key."
