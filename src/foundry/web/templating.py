"""The templates' environment: everything is escaped, an unknown name is an error, and no clock is read.

A fragment depends on its arguments alone, so the same state always gives the same text: pages, live replacement and
catch-up can be compared. Times are rendered absolute; `static/foundry.js` makes them tick.
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
HUES = 8


def moment(at: datetime, tick: str = "ago") -> Markup:
    """A time that people can read as it is and that ticks where scripts run.

    Args:
        tick: `ago` (3 min ago), `since` (3 min), `until` (in 3 min).
    """
    utc = at.astimezone(UTC)
    return Markup('<time datetime="{}" data-tick="{}" title="{}">{}</time>').format(
        utc.isoformat(timespec="milliseconds"), tick, f"{utc:%Y-%m-%d %H:%M:%S} UTC", f"{utc:%d %b %H:%M} UTC"
    )


def hue(login: str) -> int:
    """Which of the avatar colours a person has; always the same one."""
    return zlib.crc32(login.encode()) % HUES


def face(login: str, name: str = "") -> Markup:
    """A person's initials in their colour. Nothing is loaded from elsewhere, so nobody learns who looks at what."""
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
    """The end of a path, where people look; sandboxes have long beginnings."""
    found = path.split("/")
    return path if len(found) <= parts + 1 else "…/" + "/".join(found[-parts:])


@cache
def asset(name: str) -> str:
    """A static file's address; it changes with the content, so that browsers may keep it for good."""
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
    """A template's text."""
    return Markup(_ENVIRONMENT.get_template(name).render(values))
