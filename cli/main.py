"""The `parley` command."""

import typer

from cli import stack

app = typer.Typer(
    name="parley",
    help="Conversation analytics for many tenants: every conversation a durable workflow.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
stack.register(app)


def main() -> None:
    """Entry point of the `parley` script."""
    app()


if __name__ == "__main__":
    main()
