"""The command line: results on stdout, progress on stderr; exit code 0 done, 1 failed, 2 wrong options.

``options`` declares every option once, ``command`` makes commands of functions, ``commands`` holds these functions and
``actions`` what they do; ``runner`` runs one, and ``models``, ``data`` and ``pictures`` find what options name.
"""

from pnpxai.cli.interruption import end_at_once
from pnpxai.cli.standard_streams import open_standard_streams

__all__ = ["app"]


def app() -> None:
    """Run the command that the command line asks for, and leave with its exit code."""
    open_standard_streams()
    end_at_once()
    from pnpxai.cli.commands import app as commands

    commands()
