"""`foundry audit`, for the server's admin."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from foundry.cli.client import AsJson, Client, DataDir, Json, Url, show


def audit(
    limit: Annotated[int, typer.Option(help="How many entries, at most 1000.")] = 50,
    before: Annotated[str | None, typer.Option(help="Only entries older than the one with this id.")] = None,
    url: Url = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show who did what, as whom and from where, the latest first."""
    client = Client(url, None, data_dir, admin=True)
    found = client.ask("GET", "/api/app/audit", limit=limit, **({"before": before} if before else {}))
    show(found, as_json, _lines(found))


def _lines(found: Json) -> Iterator[str]:
    for one in found:
        who = one["login"] or one["person"] or "-"
        request = f" {one['method']} {one['path']}" if one["method"] else ""
        detail = f": {one['detail']}" if one["detail"] else ""
        where = f" from {one['address']}" if one["address"] else ""
        line = f"{one['at'][:19]}  {one['kind']:<7}  {who}  {one['what']}{request}{detail}{where}"
        yield "".join(letter if letter.isprintable() else "?" for letter in line)  # nothing for the terminal to obey
