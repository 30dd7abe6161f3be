"""The command line: results on stdout, progress on stderr; 0 done, 1 it could not be done, 2 it was asked wrongly."""

from pnpxai.cli.commands import app

__all__ = ["app"]
