"""Where a request comes from: the client's address, and the device that its User-Agent names."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection

ADDRESS = 64  # characters at most
DEVICE = 80  # characters at most
BROWSERS = (  # the first that fits: every browser claims to be several others too
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)


def client_address(request: HTTPConnection) -> str:
    """Return the client's address as the server sees it. Empty if the connection has none."""
    return request.client.host[:ADDRESS] if request.client else ""


def device_of(headers: Headers) -> str:
    """Return a short name such as "Firefox on Linux", else the start of the User-Agent."""
    agent = headers.get("user-agent", "")
    browser = next((name for mark, name in BROWSERS if mark in agent), "")
    system = next((name for mark, name in SYSTEMS if mark in agent), "")
    if browser:
        return f"{browser} on {system}" if system else browser
    return "".join(letter for letter in agent if letter.isprintable())[:DEVICE]
