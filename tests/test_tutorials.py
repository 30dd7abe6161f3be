"""The tutorials run as they stand, make what they say, and find the evidence that was planted."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from pnpxai.truth.real_draws import MAILS
from pnpxai.truth.real_nets import MINILM
from tests.real_models import package

TUTORIALS = sorted((Path(__file__).parents[1] / "tutorials").glob("*.py"))


FOUND = re.compile(r"rank accuracy ([\d.]+), of a random map ([\d.]+)")


@pytest.mark.slow(first=True)
@pytest.mark.parametrize("script", TUTORIALS, ids=lambda path: path.stem)
def test_the_tutorial_runs(script: Path, tmp_path: Path) -> None:
    if script.stem == "mails":
        for needed in (*MAILS, *MINILM):
            package(*needed)  # or the test is skipped
    command = [sys.executable, "-W", "error::UserWarning", str(script)]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert ran.returncode == 0, ran.stderr
    made = [Path(name.strip()) for name in ran.stdout.splitlines()[-1].removeprefix("written:").split(",")]
    assert made
    assert all((tmp_path / path).stat().st_size > 1000 for path in made)
    figures = [tuple(map(float, pair)) for pair in FOUND.findall(ran.stdout)]
    assert figures or "ranks first" in ran.stdout
    assert all(found > 2 * by_chance and found > 0.6 for found, by_chance in figures)
