"""The command line: results on stdout, progress on stderr; 0 done, 1 it could not be done, 2 it was asked wrongly."""

from pnpxai.cli.interruption import at_once

__all__ = ["app"]


def app() -> None:
    """Run the command that the command line asks for, and leave with its exit code."""
    at_once()
    from pnpxai.cli.commands import app as commands

    commands()
