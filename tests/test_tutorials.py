"""The tutorials run as they stand, and make what they say."""

import subprocess
import sys
from pathlib import Path

import pytest

TUTORIALS = sorted((Path(__file__).parents[1] / "tutorials").glob("*.py"))


@pytest.mark.parametrize("script", TUTORIALS, ids=lambda path: path.stem)
def test_the_tutorial_runs(script: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error::UserWarning", str(script)]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert ran.returncode == 0, ran.stderr
    made = [Path(name.strip()) for name in ran.stdout.splitlines()[-1].removeprefix("written:").split(",")]
    assert made
    assert all((tmp_path / path).stat().st_size > 1000 for path in made)
    assert "explains best" in ran.stdout or "ranks first" in ran.stdout
