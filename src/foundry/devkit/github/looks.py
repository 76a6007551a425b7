"""What all pages share: templates, who is at the browser, and whether a form came from here."""

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
    """A page; it may run no script and fetch nothing from elsewhere.

    No `form-action` here: a browser would apply it to the redirect after the form too, which leads back to Foundry.
    """
    policy = "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
    html = _templates.get_template(template).render(**values)
    return HTMLResponse(html, status, {"Content-Security-Policy": policy})


def same_origin(request: Request) -> bool:
    """Whether a form was sent by one of our own pages (or by a program, which says no origin)."""
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")
