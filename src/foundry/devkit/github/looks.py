"""Shared by all pages: templates, the person at the browser, and the check of a form's origin."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from fastapi import Request
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, FileSystemLoader, select_autoescape

COOKIE = "devkit_login"

_templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=select_autoescape(["html"])
)


def page(template: str, status: int = 200, **values: object) -> Response:
    """Return a page. It may not run scripts or load anything from other servers.

    It has no `form-action`: a browser would apply that also to the redirect after the form, which leads back to Foundry.
    """
    policy = "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
    html = _templates.get_template(template).render(**values)
    return HTMLResponse(html, status, {"Content-Security-Policy": policy})


def same_origin(request: Request) -> bool:
    """Return True if one of our own pages sent the form, or a program, which sends no origin."""
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")
