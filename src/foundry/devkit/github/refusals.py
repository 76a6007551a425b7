"""GitHub's error responses."""

from __future__ import annotations

from fastapi.responses import JSONResponse, Response

from foundry.devkit.github.store import Doc

DOCS = "https://docs.github.com/idle-stop"
NOT_FOUND = "Not Found"
NOT_BY_APP = "Resource not accessible by integration"


class Refusal(Exception):
    """An error response in GitHub's wording."""

    def __init__(
        self, status: int, message: str, errors: list[Doc] | None = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.errors, self.headers = status, message, errors, headers or {}

    def response(self) -> Response:
        body: Doc = {"message": self.message}
        if self.errors:
            body["errors"] = self.errors
        body |= {"documentation_url": DOCS, "status": str(self.status)}
        return JSONResponse(body, self.status, headers=self.headers)


class Moved(Exception):
    """The resource has a new address."""

    def __init__(self, location: str) -> None:
        super().__init__(location)
        self.location = location

    def response(self, method: str) -> Response:
        """Use 301 if repeating the request is harmless, else 307, which keeps method and body."""
        status = 301 if method in ("GET", "HEAD") else 307
        message = "Moved Permanently" if status == 301 else "Temporary Redirect"
        body = {"message": message, "url": self.location, "documentation_url": DOCS}
        return JSONResponse(body, status, headers={"Location": self.location})


def invalid(resource: str, *, field: str | None = None, code: str = "invalid", message: str | None = None) -> Refusal:
    """Return 422 Validation Failed with one error."""
    error = {"resource": resource, "field": field, "code": code, "message": message}
    return Refusal(422, "Validation Failed", [{k: v for k, v in error.items() if v is not None}])


def not_supplied(*fields: str) -> Refusal:
    """Return 422 for a body without required fields."""
    words = " ".join(f'"{field}" wasn\'t supplied.' for field in fields)
    return Refusal(422, f"Invalid request.\n\n{words}")
