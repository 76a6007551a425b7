"""Refusals: errors a person or a program can do something about.

Every subclass names a stable `code`, an HTTP `status` and a `remedy`; `docs/api.md` explains each code, and a
test checks that it does. Anything else that is raised is a defect and becomes a 500 without details.
"""

from __future__ import annotations

from typing import ClassVar

_CODES: dict[str, type[FoundryError]] = {}


class FoundryError(Exception):
    """A refusal. `detail` says which thing and why; `remedy` says what to do; `field` names the input at fault."""

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    transient: ClassVar[bool] = False  # a workflow's step may try again by itself
    remedy: str = "Try again; if it persists, look at the server's log."

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
    """Every code known to this process, for the documentation test and for decoding a stored refusal."""
    return dict(_CODES)


class BadInput(FoundryError, code="bad_input", status=422):
    """A value that is not of the form its field asks for."""

    remedy = "Correct the named field and send the request again."


class NotFound(FoundryError, code="not_found", status=404):
    """The thing does not exist, or the person may not know that it does."""

    remedy = "Check the id; lists show what exists."


class Forbidden(FoundryError, code="forbidden", status=403):
    """The person is known but lacks the access GitHub would ask for."""

    remedy = "Ask for the access on GitHub, then try again."


class NotSignedIn(FoundryError, code="not_signed_in", status=401):
    """The request names no person."""

    remedy = "Sign in, or send the token."


class WrongState(FoundryError, code="wrong_state", status=409):
    """The command does not fit the thing's present state."""

    remedy = "Look at the thing's present state; it says what can be done."


class KeyReused(FoundryError, code="idempotency_key_reused", status=422):
    """One idempotency key came with two different bodies."""

    remedy = "Use a new Idempotency-Key for a new request."


class Unavailable(FoundryError, code="unavailable", status=503):
    """Infrastructure was away; nothing was applied."""

    transient = True

    remedy = "Send the same request again, with the same Idempotency-Key."
