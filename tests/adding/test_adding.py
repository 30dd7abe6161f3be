"""A new explainer, metric, baseline or kind of data takes one source file and one test file.

A copy of the repository gets the files of ``new``, four of each, and nothing else is changed in it: the sweeps, the
contracts, the lists that tests keep and the docs accept the new classes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT, NEW = Path(__file__).parents[2], Path(__file__).parent / "new"

NAMES = ("Sharpened", "LargestShare", "Half", "VolumeModality")
LISTS = ("every", "no_kind", "names_are_unique", "no_law", "marks", "registry", "complete")
"""Words in the names of tests that keep lists of classes, or are about all of them."""


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    """Return a copy of the repository with the new files."""
    root = tmp_path_factory.mktemp("copy")
    for name in ("pnpxai", "tests", "docs", "benchmarks", "tutorials", "pyproject.toml", "mkdocs.yml", "README.md"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif (ROOT / name).exists():
            shutil.copy(ROOT / name, root / name)
    shutil.copytree(NEW, root, dirs_exist_ok=True)
    return root


def run(root, *command):
    """Run Python in the copy; its output is shown where it fails."""
    environment = os.environ | {"PYTHONPATH": str(root), "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_its_cells_and_its_own_tests_pass(copied, name):
    output = run(copied, "pytest", "-q", "-p", "no:cacheprovider", "--only", name)
    assert " passed" in output


def test_the_tests_that_keep_lists_pass(copied):
    files = (
        "tests/explainers/test_sweep.py",
        "tests/metrics",
        "tests/strategies",
        "tests/declare",
        "tests/test_modalities.py",
    )
    words = " or ".join(LISTS)
    chosen = f"({words}) and not cell and not contract"
    assert " passed" in run(copied, "pytest", "-q", "-p", "no:cacheprovider", *files, "-k", chosen)


def test_the_docs_are_built_and_speak_of_it(copied):
    pytest.importorskip("mkdocs")
    run(copied, "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(copied / "site"))
    pages = "".join(page.read_text() for page in (copied / "site").rglob("*.html"))
    for name in ("Sharpened", "LargestShare", "half"):
        assert name in pages, name
