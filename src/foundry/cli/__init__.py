"""The `foundry` command: one module a noun. Heavy rooms are imported by the commands that need them."""

from __future__ import annotations

import typer

from foundry.cli import actors, config, demo, inspect, issues, sandbox, serve, session, task

app = typer.Typer(name="foundry", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.command()(serve.serve)
app.command()(demo.demo)
app.command()(inspect.inspect)
app.add_typer(task.app, name="task", help="Tasks: one branch each.")
app.add_typer(session.app, name="session", help="Conversations with agents.")
app.add_typer(sandbox.app, name="sandbox", help="Sandboxes and what they take on disk, for the server's admin.")
app.add_typer(issues.app, name="issues", help="What went wrong inside, and clearing it.")
app.add_typer(actors.app, name="actors", help="The actors of the server, for its admin.")
app.add_typer(config.app, name="config", help="Settings.")


def main() -> None:
    """Entry point; a refusal is printed with what to do, never as a traceback."""
    from foundry.contracts.errors import FoundryError

    try:
        app()
    except FoundryError as error:
        from foundry.cli.client import complain

        complain(error.detail, error.field, error.remedy)
        raise SystemExit(1) from None
