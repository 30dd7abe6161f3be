"""A command whose standard streams are closed ends as with open ones, and writes nothing into its own files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_a_closed_stream_changes_nothing_else(closed, tmp_path):
    command = ["bash", "-c", f'exec "$@" {closed}', "-", sys.executable, "-m", "pnpxai", "doctor", "torch.nn:Identity"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "COLUMNS": "80"}
    run = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=120, env=environment, cwd=tmp_path
    )
    assert run.returncode == 0, run.stderr
    assert "Traceback" not in run.stderr
    assert ("Gradient" in run.stdout) == (">&-" not in closed.split())
    assert not list(tmp_path.iterdir())
