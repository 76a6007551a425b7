"""The template environment. It escapes everything, raises on unknown names, and reads no clock.

A fragment depends only on its arguments, so the same state always gives the same text: tests can compare pages, live
replacements and catch-up. Times are rendered as absolute times; `static/foundry.js` updates them.
"""

from __future__ import annotations

import hashlib
import zlib
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from foundry.contracts.people import Person
from foundry.web.markdown import markdown

STATIC = Path(str(files("foundry.web") / "static"))
HUES = 8  # avatar colours


def moment(at: datetime, tick: str = "ago") -> Markup:
    """Render a time. It is readable without scripts; with scripts it updates every second.

    Args:
        tick: `ago` (3 min ago), `since` (3 min), `until` (in 3 min).
    """
    utc = at.astimezone(UTC)
    return Markup('<time datetime="{}" data-tick="{}" title="{}">{}</time>').format(
        utc.isoformat(timespec="milliseconds"), tick, f"{utc:%Y-%m-%d %H:%M:%S} UTC", f"{utc:%d %b %H:%M} UTC"
    )


def hue(login: str) -> int:
    """Return the number of a person's avatar colour. It never changes."""
    return zlib.crc32(login.encode()) % HUES


def face(login: str, name: str = "") -> Markup:
    """Render a person's initials in their colour. Avatars load nothing from other servers, for privacy."""
    words = (name or login).replace("-", " ").replace("_", " ").split()
    initials = "".join(word[0] for word in words[:2]).upper() or "?"
    return Markup('<span class="face hue-{}" title="{}" aria-hidden="true">{}</span>').format(
        hue(login), f"{name} ({login})" if name and name != login else login, initials
    )


def person(who: Person) -> Markup:
    return Markup('<span class="person">{}<span>{}</span></span>').format(face(who.login, who.name), who.login)


def plural(count: int, one: str, many: str | None = None) -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}".replace(",", "\u202f")


def tail(path: str, parts: int = 3) -> str:
    """Shorten a path to its end, because paths in sandboxes start with long directories."""
    found = path.split("/")
    return path if len(found) <= parts + 1 else "…/" + "/".join(found[-parts:])


@cache
def asset(name: str) -> str:
    """Return a static file's address. It changes with the content, so that browsers may cache it forever."""
    path = STATIC / name
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12] if path.is_file() else "missing"
    return f"/static/{name}?v={digest}"


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("foundry.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(moment=moment, face=face, person=person, plural=plural, asset=asset)
    environment.filters["markdown"] = markdown
    environment.filters["tail"] = tail
    return environment


_ENVIRONMENT = _environment()


def template(name: str, /, **values: object) -> Markup:
    """Render a template."""
    return Markup(_ENVIRONMENT.get_template(name).render(values))
