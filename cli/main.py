"""The `parley` command."""

import typer

from cli import commands, engines, history, imports, people, platform, sources, stack, upkeep
from cli.demo.command import demo
from cli.ingest.command import ingest

app = typer.Typer(
    name="parley",
    help="Conversation analytics for many tenants: every conversation a durable workflow.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
stack.register(app)
app.command()(demo)
app.command()(ingest)
commands.register(app)
imports.register(app)
platform.register(app)
sources.register(app)
people.register(app)
engines.register(app)
upkeep.register(app)
history.register(app)


def main() -> None:
    """Entry point of the `parley` script."""
    app()


if __name__ == "__main__":
    main()
