"""The `parley` command."""

import typer

from cli import commands, engines, platform, stack, upkeep
from cli.demo.command import demo

app = typer.Typer(
    name="parley",
    help="Conversation analytics for many tenants: every conversation a durable workflow.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
stack.register(app)
app.command()(demo)
commands.register(app)
platform.register(app)
engines.register(app)
upkeep.register(app)


def main() -> None:
    """Entry point of the `parley` script."""
    app()


if __name__ == "__main__":
    main()
