"""``python -m pnpxai``."""

from pnpxai.cli import app

app()
