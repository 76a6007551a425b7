"""The `foundry` command: one module per noun. Each command imports the heavy packages that it needs."""

from __future__ import annotations

import typer

from foundry.cli import (
    actors,
    admin_token,
    audit,
    config,
    demo,
    inspect,
    issues,
    login,
    organization,
    sandbox,
    serve,
    session,
    task,
)

app = typer.Typer(name="foundry", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.command()(serve.serve)
app.command()(demo.demo)
app.command()(inspect.inspect)
app.command()(login.login)
app.command()(login.logout)
app.command()(audit.audit)
app.add_typer(task.app, name="task", help="Work with tasks. Each task is one branch.")
app.add_typer(session.app, name="session", help="Work with sessions, the conversations with agents.")
app.add_typer(organization.app, name="organization", help="Show organizations and change their settings.")
app.add_typer(sandbox.app, name="sandbox", help="Show sandboxes and their disk usage; remove orphans. For the admin.")
app.add_typer(issues.app, name="issues", help="Show and clear runtime issues.")
app.add_typer(actors.app, name="actors", help="Show the server's actors. For the admin.")
app.add_typer(admin_token.app, name="admin-token", help="Replace the local admin token. On the server's machine.")
app.add_typer(config.app, name="config", help="Show the settings.")


def main() -> None:
    """Run the command line. Prints a refusal with its remedy, never as a traceback."""
    from foundry.contracts.errors import FoundryError

    try:
        app()
    except FoundryError as error:
        from foundry.cli.client import complain

        complain(error.detail, error.field, error.remedy)
        raise SystemExit(1) from None
