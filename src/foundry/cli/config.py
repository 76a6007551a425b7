"""`foundry config check`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True)


@app.callback()
def config() -> None:
    """Show the settings."""


@app.command()
def check(file: Annotated[Path | None, typer.Option("--config", help="A TOML file with settings.")] = None) -> None:
    """Print each setting's current value and its source. Secrets are masked."""
    from rich.console import Console
    from rich.table import Table

    from foundry.settings import load

    loaded = load(config=file)
    table = Table("setting", "value", "source", "description")
    for row in loaded.rows():
        table.add_row(*row)
    Console().print(table)
    for warning in loaded.warnings:
        typer.echo(f"warning: {warning}", err=True)
