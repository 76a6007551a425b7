"""`foundry serve`."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Annotated

import typer


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on. 0: any free port.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Directory for all of Foundry's data.")] = None,
    database_url: Annotated[
        str | None, typer.Option(help="postgresql://... Default: SQLite in the data directory.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="A TOML file with settings.")] = None,
) -> None:
    """Run the server until it gets SIGTERM or Ctrl-C."""
    gc.disable()  # imported modules stay: scanning them for garbage again and again takes a sixth of the start time
    from foundry.app import serve as run
    from foundry.settings import load

    gc.freeze()
    gc.enable()
    flags = {"host": host, "port": port, "data_dir": data_dir, "database_url": database_url}
    loaded = load(flags, config=config)
    for warning in loaded.warnings:
        typer.echo(f"warning: {warning}", err=True)

    def ready(url: str) -> None:
        typer.echo(f"Foundry listens on {url}")

    run(loaded.settings, ready=ready, progress=typer.echo)
