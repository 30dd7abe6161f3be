"""The command line: results on stdout, progress on stderr; 0 done, 1 it could not be done, 2 it was asked wrongly."""

import sys

__all__ = ["app"]


def app() -> None:
    """Run the command that the command line asks for, and leave with its exit code."""
    try:
        from pnpxai.cli.commands import app as commands

        commands()
    except KeyboardInterrupt:  # before a command ran
        print("pnpxai: interrupted", file=sys.stderr)
        sys.exit(130)
